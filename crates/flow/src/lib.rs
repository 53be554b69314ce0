//! Alibaba Cloud's older flow language (FDL, `version: v1` with `type: flow`) as a dialect of the engine: an interpreter
//! that runs a definition and calls functions and other flows.
//!
//! Source of the behaviour, unless a place says otherwise: the public documentation of Serverless Workflow (CloudFlow),
//! its API metadata, and what the vendor's published samples need in order to work. The order and the details of events
//! beyond those of a pass step are not published; where nothing is, a comment says so.

mod condition;
mod definition;
mod dialect;
mod event;
mod failure;
mod fields;
mod history;
mod mapping;
mod next;
mod parse;
mod path;
mod resource;
mod state;
mod task;
mod token;
mod yaml;

pub use condition::{BadCondition, Condition};
pub use definition::{
    Action, BRANCHES_MAX, Catch, Definition, DefinitionError, FlowDefinition, Foreach,
    FunctionTarget, Pattern, RETRY_SECONDS_MAX, Retry, Sequence, StartParameters, Step, Target,
    Task, WAIT_SECONDS_MAX, Wait, Way, is_name,
};
pub use event::{Event, Head, Next, Request, Running, Then};
pub use failure::{
    ALL, EXECUTION_STOPPED, EXECUTION_TIMED_OUT, Failure, FunctionAnswer, INVALID_LOCAL,
    RUNTIME_ERROR, TASK_TIMEOUT,
};
pub use history::{HistoryView, public_event};
pub use mapping::{DATA_BYTES_MAX, Mappings, Reference, Source};
pub use next::{EVENTS_MAX, check_object};
pub use path::Path;
pub use resource::is_function_name;
pub use state::{Flow, TimerKey};
pub use task::{Call, CallEnd, FunctionCall, StartCall};
pub use token::{TaskToken, Tokens};
pub use yaml::{DEPTH_MAX, DOCUMENT_BYTES_MAX, NODES_MAX, Position, TEXT_BYTES_MAX};

/// What can be asked of an execution of a flow.
#[derive(Debug)]
pub enum Command {
    /// A call has ended. Nothing happens if nobody waits for it any more.
    CallEnded {
        /// The key of the call.
        key: u64,
        /// What became of it.
        end: CallEnd,
    },
    /// Somebody reports that a task has succeeded. The first event that this writes is the one that answers the report.
    ReportSucceeded {
        /// Which attempt of which task.
        token: TaskToken,
        /// The result: the text of a JSON object.
        output: String,
    },
    /// Somebody reports that a task has failed.
    ReportFailed {
        /// Which attempt of which task.
        token: TaskToken,
        /// The error and its cause.
        failure: Failure,
    },
}

/// Why a command was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// No task of the execution has this token.
    #[error("the token belongs to no task of the execution")]
    TokenUnknown,
    /// The task is reported already, timed out, or the execution has ended. The API's `TaskAlreadyCompleted`.
    #[error("the task has already completed")]
    TaskCompleted,
    /// The task waits for no report. The API's `TaskInvalidState`.
    #[error("the task does not wait for a report")]
    TaskNotWaiting,
    /// The reported output is no JSON object.
    #[error("the output is not a JSON object")]
    OutputNotAnObject,
}
