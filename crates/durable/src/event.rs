//! What happens to a durable execution. A format for ever: members are only added, with defaults.

use crate::Target;
use durastack_clock::Timestamp;
use durastack_engine::Payload;
use durastack_names::ExecutionId;
use serde::{Deserialize, Serialize};

/// Who an operation is. Repeated on each of its events, so that a page of history needs nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Counts the operations of the execution in the order of their start, from 1.
    pub number: u64,
    /// The SDK's id for it.
    pub id: String,
    /// The id of the context that it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// The user's name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The SDK's word for the construct; free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_type: Option<String>,
}

/// A step's next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextAttempt {
    /// After how many seconds.
    pub delay_s: u64,
    /// When it is due.
    pub at: Timestamp,
}

/// What a chained invoke is linked to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Link {
    /// Nothing: the target is unknown.
    Nowhere,
    /// One invoke of a plain function.
    Invoke {
        /// The function.
        target: Target,
        /// The request id of the invoke; a repeat after a crash uses the same.
        request_id: String,
    },
    /// A child execution.
    Child {
        /// The function.
        target: Target,
        /// The child's id.
        execution: ExecutionId,
        /// The child's name.
        name: String,
    },
}

/// What follows the end of an invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Then {
    /// Nothing until an operation completes.
    Suspend,
    /// Another invocation at once, because something has changed that the handler has not seen.
    Again,
    /// The execution has ended, or ends in the next event.
    End,
    /// It failed; another one at this time.
    RetryAt(Timestamp),
    /// The runtime failed; another one at once.
    RetryNow,
    /// It suspended with nothing pending; another one at once.
    NothingPending,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// The handler is about to be called.
    InvocationStarted {
        /// Counts the invocations, from 1.
        number: u64,
        /// The request id that the handler sees.
        request_id: String,
    },
    /// durastack itself ended while the handler ran. Counts towards no limit.
    InvocationLost {
        /// Which one.
        number: u64,
    },
    /// The handler has ended.
    InvocationCompleted {
        /// Which one.
        number: u64,
        /// When it started.
        started: Timestamp,
        /// Its request id.
        request_id: String,
        /// Why it failed, if it failed as an invocation.
        error: Option<Payload>,
        /// What follows.
        then: Then,
    },
    /// A context began.
    ContextStarted {
        /// Which one.
        head: Head,
    },
    /// A context ended well.
    ContextSucceeded {
        /// Which one.
        head: Head,
        /// What it returned.
        result: Option<Payload>,
        /// Its children stay visible.
        replay_children: bool,
    },
    /// A context ended badly.
    ContextFailed {
        /// Which one.
        head: Head,
        /// Why.
        error: Option<Payload>,
        /// Its children stay visible.
        replay_children: bool,
    },
    /// An attempt began.
    StepStarted {
        /// Which step.
        head: Head,
    },
    /// An attempt ended well: the step's end, or a check that is to be repeated.
    StepSucceeded {
        /// Which step.
        head: Head,
        /// What it returned.
        result: Option<Payload>,
        /// Which attempt, from 1.
        attempt: u64,
        /// The next one, if it is to be repeated.
        next: Option<NextAttempt>,
    },
    /// An attempt ended badly.
    StepFailed {
        /// Which step.
        head: Head,
        /// Why.
        error: Option<Payload>,
        /// Which attempt, from 1.
        attempt: u64,
        /// The next one, if it is to be repeated.
        next: Option<NextAttempt>,
    },
    /// The next attempt is due.
    StepReady {
        /// The number of the step.
        number: u64,
    },
    /// A wait began.
    WaitStarted {
        /// Which one.
        head: Head,
        /// How long.
        seconds: u64,
        /// Until when.
        until: Timestamp,
    },
    /// A wait is over.
    WaitSucceeded {
        /// Which one.
        head: Head,
        /// How long it was to be.
        seconds: u64,
    },
    /// A wait was given up.
    WaitCancelled {
        /// Which one.
        head: Head,
    },
    /// Somebody is waited for.
    CallbackStarted {
        /// Which callback.
        head: Head,
        /// Limit in seconds; 0 is none.
        timeout_s: u64,
        /// Inactivity limit in seconds; 0 is none.
        heartbeat_s: u64,
    },
    /// Somebody is still at it.
    CallbackHeartbeat {
        /// The number of the callback.
        number: u64,
    },
    /// Somebody answered.
    CallbackSucceeded {
        /// Which callback.
        head: Head,
        /// The answer.
        result: Option<Payload>,
    },
    /// Somebody answered with an error.
    CallbackFailed {
        /// Which callback.
        head: Head,
        /// The error.
        error: Option<Payload>,
    },
    /// Nobody answered in time.
    CallbackTimedOut {
        /// Which callback.
        head: Head,
        /// Which limit it was, in words.
        error: Payload,
    },
    /// Another function is called.
    ChainedInvokeStarted {
        /// Which operation.
        head: Head,
        /// The function as the caller wrote it.
        function_name: String,
        /// The tenant that it is called for.
        tenant_id: Option<String>,
        /// The trace header that it starts with.
        trace_header: Option<String>,
        /// Its input; absent if the target is unknown.
        input: Option<Payload>,
        /// What is called.
        link: Box<Link>,
    },
    /// The child execution is on record.
    ChainedInvokeChildStarted {
        /// The number of the operation.
        number: u64,
    },
    /// The target ended well.
    ChainedInvokeSucceeded {
        /// Which operation.
        head: Head,
        /// What it returned.
        result: Option<Payload>,
    },
    /// The target ended badly, or is unknown.
    ChainedInvokeFailed {
        /// Which operation.
        head: Head,
        /// Why.
        error: Option<Payload>,
    },
    /// The target took too long.
    ChainedInvokeTimedOut {
        /// Which operation.
        head: Head,
        /// In words.
        error: Option<Payload>,
    },
    /// The target was stopped.
    ChainedInvokeStopped {
        /// Which operation.
        head: Head,
        /// The error that the stop gave.
        error: Option<Payload>,
    },
}

impl Event {
    /// The number of the operation that the event belongs to.
    #[must_use]
    pub fn operation(&self) -> Option<u64> {
        match self {
            Self::InvocationStarted { .. }
            | Self::InvocationLost { .. }
            | Self::InvocationCompleted { .. } => None,
            Self::StepReady { number }
            | Self::CallbackHeartbeat { number }
            | Self::ChainedInvokeChildStarted { number } => Some(*number),
            Self::ContextStarted { head }
            | Self::ContextSucceeded { head, .. }
            | Self::ContextFailed { head, .. }
            | Self::StepStarted { head }
            | Self::StepSucceeded { head, .. }
            | Self::StepFailed { head, .. }
            | Self::WaitStarted { head, .. }
            | Self::WaitSucceeded { head, .. }
            | Self::WaitCancelled { head }
            | Self::CallbackStarted { head, .. }
            | Self::CallbackSucceeded { head, .. }
            | Self::CallbackFailed { head, .. }
            | Self::CallbackTimedOut { head, .. }
            | Self::ChainedInvokeStarted { head, .. }
            | Self::ChainedInvokeSucceeded { head, .. }
            | Self::ChainedInvokeFailed { head, .. }
            | Self::ChainedInvokeTimedOut { head, .. }
            | Self::ChainedInvokeStopped { head, .. } => Some(head.number),
        }
    }

    /// Whether it completes an operation, or makes one ready, without the handler: what wakes an execution.
    #[must_use]
    pub fn wakes(&self) -> bool {
        match self {
            Self::StepReady { .. }
            | Self::WaitSucceeded { .. }
            | Self::CallbackSucceeded { .. }
            | Self::CallbackFailed { .. }
            | Self::CallbackTimedOut { .. }
            | Self::ChainedInvokeSucceeded { .. }
            | Self::ChainedInvokeFailed { .. }
            | Self::ChainedInvokeTimedOut { .. }
            | Self::ChainedInvokeStopped { .. } => true,
            Self::InvocationStarted { .. }
            | Self::InvocationLost { .. }
            | Self::InvocationCompleted { .. }
            | Self::ContextStarted { .. }
            | Self::ContextSucceeded { .. }
            | Self::ContextFailed { .. }
            | Self::StepStarted { .. }
            | Self::StepSucceeded { .. }
            | Self::StepFailed { .. }
            | Self::WaitStarted { .. }
            | Self::WaitCancelled { .. }
            | Self::CallbackStarted { .. }
            | Self::CallbackHeartbeat { .. }
            | Self::ChainedInvokeStarted { .. }
            | Self::ChainedInvokeChildStarted { .. } => false,
        }
    }

    /// Whether the public history shows it.
    #[must_use]
    pub fn is_public(&self) -> bool {
        !matches!(
            self,
            Self::InvocationStarted { .. }
                | Self::InvocationLost { .. }
                | Self::StepReady { .. }
                | Self::CallbackHeartbeat { .. }
                | Self::ChainedInvokeChildStarted { .. }
        )
    }
}
