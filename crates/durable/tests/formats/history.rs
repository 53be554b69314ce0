//! The public history, event by event.

use crate::samples::{self, ID};
use durastack_durable::{HistoryView, payloads_of, public_event};
use durastack_engine::{Payload, TokenKey};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn text(payload: &Payload) -> String {
    payload.inline().map_or_else(|| "a long text".to_owned(), str::to_owned)
}

fn show(
    record: &durastack_engine::Record<durastack_durable::Durable>,
    include_data: bool,
) -> Option<Value> {
    let key = TokenKey::new(&[1; 32]);
    let view = HistoryView { execution: ID, include_data, key: &key, text: &text };
    public_event(&view, record)
}

#[test]
fn each_event_is_shown_as_the_api_has_it() {
    let mut types = BTreeSet::new();
    for (name, event) in samples::all() {
        let record = samples::record(event);
        let (whole, bare) = (show(&record, true), show(&record, false));
        assert_eq!(whole.is_some(), record.event_id.is_some(), "{name}");
        let Some(whole) = whole else { continue };
        types.extend(whole["EventType"].as_str().map(str::to_owned));
        let path = samples::folder("history").join(format!("{name}.json"));
        samples::check(&path, &json!({ "with data": whole, "without data": bare }));
    }
    // Of the model's 26 types all but ExecutionPaused and ExecutionResumed.
    assert_eq!(types.len(), 24, "{types:?}");
}

/// Source: API model, the members that each type's details require.
const REQUIRED: [(&str, &[&str]); 24] = [
    ("ExecutionStarted", &["Input", "ExecutionTimeout"]),
    ("ExecutionSucceeded", &["Result"]),
    ("ExecutionFailed", &["Error"]),
    ("ExecutionTimedOut", &[]),
    ("ExecutionStopped", &["Error"]),
    ("InvocationCompleted", &["StartTimestamp", "EndTimestamp", "RequestId"]),
    ("StepStarted", &[]),
    ("StepSucceeded", &["Result", "RetryDetails"]),
    ("StepFailed", &["Error", "RetryDetails"]),
    ("WaitStarted", &["Duration", "ScheduledEndTimestamp"]),
    ("WaitSucceeded", &[]),
    ("WaitCancelled", &[]),
    ("CallbackStarted", &["CallbackId"]),
    ("CallbackSucceeded", &["Result"]),
    ("CallbackFailed", &["Error"]),
    ("CallbackTimedOut", &["Error"]),
    ("ChainedInvokeStarted", &["FunctionName"]),
    ("ChainedInvokeSucceeded", &["Result"]),
    ("ChainedInvokeFailed", &["Error"]),
    ("ChainedInvokeTimedOut", &["Error"]),
    ("ChainedInvokeStopped", &["Error"]),
    ("ContextStarted", &[]),
    ("ContextSucceeded", &["Result"]),
    ("ContextFailed", &["Error"]),
];

#[test]
fn required_members_are_always_there() {
    for (name, event) in samples::all() {
        let record = samples::record(event);
        for include_data in [true, false] {
            let Some(shown) = show(&record, include_data) else { continue };
            let shape = shown["EventType"].as_str().expect("a type");
            let (_, required) =
                REQUIRED.iter().find(|(known, _)| *known == shape).expect("a known type");
            let details = &shown[format!("{shape}Details")];
            assert!(details.is_object(), "{name}");
            for member in *required {
                assert!(details.get(member).is_some(), "{name}: {member}");
            }
            let others = shown.as_object().expect("an object").keys();
            assert_eq!(others.filter(|key| key.ends_with("Details")).count(), 1, "{name}");
        }
    }
}

/// What `IncludeExecutionData=false` leaves out is marked; what never was is absent and not marked.
#[test]
fn data_is_left_out_on_request_alone() {
    for (name, event) in samples::all() {
        let record = samples::record(event);
        let Some(bare) = show(&record, false) else { continue };
        let text = bare.to_string();
        assert!(!text.contains("\"Payload\""), "{name}: {text}");
        let has_payload = !payloads_of(&record).is_empty();
        assert_eq!(text.contains("\"Truncated\":true"), has_payload, "{name}: {text}");
        let whole = show(&record, true).expect("as above").to_string();
        assert_eq!(whole.contains("\"Payload\""), has_payload, "{name}: {whole}");
        assert!(!whole.contains("\"Truncated\":true"), "{name}: {whole}");
    }
}
