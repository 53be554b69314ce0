//! The part of an execution's story that is the same in every dialect.

use crate::Payload;
use durastack_clock::Timestamp;
use durastack_names::ExecutionId;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How an execution stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Running or waiting.
    Running,
    /// Ended with a result.
    Succeeded,
    /// Ended with an error of its own.
    Failed,
    /// Ended because its time was up.
    TimedOut,
    /// Ended by somebody's wish.
    Stopped,
}

/// How an execution ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// With a result, which may be missing.
    Succeeded(Option<Payload>),
    /// With an error in the dialect's own form, which may be missing.
    Failed(Option<Payload>),
    /// Its execution timeout elapsed.
    TimedOut(Option<Payload>),
    /// Stopped, with the error that the caller gave or the dialect's default.
    Stopped(Option<Payload>),
}

impl Outcome {
    /// The status that this end gives.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::Succeeded(_) => Status::Succeeded,
            Self::Failed(_) => Status::Failed,
            Self::TimedOut(_) => Status::TimedOut,
            Self::Stopped(_) => Status::Stopped,
        }
    }

    /// The result or error.
    #[must_use]
    pub fn payload(&self) -> Option<&Payload> {
        match self {
            Self::Succeeded(p) | Self::Failed(p) | Self::TimedOut(p) | Self::Stopped(p) => {
                p.as_ref()
            }
        }
    }
}

/// Who started this execution and waits for its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The parent execution.
    pub execution: ExecutionId,
    /// The number of the parent's operation that waits.
    pub operation: u64,
}

/// What a parent is told when its child has ended.
#[derive(Debug, Clone)]
pub struct ChildEnd {
    /// The number of the parent's operation that waits.
    pub operation: u64,
    /// How the child ended. Blobs in it belong to the child until the driver has copied them.
    pub outcome: Outcome,
    /// The child's own execution timeout, if it had one.
    pub timeout: Option<Duration>,
}

/// Who an execution is and how it stands.
#[derive(Debug, Clone)]
pub struct Life {
    /// Its id, for ever.
    pub id: ExecutionId,
    /// Its name within its scope, given or made.
    pub name: String,
    /// The incarnation of the function or flow that it belongs to.
    pub scope: String,
    /// The version that it is listed under.
    pub version: String,
    /// When it began.
    pub started: Timestamp,
    /// After how long it times out.
    pub timeout: Option<Duration>,
    /// How long it is kept after its end.
    pub retention: Option<Duration>,
    /// Who waits for it.
    pub parent: Option<Parent>,
    /// Its input.
    pub input: Payload,
    /// When and how it ended.
    pub end: Option<(Timestamp, Outcome)>,
    /// The end is on record but not yet in the public history.
    pub end_hidden: bool,
    /// The parent knows of the end.
    pub parent_told: bool,
}

impl Life {
    /// How it stands.
    #[must_use]
    pub fn status(&self) -> Status {
        self.end.as_ref().map_or(Status::Running, |(_, outcome)| outcome.status())
    }

    /// Whether it has not ended.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.end.is_none()
    }

    /// When its time is up.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        self.timeout.map(|timeout| self.started.plus(timeout))
    }

    /// When it may be forgotten.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        self.end.as_ref().and_then(|(at, _)| Some(at.plus(self.retention?)))
    }
}

/// What happens to every execution, whatever its dialect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LifeEvent<Definition> {
    /// It began.
    Started {
        /// Its id.
        id: ExecutionId,
        /// Its name.
        name: String,
        /// The incarnation of its function or flow.
        scope: String,
        /// The version it is listed under.
        version: String,
        /// After how many milliseconds it times out.
        timeout_ms: Option<u64>,
        /// How many milliseconds it is kept after its end.
        retention_ms: Option<u64>,
        /// Who waits for it.
        parent: Option<Parent>,
        /// Its input.
        input: Payload,
        /// What the dialect pins at the start.
        definition: Definition,
    },
    /// It ended. `hidden`: the public history shows the end later, by `EndShown`.
    Ended {
        /// How.
        outcome: Outcome,
        /// Whether the public history does not show it yet.
        #[serde(default)]
        hidden: bool,
    },
    /// The public history shows an end that was on record already.
    EndShown {
        /// How it ended.
        outcome: Outcome,
    },
    /// The parent has recorded the end.
    ParentTold,
}
