//! One execution environment: a process, its Runtime API, its log stream and its scratch folder.

use crate::{
    bootstrap::{self, Bootstraps},
    contract::Contract,
    function::{EnvironmentKey, Function, Logs, Refusal},
    groups::Groups,
    http,
    interpreter::{Interpreter, Interpreters, Language},
    lines::Lines,
    output::Output,
    platform::Platform,
    pool::Slot,
    process::{Process, Start},
    runtime_api::{Event, RuntimeApi},
    tap::Tap,
    variables::Surroundings,
};
use durastack_clock::{Clock, Entropy};
use std::{
    collections::HashSet,
    fmt, io,
    path::PathBuf,
    process::ExitStatus,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{net::TcpListener, sync::mpsc::UnboundedReceiver};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

/// How long, after a process is gone, what it still sent may take to be read.
const LAST_WORDS_WAIT_MAX: Duration = Duration::from_millis(200);

/// What all environments of a runner share.
pub(crate) struct Shared {
    pub(crate) endpoint: String,
    pub(crate) run_folder: PathBuf,
    pub(crate) start_folder: PathBuf,
    pub(crate) init_retry: bool,
    pub(crate) init_max: Duration,
    pub(crate) clock: Clock,
    pub(crate) logs: Arc<dyn Logs>,
    pub(crate) entropy: Mutex<Entropy>,
    pub(crate) interpreters: Interpreters,
    pub(crate) bootstraps: Bootstraps,
    pub(crate) groups: Arc<Groups>,
    /// Functions that have been told of an interpreter of another version.
    pub(crate) warned: Mutex<HashSet<String>>,
    /// Everything that runs.
    pub(crate) tasks: TaskTracker,
    /// No more invocations; processes are asked to end.
    pub(crate) stop: CancellationToken,
    /// The grace is over.
    pub(crate) hurry: CancellationToken,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("run_folder", &self.run_folder).finish_non_exhaustive()
    }
}

/// One environment. Dropping it kills its processes and gives its slot back.
#[derive(Debug)]
pub(crate) struct Environment {
    pub(crate) function: Arc<Function>,
    pub(crate) tap: Arc<Tap>,
    stream: String,
    /// Before the scratch folder: dropped first.
    running: Option<Running>,
    scratch: Scratch,
    shared: Arc<Shared>,
    slot: Slot,
}

/// A process with what belongs to it.
#[derive(Debug)]
struct Running {
    process: Process,
    api: Arc<RuntimeApi>,
    events: UnboundedReceiver<Event>,
    output: Output,
    connections: TaskTracker,
    /// Ends the listener and its connections.
    close: DropGuard,
}

/// A folder that goes with its environment.
#[derive(Debug)]
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let folder = std::mem::take(&mut self.0);
        // Whatever cannot be removed now goes at the next start.
        let remove = move || std::fs::remove_dir_all(folder).unwrap_or(());
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

/// What happens next to a process.
#[derive(Debug)]
pub(crate) enum Happening {
    /// It called its Runtime API.
    Called(Event),
    /// It has ended. Everything that it had sent before has been told.
    Exited(io::Result<ExitStatus>),
}

impl Environment {
    pub(crate) fn new(function: Arc<Function>, shared: Arc<Shared>, slot: Slot) -> Self {
        let id =
            shared.entropy.lock().unwrap_or_else(PoisonError::into_inner).uuid().replace('-', "");
        let (name, version) = (function.contract.name(), function.contract.version());
        // In a group of its own choice, a stream names its function.
        let owner = if function.log_group == format!("/aws/lambda/{name}") { "" } else { &name };
        let date = shared.clock.wall().date_slashed();
        let stream = format!("{date}/{owner}[{version}]{id}");
        let tap = Arc::new(Tap::new(
            Arc::clone(&function),
            stream.clone(),
            Arc::clone(&shared.logs),
            shared.clock.clone(),
        ));
        let scratch = Scratch(shared.run_folder.join("scratch").join(id));
        Self { function, tap, stream, scratch, shared, running: None, slot }
    }

    pub(crate) fn key(&self) -> &EnvironmentKey {
        &self.function.key
    }

    pub(crate) fn slot_id(&self) -> u64 {
        self.slot.id()
    }

    /// Writes platform lines.
    pub(crate) fn lines(&self) -> Lines<'_> {
        let (function, stream) = (&*self.function, self.stream.as_str());
        match &function.contract {
            Contract::Lambda(identity) => {
                let now = self.shared.clock.wall();
                Lines::Lambda(Platform { function, identity, stream, now })
            }
            Contract::FunctionCompute(identity) => Lines::FunctionCompute(function, identity),
        }
    }

    /// Starts the process, for the invocation that waits for it.
    pub(crate) async fn start(
        &mut self,
        language: &Language,
        interpreter: Option<&Interpreter>,
        request_id: &str,
    ) -> Result<(), Refusal> {
        self.try_start(language, interpreter, request_id)
            .await
            .map_err(|error| Refusal::System(error.to_string()))
    }

    async fn try_start(
        &mut self,
        language: &Language,
        interpreter: Option<&Interpreter>,
        request_id: &str,
    ) -> io::Result<()> {
        let shared = &self.shared;
        for folder in ["home", "tmp"] {
            std::fs::create_dir_all(self.scratch.0.join(folder))?;
        }
        if matches!(language, Language::Node(_)) {
            bootstrap::link_node_modules(&self.function, &shared.run_folder, &shared.start_folder);
        }
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?.to_string();
        let surroundings = Surroundings {
            function: &self.function,
            language,
            interpreter,
            endpoint: &shared.endpoint,
            runtime_api: &address,
            runtime_folder: &shared.bootstraps.folder,
            start_folder: &shared.start_folder,
            log_stream: &self.stream,
            scratch: &self.scratch.0,
        };
        let (variables, arguments) = match &self.function.contract {
            Contract::Lambda(identity) => {
                (surroundings.lambda(identity), shared.bootstraps.lambda(language))
            }
            Contract::FunctionCompute(identity) => (
                surroundings.function_compute(identity),
                shared
                    .bootstraps
                    .function_compute(language, surroundings.facts(identity, request_id)),
            ),
        };
        let start = Start {
            program: bootstrap::program(&self.function, interpreter),
            arguments,
            directory: self.function.code.clone(),
            variables,
            takes_socket: *language != Language::Provided,
        };
        let (process, ends) = Process::spawn(&start, &shared.groups).await?;
        let (output, drain) = Output::read(ends.plain, ends.frames, Arc::clone(&self.tap));
        shared.tasks.spawn(drain);
        let (api, events) = RuntimeApi::new();
        let (connections, close) = (TaskTracker::new(), CancellationToken::new());
        connections.close();
        shared.tasks.spawn(http::serve(
            listener,
            Arc::clone(&api),
            connections.clone(),
            close.clone(),
        ));
        let close = close.drop_guard();
        self.running = Some(Running { process, api, events, output, connections, close });
        Ok(())
    }

    /// Whether the process is still there. One that died while idle is not worth a word: nobody waited for it.
    pub(crate) fn is_running(&mut self) -> bool {
        self.running.as_mut().is_some_and(|r| r.process.is_running())
    }

    /// The process's Runtime API.
    ///
    /// # Panics
    ///
    /// When no process was started.
    pub(crate) fn api(&self) -> &RuntimeApi {
        &self.running.as_ref().expect("started before it is used").api
    }

    /// Waits for what happens next. May be dropped and called again.
    pub(crate) async fn happening(&mut self) -> Happening {
        let Some(running) = &mut self.running else {
            return Happening::Exited(Err(io::Error::other("no process was started")));
        };
        let status = tokio::select! {
            biased;
            Some(event) = running.events.recv() => return Happening::Called(event),
            status = running.process.exited() => status,
        };
        // Its connections end once all that it sent is read; others of its group may hold them open, so they go first.
        running.process.kill();
        tokio::time::timeout(LAST_WORDS_WAIT_MAX, running.connections.wait()).await.ok();
        match running.events.try_recv() {
            Ok(event) => Happening::Called(event),
            Err(_) => Happening::Exited(status),
        }
    }

    /// Returns once everything printed so far has become lines.
    pub(crate) async fn flush(&self) {
        if let Some(running) = &self.running {
            running.output.flush().await;
        }
    }

    /// The most memory that the process has used, in kilobytes, where the system tells.
    pub(crate) fn memory_kb(&self) -> Option<u64> {
        let process = self.running.as_ref()?.process.id();
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.as_raw_nonzero()));
        let line =
            status.ok()?.lines().find_map(|l| l.strip_prefix("VmHWM:").map(str::to_owned))?;
        line.trim().trim_end_matches("kB").trim().parse().ok()
    }

    /// Kills the whole group at once; what it printed before becomes lines.
    pub(crate) async fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.process.kill_and_collect().await;
            running.output.flush().await;
        }
    }

    /// Asks the group to end, kills it after the grace, and gives the slot back.
    pub(crate) async fn end(mut self) {
        if let Some(running) = self.running.take() {
            let Running { process, output, close, .. } = running;
            process.end(&self.shared.hurry).await;
            output.flush().await;
            drop(close);
        }
    }

    /// Ends it beside whatever goes on.
    pub(crate) fn end_aside(self) {
        let tasks = self.shared.tasks.clone();
        tasks.spawn(self.end());
    }

    /// Another environment in the same slot.
    pub(crate) fn replace(self) -> Self {
        let Self { slot, function, shared, .. } = self;
        Self::new(function, shared, slot)
    }
}
