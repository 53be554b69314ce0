//! What the API shows of an execution's state: operations as JSON, in the two forms that the API has for time.

use crate::{
    Durable,
    operation::{Detail, Operation, OperationKind, OperationStatus},
};
use durastack_clock::Timestamp;
use durastack_engine::{Execution, Payload, Token, TokenKey, TokenKind};
use durastack_names::ExecutionId;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// About how many bytes of payload stand on one page of state. Source: AWS's local test runner.
pub const STATE_PAGE_BYTES: u64 = 5 * 1024 * 1024;

/// How instants are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeForm {
    /// In the invocation's input: integer milliseconds.
    EpochMillis,
    /// In REST bodies: seconds, with a fraction.
    EpochSeconds,
}

/// Everything that rendering needs beside the operation.
#[derive(Clone, Copy)]
pub struct OperationsView<'a> {
    /// The execution.
    pub execution: ExecutionId,
    /// How instants are written.
    pub time: TimeForm,
    /// How far the virtual clock is ahead: functions are told wall time.
    pub ahead: Duration,
    /// Makes callback ids.
    pub key: &'a TokenKey,
    /// Finds the text of a payload.
    pub text: &'a dyn Fn(&Payload) -> String,
}

impl std::fmt::Debug for OperationsView<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OperationsView").field("time", &self.time).finish_non_exhaustive()
    }
}

/// One entry of an execution's state, taken out of it so that it can be rendered when its long texts are at hand.
#[derive(Debug, Clone)]
pub enum StateEntry {
    /// The execution itself: always the first.
    Execution {
        /// Its name.
        name: String,
        /// When it began.
        started: Timestamp,
        /// Its input.
        input: Payload,
    },
    /// An operation.
    Operation(Box<Operation>),
}

impl StateEntry {
    /// The entry at a position: 0 is the execution itself, others are operation numbers.
    #[must_use]
    pub fn at(execution: &Execution<Durable>, position: u64) -> Self {
        let life = &execution.life;
        execution.work.operation(position).map_or_else(
            || Self::Execution {
                name: life.name.clone(),
                started: life.started,
                input: life.input.clone(),
            },
            |operation| Self::Operation(Box::new(operation.clone())),
        )
    }

    /// The payloads that it shows.
    #[must_use]
    pub fn payloads(&self) -> Vec<Payload> {
        match self {
            Self::Execution { input, .. } => vec![input.clone()],
            Self::Operation(operation) => operation.payloads().cloned().collect(),
        }
    }
}

/// Which operations stand on a page, and where the next page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Positions: 0 is the execution itself, others are operation numbers.
    pub positions: Vec<u64>,
    /// The first position of the next page.
    pub next: Option<u64>,
}

/// Chooses the operations that a handler may see, from a position on.
///
/// Descendants of ended contexts are left out, unless the context asks for them. A page ends at `count_max`
/// operations or at about [`STATE_PAGE_BYTES`]. An `allow_none` page may be empty, when the first entry alone is too
/// large to stand beside an invocation's input.
#[must_use]
pub fn visible_page(
    execution: &Execution<Durable>,
    from: u64,
    count_max: usize,
    allow_none: bool,
) -> Page {
    let work = &execution.work;
    let mut hidden = vec![false; work.operations().len() + 1];
    let mut page = Page { positions: Vec::new(), next: None };
    let mut bytes = 0;
    let mut take = |position: u64, size: u64| {
        if position < from || page.next.is_some() {
            return;
        }
        bytes += size;
        let full = page.positions.len() >= count_max || bytes > STATE_PAGE_BYTES;
        if full && (allow_none || !page.positions.is_empty()) {
            page.next = Some(position);
        } else {
            page.positions.push(position);
        }
    };
    take(0, execution.life.input.length());
    for (index, operation) in work.operations().iter().enumerate() {
        let number = operation.head.number;
        let parent = operation.head.parent.as_deref().and_then(|id| work.operation_by_id(id));
        let covered = parent.is_some_and(|parent| {
            let above = usize::try_from(parent.head.number)
                .is_ok_and(|n| hidden.get(n).copied().unwrap_or(false));
            above || parent.hides_children()
        });
        hidden[index + 1] = covered;
        if !covered {
            take(number, operation.payloads().map(Payload::length).sum());
        }
    }
    page
}

impl OperationsView<'_> {
    fn time(&self, at: Timestamp) -> Value {
        let told = Timestamp::from_millis(
            at.millis().saturating_sub(i64::try_from(self.ahead.as_millis()).unwrap_or(i64::MAX)),
        );
        match self.time {
            TimeForm::EpochMillis => json!(told.millis()),
            TimeForm::EpochSeconds => json!(told.epoch_seconds()),
        }
    }

    /// The entry as the API shows it.
    #[must_use]
    pub fn entry(&self, entry: &StateEntry) -> Value {
        match entry {
            StateEntry::Execution { name, started, input } => self.execution(name, *started, input),
            StateEntry::Operation(operation) => self.operation(operation),
        }
    }

    fn execution(&self, name: &str, started: Timestamp, input: &Payload) -> Value {
        json!({
            "Id": self.execution.to_string(),
            "Name": name,
            "Type": OperationKind::Execution.word(),
            "Status": OperationStatus::Started.word(),
            "StartTimestamp": self.time(started),
            "ExecutionDetails": { "InputPayload": (self.text)(input) },
        })
    }

    fn operation(&self, operation: &Operation) -> Value {
        let head = &operation.head;
        let mut members = Map::new();
        members.insert("Id".into(), json!(head.id));
        let optional =
            [("ParentId", &head.parent), ("Name", &head.name), ("SubType", &head.sub_type)];
        for (name, value) in optional {
            if let Some(value) = value {
                members.insert(name.into(), json!(value));
            }
        }
        members.insert("Type".into(), json!(operation.kind().word()));
        members.insert("Status".into(), json!(operation.status.word()));
        members.insert("StartTimestamp".into(), self.time(operation.started));
        if let Some(ended) = operation.ended {
            members.insert("EndTimestamp".into(), self.time(ended));
        }
        let (name, details) = self.details(operation);
        members.insert(name.into(), Value::Object(details));
        Value::Object(members)
    }

    fn details(&self, operation: &Operation) -> (&'static str, Map<String, Value>) {
        let mut details = Map::new();
        let name = match &operation.detail {
            Detail::Context { replay_children, result, error } => {
                if *replay_children {
                    details.insert("ReplayChildren".into(), json!(true));
                }
                self.outcome(&mut details, result.as_ref(), error.as_ref());
                "ContextDetails"
            }
            Detail::Step { attempt, next_attempt, result, error } => {
                details.insert("Attempt".into(), json!(attempt));
                if let Some(at) = next_attempt {
                    details.insert("NextAttemptTimestamp".into(), self.time(*at));
                }
                self.outcome(&mut details, result.as_ref(), error.as_ref());
                "StepDetails"
            }
            Detail::Wait { until, .. } => {
                details.insert("ScheduledEndTimestamp".into(), self.time(*until));
                "WaitDetails"
            }
            Detail::Callback { result, error, .. } => {
                details.insert(
                    "CallbackId".into(),
                    json!(callback_id(self.key, self.execution, operation.head.number)),
                );
                self.outcome(&mut details, result.as_ref(), error.as_ref());
                "CallbackDetails"
            }
            Detail::ChainedInvoke { result, error, .. } => {
                self.outcome(&mut details, result.as_ref(), error.as_ref());
                "ChainedInvokeDetails"
            }
        };
        (name, details)
    }

    fn outcome(
        &self,
        details: &mut Map<String, Value>,
        result: Option<&Payload>,
        error: Option<&Payload>,
    ) {
        if let Some(result) = result {
            details.insert("Result".into(), json!((self.text)(result)));
        }
        if let Some(error) = error {
            details.insert("Error".into(), error_value(&(self.text)(error)));
        }
    }
}

/// A stored error as the API shows it.
pub(crate) fn error_value(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_else(|_| json!({ "ErrorMessage": json }))
}

/// The id under which callers answer a callback.
pub(crate) fn callback_id(key: &TokenKey, execution: ExecutionId, number: u64) -> String {
    key.seal(&Token { kind: TokenKind::Callback, execution, number, counter: 0 })
}
