//! One of each event, with every member in use somewhere.

use durastack_clock::Timestamp;
use durastack_durable::{
    Definition, Durable, Event, Head, Link, NextAttempt, RetryPolicy, Target, TargetKind, Then,
};
use durastack_engine::{Blob, Event as Recorded, LifeEvent, Outcome, Parent, Payload, Record};
use durastack_names::{ExecutionId, Version};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

pub(crate) const AT: Timestamp = Timestamp::from_millis(1_800_000_000_123);
pub(crate) const ID: ExecutionId = ExecutionId::from_bytes([0x11; 16]);
pub(crate) const CHILD: ExecutionId = ExecutionId::from_bytes([0x22; 16]);
const REQUEST: &str = "0c9d4f0e-6b1f-4a53-9d33-5f8b0a3e7c11";

pub(crate) type Any = Recorded<Event, Definition>;

pub(crate) fn definition() -> Definition {
    Definition {
        function: "arn:aws:lambda:eu-west-1:000000000000:function:order".parse().expect("an ARN"),
        version: Version::Number(7),
        execution_timeout_s: 3_600,
        retention_days: 14,
        kms_key_arn: Some("arn:aws:kms:eu-west-1:000000000000:key/k".to_owned()),
        asynchronous: true,
        tenant_id: Some("tenant".to_owned()),
        trace_header: Some("Root=1-2-3".to_owned()),
        retries: RetryPolicy::default(),
    }
}

fn target(kind: TargetKind) -> Target {
    Target {
        function: "arn:aws:lambda:eu-west-1:000000000000:function:price".parse().expect("an ARN"),
        scope: "incarnation".to_owned(),
        version: Version::Number(3),
        kind,
    }
}

pub(crate) fn head(number: u64) -> Head {
    Head {
        number,
        id: format!("op-{number}"),
        parent: Some("op-1".to_owned()),
        name: Some("a name".to_owned()),
        sub_type: Some("Sub".to_owned()),
    }
}

pub(crate) fn bare(number: u64) -> Head {
    Head { number, id: format!("op-{number}"), parent: None, name: None, sub_type: None }
}

pub(crate) fn text(text: &str) -> Option<Payload> {
    Some(Payload::Inline(text.to_owned()))
}

pub(crate) fn error() -> Option<Payload> {
    text(r#"{"ErrorMessage":"no","ErrorType":"ValueError","ErrorData":"d","StackTrace":["a","b"]}"#)
}

fn completed(error: Option<Payload>, then: Then) -> Event {
    Event::InvocationCompleted {
        number: 2,
        started: Timestamp::from_millis(1_800_000_000_000),
        request_id: REQUEST.to_owned(),
        error,
        then,
    }
}

fn chained(link: Link, input: Option<Payload>) -> Event {
    Event::ChainedInvokeStarted {
        head: head(5),
        function_name: "price:3".to_owned(),
        tenant_id: Some("tenant".to_owned()),
        trace_header: Some("Root=1-2-3".to_owned()),
        input,
        link: Box::new(link),
    }
}

fn started(input: Payload, parent: Option<Parent>) -> LifeEvent<Definition> {
    LifeEvent::Started {
        id: ID,
        name: "order-1".to_owned(),
        scope: "incarnation".to_owned(),
        version: "7".to_owned(),
        timeout_ms: Some(3_600_000),
        retention_ms: Some(1_209_600_000),
        parent,
        input,
        definition: definition(),
    }
}

/// Every event under the name of its file: the variant's, and what is special about it behind a dot.
pub(crate) fn all() -> Vec<(&'static str, Any)> {
    let life: Vec<(&str, LifeEvent<Definition>)> = vec![
        ("Started", started(Payload::Inline("{\"a\":1}".to_owned()), None)),
        (
            "Started.child",
            started(
                Payload::Blob(Blob { sha256: [9; 32], length: 70_000 }),
                Some(Parent { execution: CHILD, operation: 5 }),
            ),
        ),
        ("Ended", LifeEvent::Ended { outcome: Outcome::Succeeded(text("\"x\"")), hidden: false }),
        (
            "Ended.without-result",
            LifeEvent::Ended { outcome: Outcome::Succeeded(None), hidden: false },
        ),
        ("Ended.hidden", LifeEvent::Ended { outcome: Outcome::Succeeded(text("1")), hidden: true }),
        ("Ended.failed", LifeEvent::Ended { outcome: Outcome::Failed(error()), hidden: false }),
        (
            "Ended.failed-without-error",
            LifeEvent::Ended { outcome: Outcome::Failed(None), hidden: false },
        ),
        (
            "Ended.timed-out",
            LifeEvent::Ended { outcome: Outcome::TimedOut(error()), hidden: false },
        ),
        (
            "Ended.stopped",
            LifeEvent::Ended { outcome: Outcome::Stopped(text("{}")), hidden: false },
        ),
        ("EndShown", LifeEvent::EndShown { outcome: Outcome::Failed(error()) }),
        ("ParentTold", LifeEvent::ParentTold),
    ];
    let next = Some(NextAttempt { delay_s: 5, at: Timestamp::from_millis(1_800_000_005_123) });
    let durable =
        TargetKind::Durable { execution_timeout_s: 60, retention_days: 3, kms_key_arn: None };
    let keyed = TargetKind::Durable {
        execution_timeout_s: 60,
        retention_days: 3,
        kms_key_arn: Some("arn:aws:kms:eu-west-1:000000000000:key/k".to_owned()),
    };
    let child =
        |kind| Link::Child { target: target(kind), execution: CHILD, name: "child-1".to_owned() };
    let plain = Link::Invoke { target: target(TargetKind::Plain), request_id: REQUEST.to_owned() };
    let work = vec![
        (
            "InvocationStarted",
            Event::InvocationStarted { number: 2, request_id: REQUEST.to_owned() },
        ),
        ("InvocationLost", Event::InvocationLost { number: 2 }),
        ("InvocationCompleted", completed(None, Then::Suspend)),
        ("InvocationCompleted.again", completed(None, Then::Again)),
        ("InvocationCompleted.end", completed(None, Then::End)),
        ("InvocationCompleted.retry-at", completed(error(), Then::RetryAt(AT))),
        ("InvocationCompleted.retry-now", completed(error(), Then::RetryNow)),
        ("InvocationCompleted.nothing-pending", completed(error(), Then::NothingPending)),
        ("ContextStarted", Event::ContextStarted { head: bare(1) }),
        (
            "ContextSucceeded",
            Event::ContextSucceeded { head: bare(1), result: text("1"), replay_children: true },
        ),
        (
            "ContextFailed",
            Event::ContextFailed { head: bare(1), error: error(), replay_children: false },
        ),
        ("StepStarted", Event::StepStarted { head: head(2) }),
        (
            "StepSucceeded",
            Event::StepSucceeded { head: head(2), result: text("1"), attempt: 2, next: None },
        ),
        (
            "StepSucceeded.repeated",
            Event::StepSucceeded { head: head(2), result: None, attempt: 1, next },
        ),
        ("StepFailed", Event::StepFailed { head: head(2), error: error(), attempt: 3, next: None }),
        ("StepFailed.repeated", Event::StepFailed { head: head(2), error: None, attempt: 1, next }),
        ("StepReady", Event::StepReady { number: 2 }),
        (
            "WaitStarted",
            Event::WaitStarted {
                head: head(3),
                seconds: 5,
                until: Timestamp::from_millis(1_800_000_005_123),
            },
        ),
        ("WaitSucceeded", Event::WaitSucceeded { head: head(3), seconds: 5 }),
        ("WaitCancelled", Event::WaitCancelled { head: head(3) }),
        (
            "CallbackStarted",
            Event::CallbackStarted { head: head(4), timeout_s: 60, heartbeat_s: 10 },
        ),
        (
            "CallbackStarted.without-limits",
            Event::CallbackStarted { head: bare(4), timeout_s: 0, heartbeat_s: 0 },
        ),
        ("CallbackHeartbeat", Event::CallbackHeartbeat { number: 4 }),
        (
            "CallbackSucceeded",
            Event::CallbackSucceeded { head: head(4), result: text("raw, not JSON") },
        ),
        (
            "CallbackSucceeded.without-result",
            Event::CallbackSucceeded { head: head(4), result: None },
        ),
        ("CallbackFailed", Event::CallbackFailed { head: head(4), error: error() }),
        (
            "CallbackTimedOut",
            Event::CallbackTimedOut {
                head: head(4),
                error: Payload::Inline(
                    r#"{"ErrorMessage":"Callback timed out","ErrorType":"Callback.Timeout"}"#
                        .to_owned(),
                ),
            },
        ),
        ("ChainedInvokeStarted", chained(child(durable), text("1"))),
        ("ChainedInvokeStarted.with-key", chained(child(keyed), text("1"))),
        ("ChainedInvokeStarted.plain", chained(plain, text("1"))),
        ("ChainedInvokeStarted.nowhere", chained(Link::Nowhere, None)),
        ("ChainedInvokeChildStarted", Event::ChainedInvokeChildStarted { number: 5 }),
        (
            "ChainedInvokeSucceeded",
            Event::ChainedInvokeSucceeded { head: head(5), result: text("null") },
        ),
        ("ChainedInvokeFailed", Event::ChainedInvokeFailed { head: head(5), error: error() }),
        ("ChainedInvokeTimedOut", Event::ChainedInvokeTimedOut { head: head(5), error: error() }),
        ("ChainedInvokeStopped", Event::ChainedInvokeStopped { head: head(5), error: text("{}") }),
    ];
    let life = life.into_iter().map(|(name, event)| (name, Recorded::Life(event)));
    life.chain(work.into_iter().map(|(name, event)| (name, Recorded::Work(event)))).collect()
}

pub(crate) fn record(event: Any) -> Record<Durable> {
    let shown = match &event {
        Recorded::Life(LifeEvent::Started { .. } | LifeEvent::EndShown { .. }) => true,
        Recorded::Life(LifeEvent::Ended { hidden, .. }) => !hidden,
        Recorded::Life(LifeEvent::ParentTold) => false,
        Recorded::Work(event) => event.is_public(),
    };
    Record { sequence: 3, at: AT, event_id: shown.then_some(2), event }
}

pub(crate) fn folder(area: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(area)
}

/// Compares a value with the file, or writes the file if `GOLDEN_UPDATE` is set.
pub(crate) fn check(path: &Path, actual: &Value) {
    let printed = serde_json::to_string_pretty(actual).expect("JSON") + "\n";
    if std::env::var_os("GOLDEN_UPDATE").is_some() {
        fs::write(path, printed).expect("a writable folder");
        return;
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    assert!(
        printed == expected,
        "{}\n--- expected\n{expected}\n--- actual\n{printed}",
        path.display()
    );
}
