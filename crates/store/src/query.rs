//! What can be asked of a store, and what it answers.

use crate::Id;
use bytes::Bytes;

/// A journal record with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// From 1 on, without gaps.
    pub sequence: u64,
    /// As it was appended.
    pub event_id: Option<u64>,
    /// As it was appended.
    pub data: Bytes,
}

/// A page of the records of one execution that have an event id.
#[derive(Debug, Clone, Copy)]
pub struct EventsQuery {
    /// Whose events.
    pub execution: Id,
    /// The first event id of the page, if it exists: ids from here up, or down when `newest_first`.
    /// `None` starts at the first or the last event.
    pub from: Option<u64>,
    /// Whether the ids fall.
    pub newest_first: bool,
    /// The length of the page at most.
    pub limit: usize,
}

/// A record's value and version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// As it was put.
    pub value: Bytes,
    /// For [`Expect::Version`](crate::Expect::Version). Larger than that of any record put before.
    pub version: u64,
}

/// A page of the records of one namespace, by key.
#[derive(Debug, Clone)]
pub struct RecordsQuery {
    /// The namespace.
    pub namespace: &'static str,
    /// What the keys begin with; empty for all.
    pub prefix: String,
    /// The last key of the page before.
    pub after: Option<String>,
    /// The length of the page at most.
    pub limit: usize,
}

/// A page of the list index, ordered by start time, then by id.
///
/// A page goes on behind the last row of the one before, so rows that appear or vanish meanwhile shift nothing.
#[derive(Debug, Clone, Default)]
pub struct ListQuery {
    /// Rows of this scope alone.
    pub scope: String,
    /// Rows of this version alone.
    pub version: Option<String>,
    /// Rows of this name alone.
    pub name: Option<String>,
    /// Rows whose names begin like this. The page then costs what all these rows cost, since an index that is ordered by
    /// name has to be sorted by start.
    pub name_prefix: Option<String>,
    /// Rows with one of these statuses; empty for any.
    pub statuses: Vec<u8>,
    /// Rows that started later than this, in ms since 1970.
    pub started_after: Option<i64>,
    /// Rows that started earlier than this, in ms since 1970.
    pub started_before: Option<i64>,
    /// Whether the start times fall.
    pub newest_first: bool,
    /// Start time and id of the last row of the page before, in the same order.
    pub after: Option<(i64, Id)>,
    /// The length of the page at most.
    pub limit: usize,
}
