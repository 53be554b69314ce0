//! How much is measured, and with what.

use crate::server::clean;
use anyhow::{Result, bail};
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::process::Command;

/// How much is measured.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Only the parts whose names contain this are measured.
    pub(crate) only: String,
    /// After that everything ends.
    pub(crate) limit: Duration,
    /// After that a part of it is given up.
    pub(crate) section_limit: Duration,
    pub(crate) starts: usize,
    /// Starts with stored executions.
    pub(crate) stored_starts: usize,
    pub(crate) rounds: u64,
    pub(crate) round: Duration,
    /// Repetitions of what is done one at a time.
    pub(crate) singles: usize,
    /// Durable executions of three steps.
    pub(crate) short_executions: usize,
    /// Durable executions of many steps.
    pub(crate) long_executions: usize,
    /// Executions with journals in the store.
    pub(crate) stored: u64,
    /// Rows of the list index in all.
    pub(crate) rows: u64,
    pub(crate) pages: usize,
}

impl Plan {
    pub(crate) fn new(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut next = arguments.next();
        let quick = next.as_deref() == Some("--quick");
        if quick {
            next = arguments.next();
        }
        let plan = if quick { Self::quick() } else { Self::full() };
        match (next.as_deref(), arguments.next()) {
            (None, _) => Ok(plan),
            (Some("--only"), Some(only)) => Ok(Self { only, ..plan }),
            (Some(other), _) => bail!("unknown argument '{other}'; there are --quick, --only PART"),
        }
    }

    fn full() -> Self {
        Self {
            only: String::new(),
            limit: Duration::from_secs(300),
            section_limit: Duration::from_secs(90),
            starts: 20,
            stored_starts: 10,
            rounds: 3,
            round: Duration::from_millis(1_500),
            singles: 300,
            short_executions: 40,
            long_executions: 3,
            stored: 100_000,
            rows: 1_000_000,
            pages: 400,
        }
    }

    fn quick() -> Self {
        Self {
            limit: Duration::from_secs(120),
            section_limit: Duration::from_secs(30),
            starts: 10,
            stored_starts: 3,
            rounds: 2,
            round: Duration::from_millis(600),
            singles: 150,
            short_executions: 20,
            long_executions: 1,
            rows: 100_000,
            pages: 150,
            ..Self::full()
        }
    }
}

/// The Python that functions run with.
#[derive(Debug)]
pub(crate) struct Python {
    /// Absent if there is none at all.
    pub(crate) program: Option<PathBuf>,
    /// Lambda's name for its version.
    pub(crate) runtime: String,
    /// Whether the durable SDK can be imported.
    pub(crate) durable_sdk: bool,
}

impl Python {
    pub(crate) async fn find() -> Self {
        let environment = std::env::var_os("VIRTUAL_ENV").map(PathBuf::from);
        let here = std::env::current_dir().ok().map(|folder| folder.join(".venv"));
        let of = |folder: PathBuf| folder.join("bin/python");
        let mut candidates: Vec<_> = environment.into_iter().chain(here).map(of).collect();
        candidates.push("python3".into());
        for program in candidates {
            // The interpreter itself, not a wrapper that looks for it at every start.
            let Some(path) = ask(&program, "import sys; print(sys.executable)").await else {
                continue;
            };
            let import = "import aws_durable_execution_sdk_python; print('yes')";
            let durable_sdk = ask(Path::new(&path), import).await.is_some();
            let version = "import sys; print('python3.%d' % sys.version_info.minor)";
            let runtime = ask(Path::new(&path), version).await.unwrap_or_default();
            return Self { program: Some(path.into()), runtime, durable_sdk };
        }
        Self { program: None, runtime: String::new(), durable_sdk: false }
    }
}

async fn ask(program: &Path, code: &str) -> Option<String> {
    let mut command = Command::new(program);
    clean(&mut command);
    let answer = command.args(["-c", code]).stdin(Stdio::null()).output().await.ok()?;
    let text = String::from_utf8(answer.stdout).ok()?;
    (answer.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}

/// The machine in a line.
pub(crate) fn machine() -> String {
    let processors = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
    format!("{processors} processors, load averages at the end: {load}")
}
