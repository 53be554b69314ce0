//! The driver: commands in, durable records out.

use crate::{
    Performed, World,
    batch::{batch_bytes, batch_of, owes},
    cell::{Cell, Cells, Loaded},
    time::Timekeeping,
};
use durastack_clock::{Clock, Entropy, Moment};
use durastack_engine::{
    BadRecord, Command, Dialect, Execution, Outcome, Record, Start, Stash, TakenName,
};
use durastack_names::ExecutionId;
use durastack_store::{Claim, Conflict, EventsQuery, Store, StoreError};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, OnceLock},
};
use tokio::task::JoinError;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Drives the executions of one dialect.
pub struct Driver<D: Dialect> {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Clock,
    pub(crate) cells: Cells<D>,
    pub(crate) world: OnceLock<Arc<dyn World<D>>>,
    pub(crate) tasks: TaskTracker,
    /// Cancelled when durastack stops: from then on nothing that the world says is journaled.
    pub(crate) detached: CancellationToken,
    pub(crate) time: Timekeeping,
    entropy: Mutex<Entropy>,
}

impl<D: Dialect> std::fmt::Debug for Driver<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("dialect", &D::NAME).finish_non_exhaustive()
    }
}

/// Why a command came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum DriveError<R: std::error::Error + 'static> {
    /// There is no such execution, or its retention is over.
    #[error("there is no such execution")]
    Unknown,
    /// The dialect refused the command.
    #[error(transparent)]
    Rejected(R),
    /// The name is in use by an execution that this start does not mean.
    #[error("the name is in use")]
    NameTaken(ExecutionId),
    /// The store failed.
    #[error("failed to read or write the store")]
    Store(#[from] StoreError),
    /// The journal cannot be read.
    #[error("failed to read the journal")]
    Journal(#[from] BadRecord),
    /// durastack is stopping, or a task of it panicked.
    #[error("the command was given up")]
    GivenUp,
}

/// The outcome of one command of the dialect `D`.
pub(crate) type Driven<D, R> = Result<R, DriveError<<D as Dialect>::Rejection>>;

/// What somebody who holds an execution wants of it.
#[derive(Debug)]
pub enum Ask<D: Dialect, R> {
    /// Nothing more: this is the answer.
    Answer(R),
    /// A decision.
    Decide(Command<D>),
}

/// The name that a start takes.
#[derive(Debug, Clone)]
pub struct NameClaim {
    /// SHA-256 of the input: tells a repeated start from another one.
    pub input_sha256: [u8; 32],
}

/// What a start led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// A new execution.
    New(ExecutionId),
    /// The one that has the name already, or the id.
    Existing(ExecutionId),
}

impl Started {
    /// The execution, new or old.
    #[must_use]
    pub fn id(self) -> ExecutionId {
        match self {
            Self::New(id) | Self::Existing(id) => id,
        }
    }
}

impl<D: Dialect> Driver<D> {
    /// A driver over this store. It performs nothing before [`Driver::attach`].
    ///
    /// `cache_bytes`: about how much journal may be held in memory for executions that nobody is using.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Clock, cache_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            store,
            clock,
            cells: Cells::new(cache_bytes),
            world: OnceLock::new(),
            tasks: TaskTracker::new(),
            detached: CancellationToken::new(),
            time: Timekeeping::default(),
            entropy: Mutex::new(Entropy::system()),
        })
    }

    /// Says who makes the calls. Once, before anything else.
    ///
    /// # Panics
    ///
    /// When it was said before: two worlds would both act.
    pub fn attach(&self, world: Arc<dyn World<D>>) {
        assert!(self.world.set(world).is_ok(), "a driver is attached once");
    }

    /// durastack stops: what calls answer from now on is not journaled, and a restart makes them again.
    pub fn detach(&self) {
        self.detached.cancel();
        self.tasks.close();
    }

    /// Waits for what was under way when [`Driver::detach`] was called.
    pub async fn finish(&self) {
        self.tasks.wait().await;
    }

    /// The virtual clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The store beneath.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The time, and chance.
    pub(crate) fn moment(&self) -> Moment {
        let mut entropy = self.entropy.lock().expect("no holder of this lock panics");
        let seed = u128::from(entropy.next_u64()) << 64 | u128::from(entropy.next_u64());
        Moment { now: self.clock.now(), entropy: Entropy::seeded(seed) }
    }

    /// A new id for an execution that starts now.
    ///
    /// # Panics
    ///
    /// Never: a UUID is an execution id.
    pub fn new_id(&self) -> ExecutionId {
        let Moment { now, mut entropy } = self.moment();
        entropy.uuid_at(now).parse().expect("a UUID is an execution id")
    }

    /// Starts an execution. With a claim, its name is taken in the same moment.
    ///
    /// # Errors
    ///
    /// [`DriveError::NameTaken`] as the dialect's rule for taken names has it; store errors.
    pub async fn start(
        self: &Arc<Self>,
        start: Start<D>,
        stash: Stash,
        claim: Option<NameClaim>,
    ) -> Driven<D, Started> {
        let driver = Arc::clone(self);
        let task = async move {
            match driver.try_start(&start, &stash, claim.as_ref()).await {
                Err(DriveError::NameTaken(owner)) if driver.forget_expired(owner).await? => {
                    driver.try_start(&start, &stash, claim.as_ref()).await
                }
                other => other,
            }
        };
        self.tasks.spawn(task).await.map_err(given_up)?
    }

    async fn try_start(
        self: &Arc<Self>,
        start: &Start<D>,
        stash: &Stash,
        claim: Option<&NameClaim>,
    ) -> Driven<D, Started> {
        let cell = self.cells.get(start.id);
        let mut slot = cell.loaded.lock().await;
        let (execution, records) = Execution::start(self.moment(), start.clone());
        let mut loaded = Loaded { execution, performing: HashSet::new(), due: None, owes: false };
        let mut batch = batch_of(&mut loaded, 0, &records, stash);
        if let Some(claim) = claim {
            batch.claims.push(Claim {
                scope: start.scope.clone(),
                name: start.name.clone(),
                execution: start.id.bytes(),
                input_hash: claim.input_sha256,
            });
        }
        let bytes = batch_bytes(&batch);
        match self.store.commit(batch).await {
            Ok(()) => {}
            Err(StoreError::Conflict(Conflict::Sequence { .. })) => {
                return Ok(Started::Existing(start.id));
            }
            Err(StoreError::Conflict(Conflict::Name { owner, input_hash, .. })) => {
                let owner = ExecutionId::from_bytes(owner);
                let same = claim.is_some_and(|claim| claim.input_sha256 == input_hash);
                return match D::TAKEN_NAME {
                    TakenName::ReturnIfSameInput if same && !self.is_expired(owner).await? => {
                        Ok(Started::Existing(owner))
                    }
                    TakenName::ReturnIfSameInput | TakenName::Conflict => {
                        Err(DriveError::NameTaken(owner))
                    }
                };
            }
            Err(error) => return Err(error.into()),
        }
        self.cells.grew(&cell, bytes);
        self.time.due_changed(loaded.due);
        self.perform_owed(&cell, &mut loaded);
        *slot = Some(loaded);
        Ok(Started::New(start.id))
    }

    async fn is_expired(&self, id: ExecutionId) -> Result<bool, StoreError> {
        let row = self.store.row(id.bytes()).await?;
        Ok(row.is_none_or(|row| {
            row.expires.is_some_and(|expires| expires <= self.clock.now().millis())
        }))
    }

    /// Deletes what has expired, if `id` is among it.
    async fn forget_expired(&self, id: ExecutionId) -> Result<bool, StoreError> {
        if !self.is_expired(id).await? {
            return Ok(false);
        }
        self.expire().await?;
        Ok(self.store.row(id.bytes()).await?.is_none())
    }

    /// Asks something of an execution, and reads the answer while still holding it.
    ///
    /// What is due happens first. Then `ask` looks at the execution, and either answers or wants a decision; the
    /// decision is durable before `then` is called with what it led to. Runs to its end even if the caller goes away.
    ///
    /// # Errors
    ///
    /// [`DriveError::Unknown`], the dialect's rejection, store errors.
    pub async fn act<R: Send + 'static>(
        self: &Arc<Self>,
        id: ExecutionId,
        stash: Stash,
        ask: impl FnOnce(&mut Execution<D>) -> Ask<D, R> + Send + 'static,
        then: impl FnOnce(&mut Execution<D>, &[Record<D>]) -> R + Send + 'static,
    ) -> Driven<D, R> {
        let driver = Arc::clone(self);
        let task = async move { driver.act_here(id, stash, ask, then).await };
        self.tasks.spawn(task).await.map_err(given_up)?
    }

    /// As [`Driver::act`], for a command that is known beforehand and has no answer.
    ///
    /// # Errors
    ///
    /// As [`Driver::act`].
    pub async fn command(
        self: &Arc<Self>,
        id: ExecutionId,
        command: Command<D>,
        stash: Stash,
    ) -> Driven<D, ()> {
        self.act(id, stash, |_| Ask::Decide(command), |_, _| ()).await
    }

    /// Looks at an execution.
    ///
    /// # Errors
    ///
    /// [`DriveError::Unknown`], store errors.
    pub async fn read<R: Send + 'static>(
        self: &Arc<Self>,
        id: ExecutionId,
        look: impl FnOnce(&mut Execution<D>) -> R + Send + 'static,
    ) -> Driven<D, R> {
        let cell = self.cells.get(id);
        let mut slot = cell.loaded.lock().await;
        let loaded = self.load(&cell, &mut slot, id).await?;
        Ok(look(&mut loaded.execution))
    }

    pub(crate) async fn act_here<R>(
        self: &Arc<Self>,
        id: ExecutionId,
        stash: Stash,
        ask: impl FnOnce(&mut Execution<D>) -> Ask<D, R>,
        then: impl FnOnce(&mut Execution<D>, &[Record<D>]) -> R,
    ) -> Driven<D, R> {
        let cell = self.cells.get(id);
        let mut slot = cell.loaded.lock().await;
        let loaded = self.load(&cell, &mut slot, id).await?;
        let moment = self.moment();
        if loaded.execution.next_deadline().is_some_and(|(due, _)| due <= moment.now) {
            self.step(&cell, &mut slot, moment, Command::FireTimers, Stash::default()).await?;
        }
        let loaded = slot.as_mut().expect("a successful step keeps what is loaded");
        let command = match ask(&mut loaded.execution) {
            Ask::Answer(answer) => return Ok(answer),
            Ask::Decide(command) => command,
        };
        let moment = self.moment();
        let records = self.step(&cell, &mut slot, moment, command, stash).await?;
        let loaded = slot.as_mut().expect("a successful step keeps what is loaded");
        Ok(then(&mut loaded.execution, &records))
    }

    /// Decide, apply, persist, perform: under the execution's lock, so nobody sees what is not durable. If the append
    /// fails, the execution in memory is thrown away: nobody knows then what the disk holds.
    pub(crate) async fn step(
        self: &Arc<Self>,
        cell: &Arc<Cell<D>>,
        slot: &mut Option<Loaded<D>>,
        moment: Moment,
        command: Command<D>,
        stash: Stash,
    ) -> Driven<D, Vec<Record<D>>> {
        let loaded = slot.as_mut().expect("the caller has loaded the execution");
        let was_open = loaded.execution.life.is_open();
        let before = loaded.execution.sequence();
        let records = loaded.execution.decide(moment, command).map_err(DriveError::Rejected)?;
        records.iter().for_each(|record| loaded.execution.apply(record));
        let batch = batch_of(loaded, before, &records, &stash);
        if records.is_empty() && batch.due.is_empty() && batch.owes.is_empty() {
            self.perform_owed(cell, loaded);
            return Ok(records);
        }
        let bytes = batch_bytes(&batch);
        if let Err(error) = self.store.commit(batch).await {
            *slot = None;
            return Err(error.into());
        }
        self.cells.grew(cell, bytes);
        self.time.due_changed(loaded.due);
        if was_open && !loaded.execution.life.is_open() {
            cell.ended.notify_waiters();
        }
        self.perform_owed(cell, loaded);
        Ok(records)
    }

    pub(crate) async fn load<'a>(
        &self,
        cell: &Cell<D>,
        slot: &'a mut Option<Loaded<D>>,
        id: ExecutionId,
    ) -> Driven<D, &'a mut Loaded<D>> {
        if slot.is_none() {
            let entries = self.store.journal(id.bytes()).await?;
            if entries.is_empty() {
                return Err(DriveError::Unknown);
            }
            let mut bytes = 0;
            let mut records = Vec::with_capacity(entries.len());
            for entry in &entries {
                bytes += entry.data.len();
                records.push(Record::decode(entry.sequence, &entry.data)?);
            }
            let execution = Execution::replay(records)?;
            let due = execution.next_deadline().map(|(due, _)| due);
            let owes = owes(&execution);
            *slot = Some(Loaded { execution, performing: HashSet::new(), due, owes });
            self.cells.grew(cell, bytes);
        }
        let loaded = slot.as_mut().expect("loaded just above");
        if loaded.execution.life.expires().is_some_and(|at| at <= self.clock.now()) {
            return Err(DriveError::Unknown);
        }
        Ok(loaded)
    }

    /// Waits for the end of an execution.
    ///
    /// # Errors
    ///
    /// [`DriveError::Unknown`], store errors.
    pub async fn ended(self: &Arc<Self>, id: ExecutionId) -> Driven<D, Outcome> {
        // Held while waiting: a cell that somebody holds is not evicted, so its notice cannot be missed.
        let cell = self.cells.get(id);
        loop {
            let notice = cell.ended.notified();
            tokio::pin!(notice);
            notice.as_mut().enable();
            if let Some(outcome) = self
                .read(id, |execution| {
                    execution.life.end.as_ref().map(|(_, outcome)| outcome.clone())
                })
                .await?
            {
                return Ok(outcome);
            }
            notice.await;
        }
    }

    /// A page of an execution's public history.
    ///
    /// # Errors
    ///
    /// [`DriveError::Unknown`], store errors.
    pub async fn events(
        self: &Arc<Self>,
        id: ExecutionId,
        from: Option<u64>,
        newest_first: bool,
        limit: usize,
    ) -> Driven<D, Vec<Record<D>>> {
        self.read(id, |_| ()).await?;
        let query = EventsQuery { execution: id.bytes(), from, newest_first, limit };
        let entries = self.store.events(query).await?;
        let decode = |entry: &durastack_store::Entry| Record::decode(entry.sequence, &entry.data);
        Ok(entries.iter().map(decode).collect::<Result<_, _>>()?)
    }

    /// Takes up again whatever an earlier durastack left: folds each journal that owes something, and performs it.
    ///
    /// # Errors
    ///
    /// The first store or journal error.
    pub async fn recover(self: &Arc<Self>) -> Driven<D, usize> {
        let (mut after, mut count) = (None, 0);
        loop {
            let page = self.store.owing(D::NAME, after, 256).await?;
            let Some(last) = page.last().copied() else { return Ok(count) };
            let mut tasks = Vec::with_capacity(page.len());
            for id in page {
                let driver = Arc::clone(self);
                let id = ExecutionId::from_bytes(id);
                tasks.push(self.tasks.spawn(async move { driver.recover_one(id).await }));
            }
            for task in tasks {
                match task.await.map_err(given_up)? {
                    // Its retention has ended meanwhile.
                    Ok(()) | Err(DriveError::Unknown) => count += 1,
                    Err(error) => return Err(error),
                }
            }
            after = Some(last);
        }
    }

    /// Nothing else may come first, not even what is due: the invocation on record is lost, and must not be performed.
    async fn recover_one(self: &Arc<Self>, id: ExecutionId) -> Driven<D, ()> {
        let cell = self.cells.get(id);
        let mut slot = cell.loaded.lock().await;
        self.load(&cell, &mut slot, id).await?;
        let moment = self.moment();
        self.step(&cell, &mut slot, moment, Command::Recover, Stash::default()).await?;
        Ok(())
    }

    /// Deletes executions whose retention is over.
    ///
    /// # Errors
    ///
    /// Store errors.
    pub async fn expire(&self) -> Result<usize, StoreError> {
        let mut count = 0;
        loop {
            let gone = self.store.expire(self.clock.now().millis(), 256).await?;
            if gone.is_empty() {
                return Ok(count);
            }
            count += gone.len();
            gone.iter().for_each(|id| self.cells.forget(ExecutionId::from_bytes(*id)));
        }
    }

    pub(crate) async fn tell(
        self: &Arc<Self>,
        id: ExecutionId,
        performed: Performed<D>,
    ) -> Driven<D, ()> {
        let Performed { command, stash } = performed;
        self.act_here(id, stash, |_| Ask::Decide(Command::Work(command)), |_, _| ()).await
    }
}

pub(crate) fn given_up<R: std::error::Error>(_: JoinError) -> DriveError<R> {
    DriveError::GivenUp
}
