//! The contract that every store keeps.

use crate::{
    Batch, Claim, Entry, EventsQuery, Id, ListQuery, RecordsQuery, Row, Sha256, StoreError, Value,
};
use bytes::Bytes;
use std::pin::Pin;

/// What a store will answer. It borrows nothing, so it can be handed on or awaited elsewhere.
pub type Answer<T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send>>;

/// Bytes that survive a crash.
///
/// The trait is object-safe: services and the driver hold an `Arc<dyn Store>`, so tests can put a failing store in its
/// place and no type but the binary's names the implementation. The box around each answer costs less than a hundredth
/// of the cheapest commit.
///
/// Each read sees everything that was committed (that is, whose [`commit`](Store::commit) had resolved) before it was
/// called, and never half a batch. No call assumes that this process is the only one: whoever writes says which
/// sequence, version or name it expects.
///
/// # Errors
///
/// Every call answers [`StoreError::Failed`] once a write has failed, and [`StoreError::Closed`] after the close.
/// Reads answer [`StoreError::Unreadable`] when the medium does not give back what it should.
pub trait Store: Send + Sync + 'static {
    /// Makes a batch durable: the answer comes after the sync. Commits take effect in the order in which their answers
    /// were first polled. Dropping the answer after that does not take the batch back.
    ///
    /// A batch with a failed precondition is refused whole with [`StoreError::Conflict`], and one that can never be
    /// applied with [`StoreError::Invalid`]; others that happen to share its transaction are not affected.
    fn commit(&self, batch: Batch) -> Answer<()>;

    /// The whole journal of an execution, in sequence order; empty when it has none.
    fn journal(&self, execution: Id) -> Answer<Vec<Entry>>;

    /// Some of the records of an execution that have an event id, in the order of these. Costs what the page costs,
    /// wherever it begins.
    fn events(&self, query: EventsQuery) -> Answer<Vec<Entry>>;

    /// A payload that an execution owns.
    fn blob(&self, execution: Id, sha256: Sha256) -> Answer<Option<Bytes>>;

    /// One record.
    fn record(&self, namespace: &'static str, key: &str) -> Answer<Option<Value>>;

    /// Records of a namespace with their keys, ordered by the bytes of the keys.
    fn records(&self, query: RecordsQuery) -> Answer<Vec<(String, Value)>>;

    /// Who holds a name.
    fn claimed(&self, scope: &str, name: &str) -> Answer<Option<Claim>>;

    /// A page of the list index.
    fn list(&self, query: ListQuery) -> Answer<Vec<Row>>;

    /// The row of one execution.
    fn row(&self, execution: Id) -> Answer<Option<Row>>;

    /// Executions of a dialect that are due at `until` (ms since 1970) or before, earliest first, with their times.
    fn due(&self, dialect: &'static str, until: i64, limit: usize) -> Answer<Vec<(i64, Id)>>;

    /// The earliest time at which an execution of a dialect is due, in ms since 1970.
    fn next_due(&self, dialect: &'static str) -> Answer<Option<i64>>;

    /// Executions of a dialect that are owed something, by id, behind `after`.
    fn owing(&self, dialect: &'static str, after: Option<Id>, limit: usize) -> Answer<Vec<Id>>;

    /// Deletes executions whose `expires` is `now` (ms since 1970) or before, earliest first: journal, row, claims,
    /// deadline and blobs. Deletes at most `limit`, and fewer when their journals are long, so that commits do not have
    /// to wait; answers with those that are gone. None means that nothing has expired.
    fn expire(&self, now: i64, limit: usize) -> Answer<Vec<Id>>;
}
