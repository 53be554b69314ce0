//! Invocations of the handler, and of the functions that it calls: what came of them, and what follows.

use crate::{
    Definition, Durable, ErrorObject, PAYLOAD_BYTES_MAX, RESULT_BYTES_MAX, Target, TargetKind,
    event::{Event, Then},
    operation::{Operation, OperationKind, OperationStatus},
    state::{ChainedInput, Live},
};
use durastack_engine::{ChildEnd, Draft, Execution, Outcome, Parent, Payload, Start, Stash};
use durastack_names::ExecutionId;
use serde::Deserialize;
use std::time::Duration;

/// A call to user code.
#[derive(Debug, Clone)]
pub enum Call {
    /// The handler of the execution itself.
    Handler {
        /// Which invocation.
        number: u64,
        /// The request id that it sees.
        request_id: String,
    },
    /// The plain target of a chained invoke.
    Target {
        /// The number of the operation.
        number: u64,
        /// The request id that it sees.
        request_id: String,
        /// The function.
        target: Box<Target>,
        /// What it is given.
        input: ChainedInput,
    },
}

/// What came of an invocation of the handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// `{"Status": "SUCCEEDED"}`.
    Succeeded(Option<Payload>),
    /// `{"Status": "FAILED"}`.
    Failed(Option<Payload>),
    /// `{"Status": "PENDING"}`.
    Pending,
    /// Something that is no answer of a durable handler.
    Invalid(ErrorObject),
    /// The function failed: it raised, crashed, or ran out of time.
    FunctionError {
        /// The error's type; decides on how the invocation is repeated.
        error_type: String,
        /// The error.
        error: Payload,
    },
    /// The function does not exist any more, or cannot be run at all.
    Gone(ErrorObject),
}

/// What came of a plain target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetEnd {
    /// It returned this.
    Succeeded(Option<Payload>),
    /// It failed.
    Failed(Option<Payload>),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Response {
    status: String,
    #[serde(default)]
    result: Option<String>,
    #[serde(default)]
    error: Option<ErrorObject>,
}

impl Output {
    /// Reads what a durable handler returned.
    ///
    /// Source: the conformance suite and AWS's local test runners; the texts are those of the latter.
    #[must_use]
    pub fn read(response: &[u8], stash: &mut Stash) -> Self {
        let invalid = |why: String| {
            Self::Invalid(ErrorObject::typed(
                "InvalidParameterValueException",
                format!("Invalid invocation output: {why}"),
            ))
        };
        // Serde would take a list of the members' values for the object.
        if response.trim_ascii_start().first() != Some(&b'{')
            && serde_json::from_slice::<serde::de::IgnoredAny>(response).is_ok()
        {
            return invalid("not an object".to_owned());
        }
        let response = match serde_json::from_slice::<Response>(response) {
            Ok(response) => response,
            Err(error) => return invalid(error.to_string()),
        };
        let refused =
            |why: &str| Self::Invalid(ErrorObject::typed("InvalidParameterValueException", why));
        match (response.status.as_str(), response.result, response.error) {
            ("SUCCEEDED", _, Some(_)) => refused("Cannot provide an Error for SUCCEEDED status."),
            ("SUCCEEDED", result, None) => Self::Succeeded(result.map(|text| stash.put(text))),
            ("FAILED", Some(_), _) => refused("Cannot provide a Result for FAILED status."),
            ("FAILED", None, error) => Self::Failed(error.map(|error| error.stash(stash))),
            ("PENDING", _, _) => Self::Pending,
            (other, _, _) => invalid(format!("unknown Status '{other}'")),
        }
    }
}

pub(crate) fn ended(
    execution: &Execution<Durable>,
    draft: &mut Draft<Durable>,
    number: u64,
    output: Output,
) {
    // What a superseded invocation answers is dropped: it would end an execution that goes on.
    let Some(live) = execution.work.live.as_ref().filter(|live| live.number == number) else {
        return;
    };
    match &execution.life.end {
        Some((_, outcome)) if execution.life.end_hidden => {
            complete(draft, live, None, Then::End);
            draft.show_end(outcome.clone());
        }
        // Stopped or timed out while it ran: the end stays the last event.
        Some(_) => {}
        None => ended_open(execution, draft, live, output),
    }
}

fn ended_open(
    execution: &Execution<Durable>,
    draft: &mut Draft<Durable>,
    live: &Live,
    output: Output,
) {
    let work = &execution.work;
    match output {
        Output::Succeeded(result) => {
            complete(draft, live, None, Then::End);
            let limit =
                if work.definition.asynchronous { PAYLOAD_BYTES_MAX } else { RESULT_BYTES_MAX };
            if result.as_ref().is_some_and(|payload| payload.length() > limit) {
                let text = format!(
                    "Execution output payload size must be less than or equal to {limit} bytes."
                );
                draft.end(Outcome::Failed(Some(ErrorObject::message(text).inline())));
            } else {
                draft.end(Outcome::Succeeded(result));
            }
        }
        Output::Failed(error) => {
            complete(draft, live, None, Then::End);
            draft.end(Outcome::Failed(error));
        }
        Output::Invalid(error) | Output::Gone(error) => {
            complete(draft, live, None, Then::End);
            draft.end(Outcome::Failed(Some(error.inline())));
        }
        Output::Pending if work.has_unseen() => complete(draft, live, None, Then::Again),
        Output::Pending if work.operations().iter().any(Operation::is_pending) => {
            complete(draft, live, None, Then::Suspend);
        }
        Output::Pending => nothing_pending(work, draft, live),
        Output::FunctionError { error_type, error } => {
            failed(work, draft, live, &error_type, error)
        }
    }
}

/// How many suspensions in a row with nothing pending fail the execution. Source: AWS's local test runner.
const IDLE_SUSPENSIONS_MAX: u32 = 3;

fn nothing_pending(work: &Durable, draft: &mut Draft<Durable>, live: &Live) {
    let text = "Cannot return PENDING status with no pending operations.";
    let error = ErrorObject::typed("InvalidParameterValueException", text).inline();
    if work.idle_suspensions + 1 < IDLE_SUSPENSIONS_MAX {
        complete(draft, live, Some(error), Then::NothingPending);
    } else {
        complete(draft, live, Some(error.clone()), Then::End);
        draft.end(Outcome::Failed(Some(error)));
    }
}

fn failed(
    work: &Durable,
    draft: &mut Draft<Durable>,
    live: &Live,
    error_type: &str,
    error: Payload,
) {
    let policy = work.definition.retries;
    let attempt = work.immediate_retries + work.paused_retries + 1;
    if attempt >= policy.attempts_max {
        complete(draft, live, Some(error.clone()), Then::End);
        draft.end(Outcome::Failed(Some(error)));
        return;
    }
    let of_the_runtime = error_type != "Sandbox.Timedout"
        && ["Runtime.", "Sandbox.", "Extension."]
            .iter()
            .any(|prefix| error_type.starts_with(prefix));
    let then = if of_the_runtime && work.immediate_retries < policy.immediate_max {
        Then::RetryNow
    } else {
        let delay_ms = policy
            .first_delay_ms
            .saturating_mul(1 << work.paused_retries.min(32))
            .min(policy.delay_ms_max);
        Then::RetryAt(draft.now.plus(Duration::from_millis(delay_ms)))
    };
    complete(draft, live, Some(error), then);
}

pub(crate) fn complete(
    draft: &mut Draft<Durable>,
    live: &Live,
    error: Option<Payload>,
    then: Then,
) {
    draft.push(Event::InvocationCompleted {
        number: live.number,
        started: live.started,
        request_id: live.request_id.clone(),
        error,
        then,
    });
}

fn open_operation(execution: &Execution<Durable>, number: u64) -> Option<&Operation> {
    execution.work.operation(number).filter(|operation| {
        operation.kind() == OperationKind::ChainedInvoke
            && operation.status == OperationStatus::Started
            && execution.life.is_open()
    })
}

pub(crate) fn target_ended(
    execution: &Execution<Durable>,
    draft: &mut Draft<Durable>,
    number: u64,
    end: TargetEnd,
) {
    let Some(operation) = open_operation(execution, number) else { return };
    let head = operation.head.clone();
    draft.push(match end {
        TargetEnd::Succeeded(Some(payload)) if payload.length() > PAYLOAD_BYTES_MAX => {
            let text = format!(
                "CHAINED_INVOKE output payload size must be less than or equal to {PAYLOAD_BYTES_MAX} bytes."
            );
            Event::ChainedInvokeFailed { head, error: Some(ErrorObject::message(text).inline()) }
        }
        TargetEnd::Succeeded(result) => Event::ChainedInvokeSucceeded { head, result },
        TargetEnd::Failed(error) => Event::ChainedInvokeFailed { head, error },
    });
}

pub(crate) fn child_ended(
    execution: &Execution<Durable>,
    draft: &mut Draft<Durable>,
    end: ChildEnd,
) {
    let Some(operation) = open_operation(execution, end.operation) else { return };
    let head = operation.head.clone();
    draft.push(match end.outcome {
        Outcome::Succeeded(result) => Event::ChainedInvokeSucceeded { head, result },
        Outcome::Failed(error) => Event::ChainedInvokeFailed { head, error },
        Outcome::Stopped(error) => Event::ChainedInvokeStopped { head, error },
        Outcome::TimedOut(_) => {
            let seconds = end.timeout.map_or(0, |timeout| timeout.as_secs());
            let text = format!("CHAINED_INVOKE timed out after {seconds} seconds.");
            Event::ChainedInvokeTimedOut {
                head,
                error: Some(ErrorObject::typed("ChainedInvoke.Timeout", text).inline()),
            }
        }
    });
}

pub(crate) fn child_start(
    parent: &Execution<Durable>,
    target: &Target,
    child: ExecutionId,
    name: &str,
    operation: u64,
    input: &ChainedInput,
) -> Option<Start<Durable>> {
    let TargetKind::Durable { execution_timeout_s, retention_days, kms_key_arn } = &target.kind
    else {
        return None;
    };
    Some(Start {
        id: child,
        name: name.to_owned(),
        scope: target.scope.clone(),
        version: target.version.to_string(),
        timeout: Some(Duration::from_secs(*execution_timeout_s)),
        retention: Some(Duration::from_secs(retention_days * 86_400)),
        parent: Some(Parent { execution: parent.life.id, operation }),
        input: input.payload.clone().unwrap_or_else(|| Payload::Inline("{}".to_owned())),
        definition: Definition {
            function: target.function.clone(),
            version: target.version,
            execution_timeout_s: *execution_timeout_s,
            retention_days: *retention_days,
            kms_key_arn: kms_key_arn.clone(),
            asynchronous: true,
            tenant_id: input.tenant_id.clone(),
            trace_header: input.trace_header.clone(),
            retries: parent.work.definition.retries,
        },
    })
}
