//! The runner with real Python, Node and shell processes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod custom;
mod function_compute;
mod life;
mod node;
mod python;

use bytes::Bytes;
use durastack_clock::{Clock, Entropy};
use durastack_names::Version;
use durastack_runner::{
    Contract, Credentials, EnvironmentKey, FcIdentity, Finished, Function, Invocation,
    LambdaIdentity, LineKind, LogFormat, LogLine, Logs, Outcome, Runner, Settings,
};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};
use tempfile::TempDir;

/// No test waits longer than this for anything.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Lines(Mutex<Vec<(LineKind, Option<String>, String)>>);

impl Logs for Lines {
    fn line(&self, line: LogLine<'_>) {
        let text = String::from_utf8_lossy(line.text).into_owned();
        self.0.lock().unwrap().push((line.kind, line.request_id.map(str::to_owned), text));
    }
}

impl Lines {
    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|(_, _, text)| text.clone()).collect()
    }

    fn application(&self) -> Vec<String> {
        let lines = self.0.lock().unwrap();
        let application = lines.iter().filter(|(kind, _, _)| *kind == LineKind::Application);
        application.map(|(_, _, text)| text.clone()).collect()
    }
}

/// A data folder, a start folder, and a runner over them.
struct Bench {
    folder: TempDir,
    runner: Arc<Runner>,
    lines: Arc<Lines>,
    entropy: Mutex<Entropy>,
}

impl Bench {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let folder = TempDir::new().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("start")).unwrap();
        let mut settings = Settings::new(
            "http://127.0.0.1:4566".into(),
            root.join("data/run"),
            root.join("start"),
        );
        change(&mut settings);
        let lines = Arc::new(Lines::default());
        let logs: Arc<dyn Logs> = Arc::clone(&lines) as _;
        let runner = Runner::start(settings, Clock::system(Duration::ZERO), logs).await.unwrap();
        Self { folder, runner, lines, entropy: Mutex::new(Entropy::system()) }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap()
    }

    /// A function made of these files, as if unpacked.
    fn function(&self, runtime: &str, handler: &str, files: &[(&str, &str)]) -> Function {
        let name = self.entropy.lock().unwrap().uuid();
        let code = self.path().join("data/code").join(&name);
        for (file, text) in files {
            write(&code.join(file), text);
        }
        fs::create_dir_all(&code).unwrap();
        Function {
            key: EnvironmentKey(name),
            contract: Contract::Lambda(LambdaIdentity {
                arn: "arn:aws:lambda:eu-west-1:000000000000:function:f".parse().unwrap(),
                version: Version::Latest,
            }),
            runtime: runtime.into(),
            handler: handler.into(),
            code,
            timeout: Duration::from_secs(30),
            memory_mb: 128,
            environment: [].into(),
            log_group: "/aws/lambda/f".into(),
            log_format: LogFormat::Text,
            log_level: None,
            credentials: Credentials {
                access_key_id: "key".into(),
                secret_access_key: "secret".into(),
                session_token: "token".into(),
            },
        }
    }

    /// An event function of Function Compute.
    fn function_compute(&self, runtime: &str, files: &[(&str, &str)]) -> Function {
        let mut function = self.function(runtime, "index.handler", files);
        function.contract = Contract::FunctionCompute(FcIdentity {
            account: "1234567890123456".into(),
            region: "cn-hangzhou".parse().unwrap(),
            service: Some("demo".into()),
            name: "price".into(),
            qualifier: "LATEST".into(),
            initializer: None,
        });
        function.log_group = "/fc/demo/price".into();
        function
    }

    fn python(&self, source: &str) -> Arc<Function> {
        Arc::new(self.function("python3.11", "app.handler", &[("app.py", source)]))
    }

    fn invocation(&self, event: &str) -> Invocation {
        Invocation {
            request_id: self.entropy.lock().unwrap().uuid(),
            event: Bytes::from(event.to_owned()),
            invoked_arn: "arn:aws:lambda:eu-west-1:000000000000:function:f:live".into(),
            client_context: None,
            tenant_id: None,
            trace_id: None,
            execution_arn: None,
            nested: false,
        }
    }

    async fn invoke(&self, function: &Arc<Function>, event: &str) -> Finished {
        self.send(function, self.invocation(event)).await
    }

    async fn send(&self, function: &Arc<Function>, invocation: Invocation) -> Finished {
        let invoked = self.runner.invoke(Arc::clone(function), invocation);
        tokio::time::timeout(PATIENCE, invoked).await.expect("an invocation ends")
    }

    /// Waits for this line.
    async fn said(&self, line: &str) {
        self.until(line, || self.lines.all().iter().any(|l| l == line).then_some(())).await;
    }

    /// Waits until `check` finds what it looks for.
    async fn until<T>(&self, what: &str, mut check: impl FnMut() -> Option<T>) -> T {
        let waited = async {
            loop {
                if let Some(found) = check() {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let ended = tokio::time::timeout(PATIENCE, waited).await;
        ended.unwrap_or_else(|_| panic!("{what}; lines: {:#?}", self.lines.all()))
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    if text.starts_with("#!") {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[track_caller]
fn response(finished: &Finished) -> String {
    match &finished.outcome {
        Outcome::Response(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        other => panic!("{other:?}\n{}", tail(finished)),
    }
}

/// Error type and message of a function error.
#[track_caller]
fn error(finished: &Finished) -> (String, String) {
    match &finished.outcome {
        Outcome::FunctionError { error_type, message, .. } => (error_type.clone(), message.clone()),
        other => panic!("{other:?}\n{}", tail(finished)),
    }
}

fn document(finished: &Finished) -> String {
    match &finished.outcome {
        Outcome::FunctionError { document, .. } => String::from_utf8(document.to_vec()).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn tail(finished: &Finished) -> String {
    String::from_utf8_lossy(&finished.log_tail).into_owned()
}

/// Whether a process runs; one that only waits to be collected does not.
fn runs(pid: &str) -> bool {
    let state = std::process::Command::new("ps").args(["-o", "stat=", "-p", pid]).output().unwrap();
    let state = String::from_utf8(state.stdout).unwrap();
    !state.trim().is_empty() && !state.trim().starts_with('Z')
}
