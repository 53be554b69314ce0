//! What a hundred thousand stored executions, or a million, change: starts, memory, lists, and the path of a request.

use crate::{
    figures::{Latencies, Row, short, spread},
    function::CHECKPOINTS,
    http_load::{checkpoint_round, deploy_self},
    life::start_row,
    plan::Plan,
    server::{Server, execution_target},
    stored::{Filling, fill},
};
use anyhow::{Context, Result, bail};
use durastack_clock::{Clock, Entropy, Stopwatch, Timestamp};
use std::{path::Path, time::Duration};

/// How long the further rows may take to be made.
const ROWS_WITHIN: Duration = Duration::from_secs(30);

/// The function that everything stored belongs to.
const FUNCTION: &str = "checkpoints";

pub(crate) async fn stored(plan: &Plan, folder: &Path) -> Result<Vec<Row>> {
    let (few_folder, many_folder) = (folder.join("few"), folder.join("many"));
    let mut few = Server::start(&few_folder, None).await?;
    deploy_self(&mut few, FUNCTION, CHECKPOINTS, true).await?;
    let mut many = Server::start(&many_folder, None).await?;
    deploy_self(&mut many, FUNCTION, CHECKPOINTS, true).await?;
    many.stop().await?;
    let data = many_folder.join("data");
    let filling = Filling { whole: plan.stored, rows: 0, within: ROWS_WITHIN };
    let count = fill(&data, FUNCTION, filling).await?;

    let mut times = Latencies::default();
    for _ in 0..plan.stored_starts {
        let server = Server::start(&many_folder, None).await?;
        times.push(server.ready_ms);
        server.stop().await?;
    }
    let mut rows = vec![start_row(&format!("start, {count} stored executions"), &times, 300.0)];
    let mut many = Server::start(&many_folder, None).await?;
    let more_kib = (many.resident_kib()? - few.resident_kib()?).max(0.0);
    let bytes_each = more_kib * 1024.0 / count as f64;
    rows.push(Row {
        what: "memory per stored, idle execution".to_owned(),
        measured: format!("{} bytes", short(bytes_each)),
        target: "≤ 100 bytes".to_owned(),
        met: Some(bytes_each <= 100.0),
        ..Row::default()
    });
    rows.extend(paths(plan, &mut few, &mut many, count).await?);
    few.stop().await?;
    if plan.rows > count {
        many.stop().await?;
        let filling = Filling { whole: 0, rows: plan.rows - count, within: ROWS_WITHIN };
        let added = fill(&data, FUNCTION, filling).await?;
        many = Server::start(&many_folder, None).await?;
        rows.push(pages(plan, &mut many, count + added, added).await?);
    } else {
        rows.push(pages(plan, &mut many, count, count).await?);
    }
    many.stop().await?;
    Ok(rows)
}

/// The same requests to a server with next to nothing stored and to one with much.
async fn paths(plan: &Plan, few: &mut Server, many: &mut Server, count: u64) -> Result<Vec<Row>> {
    let mut figures: [[Latencies; 2]; 3] = Default::default();
    // Starts a process on either side.
    for server in [&mut *few, &mut *many] {
        checkpoint_round(server, 1, Duration::ZERO, Duration::from_secs(9), 5).await?;
    }
    // In turns, so that whatever else the machine does strikes both.
    let function = format!("/2015-03-31/functions/{FUNCTION}");
    let executions =
        [execution_target(&newest(few).await?), execution_target(&newest(many).await?)];
    for _ in 0..plan.singles * 2 {
        for (side, server) in [&mut *few, &mut *many].into_iter().enumerate() {
            get(server, &function, &mut figures[0][side]).await?;
            get(server, &executions[side], &mut figures[2][side]).await?;
        }
    }
    for _ in 0..plan.rounds * 4 {
        for (side, server) in [&mut *few, &mut *many].into_iter().enumerate() {
            let (length, count) = (Duration::from_secs(9), plan.singles / 4);
            let (_, latencies) = checkpoint_round(server, 1, Duration::ZERO, length, count).await?;
            figures[1][side].extend(latencies);
        }
    }
    let names = ["GetFunction", "one checkpoint", "GetDurableExecution"];
    let row = |(name, [few, many]): (&str, [Latencies; 2])| {
        let ratio = many.p50() / few.p50();
        Row {
            what: format!("{name}, {count} stored executions"),
            measured: spread(&many),
            baseline: format!("next to none: {}", spread(&few)),
            ratio: Some(ratio),
            target: "does not grow: ≤ 1.15".to_owned(),
            met: Some(ratio <= 1.15),
        }
    };
    Ok(names.into_iter().zip(figures).map(row).collect())
}

async fn get(server: &mut Server, target: &str, latencies: &mut Latencies) -> Result<()> {
    let one = Stopwatch::start();
    server.get(target).await?;
    latencies.stop(one);
    Ok(())
}

async fn newest(server: &mut Server) -> Result<String> {
    let target = format!("/2025-12-01/functions/{FUNCTION}/durable-executions?MaxItems=1");
    let page = server.get(&target).await?.json()?;
    let arn = page["DurableExecutions"][0]["DurableExecutionArn"].as_str();
    Ok(arn.context("the page is empty")?.to_owned())
}

/// Pages of 100 of one function, with one status, started before some moment.
async fn pages(plan: &Plan, server: &mut Server, count: u64, spread_over: u64) -> Result<Row> {
    let mut chance = Entropy::seeded(9);
    let now = Clock::system(Duration::ZERO).wall();
    let mut latencies = Latencies::default();
    // The executions lie 20 ms apart, a page of 100 within 8 seconds of them even where one in four has the status.
    let range_ms = spread_over.saturating_sub(2_000).max(1) * 20;
    for _ in 0..plan.pages {
        let back = i64::try_from(60_000 + chance.next_u64() % range_ms)?;
        let before = Timestamp::from_millis(now.millis() - back).iso().replace(':', "%3A");
        let target = format!(
            "/2025-12-01/functions/{FUNCTION}/durable-executions\
             ?MaxItems=100&StartedBefore={before}&Statuses=STOPPED"
        );
        let one = Stopwatch::start();
        let answer = server.get(&target).await?;
        latencies.stop(one);
        let page = answer.json()?;
        if page["DurableExecutions"].as_array().map_or(0, Vec::len) != 100 {
            bail!("a page is not full: {page}");
        }
    }
    Ok(Row {
        what: format!("page of 100 among {count}, by function, status, time"),
        measured: spread(&latencies),
        target: "p99 ≤ 10 ms at 1,000,000".to_owned(),
        // Among fewer, meeting it shows nothing; missing it does.
        met: (count >= 1_000_000 || latencies.p99() > 10.0).then(|| latencies.p99() <= 10.0),
        ..Row::default()
    })
}
