//! The journal is a format for ever: whatever was once written is read by every later version.

use crate::samples::{self, Any};
use durastack_durable::{Durable, Event};
use durastack_engine::{BadRecord, Event as Recorded, LifeEvent, Record};
use serde_json::Value;
use std::{collections::BTreeSet, fs};

/// The variant's name. A new variant does not compile here; it also needs a sample and a file.
fn variant(event: &Any) -> &'static str {
    match event {
        Recorded::Life(event) => match event {
            LifeEvent::Started { .. } => "Started",
            LifeEvent::Ended { .. } => "Ended",
            LifeEvent::EndShown { .. } => "EndShown",
            LifeEvent::ParentTold => "ParentTold",
        },
        Recorded::Work(event) => match event {
            Event::InvocationStarted { .. } => "InvocationStarted",
            Event::InvocationLost { .. } => "InvocationLost",
            Event::InvocationCompleted { .. } => "InvocationCompleted",
            Event::ContextStarted { .. } => "ContextStarted",
            Event::ContextSucceeded { .. } => "ContextSucceeded",
            Event::ContextFailed { .. } => "ContextFailed",
            Event::StepStarted { .. } => "StepStarted",
            Event::StepSucceeded { .. } => "StepSucceeded",
            Event::StepFailed { .. } => "StepFailed",
            Event::StepReady { .. } => "StepReady",
            Event::WaitStarted { .. } => "WaitStarted",
            Event::WaitSucceeded { .. } => "WaitSucceeded",
            Event::WaitCancelled { .. } => "WaitCancelled",
            Event::CallbackStarted { .. } => "CallbackStarted",
            Event::CallbackHeartbeat { .. } => "CallbackHeartbeat",
            Event::CallbackSucceeded { .. } => "CallbackSucceeded",
            Event::CallbackFailed { .. } => "CallbackFailed",
            Event::CallbackTimedOut { .. } => "CallbackTimedOut",
            Event::ChainedInvokeStarted { .. } => "ChainedInvokeStarted",
            Event::ChainedInvokeChildStarted { .. } => "ChainedInvokeChildStarted",
            Event::ChainedInvokeSucceeded { .. } => "ChainedInvokeSucceeded",
            Event::ChainedInvokeFailed { .. } => "ChainedInvokeFailed",
            Event::ChainedInvokeTimedOut { .. } => "ChainedInvokeTimedOut",
            Event::ChainedInvokeStopped { .. } => "ChainedInvokeStopped",
        },
    }
}

/// How many variants [`variant`] names.
const VARIANTS: usize = 28;

/// With `JOURNAL_ADD` set in the environment, files that are missing are written; those that exist never change.
#[test]
fn everything_ever_written_is_read() {
    let folder = samples::folder("journal/v1/durable");
    if std::env::var_os("JOURNAL_ADD").is_some() {
        for (name, event) in samples::all() {
            let path = folder.join(format!("{name}.json"));
            if !path.exists() {
                let written = samples::record(event).encode();
                let value: Value = serde_json::from_slice(&written).expect("JSON");
                let text = serde_json::to_string_pretty(&value).expect("JSON") + "\n";
                fs::write(path, text).expect("a writable folder");
            }
        }
    }
    let mut seen = BTreeSet::new();
    for entry in fs::read_dir(folder).expect("the folder of examples") {
        let path = entry.expect("an entry").path();
        let bytes = fs::read(&path).expect("a readable file");
        let record = Record::<Durable>::decode(3, &bytes)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let again: Value = serde_json::from_slice(&record.encode()).expect("JSON");
        let before: Value = serde_json::from_slice(&bytes).expect("JSON");
        assert_eq!(again, before, "{}", path.display());
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        assert_eq!(name.split('.').next(), Some(variant(&record.event)));
        seen.insert(variant(&record.event));
    }
    assert_eq!(seen.len(), VARIANTS, "each variant has an example: {seen:?}");
}

#[test]
fn every_sample_is_on_file() {
    let folder = samples::folder("journal/v1/durable");
    for (name, event) in samples::all() {
        let bytes = fs::read(folder.join(format!("{name}.json"))).expect(name);
        let filed = Record::<Durable>::decode(3, &bytes).expect(name);
        assert_eq!(filed.event, event, "{name}");
    }
}

/// Members that came later have defaults, so that older records are read.
#[test]
fn records_without_optional_members_are_read() {
    let text = r#"{"v":1,"dialect":"durable","at":1,"event_id":2,"event":{"Work":
        {"ContextStarted":{"head":{"number":1,"id":"a"}}}}}"#;
    let record = Record::<Durable>::decode(3, text.as_bytes()).expect("a record");
    let Recorded::Work(Event::ContextStarted { head }) = record.event else { panic!("a context") };
    assert_eq!((head.parent, head.name, head.sub_type), (None, None, None));
}

#[test]
fn events_of_a_newer_durastack_are_refused() {
    let text = r#"{"v":1,"dialect":"durable","at":1,"event":{"Work":{"ExecutionPaused":{}}}}"#;
    let refused = Record::<Durable>::decode(3, text.as_bytes());
    assert!(matches!(refused, Err(BadRecord::Unreadable { sequence: 3, .. })));
}
