//! Operations: the nodes of an execution's state.

use crate::event::{Head, Link};
use durastack_clock::Timestamp;
use durastack_engine::Payload;
use serde::{Deserialize, Serialize};

/// What an operation is. EXECUTION is not among them: it is the execution itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperationKind {
    /// Groups operations.
    Context,
    /// Runs user code.
    Step,
    /// Waits for a time.
    Wait,
    /// Waits for somebody outside.
    Callback,
    /// Calls another function.
    ChainedInvoke,
    /// The execution itself; appears in updates alone.
    Execution,
}

impl OperationKind {
    /// The API's word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Context => "CONTEXT",
            Self::Step => "STEP",
            Self::Wait => "WAIT",
            Self::Callback => "CALLBACK",
            Self::ChainedInvoke => "CHAINED_INVOKE",
            Self::Execution => "EXECUTION",
        }
    }

    /// All kinds, in the order of the API model.
    pub const ALL: [Self; 6] = [
        Self::Execution,
        Self::Context,
        Self::Step,
        Self::Wait,
        Self::Callback,
        Self::ChainedInvoke,
    ];
}

/// What an update asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Begin.
    Start,
    /// End well.
    Succeed,
    /// End badly.
    Fail,
    /// Try again later.
    Retry,
    /// Give up waiting.
    Cancel,
}

impl Action {
    /// The API's word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Start => "START",
            Self::Succeed => "SUCCEED",
            Self::Fail => "FAIL",
            Self::Retry => "RETRY",
            Self::Cancel => "CANCEL",
        }
    }

    /// All actions, in the order of the API model.
    pub const ALL: [Self; 5] = [Self::Start, Self::Succeed, Self::Fail, Self::Retry, Self::Cancel];
}

/// How an operation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationStatus {
    /// Under way.
    Started,
    /// A step that waits for its next attempt.
    Pending,
    /// A step whose next attempt is due.
    Ready,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
    /// Given up.
    Cancelled,
    /// Nobody answered in time.
    TimedOut,
    /// The target was stopped.
    Stopped,
}

impl OperationStatus {
    /// The API's word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Started => "STARTED",
            Self::Pending => "PENDING",
            Self::Ready => "READY",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
            Self::TimedOut => "TIMED_OUT",
            Self::Stopped => "STOPPED",
        }
    }

    /// Whether it has ended.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Started | Self::Pending | Self::Ready => false,
            Self::Succeeded | Self::Failed | Self::Cancelled | Self::TimedOut | Self::Stopped => {
                true
            }
        }
    }
}

/// One operation.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Who it is.
    pub head: Head,
    /// How it stands.
    pub status: OperationStatus,
    /// When it first started.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// What depends on its kind.
    pub detail: Detail,
}

/// What depends on an operation's kind.
#[derive(Debug, Clone)]
pub enum Detail {
    /// Of a CONTEXT.
    Context {
        /// Its children stay visible after its end.
        replay_children: bool,
        /// What it returned.
        result: Option<Payload>,
        /// Why it failed.
        error: Option<Payload>,
    },
    /// Of a STEP.
    Step {
        /// Finished attempts.
        attempt: u64,
        /// When the next one is due; only while PENDING.
        next_attempt: Option<Timestamp>,
        /// What it returned, or the state that a repeated check carries on.
        result: Option<Payload>,
        /// Why the last attempt failed.
        error: Option<Payload>,
    },
    /// Of a WAIT.
    Wait {
        /// When it ends.
        until: Timestamp,
        /// How long it was to be, in seconds.
        seconds: u64,
    },
    /// Of a CALLBACK.
    Callback {
        /// Inactivity limit in seconds; 0 is none.
        heartbeat_s: u64,
        /// The answer.
        result: Option<Payload>,
        /// The failure, or the timeout.
        error: Option<Payload>,
    },
    /// Of a CHAINED_INVOKE.
    ChainedInvoke {
        /// What was called.
        link: Link,
        /// What the target returned.
        result: Option<Payload>,
        /// Why it failed.
        error: Option<Payload>,
    },
}

impl Operation {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> OperationKind {
        match self.detail {
            Detail::Context { .. } => OperationKind::Context,
            Detail::Step { .. } => OperationKind::Step,
            Detail::Wait { .. } => OperationKind::Wait,
            Detail::Callback { .. } => OperationKind::Callback,
            Detail::ChainedInvoke { .. } => OperationKind::ChainedInvoke,
        }
    }

    /// Whether a handler may suspend on it: something outside the handler will move it on.
    #[must_use]
    pub const fn is_pending(&self) -> bool {
        matches!(
            (self.kind(), self.status),
            (OperationKind::Step, OperationStatus::Pending)
                | (
                    OperationKind::Wait | OperationKind::Callback | OperationKind::ChainedInvoke,
                    OperationStatus::Started
                )
        )
    }

    /// Whether its descendants are hidden from the handler: it has ended, and does not ask for them.
    #[must_use]
    pub const fn hides_children(&self) -> bool {
        match self.detail {
            Detail::Context { replay_children, .. } => {
                self.status.is_terminal() && !replay_children
            }
            _ => false,
        }
    }

    /// The payloads that it shows.
    pub fn payloads(&self) -> impl Iterator<Item = &Payload> {
        let (result, error) = match &self.detail {
            Detail::Context { result, error, .. }
            | Detail::Step { result, error, .. }
            | Detail::Callback { result, error, .. }
            | Detail::ChainedInvoke { result, error, .. } => (result.as_ref(), error.as_ref()),
            Detail::Wait { .. } => (None, None),
        };
        result.into_iter().chain(error)
    }
}
