//! Deadlines as the clock reaches them, and the clock when somebody turns it.

use crate::{
    DriveError,
    clockwork::{Next, Pending, Timed},
    drive::{Driven, Driver},
};
use durastack_clock::Timestamp;
use durastack_engine::{Command, Dialect, Execution, Stash, Timer};
use durastack_names::ExecutionId;
use durastack_store::Batch;
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;
use tracing::error;

/// What is known of deadlines and of work under way.
#[derive(Debug)]
pub(crate) struct Timekeeping {
    /// Until when the timekeeper sleeps, in ms; a deadline before that wakes it.
    asleep_until: AtomicI64,
    earlier: Notify,
    busy: Arc<Busy>,
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

    /// Waits until nothing is under way.
    async fn settled(&self) {
        loop {
            let notice = self.busy.idle.notified();
            tokio::pin!(notice);
            notice.as_mut().enable();
            if self.busy.count.load(Ordering::SeqCst) == 0 {
                return;
            }
            notice.await;
        }
    }
}

/// How many deadlines are delivered side by side.
const DUE_AT_ONCE: usize = 256;
/// The longest sleep of the timekeeper: how late it notices that the system's clock was set.
const SLEEP_MAX: Duration = Duration::from_secs(1);
/// How often executions whose retention is over are looked for.
const EXPIRE_EVERY: Duration = Duration::from_secs(60);
/// How long the timekeeper rests when the store did not answer.
const REST: Duration = Duration::from_millis(500);

impl<D: Dialect> Driver<D> {
    /// Delivers deadlines as the clock reaches them, until durastack stops.
    pub async fn keep_time(self: Arc<Self>) {
        let mut expired_at = self.clock.wall();
        loop {
            let pause = match self.deliver_and_look_ahead().await {
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
    async fn deliver_and_look_ahead(self: &Arc<Self>) -> Driven<D, Duration> {
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
        // Until what it leads to is under way itself, nobody may think that all is at rest.
        let _under_way = self.time.begin();
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
}

impl<D: Dialect> Timed for Driver<D> {
    fn next(self: Arc<Self>) -> Pending<Option<Next>> {
        Box::pin(async move {
            let Some((at, id)) = self.store.due(D::NAME, i64::MAX, 1).await?.into_iter().next()
            else {
                return Ok(None);
            };
            let id = ExecutionId::from_bytes(id);
            let words = |execution: &mut Execution<D>| {
                let purpose = match execution.next_deadline() {
                    Some((_, Timer::Work(timer))) => D::describe(execution, timer),
                    Some((_, Timer::Deadline)) => "execution timeout".to_owned(),
                    // It has just ended.
                    None => String::new(),
                };
                (execution.life.name.clone(), purpose)
            };
            // An execution that is gone by now leaves its deadline to be delivered in vain.
            let (name, purpose) = self.read(id, words).await.unwrap_or_default();
            let at = Timestamp::from_millis(at);
            Ok(Some(Next { at, execution: Some(id), dialect: D::NAME, name, purpose }))
        })
    }

    fn deliver(self: Arc<Self>) -> Pending<usize> {
        Box::pin(async move {
            self.time.earlier.notify_one();
            self.deliver_due().await.map_err(|error| Box::new(error) as _)
        })
    }

    fn sweep(self: Arc<Self>) -> Pending<usize> {
        Box::pin(async move { Ok(self.expire().await?) })
    }

    fn running(&self) -> usize {
        self.time.busy.count.load(Ordering::SeqCst)
    }

    fn settled(self: Arc<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move { self.time.settled().await })
    }
}
