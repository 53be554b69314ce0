//! The runner itself: what it is started with, and its few calls.

use crate::{
    bootstrap::Bootstraps,
    environment::{Environment, Shared},
    function::{EnvironmentKey, Finished, Function, Invocation, Logs, Outcome},
    groups::Groups,
    interpreter::Interpreters,
    invocation,
    pool::Pool,
};
use durastack_clock::{Clock, Entropy};
use std::{
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::oneshot;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How often idle environments are looked at.
const EXPIRY_STEP: Duration = Duration::from_secs(30);

/// What a runner is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where functions send their own calls, `http://127.0.0.1:4566`.
    pub endpoint: String,
    /// The runner's own part of the data folder, `<data>/run`. Absolute.
    pub folder: PathBuf,
    /// Where durastack was started: its `.venv` and `node_modules` serve functions. Absolute.
    pub start_folder: PathBuf,
    /// How many processes may run at once; further invocations wait, first in, first out. At least 1.
    pub processes_max: usize,
    /// The Python interpreter, if configured.
    pub python: Option<PathBuf>,
    /// The Node interpreter, if configured.
    pub node: Option<PathBuf>,
    /// Whether a failed initialisation is tried once more within the invocation, as on the real service.
    pub init_retry: bool,
    /// How long an environment may take to start, from spawn to its first request for work: [`INIT_MAX`], unless the
    /// machine is slow. The second try has the function's timeout instead.
    pub init_max: Duration,
}

/// How long Lambda lets an environment start.
/// Source: developer guide, "Understanding the Lambda execution environment lifecycle", Init phase.
pub const INIT_MAX: Duration = Duration::from_secs(10);

impl Settings {
    /// 16 processes, interpreters looked for, two tries.
    #[must_use]
    pub fn new(endpoint: String, folder: PathBuf, start_folder: PathBuf) -> Self {
        Self {
            endpoint,
            folder,
            start_folder,
            processes_max: 16,
            python: None,
            node: None,
            init_retry: true,
            init_max: INIT_MAX,
        }
    }
}

/// Why a runner could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its folder cannot be used.
    #[error("failed to use the folder {folder} for function processes")]
    Folder {
        /// [`Settings::folder`].
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Runs functions.
#[derive(Debug)]
pub struct Runner {
    shared: Arc<Shared>,
    pool: Arc<Pool>,
    busy: Arc<AtomicUsize>,
}

impl Runner {
    /// Ends what an earlier durastack left in this folder, then is ready.
    ///
    /// # Errors
    ///
    /// [`StartError::Folder`] when the folder cannot be made, read or written.
    pub async fn start(
        settings: Settings,
        clock: Clock,
        logs: Arc<dyn Logs>,
    ) -> Result<Arc<Self>, StartError> {
        let folder = settings.folder.clone();
        Self::try_start(settings, clock, logs)
            .await
            .map_err(|source| StartError::Folder { folder, source })
    }

    async fn try_start(
        settings: Settings,
        clock: Clock,
        logs: Arc<dyn Logs>,
    ) -> io::Result<Arc<Self>> {
        std::fs::create_dir_all(&settings.folder)?;
        // Links in the path would make Node and Python name files differently from us.
        let run_folder = settings.folder.canonicalize()?;
        let groups = Groups::open(run_folder.join("groups")).await?;
        match std::fs::remove_dir_all(run_folder.join("scratch")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::debug!(%error, "failed to remove an earlier scratch folder");
            }
            _ => {}
        }
        let start_folder = settings.start_folder;
        let shared = Arc::new(Shared {
            bootstraps: Bootstraps::unpack(&run_folder, start_folder.clone())?,
            interpreters: Interpreters::new(start_folder.clone(), settings.python, settings.node),
            endpoint: settings.endpoint,
            run_folder,
            start_folder,
            init_retry: settings.init_retry,
            init_max: settings.init_max,
            clock,
            logs,
            entropy: Mutex::new(Entropy::system()),
            groups: Arc::new(groups),
            warned: Mutex::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            hurry: CancellationToken::new(),
        });
        let pool = Pool::new(settings.processes_max);
        shared.tasks.spawn(expire(Arc::clone(&pool), shared.stop.clone()));
        Ok(Arc::new(Self { shared, pool, busy: Arc::default() }))
    }

    /// Runs a function once. It runs to its end even if the returned future is dropped.
    pub async fn invoke(&self, function: Arc<Function>, invocation: Invocation) -> Finished {
        let stopped = || Finished {
            outcome: Outcome::Stopped,
            log_tail: Vec::new(),
            duration: Duration::ZERO,
        };
        if self.shared.stop.is_cancelled() {
            return stopped();
        }
        let (answer, answered) = oneshot::channel();
        let busy = Busy::new(&self.busy);
        let way = invocation::perform(
            Arc::clone(&self.shared),
            Arc::clone(&self.pool),
            function,
            invocation,
            answer,
        );
        self.shared.tasks.spawn(async move {
            way.await;
            drop(busy);
        });
        // An error means that the task panicked, which must not look like a fault of the function.
        answered.await.unwrap_or_else(|_| stopped())
    }

    /// Code or configuration changed, or the function is gone: idle environments end now, a busy one after its
    /// invocation.
    pub fn retire(&self, function: &EnvironmentKey) {
        self.pool.retire(function).into_iter().for_each(Environment::end_aside);
    }

    /// Invocations that run or wait for a process.
    #[must_use]
    pub fn busy(&self) -> usize {
        self.busy.load(Ordering::SeqCst)
    }

    /// Stops: invocations end as [`Outcome::Stopped`], processes are asked to end and killed after half a second, at
    /// once on a second call. Returns when all are gone.
    pub async fn stop(&self) {
        if self.shared.stop.is_cancelled() {
            self.shared.hurry.cancel();
        }
        self.shared.stop.cancel();
        self.pool.close().into_iter().for_each(Environment::end_aside);
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

async fn expire(pool: Arc<Pool>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EXPIRY_STEP) => {}
        }
        pool.expire().into_iter().for_each(Environment::end_aside);
    }
}

/// Counts an invocation while it lives.
struct Busy(Arc<AtomicUsize>);

impl Busy {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
