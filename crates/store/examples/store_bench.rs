//! How fast the store is, as ratios to what the disk does in the same run. Takes about twenty seconds.
//!
//! One checkpoint is two records of 300 bytes; a third of them sets the deadline and the next one clears it; the first
//! of an execution claims its name and puts its row, the twentieth replaces the row. Each client is a closed loop.
//!
//! `cargo run --release -p durastack-store --example store_bench [-- FOLDER]`; the folder decides which disk is measured.

use bytes::Bytes;
use durastack_clock::{Entropy, Stopwatch};
use durastack_store::{
    Append, Batch, Claim, EventsQuery, Id, ListQuery, Record, RecordsQuery, Row, Sqlite, Store,
};
use std::{
    error::Error,
    fs::File,
    io::{self, Read, Seek, Write},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

const CLIENTS: u64 = 64;
const CHECKPOINTS_PER_EXECUTION: u64 = 20;
const RECORD_BYTES: usize = 300;
/// What one checkpoint appends to the raw file: its records, and little for their frames.
const RAW_BYTES: usize = 2 * RECORD_BYTES + 32;
const ROUND: Duration = Duration::from_millis(1_200);
const ROUNDS: u64 = 2;
/// How much of the second raw file is there before it is measured: appends then change no length, as in a log that is
/// filled ahead, which is the most that the disk gives.
const FILLED_BYTES: u64 = 64 << 20;
const ROWS: u64 = 100_000;
const READS: usize = 2_000;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    let folder = match std::env::args_os().nth(1) {
        Some(parent) => tempfile::tempdir_in(parent)?,
        None => tempfile::tempdir_in(".")?,
    };
    let mut out = io::stdout().lock();
    let growing = Raw::start(&folder.path().join("growing"), None)?;
    let filled = Raw::start(&folder.path().join("filled"), Some(FILLED_BYTES))?;
    let opening = Stopwatch::start();
    let store = Arc::new(Sqlite::open(&folder.path().join("data"), [7; 32])?);
    writeln!(out, "open an empty folder        {:>10.1} ms", millis(opening.elapsed()))?;

    for count in [CLIENTS, 1] {
        writeln!(out, "{count} clients at once")?;
        let [mut growing_rounds, mut filled_rounds, mut store_rounds] = [const { Vec::new() }; 3];
        for round in 0..ROUNDS {
            growing_rounds.push(clients(&runtime, count, growing.client())?);
            let seed = count << 8 | round;
            store_rounds.push(clients(&runtime, count, checkpoints(&store, seed))?);
            filled_rounds.push(clients(&runtime, count, filled.client())?);
        }
        let growing = report(&mut out, "  raw, growing file", &mut growing_rounds)?;
        let filled = report(&mut out, "  raw, zero-filled file", &mut filled_rounds)?;
        let store = report(&mut out, "  checkpoints", &mut store_rounds)?;
        for (name, raw) in [("growing", growing), ("zero-filled", filled)] {
            writeln!(
                out,
                "  to {name:<20} rate {:.3}, p50 {:.2}, p99 {:.2}",
                store.rate / raw.rate,
                store.p50 / raw.p50,
                store.p99 / raw.p99
            )?;
        }
    }

    let execution = runtime.block_on(fill(&store))?;
    reads(&runtime, &store, execution, &mut out)?;
    let closing = Stopwatch::start();
    runtime.block_on(store.close());
    writeln!(out, "close                       {:>10.1} ms", millis(closing.elapsed()))?;
    Ok(())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// What one round measured. The latencies are sorted, in ms.
struct Round {
    rate: f64,
    latencies: Vec<f64>,
}

fn percentile(sorted: &[f64], at: f64) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "the place in a list"
    )]
    let place = (at * sorted.len() as f64) as usize;
    sorted.get(place.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// What all rounds of one kind measured. The latencies are in ms.
struct Figures {
    rate: f64,
    p50: f64,
    p99: f64,
}

fn report(out: &mut impl Write, what: &str, rounds: &mut [Round]) -> io::Result<Figures> {
    let mut latencies: Vec<f64> =
        rounds.iter().flat_map(|round| round.latencies.iter().copied()).collect();
    latencies.sort_unstable_by(f64::total_cmp);
    #[expect(clippy::cast_precision_loss, reason = "there are few rounds")]
    let rate = rounds.iter().map(|round| round.rate).sum::<f64>() / rounds.len() as f64;
    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|at| percentile(&latencies, at));
    writeln!(
        out,
        "{what:<27} {rate:>10.0} /s, p50 {p50:.3} ms, p99 {p99:.3} ms, p99.9 {p999:.3} ms"
    )?;
    Ok(Figures { rate, p50, p99 })
}

/// Runs closed loops for a round. `step` is given the client and the number of its step.
fn clients<F: Future<Output = Outcome<()>> + Send + 'static>(
    runtime: &tokio::runtime::Runtime,
    count: u64,
    step: impl Fn(u64, u64) -> F + Clone + Send + 'static,
) -> Outcome<Round> {
    let tracker = TaskTracker::new();
    let round = Stopwatch::start();
    let loops: Vec<_> = (0..count)
        .map(|client| {
            let step = step.clone();
            let work = async move {
                let mut latencies = Vec::new();
                let mut number = 0;
                while round.elapsed() < ROUND {
                    let one = Stopwatch::start();
                    step(client, number).await?;
                    latencies.push(millis(one.elapsed()));
                    number += 1;
                }
                Outcome::Ok(latencies)
            };
            tracker.spawn_on(work, runtime.handle())
        })
        .collect();
    let mut latencies = Vec::new();
    for work in loops {
        latencies.extend(runtime.block_on(work)??);
    }
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    let rate = latencies.len() as f64 / round.elapsed().as_secs_f64();
    latencies.sort_unstable_by(f64::total_cmp);
    Ok(Round { rate, latencies })
}

/// The baseline: a thread that writes what waits, syncs, and answers.
struct Raw(mpsc::UnboundedSender<(Bytes, oneshot::Sender<()>)>);

impl Raw {
    /// `filled` bytes are zeros before the first append, and are written over and over.
    fn start(path: &Path, filled: Option<u64>) -> Outcome<Self> {
        let mut file = File::create(path)?;
        io::copy(&mut io::repeat(0).take(filled.unwrap_or(0)), &mut file)?;
        file.sync_all()?;
        file.rewind()?;
        let (queue, mut waiting) = mpsc::unbounded_channel::<(Bytes, oneshot::Sender<()>)>();
        std::thread::spawn(move || -> io::Result<()> {
            let mut at = 0;
            while let Some((bytes, answer)) = waiting.blocking_recv() {
                let mut buffer = bytes.to_vec();
                let mut answers = vec![answer];
                while let Ok((bytes, answer)) = waiting.try_recv() {
                    buffer.extend_from_slice(&bytes);
                    answers.push(answer);
                }
                if filled.is_some_and(|bytes| at + buffer.len() as u64 > bytes) {
                    file.rewind()?;
                    at = 0;
                }
                file.write_all(&buffer)?;
                file.sync_data()?;
                at += buffer.len() as u64;
                for answer in answers {
                    // Nobody waits for the last ones of a round.
                    let _ = answer.send(());
                }
            }
            Ok(())
        });
        Ok(Self(queue))
    }

    fn client(&self) -> impl Fn(u64, u64) -> Step + Clone + Send + use<> {
        let queue = self.0.clone();
        let bytes = Bytes::from(vec![7; RAW_BYTES]);
        move |_, _| {
            let (queue, bytes) = (queue.clone(), bytes.clone());
            Box::pin(async move {
                let (answer, done) = oneshot::channel();
                queue.send((bytes, answer))?;
                Ok(done.await?)
            })
        }
    }
}

type Step = std::pin::Pin<Box<dyn Future<Output = Outcome<()>> + Send>>;

/// Ids in the order in which the executions start, as those of the engine are.
fn id(seed: u64, client: u64, execution: u64) -> Id {
    let mut id = [0; 16];
    id[..2].copy_from_slice(&seed.to_be_bytes()[6..]);
    id[2..8].copy_from_slice(&execution.to_be_bytes()[2..]);
    let mut chance = Entropy::seeded(u128::from(client));
    id[8..].copy_from_slice(&(chance.next_u64() << 8 | client).to_be_bytes());
    id
}

fn checkpoints(store: &Arc<Sqlite>, seed: u64) -> impl Fn(u64, u64) -> Step + Clone + Send + use<> {
    let store = Arc::clone(store);
    move |client, number| {
        let store = Arc::clone(&store);
        Box::pin(async move { Ok(store.commit(checkpoint(seed, client, number)).await?) })
    }
}

fn checkpoint(seed: u64, client: u64, number: u64) -> Batch {
    let (execution, step) =
        (number / CHECKPOINTS_PER_EXECUTION, number % CHECKPOINTS_PER_EXECUTION);
    let owner = id(seed, client, execution);
    let data = Bytes::from(vec![7; RECORD_BYTES]);
    let records = vec![
        Record { event_id: Some(2 * step + 1), data: data.clone() },
        Record { event_id: Some(2 * step + 2), data },
    ];
    let at = i64::try_from(number * CLIENTS + client).unwrap_or(0);
    let mut batch = Batch {
        appends: vec![Append { execution: owner, expected: 2 * step, records }],
        ..Batch::default()
    };
    match step % 3 {
        0 => batch.due.push((owner, Some(at + 1_000_000))),
        1 => batch.due.push((owner, None)),
        _ => {}
    }
    let last = step + 1 == CHECKPOINTS_PER_EXECUTION;
    if step == 0 || last {
        let row =
            row(owner, client % 8, u8::from(last), at, format!("{seed}-{client}-{execution}"));
        if step == 0 {
            let (scope, name, input_hash) = (row.scope.clone(), row.name.clone(), [7; 32]);
            batch.claims.push(Claim { scope, name, execution: owner, input_hash });
        }
        batch.rows.push(row);
    }
    batch
}

fn row(execution: Id, function: u64, status: u8, started: i64, name: String) -> Row {
    let ended = (status > 0).then_some(started + 10);
    Row {
        execution,
        dialect: "d".to_owned(),
        scope: format!("0190a3c4-7f3e-7000-8000-00000000000{function}"),
        version: "$LATEST".to_owned(),
        name,
        status,
        started,
        ended,
        expires: ended.map(|ended| ended + 1_209_600_000),
    }
}

/// Puts many rows of one function, and returns an execution with a journal.
async fn fill(store: &Sqlite) -> Outcome<Id> {
    let mut chance = Entropy::seeded(3);
    for first in (0..ROWS).step_by(1_000) {
        let rows = (first..first + 1_000)
            .map(|n| {
                let started = i64::try_from(n / 4).unwrap_or(0);
                let status = u8::try_from(chance.next_u64() % 5).unwrap_or(0);
                row(id(1_000, n % 256, n), 9, status, started, format!("filled-{n}"))
            })
            .collect();
        store.commit(Batch { rows, ..Batch::default() }).await?;
    }
    let put = durastack_store::Change {
        namespace: "function",
        key: "one".to_owned(),
        value: Some(Bytes::from(vec![7; 1_500])),
        expect: durastack_store::Expect::Anything,
    };
    store.commit(Batch { records: vec![put], ..Batch::default() }).await?;
    Ok(id(CLIENTS << 8, 0, 0))
}

fn reads(
    runtime: &tokio::runtime::Runtime,
    store: &Arc<Sqlite>,
    execution: Id,
    out: &mut impl Write,
) -> Outcome<()> {
    let page = |n: usize, statuses: Vec<u8>, version: Option<&str>| {
        let mut chance = Entropy::seeded(n as u128);
        let after = i64::try_from(chance.next_u64() % (ROWS / 4)).unwrap_or(0);
        ListQuery {
            scope: "0190a3c4-7f3e-7000-8000-000000000009".to_owned(),
            version: version.map(str::to_owned),
            statuses,
            started_before: Some(after + 1_000),
            newest_first: true,
            limit: 100,
            ..ListQuery::default()
        }
    };
    let mut measure = |what: &str, read: &dyn Fn(usize) -> Step| -> Outcome<()> {
        let latencies = runtime.block_on(async {
            let mut latencies = Vec::new();
            for n in 0..READS {
                let one = Stopwatch::start();
                read(n).await?;
                latencies.push(millis(one.elapsed()));
            }
            latencies.sort_unstable_by(f64::total_cmp);
            Outcome::Ok(latencies)
        })?;
        let (p50, p99) = (percentile(&latencies, 0.5) * 1e3, percentile(&latencies, 0.99) * 1e3);
        Ok(writeln!(out, "{what:<27} p50 {p50:>8.1} µs, p99 {p99:>8.1} µs")?)
    };
    let list = |query: ListQuery| -> Step {
        let page = store.list(query);
        Box::pin(async move {
            if page.await?.is_empty() { Err("an empty page".into()) } else { Ok(()) }
        })
    };
    measure("page of 100, all", &|n| list(page(n, vec![], None)))?;
    measure("page of 100, one status", &|n| list(page(n, vec![1], None)))?;
    measure("page of 100, three statuses", &|n| list(page(n, vec![1, 2, 4], None)))?;
    measure("page of 100, one version", &|n| list(page(n, vec![], Some("$LATEST"))))?;
    measure("journal of 40 records", &|_| {
        let journal = store.journal(execution);
        Box::pin(async move { journal.await.map(drop).map_err(Into::into) })
    })?;
    measure("page of 10 events", &|n| {
        let from = Some(n as u64 % 30 + 1);
        let events = store.events(EventsQuery { execution, from, newest_first: false, limit: 10 });
        Box::pin(async move { events.await.map(drop).map_err(Into::into) })
    })?;
    measure("row", &|_| {
        let row = store.row(execution);
        Box::pin(async move { row.await.map(drop).map_err(Into::into) })
    })?;
    measure("record, in memory", &|_| {
        let record = store.record("function", "one");
        Box::pin(async move { record.await.map(drop).map_err(Into::into) })
    })?;
    measure("record, from the file", &|_| {
        let query =
            RecordsQuery { namespace: "function", prefix: "one".to_owned(), after: None, limit: 1 };
        let records = store.records(query);
        Box::pin(async move { records.await.map(drop).map_err(Into::into) })
    })
}
