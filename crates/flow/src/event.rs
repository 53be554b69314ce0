//! What happens to an execution of a flow: the journal's events, each of which is one event of the public history.
//!
//! Events carry whatever was decided (instants, ids, which way), so that taking them in computes nothing. Their EventId is
//! not among it: it is their number in the history.

use crate::{definition::FunctionTarget, failure::Failure};
use durastack_clock::Timestamp;
use durastack_names::ExecutionId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// Where an event belongs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The strand: 0 for the flow itself, else the EventId of the BranchEntered or IterationEntered that began it.
    pub strand: u64,
    /// The step; for a branch or iteration the step that contains it.
    pub step: String,
    /// The EventId of the event that led to this one.
    pub schedule: u64,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// A step is next; nothing of it is evaluated yet.
    StepEntered {
        /// Where.
        head: Head,
        /// The surrounding input.
        #[serde(with = "shared")]
        input: Arc<Value>,
        /// The surrounding local.
        #[serde(with = "shared")]
        local: Arc<Value>,
    },
    /// A step that is no task runs.
    StepStarted {
        /// Where.
        head: Head,
        /// Its input.
        #[serde(with = "shared")]
        input: Arc<Value>,
        /// What it does now.
        running: Running,
    },
    /// A step that is no task has its output.
    StepSucceeded {
        /// Where.
        head: Head,
        /// Its output.
        output: Value,
    },
    /// A step cannot go on, and so the execution ends.
    StepFailed {
        /// Where.
        head: Head,
        /// Why.
        failure: Failure,
    },
    /// A step is left.
    StepExited {
        /// Where.
        head: Head,
        /// The surrounding local with the step's output in it.
        #[serde(with = "shared")]
        local: Arc<Value>,
        /// What follows.
        next: Next,
    },
    /// An attempt of a task is to be made.
    TaskScheduled {
        /// Where.
        head: Head,
        /// The step's input.
        #[serde(with = "shared")]
        input: Arc<Value>,
        /// The attempt, from 1.
        attempt: u64,
        /// What will be asked of whom.
        request: Request,
    },
    /// An attempt is under way.
    TaskStarted {
        /// Where.
        head: Head,
        /// When its time is up.
        timeout: Option<Timestamp>,
    },
    /// What was asked for is under way; its end comes later.
    TaskSubmitted {
        /// Where.
        head: Head,
        /// What the service answered.
        output: Value,
    },
    /// What was asked for was refused, or its answer lost.
    TaskSubmitFailed {
        /// Where.
        head: Head,
        /// Why.
        failure: Failure,
        /// What follows.
        then: Then,
    },
    /// A task has its result.
    TaskSucceeded {
        /// Where.
        head: Head,
        /// The result: an object.
        output: Value,
    },
    /// An attempt failed.
    TaskFailed {
        /// Where.
        head: Head,
        /// Why.
        failure: Failure,
        /// What follows.
        then: Then,
    },
    /// An attempt's time is up.
    TaskTimedOut {
        /// Where.
        head: Head,
        /// The failure that this is.
        failure: Failure,
        /// What follows.
        then: Then,
    },
    /// A branch of a parallel step begins.
    BranchEntered {
        /// Where; the strand is the surrounding one.
        head: Head,
        /// The branch, from 0.
        index: u64,
        /// Its input.
        input: Value,
    },
    /// A branch has ended.
    BranchExited {
        /// Where; the strand is the branch's.
        head: Head,
        /// The branch, from 0.
        index: u64,
        /// What it made.
        local: Value,
    },
    /// An iteration of a foreach begins.
    IterationEntered {
        /// Where; the strand is the surrounding one.
        head: Head,
        /// The iteration, from 0.
        index: u64,
        /// Its input, the item in it.
        input: Value,
    },
    /// An iteration has ended.
    IterationExited {
        /// Where; the strand is the iteration's.
        head: Head,
        /// The iteration, from 0.
        index: u64,
        /// What it made.
        local: Value,
    },
}

/// What a step does once it has started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Running {
    /// It is as good as done.
    Plain,
    /// It waits.
    Wait {
        /// Until when.
        until: Timestamp,
    },
    /// It goes a way.
    Choice {
        /// Which choice holds, from 0; the number of choices for the default; nothing if there is none to go.
        way: Option<u64>,
    },
    /// It runs lists of steps.
    Several {
        /// How many branches or iterations.
        count: u64,
    },
}

/// What follows a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Next {
    /// This step.
    Step(String),
    /// The end of its list: the flow, branch or iteration goes on after it, if it is a way of a choice.
    EndOfList,
    /// The end of the flow, branch or iteration, even from within a choice.
    EndOfStrand,
}

/// What follows a failed attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Then {
    /// Another attempt.
    Retry {
        /// By which entry of `retry`, from 0: each counts for itself.
        entry: u64,
        /// When.
        due: Timestamp,
    },
    /// The error is caught.
    Catch {
        /// The step to go on with.
        goto: String,
    },
    /// The step fails.
    Fail,
}

/// What a task asks of the world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Invoke a function; its event is the step's input.
    Function(FunctionTarget),
    /// Start an execution of another flow.
    StartFlow {
        /// The flow's name.
        flow: String,
        /// The execution's name, given or made up here.
        name: String,
        /// The execution's id, drawn with the event: a start that is repeated after a crash names the same execution.
        id: ExecutionId,
        /// The execution's input, as JSON text.
        input: String,
        /// Names the start in what it answers.
        request_id: String,
    },
    /// Nothing: it would be refused.
    Unfit(Failure),
}

/// Data that an event has in common with the state, written as if it were its own. (Serde's own way is a feature that
/// every crate would be built with.)
mod shared {
    use super::{Arc, Value};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(data: &Arc<Value>, to: S) -> Result<S::Ok, S::Error> {
        data.as_ref().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<Value>, D::Error> {
        Value::deserialize(from).map(Arc::new)
    }
}

impl Event {
    /// Where it belongs.
    #[must_use]
    pub fn head(&self) -> &Head {
        match self {
            Self::StepEntered { head, .. }
            | Self::StepStarted { head, .. }
            | Self::StepSucceeded { head, .. }
            | Self::StepFailed { head, .. }
            | Self::StepExited { head, .. }
            | Self::TaskScheduled { head, .. }
            | Self::TaskStarted { head, .. }
            | Self::TaskSubmitted { head, .. }
            | Self::TaskSubmitFailed { head, .. }
            | Self::TaskSucceeded { head, .. }
            | Self::TaskFailed { head, .. }
            | Self::TaskTimedOut { head, .. }
            | Self::BranchEntered { head, .. }
            | Self::BranchExited { head, .. }
            | Self::IterationEntered { head, .. }
            | Self::IterationExited { head, .. } => head,
        }
    }

    /// The name of its type in the public history.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::StepEntered { .. } => "StepEntered",
            Self::StepStarted { .. } => "StepStarted",
            Self::StepSucceeded { .. } => "StepSucceeded",
            Self::StepFailed { .. } => "StepFailed",
            Self::StepExited { .. } => "StepExited",
            Self::TaskScheduled { .. } => "TaskScheduled",
            Self::TaskStarted { .. } => "TaskStarted",
            Self::TaskSubmitted { .. } => "TaskSubmitted",
            Self::TaskSubmitFailed { .. } => "TaskSubmitFailed",
            Self::TaskSucceeded { .. } => "TaskSucceeded",
            Self::TaskFailed { .. } => "TaskFailed",
            Self::TaskTimedOut { .. } => "TaskTimedOut",
            Self::BranchEntered { .. } => "BranchEntered",
            Self::BranchExited { .. } => "BranchExited",
            Self::IterationEntered { .. } => "IterationEntered",
            Self::IterationExited { .. } => "IterationExited",
        }
    }
}
