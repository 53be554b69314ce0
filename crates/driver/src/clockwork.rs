//! The one clock of all dialects, and what happens when somebody turns it.

use bytes::Bytes;
use durastack_clock::{Clock, Timestamp};
use durastack_names::ExecutionId;
use durastack_store::{Batch, Change, Expect, Store, StoreError};
use std::{error::Error, pin::Pin, sync::Arc, time::Duration};
use tokio::sync::Mutex;

/// Something that a [`Timed`] does, whatever its dialect.
pub type Pending<T> = Pin<Box<dyn Future<Output = Result<T, Box<dyn Error + Send + Sync>>> + Send>>;

/// A driver, or a queue of something else that becomes due, as the clock sees it.
pub trait Timed: Send + Sync + 'static {
    /// Its next deadline.
    fn next(self: Arc<Self>) -> Pending<Option<Next>>;
    /// Delivers all that is due; says how much that was.
    fn deliver(self: Arc<Self>) -> Pending<usize>;
    /// Deletes executions whose retention is over.
    fn sweep(self: Arc<Self>) -> Pending<usize>;
    /// How much is under way: calls to user code, and what they lead to.
    fn running(&self) -> usize;
    /// Waits until nothing is under way.
    fn settled(self: Arc<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// The next deadline.
#[derive(Debug, Clone)]
pub struct Next {
    /// When, in virtual time.
    pub at: Timestamp,
    /// Whose, if it is an execution's.
    pub execution: Option<ExecutionId>,
    /// In which language of work, [`Dialect::NAME`](durastack_engine::Dialect::NAME), or what else it belongs to.
    pub dialect: &'static str,
    /// The public name of the execution, or of what else it is; unique within a function or flow only.
    pub name: String,
    /// What for, in the dialect's words.
    pub purpose: String,
}

/// What turning the clock led to.
#[derive(Debug, Clone)]
pub struct Advanced {
    /// Virtual time now.
    pub now: Timestamp,
    /// How many deadlines were delivered.
    pub delivered: usize,
    /// How many calls are still running: they were waited for, but not for ever.
    pub running: usize,
}

/// Why the clock could not be turned, or asked.
#[derive(Debug, thiserror::Error)]
pub enum ClockError {
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// A driver failed.
    #[error("a driver failed")]
    Driver(#[source] Box<dyn Error + Send + Sync>),
}

/// How long a turn of the clock waits for running functions, each time before it jumps on.
const SETTLE_MAX: Duration = Duration::from_secs(10);

const NAMESPACE: &str = "clock";
const OFFSET: &str = "offset-ms";

/// Reads how far ahead an earlier durastack had turned the clock of this folder.
///
/// # Errors
///
/// Store errors.
pub async fn stored_offset(store: &dyn Store) -> Result<Duration, StoreError> {
    let value = store.record(NAMESPACE, OFFSET).await?;
    let text = value.as_ref().and_then(|value| std::str::from_utf8(&value.value).ok());
    Ok(Duration::from_millis(text.and_then(|text| text.parse().ok()).unwrap_or(0)))
}

/// The clock with everything that it moves.
pub struct Clockwork {
    clock: Clock,
    store: Arc<dyn Store>,
    drivers: Vec<Arc<dyn Timed>>,
    turning: Mutex<()>,
}

impl std::fmt::Debug for Clockwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clockwork").field("clock", &self.clock).finish_non_exhaustive()
    }
}

impl Clockwork {
    /// One clock for all these drivers. Its offset is kept in the store.
    #[must_use]
    pub fn new(clock: Clock, store: Arc<dyn Store>, drivers: Vec<Arc<dyn Timed>>) -> Self {
        Self { clock, store, drivers, turning: Mutex::new(()) }
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Turns the virtual clock ahead, from deadline to deadline: what comes of one is there before the next one is
    /// due, so that the history is the one that waiting would have made. Returns when everything due is delivered.
    ///
    /// # Errors
    ///
    /// The clock then stands where it had come to.
    pub async fn advance(&self, by: Duration) -> Result<Advanced, ClockError> {
        let _turn = self.turning.lock().await;
        // Counted from when all is at rest: a wait that a running function is about to begin is then within reach.
        self.settle().await;
        let target = self.clock.now().plus(by);
        let mut delivered = 0;
        loop {
            self.settle().await;
            let next = self.next().await?.map(|next| next.at);
            let now = self.clock.now();
            let Some(next) = next.filter(|next| *next <= target.max(now)) else { break };
            self.jump(next).await?;
            delivered += self.each(Timed::deliver).await?;
        }
        self.jump(target).await?;
        self.each(Timed::sweep).await?;
        self.settle().await;
        Ok(Advanced { now: self.clock.now(), delivered, running: self.running() })
    }

    /// The next deadline of all, if there is one.
    ///
    /// # Errors
    ///
    /// What a driver's store says.
    pub async fn next(&self) -> Result<Option<Next>, ClockError> {
        let mut first: Option<Next> = None;
        for driver in &self.drivers {
            let next = Arc::clone(driver).next().await.map_err(ClockError::Driver)?;
            first = [first, next].into_iter().flatten().min_by_key(|next| next.at);
        }
        Ok(first)
    }

    /// How much is under way in all drivers.
    #[must_use]
    pub fn running(&self) -> usize {
        self.drivers.iter().map(|driver| driver.running()).sum()
    }

    async fn each(
        &self,
        what: impl Fn(Arc<dyn Timed>) -> Pending<usize>,
    ) -> Result<usize, ClockError> {
        let mut sum = 0;
        for driver in &self.drivers {
            sum += what(Arc::clone(driver)).await.map_err(ClockError::Driver)?;
        }
        Ok(sum)
    }

    /// Waits until nothing is under way anywhere, but not for ever: a function may run as long as it likes.
    async fn settle(&self) {
        let settled = async {
            while self.running() > 0 {
                for driver in &self.drivers {
                    Arc::clone(driver).settled().await;
                }
            }
        };
        tokio::time::timeout(SETTLE_MAX, settled).await.ok();
    }

    /// Virtual time becomes `at`, if it is not yet. The new offset is durable first.
    async fn jump(&self, at: Timestamp) -> Result<(), StoreError> {
        let by = at.since(self.clock.now());
        if by.is_zero() {
            return Ok(());
        }
        let offset_ms = (self.clock.offset() + by).as_millis();
        let change = Change {
            namespace: NAMESPACE,
            key: OFFSET.to_owned(),
            value: Some(Bytes::from(offset_ms.to_string())),
            expect: Expect::Anything,
        };
        self.store.commit(Batch { records: vec![change], ..Batch::default() }).await?;
        self.clock.advance(by);
        Ok(())
    }
}
