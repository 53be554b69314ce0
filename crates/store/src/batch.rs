//! What one atomic change may hold.

use crate::{Id, Sha256, StoreError};
use bytes::Bytes;
use std::{collections::HashSet, hash::Hash};

/// One atomic change: everything in it happens, or nothing.
///
/// The preconditions ([`Append::expected`], [`Change::expect`], [`Claim`]) are all checked before anything is applied,
/// against the state that the commits before it left. A batch names an execution's journal, a record's key and a
/// claim's name at most once each.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Journal records to append.
    pub appends: Vec<Append>,
    /// Records to put or delete.
    pub records: Vec<Change>,
    /// Names to take.
    pub claims: Vec<Claim>,
    /// Names to give back. Applied before the claims are.
    pub releases: Vec<Release>,
    /// Rows of the list index, put or replaced by their execution.
    pub rows: Vec<Row>,
    /// When an execution next has something to do, in ms since 1970; `None` for never.
    pub due: Vec<(Id, Option<i64>)>,
    /// Whether the world owes an execution something that a start must look into.
    pub owes: Vec<(Id, bool)>,
    /// Payloads too large for a journal record.
    pub blobs: Vec<Blob>,
}

/// Records for the end of one execution's journal.
#[derive(Debug, Clone)]
pub struct Append {
    /// Whose journal.
    pub execution: Id,
    /// The last sequence number that the writer knows; 0 when it knows the journal to be empty.
    /// The records get the numbers from `expected + 1` on.
    pub expected: u64,
    /// In their order. May be empty: then only `expected` is checked.
    pub records: Vec<Record>,
}

/// One journal record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The number by which [`Store::events`](crate::Store::events) finds the record; `None` for a record that is not
    /// shown. The numbers of an execution are 1 or more, rise with the sequence, and may leave gaps.
    pub event_id: Option<u64>,
    /// Whatever the writer wants back.
    pub data: Bytes,
}

/// A record put or deleted.
#[derive(Debug, Clone)]
pub struct Change {
    /// The kind of record, from the code and never from a client.
    pub namespace: &'static str,
    /// The record's key in its namespace. Keys are ordered by their bytes.
    pub key: String,
    /// The new value; `None` deletes, which is no error when there is nothing.
    pub value: Option<Bytes>,
    /// What must be there for the batch to happen.
    pub expect: Expect,
}

/// The precondition of a [`Change`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// No precondition.
    Anything,
    /// There is no such record.
    Absent,
    /// The record is there with this version. Versions are drawn from one counter of the whole store, so a record that
    /// was deleted and made again never gets an old one.
    Version(u64),
}

/// A name taken for an execution, if nobody has it.
///
/// It is held until the execution expires or the name is released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// What the name must be unique in.
    pub scope: String,
    /// The name.
    pub name: String,
    /// Who takes it.
    pub execution: Id,
    /// What the execution was started with, for telling a repeated start from a different one.
    pub input_hash: Sha256,
}

/// A name given back. Nothing happens when `execution` does not hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// As in the [`Claim`].
    pub scope: String,
    /// As in the [`Claim`].
    pub name: String,
    /// Who gives it back.
    pub execution: Id,
}

/// A row of the list index. Times are in ms since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Whose row.
    pub execution: Id,
    /// Whose kind of execution it is: deadlines and debts are asked for by it. Never changes.
    pub dialect: String,
    /// The incarnation of the function or flow that the execution belongs to.
    pub scope: String,
    /// The version of it that runs.
    pub version: String,
    /// The execution's name.
    pub name: String,
    /// A number that the caller gives a meaning.
    pub status: u8,
    /// When it started.
    pub started: i64,
    /// When it ended; `None` while it runs.
    pub ended: Option<i64>,
    /// When everything of it may be deleted; `None` for not before this is set.
    pub expires: Option<i64>,
}

/// A payload that its execution owns: it is deleted with it.
#[derive(Debug, Clone)]
pub struct Blob {
    /// The owner.
    pub execution: Id,
    /// The hash of `data`, taken on trust. Putting the same one again changes nothing.
    pub sha256: Sha256,
    /// The payload.
    pub data: Bytes,
}

/// What a batch adds to a transaction.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Weight {
    /// Of what is stored, about.
    pub(crate) bytes: usize,
    /// Journal records, and everything else that is one line of a table.
    pub(crate) lines: usize,
}

impl Weight {
    /// In KiB, and at least one.
    pub(crate) fn kib(self) -> u32 {
        u32::try_from(self.bytes / 1024).unwrap_or(u32::MAX).saturating_add(1)
    }
}

/// The largest sequence number and event id; either doubled still fits an SQLite integer.
const NUMBER_MAX: u64 = 1 << 61;

impl Batch {
    /// How much the batch is, once it is clear that nothing in it contradicts itself.
    ///
    /// # Errors
    ///
    /// [`StoreError::Invalid`].
    pub(crate) fn weigh(&self) -> Result<Weight, StoreError> {
        let mut weight = Weight::default();
        let mut line = |bytes: usize| {
            weight.lines += 1;
            weight.bytes += bytes;
        };
        for append in &self.appends {
            let records = append.records.len() as u64;
            if append.expected.checked_add(records).is_none_or(|last| last > NUMBER_MAX) {
                return Err(StoreError::Invalid("a sequence number is too large"));
            }
            let mut last = 0;
            for record in &append.records {
                if let Some(id) = record.event_id {
                    if id > NUMBER_MAX {
                        return Err(StoreError::Invalid("an event id is too large"));
                    }
                    if id <= last {
                        return Err(StoreError::Invalid("the event ids of a journal must rise"));
                    }
                    last = id;
                }
                line(record.data.len());
            }
        }
        for change in &self.records {
            line(change.key.len() + change.value.as_ref().map_or(0, Bytes::len));
        }
        for claim in &self.claims {
            line(claim.scope.len() + claim.name.len());
        }
        for row in &self.rows {
            line(row.scope.len() + row.version.len() + row.name.len());
        }
        for blob in &self.blobs {
            line(blob.data.len());
        }
        weight.lines += self.releases.len() + self.due.len() + self.owes.len();

        if repeats(self.appends.iter().map(|append| append.execution)) {
            return Err(StoreError::Invalid("a batch appends to a journal once"));
        }
        if repeats(self.records.iter().map(|change| (change.namespace, &change.key))) {
            return Err(StoreError::Invalid("a batch changes a record once"));
        }
        if repeats(self.claims.iter().map(|claim| (&claim.scope, &claim.name))) {
            return Err(StoreError::Invalid("a batch claims a name once"));
        }
        Ok(weight)
    }
}

/// Whether something comes twice. Most batches have one of each, and then nothing is hashed.
fn repeats<T: Eq + Hash>(mut items: impl ExactSizeIterator<Item = T>) -> bool {
    let mut seen = HashSet::new();
    items.len() > 1 && !items.all(|item| seen.insert(item))
}
