//! Checkpoints in the store alone, and what the disk does with the same bytes.

use crate::figures::{Latencies, Rounds, millis};
use anyhow::{Result, anyhow};
use bytes::Bytes;
use durastack_clock::{Entropy, Stopwatch};
use durastack_store::{Append, Batch, Claim, Id, Record, Row, Sqlite, Store};
use std::{fs::File, io, io::Write, path::Path, pin::Pin, sync::Arc, time::Duration};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

const CHECKPOINTS_PER_EXECUTION: u64 = 20;
const RECORD_BYTES: usize = 300;
/// What one checkpoint appends to the raw file: its records, and little for their frames.
pub(crate) const RAW_BYTES: usize = 2 * RECORD_BYTES + 32;

pub(crate) type Step = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// Runs closed loops for a round. `step` is given the client and the number of its step.
pub(crate) async fn clients(
    count: u64,
    round: Duration,
    rounds: &mut Rounds,
    step: impl Fn(u64, u64) -> Step + Clone + Send + 'static,
) -> Result<()> {
    let tracker = TaskTracker::new();
    let watch = Stopwatch::start();
    let one_client = |client| {
        let step = step.clone();
        tracker.spawn(async move {
            let (mut latencies, mut number) = (Latencies::default(), 0);
            while watch.elapsed() < round {
                let one = Stopwatch::start();
                step(client, number).await?;
                latencies.stop(one);
                number += 1;
            }
            anyhow::Ok(latencies)
        })
    };
    let loops: Vec<_> = (0..count).map(one_client).collect();
    let mut latencies = Latencies::default();
    for client in loops {
        latencies.extend(client.await??);
    }
    rounds.add(latencies.count() as f64 / watch.elapsed().as_secs_f64(), latencies);
    Ok(())
}

/// Measures raw appends and checkpoints in turns: (appends, checkpoints).
pub(crate) async fn measure(
    folder: &Path,
    count: u64,
    round: Duration,
    rounds: u64,
) -> Result<(Rounds, Rounds)> {
    let raw = raw(&folder.join("raw"))?;
    let store = Arc::new(Sqlite::open(&folder.join("store"), Entropy::secret())?);
    let (mut appends, mut checkpoints) = (Rounds::default(), Rounds::default());
    for seed in 0..rounds {
        clients(count, round, &mut appends, appender(&raw, RAW_BYTES)).await?;
        let writer = Arc::clone(&store);
        let step = move |client, number| -> Step {
            let commit = writer.commit(checkpoint(seed, client, number));
            Box::pin(async move { Ok(commit.await?) })
        };
        clients(count, round, &mut checkpoints, step).await?;
    }
    store.close().await;
    Ok((appends, checkpoints))
}

pub(crate) type Queue = mpsc::UnboundedSender<(Bytes, oneshot::Sender<()>)>;

/// The baseline: a thread that writes what waits, syncs, and answers. It ends with the last sender.
pub(crate) fn raw(path: &Path) -> Result<Queue> {
    let mut file = File::create(path)?;
    let (queue, mut waiting) = mpsc::unbounded_channel::<(Bytes, oneshot::Sender<()>)>();
    std::thread::spawn(move || -> io::Result<()> {
        while let Some((bytes, answer)) = waiting.blocking_recv() {
            let mut buffer = bytes.to_vec();
            let mut answers = vec![answer];
            while let Ok((bytes, answer)) = waiting.try_recv() {
                buffer.extend_from_slice(&bytes);
                answers.push(answer);
            }
            file.write_all(&buffer)?;
            file.sync_data()?;
            for answer in answers {
                // Nobody waits for the last ones of a round.
                let _ = answer.send(());
            }
        }
        Ok(())
    });
    Ok(queue)
}

/// Has every step of the loops append so many bytes.
pub(crate) fn appender(
    queue: &Queue,
    bytes: usize,
) -> impl Fn(u64, u64) -> Step + Clone + Send + 'static {
    let (queue, bytes) = (queue.clone(), Bytes::from(vec![7; bytes]));
    move |_, _| {
        let (queue, bytes) = (queue.clone(), bytes.clone());
        Box::pin(async move {
            let (answer, done) = oneshot::channel();
            queue.send((bytes, answer)).map_err(|_| anyhow!("the raw writer has ended"))?;
            Ok(done.await?)
        })
    }
}

/// How long it takes to append one checkpoint's bytes to a file and sync it.
pub(crate) async fn syncs(path: &Path, bytes: usize, count: usize) -> Result<Latencies> {
    let path = path.to_owned();
    let work = move || -> Result<Latencies> {
        let mut file = File::options().create(true).append(true).open(path)?;
        let buffer = vec![7; bytes];
        let mut latencies = Latencies::default();
        for _ in 0..count {
            let one = Stopwatch::start();
            file.write_all(&buffer)?;
            file.sync_data()?;
            latencies.push(millis(one));
        }
        Ok(latencies)
    };
    TaskTracker::new().spawn_blocking(work).await?
}

/// Ids in the order in which the executions start, as those of the engine are.
pub(crate) fn id(seed: u64, client: u64, execution: u64) -> Id {
    let mut id = [0; 16];
    id[..2].copy_from_slice(&seed.to_be_bytes()[6..]);
    id[2..8].copy_from_slice(&execution.to_be_bytes()[2..]);
    let mut chance = Entropy::seeded(client.into());
    id[8..].copy_from_slice(&(chance.next_u64() << 8 | client).to_be_bytes());
    id
}

/// Two records; every third one sets the deadline and the next one clears it; the first of an execution claims its name
/// and puts its row, the last one replaces the row.
fn checkpoint(seed: u64, client: u64, number: u64) -> Batch {
    let (execution, step) =
        (number / CHECKPOINTS_PER_EXECUTION, number % CHECKPOINTS_PER_EXECUTION);
    let owner = id(seed, client, execution);
    let data = Bytes::from(vec![7; RECORD_BYTES]);
    let records = vec![
        Record { event_id: Some(2 * step + 1), data: data.clone() },
        Record { event_id: Some(2 * step + 2), data },
    ];
    let at = i64::try_from(number).unwrap_or(0);
    let append = Append { execution: owner, expected: 2 * step, records };
    let mut batch = Batch { appends: vec![append], ..Batch::default() };
    match step % 3 {
        0 => batch.due.push((owner, Some(at + 1_000_000))),
        1 => batch.due.push((owner, None)),
        _ => {}
    }
    let last = step + 1 == CHECKPOINTS_PER_EXECUTION;
    if step == 0 || last {
        let ended = last.then_some(at + 10);
        let row = Row {
            execution: owner,
            dialect: "durable".to_owned(),
            scope: format!("0190a3c47f3e7000800000000000000{}", client % 8),
            version: "$LATEST".to_owned(),
            name: format!("{seed}-{client}-{execution}"),
            status: 1 + u8::from(last),
            started: at,
            ended,
            expires: ended.map(|ended| ended + 604_800_000),
        };
        if step == 0 {
            batch.claims.push(Claim {
                scope: row.scope.clone(),
                name: row.name.clone(),
                execution: owner,
                input_hash: [7; 32],
            });
        }
        batch.rows.push(row);
    }
    batch
}
