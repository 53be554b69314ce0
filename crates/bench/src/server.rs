//! A durastack of the bench's own: the release binary, started, asked and ended.

use crate::{
    client::{Answer, Ask, Connection, Signer, encode},
    figures::millis,
};
use anyhow::{Context, Result, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use durastack_clock::Stopwatch;
use serde_json::{Value, json};
use std::{
    io::{Cursor, Write},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
};
use tokio_util::task::TaskTracker;
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// How many function processes may run side by side.
pub(crate) const PROCESSES: usize = 64;

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);

/// A running durastack. Dropping it kills it.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) signer: Signer,
    connection: Connection,
    /// From the start of the process to its first correct answer, in milliseconds.
    pub(crate) ready_ms: f64,
    pub(crate) folder: PathBuf,
}

/// The release binary beside this one.
pub(crate) fn binary() -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("durastack");
    if !path.is_file() {
        bail!("{} is missing: cargo build --release -p durastack", path.display());
    }
    Ok(path)
}

/// An environment for child processes without what would lead them elsewhere.
pub(crate) fn clean(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("AWS_") || name.starts_with("DURASTACK_") {
            command.env_remove(&*name);
        }
    }
}

impl Server {
    /// Starts durastack on a data folder and waits for its first signed answer.
    pub(crate) async fn start(folder: &Path, python: Option<&Path>) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let ready_file = folder.join("ready.json");
        let mut command = Command::new(binary()?);
        clean(&mut command);
        command
            .args(["start", "--port", "0", "--function-logs", "off", "--data"])
            .arg(folder.join("data"))
            .args(["--processes", &PROCESSES.to_string(), "--ready-file"])
            .arg(&ready_file)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        if let Some(python) = python {
            command.arg("--python").arg(python);
        }
        let watch = Stopwatch::start();
        let mut child = command.spawn().context("failed to start durastack")?;
        let banner = child.stdout.take().context("no standard output")?;
        // It prints once it serves, and little afterwards; the pipe stays open with the server.
        let banner = tokio::time::timeout(PATIENCE, first_line(banner)).await?;
        banner.context("durastack did not start")?;
        let ready: Value = serde_json::from_slice(&std::fs::read(&ready_file)?)?;
        let port = ready["port"].as_u64().and_then(|port| u16::try_from(port).ok());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.context("no port")?));
        let signer = Signer::local();
        let mut connection = Connection::open(address).await?;
        let ask = Ask { method: "GET", target: "/2015-03-31/functions", ..Ask::default() };
        connection.call(&signer.request(ask)).await?.expect(200)?;
        let ready_ms = millis(watch);
        Ok(Self { child, address, signer, connection, ready_ms, folder: folder.to_owned() })
    }

    /// Ends it in order.
    pub(crate) async fn stop(mut self) -> Result<()> {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(id) = id.and_then(rustix::process::Pid::from_raw) {
            rustix::process::kill_process(id, rustix::process::Signal::TERM)?;
        }
        tokio::time::timeout(PATIENCE, self.child.wait()).await??;
        Ok(())
    }

    /// Resident memory in KiB.
    pub(crate) fn resident_kib(&self) -> Result<f64> {
        let id = self.child.id().context("durastack has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()).context("no VmRSS")?;
        Ok(number.parse()?)
    }

    /// Processor time that it has used, in milliseconds.
    pub(crate) fn cpu_ms(&self) -> Result<f64> {
        cpu_ms(&self.child)
    }

    /// Asks on the connection that everything but loads uses.
    pub(crate) async fn ask(&mut self, ask: Ask<'_>) -> Result<Answer> {
        self.connection.call(&self.signer.request(ask)).await
    }

    pub(crate) async fn get(&mut self, target: &str) -> Result<Answer> {
        self.ask(Ask { method: "GET", target, ..Ask::default() }).await?.expect(200)
    }

    /// Creates a function and waits until it can be invoked.
    pub(crate) async fn deploy(&mut self, function: &Deploy<'_>) -> Result<()> {
        let mut body = json!({
            "FunctionName": function.name,
            "Role": "arn:aws:iam::000000000000:role/bench",
            "Runtime": function.runtime,
            "Handler": function.handler,
            "Timeout": 120,
            "Code": { "ZipFile": STANDARD.encode(zipped(function.file, function.code)?) },
        });
        if function.durable {
            body["DurableConfig"] = json!({ "ExecutionTimeout": 3600, "RetentionPeriodInDays": 7 });
        }
        let body = body.to_string();
        let ask = Ask {
            method: "POST",
            target: "/2015-03-31/functions",
            body: body.as_bytes(),
            ..Ask::default()
        };
        self.ask(ask).await?.expect(201)?;
        let target = format!("/2015-03-31/functions/{}", function.name);
        let active = async {
            while self.get(&target).await?.json()?["Configuration"]["State"] != "Active" {
                tokio::time::sleep(POLL).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(PATIENCE, active).await?
    }

    /// Starts an execution and returns its ARN.
    pub(crate) async fn start_execution(&mut self, function: &str, input: &str) -> Result<String> {
        let target = invoke_target(function);
        let ask = Ask {
            method: "POST",
            target: &target,
            headers: &[("x-amz-invocation-type", "Event")],
            body: input.as_bytes(),
        };
        let answer = self.ask(ask).await?.expect(202)?;
        Ok(answer.header("x-amz-durable-execution-arn").context("no ARN")?.to_owned())
    }

    /// Waits for the end of an execution and returns its result.
    pub(crate) async fn result(&mut self, arn: &str) -> Result<String> {
        let target = execution_target(arn);
        let ended = async {
            loop {
                let found = self.get(&target).await?.json()?;
                match found["Status"].as_str() {
                    Some("RUNNING") => tokio::time::sleep(POLL).await,
                    Some("SUCCEEDED") => {
                        return Ok(found["Result"].as_str().context("no result")?.to_owned());
                    }
                    _ => bail!("an execution failed: {found}"),
                }
            }
        };
        tokio::time::timeout(PATIENCE, ended).await?
    }
}

/// What the system counts processor time in, in milliseconds: `USER_HZ` is 100 wherever Linux runs.
const TICK_MS: f64 = 10.0;

/// Processor time that a process and its threads have used, in milliseconds; what others take from it is not in it.
pub(crate) fn cpu_ms(child: &Child) -> Result<f64> {
    let id = child.id().context("the process has ended")?;
    let line = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The name before the last parenthesis may hold anything; user and system time are the 14th and 15th fields.
    let (_, fields) = line.rsplit_once(')').context("no name")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<std::result::Result<f64, _>>()? * TICK_MS)
}

/// The path that invokes a function's newest code.
pub(crate) fn invoke_target(function: &str) -> String {
    format!("/2015-03-31/functions/{function}/invocations?Qualifier=%24LATEST")
}

/// The path of an execution.
pub(crate) fn execution_target(arn: &str) -> String {
    format!("/2025-12-01/durable-executions/{}", encode(arn, b""))
}

/// A function to be created; its package is one file.
pub(crate) struct Deploy<'a> {
    pub(crate) name: &'a str,
    pub(crate) runtime: &'a str,
    pub(crate) handler: &'a str,
    pub(crate) file: &'a str,
    pub(crate) code: &'a [u8],
    pub(crate) durable: bool,
}

fn zipped(file: &str, code: &[u8]) -> Result<Vec<u8>> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let method = CompressionMethod::Stored;
    archive.start_file(
        file,
        SimpleFileOptions::default().compression_method(method).unix_permissions(0o755),
    )?;
    archive.write_all(code)?;
    Ok(archive.finish()?.into_inner())
}

/// The first line that is not empty; the rest is read and forgotten as it comes.
pub(crate) async fn first_line(output: impl AsyncRead + Unpin + Send + 'static) -> Option<String> {
    let mut lines = BufReader::new(output).lines();
    let first = loop {
        match lines.next_line().await {
            Ok(Some(line)) if line.trim().is_empty() => {}
            Ok(line) => break line,
            Err(_) => break None,
        }
    };
    TaskTracker::new().spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    first
}
