//! Why a store refuses, and why it does not open.

use crate::{Id, Sha256};
use std::{error::Error, path::PathBuf, sync::Arc};

/// Why a call had no success.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// A precondition did not hold. The batch changed nothing.
    #[error("the batch is refused")]
    Conflict(#[from] Conflict),
    /// The batch can never be applied: the caller's mistake. It changed nothing.
    #[error("the batch is not valid: {0}")]
    Invalid(&'static str),
    /// A write failed, and nobody knows what the disk holds: the store has stopped, for good. Whether the batches that
    /// were under way survived will be known when the folder is opened again.
    #[error("the store has stopped because a write failed")]
    Failed(#[source] Arc<dyn Error + Send + Sync>),
    /// A read failed. The store goes on.
    #[error("failed to read from the store")]
    Unreadable(#[source] Arc<dyn Error + Send + Sync>),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

/// The precondition that did not hold. Of several, names come first, then records, then sequences.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// The name is taken.
    #[error("the name '{name}' is taken")]
    Name {
        /// What the name is unique in.
        scope: String,
        /// The name.
        name: String,
        /// Who has it.
        owner: Id,
        /// What the owner was started with.
        input_hash: Sha256,
    },
    /// The record is not as expected.
    #[error("the record '{key}' of '{namespace}' is not as expected")]
    Record {
        /// The record's namespace.
        namespace: &'static str,
        /// The record's key.
        key: String,
        /// The version that it has; `None` when there is no such record.
        found: Option<u64>,
    },
    /// The journal goes on where the writer did not expect it.
    #[error("the journal ends at {found}, not at {expected}")]
    Sequence {
        /// Whose journal.
        execution: Id,
        /// The last sequence number that the writer knew.
        expected: u64,
        /// The last sequence number in the journal; 0 when it is empty.
        found: u64,
    },
}

/// Why a data folder did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error(
        "the data folder {} is in use by {}; stop that one first, or choose another folder",
        folder.display(),
        pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
    )]
    Locked {
        /// The folder.
        folder: PathBuf,
        /// Who has it, as far as the lock file says.
        pid: Option<u32>,
    },
    /// It was written by a newer version. Nothing in it was touched.
    #[error(
        "the data folder {} has format {found}, but this version knows formats up to {known}; use a newer version",
        folder.display()
    )]
    Newer {
        /// The folder.
        folder: PathBuf,
        /// The folder's format.
        found: u32,
        /// The newest format that is understood.
        known: u32,
    },
    /// There is something in it that is not ours, or that is damaged.
    #[error("the data folder {} cannot be used: {problem}", folder.display())]
    Unusable {
        /// The folder.
        folder: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A file operation failed.
    #[error("failed to {doing} {}", path.display())]
    File {
        /// What was tried, as a verb.
        doing: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The database did not open.
    #[error("failed to open the database in {}", folder.display())]
    Database {
        /// The folder.
        folder: PathBuf,
        /// Why it failed.
        source: Box<dyn Error + Send + Sync>,
    },
}
