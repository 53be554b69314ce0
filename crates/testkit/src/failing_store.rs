//! A store whose commits fail from a chosen one on, for asking what its user does then.

use bytes::Bytes;
use durastack_store::{
    Answer, Batch, Claim, Entry, EventsQuery, Id, ListQuery, RecordsQuery, Row, Sha256, Store,
    StoreError, Value,
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Whether the batch of the commit that fails is there when the folder is opened again. Nobody can know it before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remains {
    /// The failure came before the write.
    Nothing,
    /// The failure came after it.
    Batch,
}

/// Hands everything on to another store until a commit is to fail; from then on every call fails, as after a failed
/// write. Open the other store's folder again, or use [`FailingStore::inner`], to see what remained.
pub struct FailingStore {
    inner: Arc<dyn Store>,
    /// How many commits still go well.
    left: Arc<AtomicU64>,
    remains: Remains,
}

impl fmt::Debug for FailingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailingStore")
            .field("left", &self.left)
            .field("remains", &self.remains)
            .finish_non_exhaustive()
    }
}

/// What `left` says once a commit has failed.
const FAILED: u64 = u64::MAX;

impl FailingStore {
    /// A store that does `good` commits well. An expiry counts as one.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, good: u64, remains: Remains) -> Self {
        Self { inner, left: Arc::new(good.min(FAILED - 1).into()), remains }
    }

    /// The store behind it, which does not fail.
    #[must_use]
    pub fn inner(&self) -> &Arc<dyn Store> {
        &self.inner
    }

    /// Whether a commit has failed.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.left.load(Ordering::SeqCst) == FAILED
    }

    fn read<T: Send + 'static>(&self, answer: Answer<T>) -> Answer<T> {
        if self.has_failed() { Box::pin(std::future::ready(Err(failure()))) } else { answer }
    }

    /// The writes are counted when they are polled first, as the contract has it.
    fn write<T: Send + 'static>(&self, answer: Answer<T>) -> Answer<T> {
        let (left, remains) = (Arc::clone(&self.left), self.remains);
        Box::pin(async move {
            let next = |left| match left {
                FAILED => None,
                left => Some(left.checked_sub(1).unwrap_or(FAILED)),
            };
            match left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next) {
                Ok(1..) => answer.await,
                Ok(0) if remains == Remains::Batch => {
                    // Whatever it says, the caller learns that the write failed.
                    drop(answer.await);
                    Err(failure())
                }
                Ok(0) | Err(_) => Err(failure()),
            }
        })
    }
}

fn failure() -> StoreError {
    StoreError::Failed(Arc::new(std::io::Error::other("the test wanted it so")))
}

impl Store for FailingStore {
    fn commit(&self, batch: Batch) -> Answer<()> {
        self.write(self.inner.commit(batch))
    }

    fn journal(&self, execution: Id) -> Answer<Vec<Entry>> {
        self.read(self.inner.journal(execution))
    }

    fn events(&self, query: EventsQuery) -> Answer<Vec<Entry>> {
        self.read(self.inner.events(query))
    }

    fn blob(&self, execution: Id, sha256: Sha256) -> Answer<Option<Bytes>> {
        self.read(self.inner.blob(execution, sha256))
    }

    fn record(&self, namespace: &'static str, key: &str) -> Answer<Option<Value>> {
        self.read(self.inner.record(namespace, key))
    }

    fn records(&self, query: RecordsQuery) -> Answer<Vec<(String, Value)>> {
        self.read(self.inner.records(query))
    }

    fn claimed(&self, scope: &str, name: &str) -> Answer<Option<Claim>> {
        self.read(self.inner.claimed(scope, name))
    }

    fn list(&self, query: ListQuery) -> Answer<Vec<Row>> {
        self.read(self.inner.list(query))
    }

    fn row(&self, execution: Id) -> Answer<Option<Row>> {
        self.read(self.inner.row(execution))
    }

    fn due(&self, dialect: &'static str, until: i64, limit: usize) -> Answer<Vec<(i64, Id)>> {
        self.read(self.inner.due(dialect, until, limit))
    }

    fn next_due(&self, dialect: &'static str) -> Answer<Option<i64>> {
        self.read(self.inner.next_due(dialect))
    }

    fn owing(&self, dialect: &'static str, after: Option<Id>, limit: usize) -> Answer<Vec<Id>> {
        self.read(self.inner.owing(dialect, after, limit))
    }

    fn expire(&self, now: i64, limit: usize) -> Answer<Vec<Id>> {
        self.write(self.inner.expire(now, limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use durastack_store::{Append, Record, Sqlite};

    fn append(expected: u64) -> Batch {
        let record = Record { event_id: None, data: Bytes::from_static(b"data") };
        let append = Append { execution: [1; 16], expected, records: vec![record] };
        Batch { appends: vec![append], ..Batch::default() }
    }

    async fn check(remains: Remains, expected: usize) {
        let folder = tempfile::tempdir().unwrap();
        let inner = Arc::new(Sqlite::open(folder.path(), [0; 32]).unwrap());
        let store = FailingStore::new(inner, 2, remains);
        for expected in 0..2 {
            store.commit(append(expected)).await.unwrap();
            assert!(!store.has_failed());
        }
        for _ in 0..2 {
            assert!(matches!(store.commit(append(2)).await, Err(StoreError::Failed(_))));
            assert!(matches!(store.journal([1; 16]).await, Err(StoreError::Failed(_))));
        }
        assert_eq!(store.inner().journal([1; 16]).await.unwrap().len(), expected);
    }

    #[tokio::test]
    async fn the_chosen_commit_fails_and_all_after_it() {
        check(Remains::Nothing, 2).await;
        check(Remains::Batch, 3).await;
    }
}
