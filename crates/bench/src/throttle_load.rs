//! What it costs to ask whether a call may pass, with one thread and with two.

use crate::{
    figures::{Latencies, Row, short},
    plan::Plan,
};
use anyhow::{Context, Result};
use durastack_clock::{Clock, Stopwatch};
use durastack_names::{AccountId, Region};
use durastack_throttle::{Profile, Throttle};
use std::{hint::black_box, time::Duration};
use tokio_util::task::TaskTracker;

const OPERATION: &str = "CheckpointDurableExecution";
/// How many checks of each thread are timed together.
const TOGETHER: usize = 100_000;
const CALLERS: u32 = 10_000;

/// Two rows for each case: one thread against the clock that a check reads, two threads against one.
pub(crate) async fn checks(plan: &Plan) -> Result<Vec<Row>> {
    let turns = plan.singles / 30;
    TaskTracker::new().spawn_blocking(move || measure(turns)).await?
}

fn measure(turns: usize) -> Result<Vec<Row>> {
    let passing = profile("1_000_000", "1_000_000_000")?;
    let cases = [
        ("passes, one caller", passing.clone(), 1),
        ("passes, 10,000 callers", passing, CALLERS),
        ("is refused, one caller", profile("0.001", "1")?, 1),
    ];
    let mut rows = Vec::new();
    for (case, profile, callers) in cases {
        let throttle = Throttle::new(&profile, Clock::system(Duration::ZERO));
        let account = |number| format!("{number:012}").parse().context("twelve digits");
        let accounts = (0..callers).map(account).collect::<Result<Vec<AccountId>>>()?;
        let (mut clock, mut one, mut two) =
            (Latencies::default(), Latencies::default(), Latencies::default());
        // In turns, so that whatever else the machine does strikes all.
        for _ in 0..turns {
            clock.push(clock_ns());
            one.push(check_ns(&throttle, &accounts, 1));
            two.push(check_ns(&throttle, &accounts, 2));
        }
        let row = |threads: &str, ours: &Latencies, baseline: &str, theirs: &Latencies| Row {
            what: format!("throttle check that {case}, {threads}"),
            measured: format!("{} ns", short(ours.p50())),
            baseline: format!("{baseline}: {} ns", short(theirs.p50())),
            ratio: Some(ours.p50() / theirs.p50()),
            ..Row::default()
        };
        rows.push(row("one thread", &one, "reading the clock", &clock));
        rows.push(row("two threads", &two, "one thread", &one));
    }
    Ok(rows)
}

fn profile(rate: &str, burst: &str) -> Result<Profile> {
    let known = [("lambda", vec![OPERATION, "GetFunction"])];
    let text = format!(
        "[[bucket]]\nservice = \"lambda\"\noperations = [\"*\"]\nrate = {rate}\nburst = {burst}\n"
    );
    Ok(Profile::read(&text, &known)?)
}

fn clock_ns() -> f64 {
    let watch = Stopwatch::start();
    for _ in 0..TOGETHER {
        black_box(watch.elapsed());
    }
    watch.elapsed().as_secs_f64() * 1e9 / TOGETHER as f64
}

/// Wall time per check and thread: contention shows as a higher figure with two threads than with one, and so does a
/// machine that has no two processors to spare.
fn check_ns(throttle: &Throttle, accounts: &[AccountId], threads: usize) -> f64 {
    let region = Region::us_east_1();
    // Each begins elsewhere: in step they would ask for the same caller, always.
    let work = |thread: usize| {
        let from = thread * accounts.len() / threads;
        for account in accounts.iter().cycle().skip(from).take(TOGETHER) {
            black_box(throttle.check("lambda", OPERATION, account, &region).is_ok());
        }
    };
    let watch = Stopwatch::start();
    std::thread::scope(|scope| {
        for thread in 1..threads {
            scope.spawn(move || work(thread));
        }
        work(0);
    });
    watch.elapsed().as_secs_f64() * 1e9 / TOGETHER as f64
}
