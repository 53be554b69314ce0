//! Deadlines as the clock reaches them, and the clock when somebody turns it.

use crate::{
    DriveError,
    drive::{Driven, Driver},
};
use bytes::Bytes;
use durastack_clock::Timestamp;
use durastack_engine::{Command, Dialect, Stash};
use durastack_names::ExecutionId;
use durastack_store::{Batch, Change, Expect, Store, StoreError};
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Mutex, Notify};
use tracing::error;

/// What is known of deadlines and of work under way.
#[derive(Debug)]
pub(crate) struct Timekeeping {
    /// Until when the timekeeper sleeps, in ms; a deadline before that wakes it.
    asleep_until: AtomicI64,
    earlier: Notify,
    busy: Arc<Busy>,
    turning: Mutex<()>,
}

#[derive(Debug, Default)]
struct Busy {
    count: AtomicUsize,
    idle: Notify,
}

/// Something is under way as long as this lives.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<Busy>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}

impl Default for Timekeeping {
    fn default() -> Self {
        Self {
            asleep_until: AtomicI64::new(i64::MAX),
            earlier: Notify::new(),
            busy: Arc::default(),
            turning: Mutex::new(()),
        }
    }
}

impl Timekeeping {
    pub(crate) fn due_changed(&self, due: Option<Timestamp>) {
        if due.is_some_and(|due| due.millis() < self.asleep_until.load(Ordering::SeqCst)) {
            self.earlier.notify_one();
        }
    }

    pub(crate) fn begin(&self) -> UnderWay {
        self.busy.count.fetch_add(1, Ordering::SeqCst);
        UnderWay(Arc::clone(&self.busy))
    }

    /// Waits until nothing is under way, at most this long. Says whether it came to that.
    async fn settle(&self, at_most: Duration) -> bool {
        let idle = async {
            loop {
                let notice = self.busy.idle.notified();
                tokio::pin!(notice);
                notice.as_mut().enable();
                if self.busy.count.load(Ordering::SeqCst) == 0 {
                    return;
                }
                notice.await;
            }
        };
        tokio::time::timeout(at_most, idle).await.is_ok()
    }
}

/// The next deadline of all executions.
#[derive(Debug, Clone)]
pub struct Next {
    /// When, in virtual time.
    pub at: Timestamp,
    /// Whose.
    pub execution: ExecutionId,
    /// What for, as the dialect's timer prints itself.
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

/// How many deadlines are delivered side by side.
const DUE_AT_ONCE: usize = 256;
/// The longest sleep of the timekeeper: how late it notices that the system's clock was set.
const SLEEP_MAX: Duration = Duration::from_secs(1);
/// How often executions whose retention is over are looked for.
const EXPIRE_EVERY: Duration = Duration::from_secs(60);
/// How long a turn of the clock waits for running functions, each time before it jumps on.
const SETTLE_MAX: Duration = Duration::from_secs(10);
/// How long the timekeeper rests when the store did not answer.
const REST: Duration = Duration::from_millis(500);

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

impl<D: Dialect> Driver<D> {
    /// Delivers deadlines as the clock reaches them, until durastack stops.
    pub async fn keep_time(self: Arc<Self>) {
        let mut expired_at = self.clock.wall();
        loop {
            let pause = match self.deliver().await {
                Ok(pause) => pause,
                Err(error) => {
                    if self.detached.is_cancelled() {
                        return;
                    }
                    error!(%error, "failed to deliver deadlines");
                    REST
                }
            };
            tokio::select! {
                () = self.detached.cancelled() => return,
                () = self.time.earlier.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
            if self.clock.wall().since(expired_at) >= EXPIRE_EVERY {
                expired_at = self.clock.wall();
                if let Err(error) = self.expire().await {
                    error!(%error, "failed to delete executions whose retention is over");
                }
            }
        }
    }

    /// Delivers all that is due, and says how long there is to sleep.
    async fn deliver(self: &Arc<Self>) -> Driven<D, Duration> {
        // Whatever changes from here on wakes the coming sleep.
        self.time.asleep_until.store(i64::MAX, Ordering::SeqCst);
        self.deliver_due().await?;
        let next = self.store.next_due(D::NAME).await?;
        let now = self.clock.now();
        let until = next.unwrap_or(i64::MAX);
        self.time.asleep_until.store(until, Ordering::SeqCst);
        Ok(Timestamp::from_millis(until).since(now).min(SLEEP_MAX))
    }

    async fn deliver_due(self: &Arc<Self>) -> Driven<D, usize> {
        let mut delivered = 0;
        loop {
            let due = self.store.due(D::NAME, self.clock.now().millis(), DUE_AT_ONCE).await?;
            if due.is_empty() {
                return Ok(delivered);
            }
            delivered += due.len();
            let fire = |(_, id): (i64, [u8; 16])| {
                let driver = Arc::clone(self);
                self.tasks.spawn(async move { driver.fire(ExecutionId::from_bytes(id)).await })
            };
            let tasks: Vec<_> = due.into_iter().map(fire).collect();
            for task in tasks {
                task.await.map_err(crate::drive::given_up)??;
            }
        }
    }

    async fn fire(self: &Arc<Self>, id: ExecutionId) -> Driven<D, ()> {
        let cell = self.cells.get(id);
        let mut slot = cell.loaded.lock().await;
        let due = match self.load(&cell, &mut slot, id).await {
            Ok(loaded) => loaded.execution.next_deadline().map(|(due, _)| due),
            Err(DriveError::Unknown) => None,
            Err(error) => return Err(error),
        };
        let moment = self.moment();
        if due.is_some_and(|due| due <= moment.now) {
            self.step(&cell, &mut slot, moment, Command::FireTimers, Stash::default()).await?;
        } else {
            // A deadline that the execution does not know would come up for ever.
            let due = vec![(id.bytes(), due.map(Timestamp::millis))];
            self.store.commit(Batch { due, ..Batch::default() }).await?;
        }
        Ok(())
    }

    /// Turns the virtual clock ahead, from deadline to deadline: what comes of one is there before the next one is
    /// due, so that the history is the one that waiting would have made. Returns when everything due is delivered.
    ///
    /// # Errors
    ///
    /// Store errors; the clock then stands where it had come to.
    pub async fn advance(self: &Arc<Self>, by: Duration) -> Driven<D, Advanced> {
        let _turn = self.time.turning.lock().await;
        let target = self.clock.now().plus(by);
        let mut delivered = 0;
        loop {
            self.time.settle(SETTLE_MAX).await;
            let next = self.store.next_due(D::NAME).await?.map(Timestamp::from_millis);
            let now = self.clock.now();
            let Some(next) = next.filter(|next| *next <= target.max(now)) else { break };
            self.jump(next).await?;
            delivered += self.deliver_due().await?;
        }
        self.jump(target).await?;
        self.expire().await?;
        self.time.settle(SETTLE_MAX).await;
        let running = self.time.busy.count.load(Ordering::SeqCst);
        Ok(Advanced { now: self.clock.now(), delivered, running })
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
        self.time.earlier.notify_one();
        Ok(())
    }

    /// The next deadline of all executions, if there is one.
    ///
    /// # Errors
    ///
    /// Store errors.
    pub async fn next(self: &Arc<Self>) -> Driven<D, Option<Next>> {
        let Some((at, id)) = self.store.due(D::NAME, i64::MAX, 1).await?.into_iter().next() else {
            return Ok(None);
        };
        let id = ExecutionId::from_bytes(id);
        let purpose =
            self.read(id, |e| e.next_deadline().map(|(_, timer)| format!("{timer:?}"))).await;
        let purpose = purpose.ok().flatten().unwrap_or_default();
        Ok(Some(Next { at: Timestamp::from_millis(at), execution: id, purpose }))
    }

    /// How many calls to user code are under way.
    #[must_use]
    pub fn running(&self) -> usize {
        self.time.busy.count.load(Ordering::SeqCst)
    }
}
