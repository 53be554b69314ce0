//! What the operations share: the flows, their executions, the functions that tasks call.

use crate::{
    CatalogError,
    catalog::Catalog,
    error::FnfError,
    flow::Flow,
    folders::Folders,
    functions::{Functions, LocalFunction},
    records,
};
use durastack_clock::{Clock, Entropy};
use durastack_driver::{Ask, DriveError, Driver};
use durastack_engine::{Command, Life, Payload, Stash, TokenKey};
use durastack_flow::{Flow as Language, Rejection, Tokens};
use durastack_names::{AccountId, ExecutionId, Region};
use durastack_runner::{Credentials, EnvironmentKey, FcIdentity, Runner};
use durastack_store::{Batch, Change, Expect, ListQuery, RecordsQuery, Row};
use durastack_wire::Caller;
use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Serverless Workflow, as the operations see it.
#[derive(Debug)]
pub struct Fnf {
    pub(crate) catalog: Catalog,
    pub(crate) driver: Arc<Driver<Language>>,
    pub(crate) runner: Arc<Runner>,
    pub(crate) functions: Functions,
    folders: Arc<Folders>,
    /// Under which key the environments of each function were asked for last.
    keys: Mutex<HashMap<String, EnvironmentKey>>,
    pub(crate) credentials: Arc<dyn FunctionCredentials>,
    pub(crate) tokens: TokenKey,
    pub(crate) clock: Clock,
    /// Read by starts, from the look at the flow to the start's end; written by deletions. So no execution begins in a
    /// flow that is gone.
    pub(crate) births: tokio::sync::RwLock<()>,
    entropy: Mutex<Entropy>,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

/// Everything that the service is made of.
#[derive(Debug)]
pub struct Parts {
    /// The executions, over the store that also has the flows.
    pub driver: Arc<Driver<Language>>,
    /// The processes.
    pub runner: Arc<Runner>,
    /// The functions that tasks may call.
    pub functions: Vec<LocalFunction>,
    /// The keys of the processes.
    pub credentials: Arc<dyn FunctionCredentials>,
    /// The key under which tokens are made.
    pub tokens: TokenKey,
    /// The clock.
    pub clock: Clock,
    /// Where ids come from.
    pub entropy: Entropy,
}

/// Issues the keys that functions sign their own calls with.
pub trait FunctionCredentials: std::fmt::Debug + Send + Sync {
    /// The key of a function; always the same one.
    fn for_function(&self, account: &AccountId, region: &Region, name: &str) -> Credentials;
}

/// How many executions of a deleted flow are looked at together.
const PAGE: usize = 256;

impl Fnf {
    /// Reads the flows.
    ///
    /// # Errors
    ///
    /// [`CatalogError::Store`] or [`CatalogError::BadRecord`].
    pub async fn open(parts: Parts) -> Result<Arc<Self>, CatalogError> {
        let Parts { driver, runner, functions, credentials, tokens, clock, entropy } = parts;
        Ok(Arc::new(Self {
            catalog: Catalog::open(Arc::clone(driver.store())).await?,
            driver,
            runner,
            functions: Functions::new(functions),
            folders: Arc::default(),
            keys: Mutex::default(),
            credentials,
            tokens,
            clock,
            births: tokio::sync::RwLock::new(()),
            entropy: Mutex::new(entropy),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
        }))
    }

    /// Goes on with deletions that an earlier durastack left. After [`Driver::recover`].
    ///
    /// # Errors
    ///
    /// Store errors.
    pub async fn recover(self: &Arc<Self>) -> Result<(), CatalogError> {
        let query = |after| RecordsQuery {
            namespace: records::DELETED,
            prefix: String::new(),
            after,
            limit: PAGE,
        };
        let mut after = None;
        loop {
            let page = self.driver.store().records(query(after)).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            for (id, _) in page {
                self.bury_later(id);
            }
        }
    }

    /// Ends what this service does by itself, before [`Driver::finish`].
    pub async fn stop(&self) {
        self.stopping.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    pub(crate) fn uuid(&self) -> String {
        self.entropy.lock().unwrap_or_else(PoisonError::into_inner).uuid()
    }

    /// The key of a function's environments, which changes with the code in its folder; those of older code end.
    ///
    /// Nothing if durastack stops meanwhile.
    pub(crate) async fn environment_key(
        &self,
        identity: &FcIdentity,
        folder: &Path,
    ) -> Option<EnvironmentKey> {
        let (folders, folder) = (Arc::clone(&self.folders), folder.to_owned());
        let wall = self.clock.wall();
        let look = self.tasks.spawn_blocking(move || folders.stamp(&folder, wall));
        let identity = identity.to_string();
        let key = EnvironmentKey(format!("{identity} {}", look.await.ok()?));
        let before = {
            let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
            keys.insert(identity, key.clone())
        };
        if let Some(before) = before.filter(|before| *before != key) {
            self.runner.retire(&before);
        }
        Some(key)
    }

    /// The task tokens of an execution.
    pub(crate) fn tokens_of(&self, execution: ExecutionId) -> Tokens<'_> {
        Tokens { key: &self.tokens, execution }
    }

    /// A text of an execution as it leaves durastack: its task tokens are sealed.
    pub(crate) async fn revealed(
        &self,
        execution: ExecutionId,
        payload: &Payload,
    ) -> Result<String, DriveError<Rejection>> {
        let text = self.driver.text(execution, payload).await?;
        Ok(self.tokens_of(execution).reveal(&text))
    }

    /// The caller's execution of this name.
    pub(crate) async fn execution(
        &self,
        caller: &Caller,
        flow: &str,
        execution: &str,
    ) -> Result<ExecutionId, FnfError> {
        let found = self.catalog.get(caller, flow)?;
        let claim = self.driver.store().claimed(&found.id, execution).await?;
        claim
            .map(|claim| ExecutionId::from_bytes(claim.execution))
            .ok_or_else(|| FnfError::no_execution(flow, execution))
    }

    /// The flow of an execution that a token names; nothing if it is deleted.
    pub(crate) async fn flow_of(
        &self,
        caller: &Caller,
        execution: ExecutionId,
    ) -> Result<Option<Arc<Flow>>, FnfError> {
        let scope = self.driver.read(execution, |execution| execution.life.scope.clone()).await;
        let flow = match scope {
            Ok(scope) => self.catalog.by_id(&scope),
            Err(DriveError::Unknown) => None,
            Err(error) => return Err(FnfError::of_driver(error, "", "")),
        };
        match flow {
            Some(flow) if flow.account != caller.account || flow.region != caller.region => {
                Err(FnfError::AccessDenied)
            }
            flow => Ok(flow),
        }
    }

    /// Deletes a flow. Its executions go in the background.
    pub(crate) async fn delete(
        self: &Arc<Self>,
        caller: &Caller,
        name: &str,
    ) -> Result<(), FnfError> {
        let births = self.births.write().await;
        let flow = self.catalog.delete(caller, name).await?;
        drop(births);
        self.bury_later(flow.id.clone());
        Ok(())
    }

    fn bury_later(self: &Arc<Self>, id: String) {
        let fnf = Arc::clone(self);
        self.tasks.spawn(async move {
            let buried = tokio::select! {
                buried = fnf.bury(&id) => buried,
                () = fnf.stopping.cancelled() => return,
            };
            if let Err(error) = buried {
                tracing::error!(flow = id, %error, "failed to delete the executions of a flow");
            }
        });
    }

    /// Stops and deletes the executions of a deleted flow.
    ///
    /// Differs: what was under way is stopped at once, where the cloud stops it after the step in progress. That step goes
    /// on in the world outside and has no effect here; nobody can ask for the history that would tell the difference, and
    /// an execution that waited for the end of a step could hold its flow's data for as long as a year. An execution whose parent does not know of
    /// the end yet is kept until the next start.
    async fn bury(&self, id: &str) -> Result<(), FnfError> {
        let mut after = None;
        let mut all = true;
        loop {
            let query =
                ListQuery { scope: id.to_owned(), after, limit: PAGE, ..ListQuery::default() };
            let page = self.driver.store().list(query).await?;
            let Some(last) = page.last() else { break };
            after = Some((last.started, last.execution));
            for row in page {
                all &= self.bury_one(row).await?;
            }
            self.driver.expire().await?;
        }
        if all {
            let change = Change {
                namespace: records::DELETED,
                key: id.to_owned(),
                value: None,
                expect: Expect::Anything,
            };
            let batch = Batch { records: vec![change], ..Batch::default() };
            self.driver.store().commit(batch).await?;
        }
        Ok(())
    }

    /// Whether the execution may be deleted now.
    async fn bury_one(&self, row: Row) -> Result<bool, FnfError> {
        let execution = ExecutionId::from_bytes(row.execution);
        let failed = |error| FnfError::of_driver(error, &row.scope, &row.name);
        let at_rest = self
            .driver
            .act(
                execution,
                Stash::default(),
                |execution| match execution.life.is_open() {
                    true => Ask::Decide(Command::Stop(None)),
                    false => Ask::Answer(at_rest(&execution.life)),
                },
                |execution, _| at_rest(&execution.life),
            )
            .await;
        match at_rest {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(DriveError::Unknown) => return Ok(true),
            Err(error) => return Err(failed(error)),
        }
        // As the stop has just written it.
        let Some(row) = self.driver.store().row(row.execution).await? else { return Ok(true) };
        let expires = Some(self.clock.now().millis());
        let batch = Batch { rows: vec![Row { expires, ..row }], ..Batch::default() };
        self.driver.store().commit(batch).await?;
        Ok(true)
    }
}

/// Whether an ended execution owes nobody anything.
fn at_rest(life: &Life) -> bool {
    life.parent.is_none() || life.parent_told
}
