//! The one thread that writes: it takes everything that waits, commits it as one transaction, and only then answers.

use super::{Shared, apply::Applier};
use crate::{Batch, Id, StoreError, batch::Weight};
use rusqlite::Connection;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

/// Where a transaction stops taking more, so that nobody waits for more than it. A single batch may be larger.
const TRANSACTION_BYTES_MAX: usize = 4 << 20;
const TRANSACTION_LINES_MAX: usize = 8_192;

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the writer is asked to do.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly every job is a commit")]
pub(crate) enum Job {
    Commit {
        batch: Batch,
        weight: Weight,
        /// Its place in the queue, free again once the job is done.
        room: OwnedSemaphorePermit,
        answer: Reply<()>,
    },
    Expire {
        now: i64,
        limit: usize,
        answer: Reply<Vec<Id>>,
    },
    /// Everything before it is still done.
    Close(Option<oneshot::Sender<()>>),
}

/// An answer that waits for the sync.
enum Outcome {
    Committed(Result<(), StoreError>, Reply<()>),
    Expired(Vec<Id>, Reply<Vec<Id>>),
}

impl Outcome {
    /// Nobody may be waiting any more, which is their affair.
    fn release(self, failed: Option<&StoreError>) {
        match self {
            Self::Committed(outcome, answer) => {
                let _ = answer.send(failed.map_or(outcome, |error| Err(error.clone())));
            }
            Self::Expired(gone, answer) => {
                let _ = answer.send(failed.map_or(Ok(gone), |error| Err(error.clone())));
            }
        }
    }
}

/// What is under way.
#[derive(Default)]
struct Transaction {
    outcomes: Vec<Outcome>,
    places: Vec<OwnedSemaphorePermit>,
    weight: Weight,
    /// Set when the store is to close after this; with whom to tell.
    closing: Option<Option<oneshot::Sender<()>>>,
}

impl Transaction {
    fn is_full(&self) -> bool {
        self.weight.bytes >= TRANSACTION_BYTES_MAX
            || self.weight.lines >= TRANSACTION_LINES_MAX
            || self.closing.is_some()
    }

    fn release(&mut self, failed: Option<&StoreError>) {
        self.outcomes.drain(..).for_each(|outcome| outcome.release(failed));
        self.places.clear();
        self.weight = Weight::default();
    }
}

/// Works off the queue until the store is closed or a write fails.
pub(crate) fn run(db: Connection, mut queue: mpsc::UnboundedReceiver<Job>, shared: &Shared) {
    let mut transaction = Transaction::default();
    let written = work(&db, &mut queue, shared, &mut transaction).and_then(|()| close(&db));
    let end = match written {
        Ok(()) => StoreError::Closed,
        Err(cause) => {
            tracing::error!(%cause, "the store has stopped because a write failed");
            StoreError::Failed(Arc::new(cause))
        }
    };
    // Told to whoever comes from now on, to those whose batches were under way, and to those who still wait.
    let _ = shared.end.set(end.clone());
    drop(db);
    transaction.release(Some(&end));
    queue.close();
    let mut closing = vec![transaction.closing.flatten()];
    while let Some(job) = queue.blocking_recv() {
        match job {
            Job::Commit { answer, .. } => Outcome::Committed(Ok(()), answer).release(Some(&end)),
            Job::Expire { answer, .. } => {
                Outcome::Expired(Vec::new(), answer).release(Some(&end));
            }
            Job::Close(done) => closing.push(done),
        }
    }
    for done in closing.into_iter().flatten() {
        let _ = done.send(());
    }
}

/// Moves everything into the main file, so that the next start finds no log.
fn close(db: &Connection) -> rusqlite::Result<()> {
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

fn work(
    db: &Connection,
    queue: &mut mpsc::UnboundedReceiver<Job>,
    shared: &Shared,
    transaction: &mut Transaction,
) -> rusqlite::Result<()> {
    let mut applier = Applier::new(db)?;
    let mut begin = db.prepare("BEGIN IMMEDIATE")?;
    let mut commit = db.prepare("COMMIT")?;
    while transaction.closing.is_none()
        && let Some(first) = queue.blocking_recv()
    {
        begin.execute([])?;
        perform(first, &mut applier, transaction)?;
        while !transaction.is_full()
            && let Ok(next) = queue.try_recv()
        {
            perform(next, &mut applier, transaction)?;
        }
        let changed = applier.finish()?;
        commit.execute([])?;
        if !changed.is_empty() {
            shared.cache.changed(changed);
        }
        transaction.release(None);
    }
    Ok(())
}

fn perform(
    job: Job,
    applier: &mut Applier<'_>,
    transaction: &mut Transaction,
) -> rusqlite::Result<()> {
    match job {
        Job::Commit { batch, weight, room, answer } => {
            transaction.places.push(room);
            transaction.weight.bytes += weight.bytes;
            transaction.weight.lines += weight.lines;
            // The answer is kept even when SQLite fails: it then says that the store has stopped.
            let (outcome, result) = match applier.apply(batch) {
                Ok(outcome) => (outcome, Ok(())),
                Err(error) => (Ok(()), Err(error)),
            };
            transaction.outcomes.push(Outcome::Committed(outcome, answer));
            result
        }
        Job::Expire { now, limit, answer } => {
            let expired = applier.expire(now, limit);
            let (gone, result) = match expired {
                Ok((gone, lines)) => {
                    transaction.weight.lines += lines;
                    (gone, Ok(()))
                }
                Err(error) => (Vec::new(), Err(error)),
            };
            transaction.outcomes.push(Outcome::Expired(gone, answer));
            result
        }
        Job::Close(done) => {
            transaction.closing = Some(done);
            Ok(())
        }
    }
}
