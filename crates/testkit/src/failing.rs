//! A store that stops at a chosen write, as one does when its disk is full: nobody knows then what the disk holds.

use bytes::Bytes;
use durastack_store::{
    Answer, Batch, Claim, Entry, EventsQuery, Id, ListQuery, RecordsQuery, Row, Sha256, Store,
    StoreError, Value,
};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

/// What has become of the write that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It never reached the disk.
    Lost,
    /// It is on disk, though its writer was told that it failed.
    Kept,
}

/// A store in front of another one.
pub struct FailingStore {
    inner: Arc<dyn Store>,
    state: Arc<Mutex<State>>,
}

struct State {
    /// Writes that still succeed; `None` for all.
    left: Option<usize>,
    fate: Fate,
    failed: bool,
    /// Executions whose next read fails.
    unreadable: HashSet<Id>,
}

impl std::fmt::Debug for FailingStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FailingStore").finish_non_exhaustive()
    }
}

impl FailingStore {
    /// Fails at the write after `writes` good ones, and for good.
    #[must_use]
    pub fn after(inner: Arc<dyn Store>, writes: usize, fate: Fate) -> Self {
        Self::new(inner, Some(writes), fate)
    }

    /// Fails only where it is told to.
    #[must_use]
    pub fn sound(inner: Arc<dyn Store>) -> Self {
        Self::new(inner, None, Fate::Lost)
    }

    fn new(inner: Arc<dyn Store>, left: Option<usize>, fate: Fate) -> Self {
        let state = State { left, fate, failed: false, unreadable: HashSet::new() };
        Self { inner, state: Arc::new(Mutex::new(state)) }
    }

    /// Lets the next read of this execution's journal or texts fail; the store goes on after it.
    ///
    /// # Panics
    ///
    /// When a test panicked in the middle of another call.
    pub fn fail_next_read_of(&self, execution: Id) {
        self.state.lock().expect("no holder panics").unreadable.insert(execution);
    }

    /// Whether the write that was to fail has come.
    ///
    /// # Panics
    ///
    /// When a test panicked in the middle of another call.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.state.lock().expect("no holder panics").failed
    }

    fn is_unreadable(&self, execution: Id) -> bool {
        self.state.lock().expect("no holder panics").unreadable.remove(&execution)
    }

    fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(Arc<dyn Store>) -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        let (inner, state) = (Arc::clone(&self.inner), Arc::clone(&self.state));
        Box::pin(async move {
            if state.lock().expect("no holder panics").failed {
                return Err(stopped());
            }
            read(inner).await
        })
    }
}

fn scratched() -> StoreError {
    StoreError::Unreadable(Arc::new(std::io::Error::other("the test's disk has a scratch")))
}

fn stopped() -> StoreError {
    StoreError::Failed(Arc::new(std::io::Error::other("the test's disk is full")))
}

/// What is to be done with a write.
enum Course {
    Through,
    Fail(Fate),
    Refuse,
}

impl State {
    fn next_write(&mut self) -> Course {
        if self.failed {
            return Course::Refuse;
        }
        match &mut self.left {
            Some(0) => {
                self.failed = true;
                Course::Fail(self.fate)
            }
            Some(left) => {
                *left -= 1;
                Course::Through
            }
            None => Course::Through,
        }
    }
}

impl Store for FailingStore {
    fn commit(&self, batch: Batch) -> Answer<()> {
        let (inner, state) = (Arc::clone(&self.inner), Arc::clone(&self.state));
        Box::pin(async move {
            let course = state.lock().expect("no holder panics").next_write();
            match course {
                Course::Through => inner.commit(batch).await,
                Course::Fail(Fate::Kept) => {
                    inner.commit(batch).await?;
                    Err(stopped())
                }
                Course::Fail(Fate::Lost) | Course::Refuse => Err(stopped()),
            }
        })
    }

    fn journal(&self, execution: Id) -> Answer<Vec<Entry>> {
        if self.is_unreadable(execution) {
            return Box::pin(async { Err(scratched()) });
        }
        self.read(move |inner| inner.journal(execution))
    }

    fn events(&self, query: EventsQuery) -> Answer<Vec<Entry>> {
        self.read(move |inner| inner.events(query))
    }

    fn blob(&self, execution: Id, sha256: Sha256) -> Answer<Option<Bytes>> {
        if self.is_unreadable(execution) {
            return Box::pin(async { Err(scratched()) });
        }
        self.read(move |inner| inner.blob(execution, sha256))
    }

    fn record(&self, namespace: &'static str, key: &str) -> Answer<Option<Value>> {
        let key = key.to_owned();
        self.read(move |inner| inner.record(namespace, &key))
    }

    fn records(&self, query: RecordsQuery) -> Answer<Vec<(String, Value)>> {
        self.read(move |inner| inner.records(query))
    }

    fn claimed(&self, scope: &str, name: &str) -> Answer<Option<Claim>> {
        let (scope, name) = (scope.to_owned(), name.to_owned());
        self.read(move |inner| inner.claimed(&scope, &name))
    }

    fn list(&self, query: ListQuery) -> Answer<Vec<Row>> {
        self.read(move |inner| inner.list(query))
    }

    fn row(&self, execution: Id) -> Answer<Option<Row>> {
        self.read(move |inner| inner.row(execution))
    }

    fn due(&self, dialect: &'static str, until: i64, limit: usize) -> Answer<Vec<(i64, Id)>> {
        self.read(move |inner| inner.due(dialect, until, limit))
    }

    fn next_due(&self, dialect: &'static str) -> Answer<Option<i64>> {
        self.read(move |inner| inner.next_due(dialect))
    }

    fn owing(&self, dialect: &'static str, after: Option<Id>, limit: usize) -> Answer<Vec<Id>> {
        self.read(move |inner| inner.owing(dialect, after, limit))
    }

    fn expire(&self, now: i64, limit: usize) -> Answer<Vec<Id>> {
        self.read(move |inner| inner.expire(now, limit))
    }
}
