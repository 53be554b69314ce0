//! How fast durastack is, as ratios to baselines of the same run.
//!
//! `make bench`, or `cargo build --release -p durastack && cargo run --release -p durastack-bench [-- --quick]`: about
//! three minutes, or forty seconds. `--only PART`, behind it, measures only what has PART in its name. It starts the
//! release binary on loopback with temporary folders below `target`, so that the disk is that of the checkout. Python is
//! `$VIRTUAL_ENV`, `.venv` of the working directory, or `PATH`.

mod bare;
mod client;
mod figures;
mod flow_load;
mod function;
mod http_load;
mod invokes;
mod life;
mod listing;
mod plan;
mod rpc;
mod server;
mod signatures;
mod store_load;
mod stored;
mod throttle_load;

use anyhow::{Context, Result};
use figures::Row;
use plan::{Plan, Python};
use std::{
    io::Write,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

fn main() -> Result<()> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Ok(api) = std::env::var(function::RUNTIME_API) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        return runtime.block_on(function::run(&api));
    }
    let runtime = builder.worker_threads(2).enable_all().build()?;
    if let Some(body) = std::env::var_os(bare::BARE) {
        return runtime.block_on(bare::serve(Path::new(&body)));
    }
    // The store is used in this process as well, and may have something to say.
    tracing_subscriber::fmt().with_env_filter("warn").with_writer(std::io::stderr).init();
    let plan = Plan::new(std::env::args().skip(1))?;
    let place = server::binary()?;
    let folder = tempfile::tempdir_in(place.parent().context("the binary has no folder")?)?;
    let rows = Arc::new(Mutex::new(Vec::new()));
    runtime.block_on(async {
        let work = measure(&plan, folder.path(), &rows);
        if tokio::time::timeout(plan.limit, work).await.is_err() {
            let why = format!("not measured: the run took longer than {:?}", plan.limit);
            put(&rows, vec![Row::absent("the rest", &why)]);
        }
    });
    let rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{}", figures::table(&rows))?;
    writeln!(
        out,
        "These are benchmarks on a machine that other work may disturb: trust the ratios more than the numbers, and a \
         second run more than one.\n{}",
        plan::machine()
    )?;
    Ok(())
}

type Rows = Arc<Mutex<Vec<Row>>>;

fn put(rows: &Rows, more: Vec<Row>) {
    rows.lock().unwrap_or_else(PoisonError::into_inner).extend(more);
}

/// Runs everything; what fails becomes a line of the table, and the rest goes on.
async fn measure(plan: &Plan, folder: &Path, rows: &Rows) {
    let python = Python::find().await;
    section(plan, rows, "starts", life::empty(plan, folder)).await;
    section(plan, rows, "GetFunction", http_load::get_function(plan, folder)).await;
    section(plan, rows, "durable checkpoints", http_load::durable(plan, folder)).await;
    section(plan, rows, "flow executions", flow_load::executions(plan, folder)).await;
    section(plan, rows, "signatures", signatures::verifications(plan)).await;
    section(plan, rows, "throttle checks", throttle_load::checks(plan)).await;
    section(plan, rows, "invokes", invokes::plain(plan, folder, &python)).await;
    section(plan, rows, "stored executions", listing::stored(plan, folder)).await;
    section(plan, rows, "durable SDK", invokes::durable(plan, folder, &python)).await;
}

/// Runs a part in its time: what fails or takes too long becomes a line of the table.
async fn section(
    plan: &Plan,
    rows: &Rows,
    what: &str,
    measured: impl Future<Output = Result<Vec<Row>>>,
) {
    if !what.contains(&plan.only) {
        return;
    }
    let measured = match tokio::time::timeout(plan.section_limit, measured).await {
        Ok(Ok(measured)) => measured,
        Ok(Err(error)) => vec![Row::absent(what, &format!("failed: {error:#}"))],
        Err(_) => {
            let why = format!("given up after {:?}: the machine is too busy", plan.section_limit);
            vec![Row::absent(what, &why)]
        }
    };
    put(rows, measured);
    progress(what);
}

fn progress(what: &str) {
    // A reader that has gone is no reason to stop.
    writeln!(std::io::stderr().lock(), "measured: {what}").unwrap_or(());
}
