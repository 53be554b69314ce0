//! Executions of flows through the API: many clients that start them, against the disk that takes the same bytes.

use crate::{
    client::Connection,
    figures::{Latencies, Rounds, Row, short},
    plan::Plan,
    rpc::Signer,
    server::Server,
    store_load::{Step, appender, clients, id, raw},
};
use anyhow::{Context, Result, bail};
use durastack_clock::{Entropy, Stopwatch};
use durastack_driver::status_number;
use durastack_engine::Status;
use durastack_store::{Append, Batch, Claim, ListQuery, Record, Row as Line, Sqlite, Store};
use std::{fmt::Write, net::SocketAddr, path::Path, sync::Arc, time::Duration};
use tokio_util::task::TaskTracker;

const CONNECTIONS: usize = 64;
const STEPS: usize = 5;
const FLOW: &str = "passes";
const INPUT: &str = r#"{"orderId":"A-1001"}"#;

/// What a record takes in a raw file beside its bytes.
const FRAME_BYTES: usize = 16;

/// Executions of a flow of pass steps, started by signed requests.
pub(crate) async fn executions(plan: &Plan, folder: &Path) -> Result<Vec<Row>> {
    let place = folder.join("flows");
    let signer = Arc::new(Signer::local());
    let journal = Journal::of_first(&place, &signer).await?;
    let server = Server::start(&place, None).await?;
    let raw = raw(&folder.join("flows-raw"))?;
    let store = Arc::new(Sqlite::open(&folder.join("flows-store"), Entropy::secret())?);
    let (mut appends, mut stored, mut ours) =
        (Rounds::default(), Rounds::default(), Rounds::default());
    let before = server.cpu_ms()?;
    // In turns, so that whatever else the machine does strikes all.
    for seed in 0..plan.rounds {
        let append = appender(&raw, journal.raw_bytes());
        clients(CONNECTIONS as u64, plan.round, &mut appends, append).await?;
        let (writer, batches) = (Arc::clone(&store), Arc::clone(&journal));
        let step = move |client, number| -> Step {
            let commit = writer.commit(batches.batch(seed, client, number));
            Box::pin(async move { Ok(commit.await?) })
        };
        clients(CONNECTIONS as u64, plan.round, &mut stored, step).await?;
        round(server.address, &signer, plan.round, &mut ours).await?;
    }
    let cpu = (server.cpu_ms()? - before) * 1e3 / ours.latencies.count() as f64;
    server.stop().await?;
    store.close().await;
    let records = journal.records.len();
    let raw = format!("group-commit appends of as many bytes: {}", appends.shown());
    Ok(vec![
        Row {
            what: format!("flow executions of {STEPS} pass steps, API, {CONNECTIONS} connections"),
            measured: ours.shown(),
            baseline: raw.clone(),
            ratio: Some(ours.rate() / appends.rate()),
            target: "≥ 3000 /s".to_owned(),
            met: Some(ours.rate() >= 3_000.0),
        },
        Row {
            what: format!("the same {records} records, claim and row in the store alone"),
            measured: stored.shown(),
            baseline: raw,
            ratio: Some(stored.rate() / appends.rate()),
            ..Row::default()
        },
        Row {
            what: "processor time of the server for one".to_owned(),
            measured: format!("{} µs", short(cpu)),
            ..Row::default()
        },
    ])
}

/// The journal that an execution of the flow has.
struct Journal {
    records: Vec<Record>,
}

impl Journal {
    /// Creates the flow, lets one execution of it end, and reads from the data folder what that has stored.
    async fn of_first(place: &Path, signer: &Signer) -> Result<Arc<Self>> {
        let server = Server::start(place, None).await?;
        let mut connection = Connection::open(server.address).await?;
        let mut steps = String::new();
        for number in 1..=STEPS {
            write!(steps, "  - type: pass\n    name: step{number}\n")?;
        }
        let definition = format!("version: v1\ntype: flow\nsteps:\n{steps}");
        let parameters = [
            ("Name", FLOW),
            ("Definition", &definition),
            ("Description", "bench"),
            ("Type", "FDL"),
        ];
        let created = connection.call(&signer.request("CreateFlow", &parameters)).await?;
        let created = created.expect(200)?.json()?;
        let scope = created["Id"].as_str().context("the flow has no id")?.to_owned();
        connection.call(&start(signer)).await?.expect(200)?;
        settle(&mut connection, signer).await?;
        server.stop().await?;
        let store = Sqlite::open(&place.join("data"), Entropy::secret())?;
        let query = ListQuery { scope, limit: 1, ..ListQuery::default() };
        let first = store.list(query).await?.into_iter().next().context("nothing was started")?;
        let entries = store.journal(first.execution).await?;
        store.close().await;
        let records = entries.into_iter().map(|e| Record { event_id: e.event_id, data: e.data });
        Ok(Arc::new(Self { records: records.collect() }))
    }

    fn raw_bytes(&self) -> usize {
        self.records.iter().map(|record| record.data.len() + FRAME_BYTES).sum()
    }

    /// An execution from start to end, as one change.
    fn batch(&self, seed: u64, client: u64, number: u64) -> Batch {
        let owner = id(seed, client, number);
        let at = i64::try_from(number).unwrap_or(0);
        let row = Line {
            execution: owner,
            dialect: "flow".to_owned(),
            scope: "0190a3c4-7f3e-7000-8000-000000000001".to_owned(),
            version: String::new(),
            // As random as the names that the service makes up.
            name: Entropy::seeded(u128::from_be_bytes(owner)).uuid(),
            status: status_number(Status::Succeeded),
            started: at,
            ended: Some(at),
            expires: None,
        };
        let claim = Claim {
            scope: row.scope.clone(),
            name: row.name.clone(),
            execution: owner,
            input_hash: [7; 32],
        };
        let append = Append { execution: owner, expected: 0, records: self.records.clone() };
        Batch { appends: vec![append], claims: vec![claim], rows: vec![row], ..Batch::default() }
    }
}

fn start(signer: &Signer) -> Vec<u8> {
    signer.request("StartExecution", &[("FlowName", FLOW), ("Input", INPUT)])
}

/// A round of closed loops. All that was started has ended well before the time is taken.
async fn round(
    address: SocketAddr,
    signer: &Arc<Signer>,
    length: Duration,
    rounds: &mut Rounds,
) -> Result<()> {
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(Connection::open(address).await?);
    }
    let mut asking = Connection::open(address).await?;
    let (tracker, watch) = (TaskTracker::new(), Stopwatch::start());
    let one_client = |mut connection: Connection| {
        let signer = Arc::clone(signer);
        tracker.spawn(async move {
            let mut latencies = Latencies::default();
            while watch.elapsed() < length {
                let one = Stopwatch::start();
                connection.call(&start(&signer)).await?.expect(200)?;
                latencies.stop(one);
            }
            anyhow::Ok(latencies)
        })
    };
    let loops: Vec<_> = connections.into_iter().map(one_client).collect();
    let mut latencies = Latencies::default();
    for client in loops {
        latencies.extend(client.await??);
    }
    settle(&mut asking, signer).await?;
    rounds.add(latencies.count() as f64 / watch.elapsed().as_secs_f64(), latencies);
    Ok(())
}

/// Waits until no execution runs; fails if one has ended in any other way than well. One question is enough where all have
/// ended, and disturbs nobody.
async fn settle(connection: &mut Connection, signer: &Signer) -> Result<()> {
    while let Some(name) = first(connection, signer, "Running").await? {
        let parameters = [("FlowName", FLOW), ("ExecutionName", &name), ("WaitTimeSeconds", "30")];
        connection.call(&signer.request("DescribeExecution", &parameters)).await?.expect(200)?;
    }
    for status in ["Failed", "TimedOut", "Stopped"] {
        if let Some(name) = first(connection, signer, status).await? {
            bail!("the execution {name} has the status {status}");
        }
    }
    Ok(())
}

/// The name of an execution with this status, if there is one.
async fn first(
    connection: &mut Connection,
    signer: &Signer,
    status: &str,
) -> Result<Option<String>> {
    let parameters = [("FlowName", FLOW), ("Limit", "1"), ("Status", status)];
    let page = connection.call(&signer.request("ListExecutions", &parameters)).await?;
    let page = page.expect(200)?.json()?;
    Ok(page["Executions"][0]["Name"].as_str().map(str::to_owned))
}
