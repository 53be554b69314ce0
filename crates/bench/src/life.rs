//! Starts, memory and size.

use crate::{
    figures::{Latencies, Row, short, spread},
    plan::Plan,
    server::{Server, binary},
};
use anyhow::Result;
use std::path::Path;

/// Megabytes as the targets count them.
const MIB: f64 = 1024.0 * 1024.0;

/// A durastack with nothing stored.
pub(crate) async fn empty(plan: &Plan, folder: &Path) -> Result<Vec<Row>> {
    let mut times = Latencies::default();
    let mut resident = Latencies::default();
    for number in 0..plan.starts {
        let server = Server::start(&folder.join(format!("start-{number}")), None).await?;
        times.push(server.ready_ms);
        resident.push(server.resident_kib()? / 1024.0);
        server.stop().await?;
    }
    let bytes = std::fs::metadata(binary()?)?.len() as f64;
    Ok(vec![
        start_row("start to first answer, empty folder", &times, 20.0),
        Row {
            what: "resident memory, idle".to_owned(),
            measured: format!("{} MiB", short(resident.p50())),
            target: "≤ 12 MiB".to_owned(),
            met: Some(resident.p50() <= 12.0),
            ..Row::default()
        },
        Row {
            what: "binary".to_owned(),
            measured: format!("{} MiB", short(bytes / MIB)),
            target: "≤ 20 MiB".to_owned(),
            met: Some(bytes <= 20.0 * MIB),
            ..Row::default()
        },
    ])
}

pub(crate) fn start_row(what: &str, times: &Latencies, target_ms: f64) -> Row {
    Row {
        what: what.to_owned(),
        measured: spread(times),
        target: format!("≤ {target_ms:.0} ms median"),
        met: Some(times.p50() <= target_ms),
        ..Row::default()
    }
}
