//! What the world owes an execution, done in the world.

use crate::{
    DriveError,
    cell::{Cell, Loaded},
    drive::{Driven, Driver},
};
use durastack_engine::{ChildEnd, Command, Dialect, Outcome, Owed, Parent, Payload, Start, Stash};
use durastack_names::ExecutionId;
use durastack_store::StoreError;
use std::{pin::Pin, sync::Arc, time::Duration};
use tracing::{error, warn};

/// What a call led to: the command that tells the execution, with the long texts in it.
#[derive(Debug)]
pub struct Performed<D: Dialect> {
    /// Told to the execution.
    pub command: D::Command,
    /// The long texts in the command.
    pub stash: Stash,
}

/// Makes calls to user code. The binary wires the implementation.
pub trait World<D: Dialect>: Send + Sync + 'static {
    /// Makes one call. Nothing comes back when durastack is stopping: no end may be made up then.
    fn call(
        self: Arc<Self>,
        driver: Arc<Driver<D>>,
        execution: ExecutionId,
        call: D::Call,
    ) -> Pin<Box<dyn Future<Output = Option<Performed<D>>> + Send>>;
}

/// How long something that failed rests before it is tried again.
const REST: Duration = Duration::from_millis(200);
/// How often something is tried; after that a restart takes it up again.
const TRIES_MAX: u32 = 5;

impl<D: Dialect> Driver<D> {
    /// Starts whatever is owed and not yet under way. Recovery comes through here as well.
    pub(crate) fn perform_owed(self: &Arc<Self>, cell: &Arc<Cell<D>>, loaded: &mut Loaded<D>) {
        if !loaded.owes || self.detached.is_cancelled() {
            return;
        }
        let id = loaded.execution.life.id;
        for owed in loaded.execution.owed() {
            let key = owed.key();
            if !loaded.performing.insert(key) {
                continue;
            }
            let driver = Arc::clone(self);
            let cell = Arc::clone(cell);
            let under_way = self.time.begin();
            self.tasks.spawn(async move {
                driver.perform(id, owed).await;
                // Only now may the same thing be owed again: the execution knows of this one's end.
                if let Some(loaded) = cell.loaded.lock().await.as_mut() {
                    loaded.performing.remove(&key);
                }
                drop(under_way);
            });
        }
    }

    async fn perform(self: &Arc<Self>, id: ExecutionId, owed: Owed<D>) {
        let done = match owed {
            Owed::Call { call, .. } => self.perform_call(id, call).await,
            Owed::Child { start, then, .. } => self.perform_child(id, *start, then).await,
            Owed::Parent => self.perform_parent(id).await,
        };
        // An execution that is gone waits for nothing any more.
        if let Err(error) = done
            && !matches!(error, DriveError::Unknown)
            && !self.detached.is_cancelled()
        {
            error!(execution = %id, %error, "failed to journal what the world did; a restart takes it up again");
        }
    }

    async fn perform_call(self: &Arc<Self>, id: ExecutionId, call: D::Call) -> Driven<D, ()> {
        let Some(world) = self.world.get() else { return Ok(()) };
        let performed = Arc::clone(world).call(Arc::clone(self), id, call).await;
        match performed {
            Some(performed) if !self.detached.is_cancelled() => self.tell(id, performed).await,
            _ => Ok(()),
        }
    }

    async fn perform_child(
        self: &Arc<Self>,
        parent: ExecutionId,
        start: Start<D>,
        then: D::Command,
    ) -> Driven<D, ()> {
        let mut tries = 1;
        while let Err(error) = self.start_child(parent, &start).await {
            self.rest_after(error, &mut tries).await?;
        }
        self.act_here(
            parent,
            Stash::default(),
            |_| crate::Ask::Decide(Command::Work(then)),
            |_, _| (),
        )
        .await
    }

    async fn start_child(self: &Arc<Self>, parent: ExecutionId, start: &Start<D>) -> Driven<D, ()> {
        let mut stash = Stash::default();
        let input = self.adopt(parent, start.input.clone(), &mut stash).await?;
        let start = Start { input, ..start.clone() };
        // Boxed: a child may start children, and a future cannot hold itself.
        Box::pin(self.start(start, stash, None)).await?;
        Ok(())
    }

    async fn perform_parent(self: &Arc<Self>, child: ExecutionId) -> Driven<D, ()> {
        let told = self
            .read(child, |execution| {
                let life = &execution.life;
                let (_, outcome) = life.end.clone()?;
                Some((life.parent?, outcome, life.timeout))
            })
            .await?;
        let Some((parent, outcome, timeout)) = told else { return Ok(()) };
        let mut tries = 1;
        while let Err(error) = self.tell_parent(child, parent, &outcome, timeout).await {
            self.rest_after(error, &mut tries).await?;
        }
        self.act_here(
            child,
            Stash::default(),
            |_| crate::Ask::Decide(Command::ParentTold),
            |_, _| (),
        )
        .await
    }

    async fn tell_parent(
        self: &Arc<Self>,
        child: ExecutionId,
        parent: Parent,
        outcome: &Outcome,
        timeout: Option<Duration>,
    ) -> Driven<D, ()> {
        let mut stash = Stash::default();
        let outcome = self.adopt_outcome(child, outcome.clone(), &mut stash).await?;
        let end = ChildEnd { operation: parent.operation, outcome, timeout };
        match Box::pin(self.command(parent.execution, Command::ChildEnded(end), stash)).await {
            // A parent whose retention is over waits for nobody.
            Err(DriveError::Unknown) => Ok(()),
            told => told,
        }
    }

    /// Rests before the next try, if there is to be one: a store goes on after a read that failed, but never after a
    /// write.
    async fn rest_after(&self, error: DriveError<D::Rejection>, tries: &mut u32) -> Driven<D, ()> {
        if *tries >= TRIES_MAX || !matches!(error, DriveError::Store(StoreError::Unreadable(_))) {
            return Err(error);
        }
        *tries += 1;
        warn!(%error, "failed to read what is owed; trying again");
        tokio::time::sleep(REST).await;
        Ok(())
    }

    /// A payload of one execution, for another one: a long text is copied, since each execution owns its own.
    async fn adopt(
        &self,
        from: ExecutionId,
        payload: Payload,
        stash: &mut Stash,
    ) -> Driven<D, Payload> {
        Ok(match payload {
            Payload::Inline(_) => payload,
            Payload::Blob(_) => stash.put(self.text(from, &payload).await?),
        })
    }

    async fn adopt_outcome(
        &self,
        from: ExecutionId,
        outcome: Outcome,
        stash: &mut Stash,
    ) -> Driven<D, Outcome> {
        let wrap = match &outcome {
            Outcome::Succeeded(_) => Outcome::Succeeded,
            Outcome::Failed(_) => Outcome::Failed,
            Outcome::TimedOut(_) => Outcome::TimedOut,
            Outcome::Stopped(_) => Outcome::Stopped,
        };
        let payload = match outcome.payload().cloned() {
            Some(payload) => Some(self.adopt(from, payload, stash).await?),
            None => None,
        };
        Ok(wrap(payload))
    }
}
