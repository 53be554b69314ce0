//! One durastack process of a test's own, and the little HTTP that these tests need.

use serde_json::Value;
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::Duration,
};

/// The longest that anything here may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A `durastack` command that inherits nothing from whoever runs the tests.
pub(crate) fn durastack() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_durastack"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// Waits until `found` finds something, trying again every few milliseconds.
pub(crate) fn wait_for<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let watch = durastack_clock::Stopwatch::start();
    loop {
        if let Some(value) = found() {
            return value;
        }
        assert!(watch.elapsed() < PATIENCE, "waited in vain for {what}");
        let (_, receiver) = std::sync::mpsc::channel::<()>();
        receiver.recv_timeout(Duration::from_millis(5)).ok();
    }
}

/// A process that serves.
pub(crate) struct Server {
    child: Child,
    pub(crate) ready: Value,
}

impl Server {
    /// Starts on a free port with this data folder, in that folder's parent.
    pub(crate) fn start(data: &Path, flags: &[&str]) -> Self {
        let mut command = durastack();
        command.args(["start", "--port", "0", "--data"]).arg(data).args(flags);
        Self::run(command, &data.with_extension("ready"))
    }

    /// Runs a `durastack start` and waits until it serves.
    pub(crate) fn run(mut command: Command, ready_file: &Path) -> Self {
        fs::remove_file(ready_file).ok();
        command.arg("--ready-file").arg(ready_file);
        command.stdout(Stdio::null()).stderr(Stdio::inherit());
        Self::spawn(command, ready_file)
    }

    /// Runs a `durastack start` until the file `told` holds the object that says where it serves.
    pub(crate) fn spawn(mut command: Command, told: &Path) -> Self {
        let mut child = command.spawn().unwrap();
        let ready = wait_for("word of where it serves", || {
            assert!(child.try_wait().unwrap().is_none(), "durastack ended before it served");
            serde_json::from_slice(&fs::read(told).ok()?).ok()
        });
        Self { child, ready }
    }

    pub(crate) fn port(&self) -> u16 {
        self.ready["port"].as_u64().unwrap().try_into().unwrap()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.ready["data"].as_str().unwrap().into()
    }

    pub(crate) fn signal(&self, name: &str) {
        let status =
            Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// How it ended, if it has.
    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for the end; the test fails if it does not come.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        wait_for("durastack to end", || self.child.try_wait().unwrap())
    }

    /// Sends a request without a body or with a JSON one; returns status and body.
    pub(crate) fn call(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port())).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let host = if headers.to_ascii_lowercase().contains("host:") {
            String::new()
        } else {
            format!("Host: localhost:{}\r\n", self.port())
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\n{host}{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, body.to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Runs a command that must end by itself.
pub(crate) fn output(mut command: Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the command to end", || child.try_wait().unwrap());
    child.wait_with_output().unwrap()
}
