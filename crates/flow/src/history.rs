//! The public history: each journal record is shown as one event.

use crate::{definition::Action, event::Event, failure::Failure, state::Flow, token::Tokens};
use durastack_engine::{Event as Recorded, LifeEvent, Outcome, Payload, Record};
use serde_json::{Map, Value, json};

/// Everything that rendering needs beside the record.
#[derive(Clone, Copy)]
pub struct HistoryView<'a> {
    /// The definition that the execution runs.
    pub definition: &'a crate::Definition,
    /// Makes task tokens.
    pub tokens: Tokens<'a>,
    /// Finds the text of a payload.
    pub text: &'a dyn Fn(&Payload) -> String,
}

impl std::fmt::Debug for HistoryView<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HistoryView").field("tokens", &self.tokens).finish_non_exhaustive()
    }
}

/// The record as the API shows it; nothing if the public history does not show it.
///
/// `EventDetail` is a text that holds a JSON object. An end hangs on the event before it.
#[must_use]
pub fn public_event(view: &HistoryView<'_>, record: &Record<Flow>) -> Option<Value> {
    let event_id = record.event_id?;
    let (step, kind, schedule, detail) = match &record.event {
        Recorded::Life(event) => {
            let (kind, detail) = life(view, event)?;
            ("", kind, event_id - 1, detail)
        }
        Recorded::Work(event) => {
            let head = event.head();
            (head.step.as_str(), event.type_name(), head.schedule, work(view, event))
        }
    };
    Some(json!({
        "EventId": event_id,
        "Type": kind,
        "StepName": step,
        "ScheduleEventId": schedule,
        "EventDetail": view.tokens.reveal(&detail.to_string()),
        "Time": record.at.iso(),
    }))
}

fn life(
    view: &HistoryView<'_>,
    event: &LifeEvent<crate::Definition>,
) -> Option<(&'static str, Value)> {
    let outcome = match event {
        LifeEvent::Started { input, .. } => {
            return Some(("ExecutionStarted", json!({ "input": document(view, input) })));
        }
        LifeEvent::Ended { outcome, .. } | LifeEvent::EndShown { outcome } => outcome,
        LifeEvent::ParentTold => return None,
    };
    let kind = match outcome {
        Outcome::Succeeded(output) => {
            let output = output.as_ref().map_or_else(|| json!({}), |output| document(view, output));
            return Some(("ExecutionSucceeded", json!({ "output": output })));
        }
        Outcome::Failed(_) => "ExecutionFailed",
        Outcome::TimedOut(_) => "ExecutionTimedOut",
        Outcome::Stopped(_) => "ExecutionStopped",
    };
    let failure = Failure::of_outcome(outcome)?;
    Some((kind, failure_detail(&failure)))
}

/// A payload as JSON; a text that is none stays a text.
fn document(view: &HistoryView<'_>, payload: &Payload) -> Value {
    let text = (view.text)(payload);
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}

fn failure_detail(failure: &Failure) -> Value {
    json!({ "error": failure.error, "cause": failure.cause })
}

fn work(view: &HistoryView<'_>, event: &Event) -> Value {
    match event {
        Event::StepEntered { input, local, .. } => json!({ "input": **input, "local": **local }),
        Event::StepStarted { input, .. } => json!({ "input": **input }),
        Event::StepSucceeded { output, .. }
        | Event::TaskSubmitted { output, .. }
        | Event::TaskSucceeded { output, .. } => json!({ "output": output }),
        Event::StepFailed { failure, .. }
        | Event::TaskSubmitFailed { failure, .. }
        | Event::TaskFailed { failure, .. }
        | Event::TaskTimedOut { failure, .. } => failure_detail(failure),
        Event::StepExited { local, .. } => json!({ "local": **local }),
        Event::TaskScheduled { head, input, .. } => scheduled(view, &head.step, input),
        Event::TaskStarted { .. } => json!({}),
        Event::BranchEntered { index, input, .. }
        | Event::IterationEntered { index, input, .. } => {
            json!({ "index": index, "input": input, "local": {} })
        }
        Event::BranchExited { local, .. } | Event::IterationExited { local, .. } => {
            json!({ "local": local })
        }
    }
}

fn scheduled(view: &HistoryView<'_>, step: &str, input: &Value) -> Value {
    let mut detail = Map::from_iter([("input".to_owned(), input.clone())]);
    let steps = view.definition.steps();
    let task = steps.place(step).map(|place| &steps.step(place).action);
    if let Some(Action::Task(task)) = task {
        let member = if task.resource.starts_with("acs:") { "resourceArn" } else { "action" };
        detail.insert(member.to_owned(), json!(task.resource));
        detail.insert("pattern".to_owned(), json!(task.pattern.as_str()));
        if let Some(seconds) = task.timeout_s {
            detail.insert("timeoutSeconds".to_owned(), json!(seconds));
        }
    }
    Value::Object(detail)
}
