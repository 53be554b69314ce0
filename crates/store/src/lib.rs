//! Bytes that survive a crash: journals, records, claims, index rows, deadlines, blobs.
//!
//! The crate knows no domain type: an execution is sixteen bytes, an instant is milliseconds since 1970, and what a
//! journal record says is its writer's business. [`Store`] is the contract, [`Sqlite`] the implementation.

mod batch;
mod error;
mod query;
mod store;

pub use batch::{Append, Batch, Blob, Change, Claim, Expect, Record, Release, Row};
pub use error::{Conflict, OpenError, StoreError};
pub use query::{Entry, EventsQuery, ListQuery, RecordsQuery, Value};
pub use store::{Answer, Store};

/// An execution. Ids whose order is that of time (UUID version 7) keep rows that are made together together on disk.
pub type Id = [u8; 16];

/// What a SHA-256 gives.
pub type Sha256 = [u8; 32];
