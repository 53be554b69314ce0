//! The journal's format: one example of every event ever written, which every later version reads.

use durastack_clock::Timestamp;
use durastack_engine::{Event as Recorded, LifeEvent, Outcome, Payload, Record};
use durastack_flow::{
    Definition, Event, Failure, Flow, FunctionTarget, Head, Next, Request, Running, Then,
};
use durastack_names::ExecutionId;
use serde_json::{Value, json};
use std::{fs, path::PathBuf, sync::Arc};

const AT: Timestamp = Timestamp::from_millis(1_767_225_600_000);

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/journal/v1/flow")
}

fn data() -> Value {
    json!({ "amount": 9.5, "tags": ["a"] })
}

fn work_examples() -> Vec<(&'static str, Event)> {
    let head = || Head { strand: 4, step: "pay".into(), schedule: 7 };
    let failure = || Failure { error: "CardDeclined".into(), cause: "no funds".into() };
    let input = || Arc::new(data());
    let started = |running| Event::StepStarted { head: head(), input: input(), running };
    let exited =
        |next| Event::StepExited { head: head(), local: Arc::new(json!({ "a": 1 })), next };
    let scheduled =
        |request| Event::TaskScheduled { head: head(), input: input(), attempt: 2, request };
    let failed = |then| Event::TaskFailed { head: head(), failure: failure(), then };
    let function = FunctionTarget {
        arn: "acs:fc:cn-hangzhou:1:services/shop.prod/functions/charge".into(),
        region: "cn-hangzhou".into(),
        account: "1".into(),
        service: Some("shop".into()),
        function: "charge".into(),
        qualifier: Some("prod".into()),
    };
    let flow = Request::StartFlow {
        flow: "refund".into(),
        name: "r-1".into(),
        id: ExecutionId::from_bytes([7; 16]),
        input: r#"{"amount":9.5}"#.into(),
        request_id: "00000000-0000-4000-8000-000000000000".into(),
    };
    vec![
        (
            "StepEntered",
            Event::StepEntered { head: head(), input: input(), local: Arc::new(json!({})) },
        ),
        ("StepStarted-plain", started(Running::Plain)),
        ("StepStarted-wait", started(Running::Wait { until: AT })),
        ("StepStarted-choice", started(Running::Choice { way: Some(1) })),
        ("StepStarted-choice-none", started(Running::Choice { way: None })),
        ("StepStarted-several", started(Running::Several { count: 3 })),
        ("StepSucceeded", Event::StepSucceeded { head: head(), output: json!({ "ok": true }) }),
        ("StepFailed", Event::StepFailed { head: head(), failure: failure() }),
        ("StepExited-step", exited(Next::Step("ship".into()))),
        ("StepExited-list", exited(Next::EndOfList)),
        ("StepExited-strand", exited(Next::EndOfStrand)),
        ("TaskScheduled-function", scheduled(Request::Function(function))),
        ("TaskScheduled-flow", scheduled(flow)),
        ("TaskScheduled-unfit", scheduled(Request::Unfit(failure()))),
        ("TaskStarted", Event::TaskStarted { head: head(), timeout: None }),
        ("TaskStarted-timeout", Event::TaskStarted { head: head(), timeout: Some(AT) }),
        ("TaskSubmitted", Event::TaskSubmitted { head: head(), output: json!({}) }),
        (
            "TaskSubmitFailed",
            Event::TaskSubmitFailed { head: head(), failure: failure(), then: Then::Fail },
        ),
        ("TaskSucceeded", Event::TaskSucceeded { head: head(), output: json!({ "id": "t-1" }) }),
        ("TaskFailed-retry", failed(Then::Retry { entry: 1, due: AT })),
        ("TaskFailed-catch", failed(Then::Catch { goto: "refund".into() })),
        ("TaskFailed-fail", failed(Then::Fail)),
        (
            "TaskTimedOut",
            Event::TaskTimedOut { head: head(), failure: failure(), then: Then::Fail },
        ),
        ("BranchEntered", Event::BranchEntered { head: head(), index: 1, input: data() }),
        ("BranchExited", Event::BranchExited { head: head(), index: 1, local: json!({ "a": 1 }) }),
        ("IterationEntered", Event::IterationEntered { head: head(), index: 2, input: data() }),
        (
            "IterationExited",
            Event::IterationExited { head: head(), index: 2, local: json!({ "a": 1 }) },
        ),
    ]
}

fn examples() -> Vec<(&'static str, Record<Flow>)> {
    let text = "version: v1\ntype: flow\nsteps: [{type: pass, name: pay}]\n";
    let started = LifeEvent::Started {
        id: ExecutionId::from_bytes([1; 16]),
        name: "e-1".into(),
        scope: "s".into(),
        version: String::new(),
        timeout_ms: Some(60_000),
        retention_ms: None,
        parent: None,
        input: Payload::Inline("{}".into()),
        definition: Definition::parse("shop", text).unwrap(),
    };
    let ended = LifeEvent::Ended {
        outcome: Outcome::Failed(Some(Failure::new("Oops", "because").payload())),
        hidden: false,
    };
    let record = |event| Record { sequence: 5, at: AT, event_id: Some(5), event };
    let life = [("Started", started), ("Ended", ended)];
    let life = life.into_iter().map(|(name, event)| (name, record(Recorded::Life(event))));
    let work =
        work_examples().into_iter().map(|(name, event)| (name, record(Recorded::Work(event))));
    life.chain(work).collect()
}

/// `UPDATE_FIXTURES=1` writes the examples that are missing; it never changes one.
#[test]
fn every_event_ever_written_is_read() {
    let examples = examples();
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        fs::create_dir_all(folder()).unwrap();
        for (name, record) in &examples {
            let path = folder().join(format!("{name}.json"));
            if !path.exists() {
                fs::write(path, record.encode()).unwrap();
            }
        }
    }
    for (name, record) in &examples {
        let path = folder().join(format!("{name}.json"));
        let bytes = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let read = Record::<Flow>::decode(5, &bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(format!("{read:?}"), format!("{record:?}"), "{name}");
    }
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        assert!(Record::<Flow>::decode(5, &bytes).is_ok(), "{}", path.display());
    }
}

/// A new variant fails to compile here, which says that it needs an example.
#[test]
fn every_event_has_an_example() {
    let names: Vec<_> = work_examples().into_iter().map(|(_, event)| event.type_name()).collect();
    for (_, event) in work_examples() {
        let wanted = match event {
            Event::StepEntered { .. } => "StepEntered",
            Event::StepStarted { .. } => "StepStarted",
            Event::StepSucceeded { .. } => "StepSucceeded",
            Event::StepFailed { .. } => "StepFailed",
            Event::StepExited { .. } => "StepExited",
            Event::TaskScheduled { .. } => "TaskScheduled",
            Event::TaskStarted { .. } => "TaskStarted",
            Event::TaskSubmitted { .. } => "TaskSubmitted",
            Event::TaskSubmitFailed { .. } => "TaskSubmitFailed",
            Event::TaskSucceeded { .. } => "TaskSucceeded",
            Event::TaskFailed { .. } => "TaskFailed",
            Event::TaskTimedOut { .. } => "TaskTimedOut",
            Event::BranchEntered { .. } => "BranchEntered",
            Event::BranchExited { .. } => "BranchExited",
            Event::IterationEntered { .. } => "IterationEntered",
            Event::IterationExited { .. } => "IterationExited",
        };
        assert!(names.contains(&wanted));
    }
    assert_eq!(names.iter().collect::<std::collections::BTreeSet<_>>().len(), 16);
}
