//! Lambda's dialect of the engine: a tree of operations that an SDK, outside, drives by checkpoints.
//!
//! Source of the behaviour, unless a place says otherwise: the Lambda API model, the "Durable functions" chapter of the
//! Lambda developer guide, and the public conformance suite for durable execution SDKs.

mod callback;
mod checkpoint;
mod definition;
mod error_object;
mod event;
mod history;
mod invocation;
mod operation;
mod state;
mod view;

pub use callback::Answer;
pub use checkpoint::{CallbackOptions, ChainedOptions, Checkpoint, Update};
pub use definition::{Definition, RetryPolicy, Target, TargetKind};
pub use error_object::ErrorObject;
pub use event::{Event, Head, Link, NextAttempt, Then};
pub use history::{HistoryView, payloads_of, public_event};
pub use invocation::{Call, Output, TargetEnd};
pub use operation::{Action, Detail, Operation, OperationKind, OperationStatus};
pub use state::{ChainedInput, Durable, Live, Reply, TimerKey};
pub use view::{OperationsView, Page, STATE_PAGE_BYTES, StateEntry, TimeForm, visible_page};

/// The most operations that one execution may have. Source: Lambda developer guide, "Lambda quotas".
pub const OPERATIONS_MAX: usize = 3_000;
/// The most bytes of payload that one execution may write. Source: the same page.
pub const STORED_BYTES_MAX: u64 = 100 * 1024 * 1024;
/// The longest payload of an operation, the longest error, the longest result of an asynchronous execution, in bytes.
/// Source: the API model's documentation.
pub const PAYLOAD_BYTES_MAX: u64 = 1_048_576;
/// The longest result of a synchronous execution, in bytes. Source: the API model, `OutputPayload`.
pub const RESULT_BYTES_MAX: u64 = 6_291_456;

/// What can be asked of a durable execution.
#[derive(Debug)]
pub enum Command {
    /// The running handler reports progress.
    Checkpoint(Checkpoint),
    /// Somebody answers a callback.
    Callback {
        /// The number of the callback's operation.
        number: u64,
        /// The answer.
        answer: Answer,
    },
    /// An invocation of the handler has ended.
    InvocationEnded {
        /// Which one.
        number: u64,
        /// What came of it.
        output: Output,
    },
    /// The plain target of a chained invoke has ended.
    TargetEnded {
        /// The number of the operation.
        number: u64,
        /// What came of it.
        end: TargetEnd,
    },
    /// The child execution of a chained invoke is on record.
    ChildStarted {
        /// The number of the operation.
        number: u64,
    },
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The token is stale, foreign, or of an execution that has ended. SDKs compare the text letter by letter.
    #[error("Invalid checkpoint token")]
    InvalidToken,
    /// An update breaks a rule.
    #[error("{0}")]
    Invalid(String),
    /// No callback has this number.
    #[error("Callback not found")]
    CallbackUnknown,
    /// The callback is answered, timed out, or of an execution that has ended.
    #[error("Callback has already been completed or has timed out")]
    CallbackClosed,
}
