//! What many clients at once get: reads and checkpoints through the API, checkpoints in the store alone.

use crate::{
    bare::Bare,
    client::{Ask, Connection},
    figures::{Latencies, Rounds, Row, short, spread},
    function::{CHECKPOINTS, Load, Report},
    plan::Plan,
    server::{Deploy, PROCESSES, Server},
    store_load,
};
use anyhow::Result;
use durastack_clock::{Clock, Stopwatch};
use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};
use tokio_util::task::TaskTracker;

const CONNECTIONS: usize = 32;

/// The most checkpoints that one execution makes: the API refuses the 3,001st operation.
const CHECKPOINTS_MAX: usize = 2_900;

/// Signed reads against a bare server that answers the same bytes.
pub(crate) async fn get_function(plan: &Plan, folder: &Path) -> Result<Vec<Row>> {
    let mut server = Server::start(&folder.join("reads"), None).await?;
    deploy_self(&mut server, "reads", CHECKPOINTS, true).await?;
    let target = "/2015-03-31/functions/reads";
    let request = Ask { method: "GET", target, ..Ask::default() };
    let answer = server.get(target).await?;
    let bare = Bare::start(folder, &answer.body).await?;
    let (mut ours, mut theirs) = (Rounds::default(), Rounds::default());
    let before = (server.cpu_ms()?, bare.cpu_ms()?);
    // Short turns, so that whatever else the machine does strikes both.
    let round = plan.round / 2;
    for _ in 0..plan.rounds * 2 {
        // Signed anew: a signature counts for five minutes.
        let request: Arc<[u8]> = server.signer.request(request).into();
        closed_loops(bare.address, &request, round, &mut theirs).await?;
        closed_loops(server.address, &request, round, &mut ours).await?;
    }
    let our_cpu = (server.cpu_ms()? - before.0) * 1e3 / ours.latencies.count() as f64;
    let their_cpu = (bare.cpu_ms()? - before.1) * 1e3 / theirs.latencies.count() as f64;
    server.stop().await?;
    let ratio = ours.rate() / theirs.rate();
    let rates = Row {
        what: format!("signed GetFunction, {CONNECTIONS} connections"),
        measured: ours.shown(),
        baseline: format!("bare hyper: {}", theirs.shown()),
        ratio: Some(ratio),
        target: "≥ 0.6".to_owned(),
        met: Some(ratio >= 0.6),
    };
    let processor = Row {
        what: "processor time of the server for one".to_owned(),
        measured: format!("{} µs", short(our_cpu)),
        baseline: format!("bare hyper: {} µs", short(their_cpu)),
        ratio: Some(our_cpu / their_cpu),
        ..Row::default()
    };
    Ok(vec![rates, processor])
}

async fn closed_loops(
    address: SocketAddr,
    request: &Arc<[u8]>,
    round: Duration,
    rounds: &mut Rounds,
) -> Result<()> {
    let tracker = TaskTracker::new();
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(Connection::open(address).await?);
    }
    let watch = Stopwatch::start();
    let one_client = |mut connection: Connection| {
        let request = Arc::clone(request);
        tracker.spawn(async move {
            let mut latencies = Latencies::default();
            while watch.elapsed() < round {
                let one = Stopwatch::start();
                connection.call(&request).await?.expect(200)?;
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
    rounds.add(latencies.count() as f64 / watch.elapsed().as_secs_f64(), latencies);
    Ok(())
}

/// Durable checkpoints: in the store, through the API, and one alone.
pub(crate) async fn durable(plan: &Plan, folder: &Path) -> Result<Vec<Row>> {
    let (row, store_rounds) = store(plan, folder).await?;
    let mut rows = vec![row];
    rows.extend(checkpoints(plan, folder, &store_rounds).await?);
    Ok(rows)
}

/// Checkpoints in the store against appends with a group commit.
async fn store(plan: &Plan, folder: &Path) -> Result<(Row, Rounds)> {
    let (appends, checkpoints) = store_load::measure(folder, 64, plan.round, plan.rounds).await?;
    let ratio = checkpoints.rate() / appends.rate();
    let row = Row {
        what: "durable checkpoints in the store, 64 executions".to_owned(),
        measured: checkpoints.shown(),
        baseline: format!("group-commit appends: {}", appends.shown()),
        ratio: Some(ratio),
        target: "≥ 0.13, goal ≥ 0.5".to_owned(),
        met: Some(ratio >= 0.13),
    };
    Ok((row, checkpoints))
}

/// Checkpoints through the API, by function processes: many at once, and one alone against a sync.
async fn checkpoints(plan: &Plan, folder: &Path, store: &Rounds) -> Result<Vec<Row>> {
    let mut server = Server::start(&folder.join("checkpoints"), None).await?;
    deploy_self(&mut server, "checkpoints", CHECKPOINTS, true).await?;
    // Starts the processes; they are all in use at once, so there are as many as executions.
    let cold = Duration::from_secs(4);
    checkpoint_round(&mut server, PROCESSES, cold, Duration::from_secs(1), 1).await?;
    let (mut many, warm) = (Rounds::default(), Duration::from_millis(700));
    let before = server.cpu_ms()?;
    for _ in 0..plan.rounds {
        let (rate, latencies) =
            checkpoint_round(&mut server, PROCESSES, warm, plan.round, CHECKPOINTS_MAX).await?;
        many.add(rate, latencies);
    }
    let cpu = (server.cpu_ms()? - before) * 1e3 / many.latencies.count() as f64;
    let sync_file = folder.join("syncs");
    let (mut alone, mut syncs) = (Latencies::default(), Latencies::default());
    for _ in 0..plan.rounds {
        let more = store_load::syncs(&sync_file, store_load::RAW_BYTES, plan.singles).await?;
        syncs.extend(more);
        let length = plan.round * 2;
        let (_, latencies) =
            checkpoint_round(&mut server, 1, Duration::ZERO, length, plan.singles).await?;
        alone.extend(latencies);
    }
    server.stop().await?;
    let ratio = alone.p99() / syncs.p99();
    Ok(vec![
        Row {
            what: format!("durable checkpoints, HTTP API, {PROCESSES} connections"),
            measured: many.shown(),
            baseline: format!("in the store alone: {:.0} /s", store.rate()),
            ratio: Some(many.rate() / store.rate()),
            target: "≥ 10000 /s, goal ≥ 25000".to_owned(),
            met: Some(many.rate() >= 10_000.0),
        },
        Row {
            what: "processor time of the server for one".to_owned(),
            measured: format!("{} µs", short(cpu)),
            ..Row::default()
        },
        Row {
            what: "one checkpoint alone, p99".to_owned(),
            measured: spread(&alone),
            baseline: format!("one fdatasync: {}", spread(&syncs)),
            ratio: Some(ratio),
            target: "≤ 3 at p99".to_owned(),
            met: Some(ratio <= 3.0),
        },
        Row {
            what: "one checkpoint alone, p50".to_owned(),
            measured: format!("{} ms", short(alone.p50())),
            baseline: format!("one fdatasync: {} ms", short(syncs.p50())),
            ratio: Some(alone.p50() / syncs.p50()),
            ..Row::default()
        },
    ])
}

/// Has executions make checkpoints at the same time: checkpoints per second in all, and how long each took.
pub(crate) async fn checkpoint_round(
    server: &mut Server,
    executions: usize,
    delay: Duration,
    length: Duration,
    count_max: usize,
) -> Result<(f64, Latencies)> {
    let from = Clock::system(Duration::ZERO).wall().plus(delay);
    let load = Load { from: from.millis(), until: from.plus(length).millis(), count_max };
    let input = serde_json::to_string(&load)?;
    let mut arns = Vec::new();
    for _ in 0..executions {
        arns.push(server.start_execution("checkpoints", &input).await?);
    }
    // Asking meanwhile would disturb them.
    let rest = from.plus(length).since(Clock::system(Duration::ZERO).wall());
    if executions > 1 {
        tokio::time::sleep(rest).await;
    }
    let mut latencies = Latencies::default();
    for arn in arns {
        let report: Report = serde_json::from_str(&server.result(&arn).await?)?;
        latencies.extend(report.micros.into_iter().map(|micros| micros / 1e3).collect());
    }
    Ok((latencies.count() as f64 / length.as_secs_f64(), latencies))
}

/// Creates a function whose bootstrap is this program.
pub(crate) async fn deploy_self(
    server: &mut Server,
    name: &str,
    handler: &str,
    durable: bool,
) -> Result<()> {
    let code = std::fs::read(std::env::current_exe()?)?;
    let (runtime, file) = ("provided.al2023", "bootstrap");
    server.deploy(&Deploy { name, runtime, handler, file, code: &code, durable }).await
}
