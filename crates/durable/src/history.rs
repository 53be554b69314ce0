//! The public history: each journal record is shown as no or one event.

use crate::{
    Durable, TargetKind,
    event::{Event, Head, Link, NextAttempt},
    view::{callback_id, error_value},
};
use durastack_clock::Timestamp;
use durastack_engine::{Event as Recorded, LifeEvent, Outcome, Payload, Record, TokenKey};
use durastack_names::{ExecutionArn, ExecutionId};
use serde_json::{Map, Value, json};

/// Everything that rendering needs beside the record.
#[derive(Clone, Copy)]
pub struct HistoryView<'a> {
    /// The execution.
    pub execution: ExecutionId,
    /// Whether payloads and errors are shown.
    pub include_data: bool,
    /// Makes callback ids.
    pub key: &'a TokenKey,
    /// Finds the text of a payload.
    pub text: &'a dyn Fn(&Payload) -> String,
}

impl std::fmt::Debug for HistoryView<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HistoryView").field("execution", &self.execution).finish_non_exhaustive()
    }
}

/// The payloads that a record shows.
#[must_use]
pub fn payloads_of(record: &Record<Durable>) -> Vec<&Payload> {
    let payload = match &record.event {
        Recorded::Life(LifeEvent::Started { input, .. }) => Some(input),
        Recorded::Life(LifeEvent::Ended { outcome, .. } | LifeEvent::EndShown { outcome }) => {
            outcome.payload()
        }
        Recorded::Life(LifeEvent::ParentTold) => None,
        Recorded::Work(event) => match event {
            Event::InvocationCompleted { error, .. }
            | Event::ContextFailed { error, .. }
            | Event::StepFailed { error, .. }
            | Event::CallbackFailed { error, .. }
            | Event::ChainedInvokeFailed { error, .. }
            | Event::ChainedInvokeTimedOut { error, .. }
            | Event::ChainedInvokeStopped { error, .. } => error.as_ref(),
            Event::ContextSucceeded { result, .. }
            | Event::StepSucceeded { result, .. }
            | Event::CallbackSucceeded { result, .. }
            | Event::ChainedInvokeSucceeded { result, .. } => result.as_ref(),
            Event::CallbackTimedOut { error, .. } => Some(error),
            Event::ChainedInvokeStarted { input, .. } => input.as_ref(),
            Event::InvocationStarted { .. }
            | Event::InvocationLost { .. }
            | Event::ContextStarted { .. }
            | Event::StepStarted { .. }
            | Event::StepReady { .. }
            | Event::WaitStarted { .. }
            | Event::WaitSucceeded { .. }
            | Event::WaitCancelled { .. }
            | Event::CallbackStarted { .. }
            | Event::CallbackHeartbeat { .. }
            | Event::ChainedInvokeChildStarted { .. } => None,
        },
    };
    payload.into_iter().collect()
}

/// The record as the API shows it; nothing if the public history does not show it.
#[must_use]
pub fn public_event(view: &HistoryView<'_>, record: &Record<Durable>) -> Option<Value> {
    let event_id = record.event_id?;
    let (event_type, head, details) = match &record.event {
        Recorded::Life(event) => life(view, event)?,
        Recorded::Work(event) => work(view, record.at, event)?,
    };
    let mut members = Map::new();
    members.insert("EventId".into(), json!(event_id));
    members.insert("EventType".into(), json!(event_type));
    members.insert("EventTimestamp".into(), json!(record.at.epoch_seconds()));
    match head {
        Named::Execution => {
            members.insert("Id".into(), json!(view.execution.to_string()));
        }
        Named::Operation(head) => {
            members.insert("Id".into(), json!(head.id));
            let optional =
                [("Name", &head.name), ("ParentId", &head.parent), ("SubType", &head.sub_type)];
            for (name, value) in optional {
                if let Some(value) = value {
                    members.insert(name.into(), json!(value));
                }
            }
        }
        Named::Nothing => {}
    }
    members.insert(format!("{event_type}Details"), details);
    Some(Value::Object(members))
}

/// Whom an event names by id.
enum Named<'a> {
    Execution,
    Operation(&'a Head),
    Nothing,
}

type Shown<'a> = Option<(&'static str, Named<'a>, Value)>;

fn life<'a>(view: &HistoryView<'_>, event: &'a LifeEvent<crate::Definition>) -> Shown<'a> {
    let (event_type, details) = match event {
        LifeEvent::Started { input, definition, .. } => (
            "ExecutionStarted",
            json!({ "Input": wrap(view, Some(input), Form::Text), "ExecutionTimeout": definition.execution_timeout_s }),
        ),
        LifeEvent::Ended { outcome, .. } | LifeEvent::EndShown { outcome } => match outcome {
            Outcome::Succeeded(result) => {
                ("ExecutionSucceeded", json!({ "Result": wrap(view, result.as_ref(), Form::Text) }))
            }
            Outcome::Failed(error) => ("ExecutionFailed", failure(view, error.as_ref())),
            Outcome::TimedOut(error) => ("ExecutionTimedOut", failure(view, error.as_ref())),
            Outcome::Stopped(error) => ("ExecutionStopped", failure(view, error.as_ref())),
        },
        LifeEvent::ParentTold => return None,
    };
    Some((event_type, Named::Execution, details))
}

fn work<'a>(view: &HistoryView<'_>, at: Timestamp, event: &'a Event) -> Shown<'a> {
    let named = Named::Operation;
    Some(match event {
        Event::InvocationCompleted { started, request_id, error, .. } => {
            let mut details = json!({
                "StartTimestamp": started.epoch_seconds(),
                "EndTimestamp": at.epoch_seconds(),
                "RequestId": request_id,
            });
            if let Some(error) = error {
                details["Error"] = wrap(view, Some(error), Form::Error);
            }
            ("InvocationCompleted", Named::Nothing, details)
        }
        Event::ContextStarted { head } => ("ContextStarted", named(head), json!({})),
        Event::ContextSucceeded { head, result, .. } => (
            "ContextSucceeded",
            named(head),
            json!({ "Result": wrap(view, result.as_ref(), Form::Text) }),
        ),
        Event::ContextFailed { head, error, .. } => {
            ("ContextFailed", named(head), failure(view, error.as_ref()))
        }
        Event::StepStarted { head } => ("StepStarted", named(head), json!({})),
        Event::StepSucceeded { head, result, attempt, next } => {
            let result = wrap(view, result.as_ref(), Form::Text);
            (
                "StepSucceeded",
                named(head),
                json!({ "Result": result, "RetryDetails": retry(*attempt, next.as_ref()) }),
            )
        }
        Event::StepFailed { head, error, attempt, next } => {
            let error = wrap(view, error.as_ref(), Form::Error);
            (
                "StepFailed",
                named(head),
                json!({ "Error": error, "RetryDetails": retry(*attempt, next.as_ref()) }),
            )
        }
        Event::WaitStarted { head, seconds, until } => (
            "WaitStarted",
            named(head),
            json!({ "Duration": seconds, "ScheduledEndTimestamp": until.epoch_seconds() }),
        ),
        Event::WaitSucceeded { head, seconds } => {
            ("WaitSucceeded", named(head), json!({ "Duration": seconds }))
        }
        Event::WaitCancelled { head } => ("WaitCancelled", named(head), json!({})),
        Event::CallbackStarted { head, timeout_s, heartbeat_s } => {
            let mut details =
                json!({ "CallbackId": callback_id(view.key, view.execution, head.number) });
            for (name, seconds) in [("Timeout", timeout_s), ("HeartbeatTimeout", heartbeat_s)] {
                if *seconds > 0 {
                    details[name] = json!(seconds);
                }
            }
            ("CallbackStarted", named(head), details)
        }
        Event::CallbackSucceeded { head, result } => (
            "CallbackSucceeded",
            named(head),
            json!({ "Result": wrap(view, result.as_ref(), Form::Text) }),
        ),
        Event::CallbackFailed { head, error } => {
            ("CallbackFailed", named(head), failure(view, error.as_ref()))
        }
        Event::CallbackTimedOut { head, error } => {
            ("CallbackTimedOut", named(head), failure(view, Some(error)))
        }
        Event::ChainedInvokeStarted { head, function_name, tenant_id, input, link, .. } => {
            let details =
                chained_started(view, function_name, tenant_id.as_deref(), input.as_ref(), link);
            ("ChainedInvokeStarted", named(head), details)
        }
        Event::ChainedInvokeSucceeded { head, result } => (
            "ChainedInvokeSucceeded",
            named(head),
            json!({ "Result": wrap(view, result.as_ref(), Form::Text) }),
        ),
        Event::ChainedInvokeFailed { head, error } => {
            ("ChainedInvokeFailed", named(head), failure(view, error.as_ref()))
        }
        Event::ChainedInvokeTimedOut { head, error } => {
            ("ChainedInvokeTimedOut", named(head), failure(view, error.as_ref()))
        }
        Event::ChainedInvokeStopped { head, error } => {
            ("ChainedInvokeStopped", named(head), failure(view, error.as_ref()))
        }
        // These have no EventId and do not come here.
        Event::InvocationStarted { .. }
        | Event::InvocationLost { .. }
        | Event::StepReady { .. }
        | Event::CallbackHeartbeat { .. }
        | Event::ChainedInvokeChildStarted { .. } => return None,
    })
}

fn chained_started(
    view: &HistoryView<'_>,
    function_name: &str,
    tenant_id: Option<&str>,
    input: Option<&Payload>,
    link: &Link,
) -> Value {
    let mut details = json!({ "FunctionName": function_name });
    if let Some(tenant_id) = tenant_id {
        details["TenantId"] = json!(tenant_id);
    }
    if !matches!(link, Link::Nowhere) {
        details["Input"] = wrap(view, input, Form::Text);
    }
    match link {
        Link::Nowhere => {}
        Link::Invoke { target, .. } => {
            details["ExecutedVersion"] = json!(target.version.to_string())
        }
        Link::Child { target, execution, name } => {
            debug_assert!(
                matches!(target.kind, TargetKind::Durable { .. }),
                "a child has a durable target"
            );
            details["ExecutedVersion"] = json!(target.version.to_string());
            if let Ok(name) = name.parse() {
                let arn = ExecutionArn::new(&target.function, target.version, name, *execution);
                details["DurableExecutionArn"] = json!(arn.to_string());
            }
        }
    }
    details
}

#[derive(Clone, Copy)]
enum Form {
    Text,
    Error,
}

/// A payload in the wrapper that all events use. What is left out on request is marked; what never was stays absent.
fn wrap(view: &HistoryView<'_>, payload: Option<&Payload>, form: Form) -> Value {
    match payload {
        None => json!({ "Truncated": false }),
        Some(_) if !view.include_data => json!({ "Truncated": true }),
        Some(payload) => {
            let text = (view.text)(payload);
            let payload = match form {
                Form::Text => json!(text),
                Form::Error => error_value(&text),
            };
            json!({ "Payload": payload, "Truncated": false })
        }
    }
}

fn failure(view: &HistoryView<'_>, error: Option<&Payload>) -> Value {
    json!({ "Error": wrap(view, error, Form::Error) })
}

fn retry(attempt: u64, next: Option<&NextAttempt>) -> Value {
    let mut details = json!({ "CurrentAttempt": attempt });
    if let Some(next) = next {
        details["NextAttemptDelaySeconds"] = json!(next.delay_s);
    }
    details
}
