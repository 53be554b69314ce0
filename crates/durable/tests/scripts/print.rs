//! How scripts show what happened: short, but with every member that matters.

use durastack_clock::Timestamp;
use durastack_durable::{
    Call, Detail, Durable, Event, Head, Link, NextAttempt, Operation, Then, TimerKey,
};
use durastack_engine::{
    Event as Recorded, Execution, LifeEvent, Outcome, Owed, Payload, Record, Timer,
};
use std::time::Duration;

/// A record: its public number or a dash, its type, and its details.
pub(crate) fn record(record: &Record<Durable>) -> String {
    let number = record.event_id.map_or_else(|| "-".to_owned(), |id| id.to_string());
    let text = match &record.event {
        Recorded::Life(event) => life(event),
        Recorded::Work(event) => work(record.at, event),
    };
    format!("{number} {text}")
}

fn life(event: &LifeEvent<durastack_durable::Definition>) -> String {
    match event {
        LifeEvent::Started { input, timeout_ms, parent, .. } => {
            let timeout = span(Duration::from_millis(timeout_ms.unwrap_or_default()));
            let parent = parent.map_or("", |_| " of a parent");
            format!("ExecutionStarted{} timeout={timeout}{parent}", some(Some(input)))
        }
        LifeEvent::Ended { outcome, hidden: false } | LifeEvent::EndShown { outcome } => {
            end(outcome)
        }
        LifeEvent::Ended { outcome, hidden: true } => format!("hidden {}", end(outcome)),
        LifeEvent::ParentTold => "ParentTold".to_owned(),
    }
}

fn end(outcome: &Outcome) -> String {
    format!("Execution{:?}{}", outcome.status(), some(outcome.payload()))
}

fn work(at: Timestamp, event: &Event) -> String {
    match event {
        Event::InvocationStarted { number, .. } => format!("InvocationStarted {number}"),
        Event::InvocationLost { number } => format!("InvocationLost {number}"),
        Event::InvocationCompleted { number, error, then, .. } => {
            let then = match then {
                Then::RetryAt(due) => format!("RetryAt +{}", span(due.since(at))),
                Then::Suspend | Then::Again | Then::End | Then::RetryNow | Then::NothingPending => {
                    format!("{then:?}")
                }
            };
            format!("InvocationCompleted {number}{} then {then}", some(error.as_ref()))
        }
        Event::ContextStarted { head } => format!("ContextStarted {}", whole(head)),
        Event::ContextSucceeded { head, result, replay_children } => {
            let replay = if *replay_children { " replay=children" } else { "" };
            format!("ContextSucceeded {}{}{replay}", short(head), some(result.as_ref()))
        }
        Event::ContextFailed { head, error, replay_children } => {
            let replay = if *replay_children { " replay=children" } else { "" };
            format!("ContextFailed {}{}{replay}", short(head), some(error.as_ref()))
        }
        Event::StepStarted { head } => format!("StepStarted {}", whole(head)),
        Event::StepSucceeded { head, result, attempt, next } => {
            format!(
                "StepSucceeded {}{} #{attempt}{}",
                short(head),
                some(result.as_ref()),
                retry(*next)
            )
        }
        Event::StepFailed { head, error, attempt, next } => {
            format!("StepFailed {}{} #{attempt}{}", short(head), some(error.as_ref()), retry(*next))
        }
        Event::StepReady { number } => format!("StepReady of {number}"),
        Event::WaitStarted { head, seconds, until } => {
            format!("WaitStarted {} for {seconds}s until +{}", whole(head), span(until.since(at)))
        }
        Event::WaitSucceeded { head, seconds } => {
            format!("WaitSucceeded {} {seconds}s", short(head))
        }
        Event::WaitCancelled { head } => format!("WaitCancelled {}", short(head)),
        Event::CallbackStarted { head, timeout_s, heartbeat_s } => {
            format!("CallbackStarted {} timeout={timeout_s} heartbeat={heartbeat_s}", whole(head))
        }
        Event::CallbackHeartbeat { number } => format!("CallbackHeartbeat of {number}"),
        Event::CallbackSucceeded { head, result } => {
            format!("CallbackSucceeded {}{}", short(head), some(result.as_ref()))
        }
        Event::CallbackFailed { head, error } => {
            format!("CallbackFailed {}{}", short(head), some(error.as_ref()))
        }
        Event::CallbackTimedOut { head, error } => {
            format!("CallbackTimedOut {}{}", short(head), some(Some(error)))
        }
        Event::ChainedInvokeStarted {
            head,
            function_name,
            tenant_id,
            trace_header,
            input,
            link,
            ..
        } => {
            let link = match **link {
                Link::Nowhere => "nowhere",
                Link::Invoke { .. } => "a function",
                Link::Child { .. } => "a child",
            };
            let extra = [("tenant", tenant_id), ("trace", trace_header)]
                .into_iter()
                .filter_map(|(name, value)| Some(format!(" {name}={}", value.as_ref()?)))
                .collect::<String>();
            format!(
                "ChainedInvokeStarted {} {function_name} -> {link}{}{extra}",
                whole(head),
                some(input.as_ref())
            )
        }
        Event::ChainedInvokeChildStarted { number } => {
            format!("ChainedInvokeChildStarted of {number}")
        }
        Event::ChainedInvokeSucceeded { head, result } => {
            format!("ChainedInvokeSucceeded {}{}", short(head), some(result.as_ref()))
        }
        Event::ChainedInvokeFailed { head, error } => {
            format!("ChainedInvokeFailed {}{}", short(head), some(error.as_ref()))
        }
        Event::ChainedInvokeTimedOut { head, error } => {
            format!("ChainedInvokeTimedOut {}{}", short(head), some(error.as_ref()))
        }
        Event::ChainedInvokeStopped { head, error } => {
            format!("ChainedInvokeStopped {}{}", short(head), some(error.as_ref()))
        }
    }
}

fn retry(next: Option<NextAttempt>) -> String {
    next.map(|next| format!(" next in {}s", next.delay_s)).unwrap_or_default()
}

fn short(head: &Head) -> &str {
    &head.id
}

fn whole(head: &Head) -> String {
    let mut text = head.id.clone();
    let members = [("name", &head.name), ("parent", &head.parent), ("sub", &head.sub_type)];
    for (member, value) in members {
        if let Some(value) = value {
            text += &format!(" {member}={value}");
        }
    }
    text
}

/// Absent payloads leave nothing; long ones leave their length.
fn some(payload: Option<&Payload>) -> String {
    match payload {
        None => String::new(),
        Some(Payload::Inline(text)) if text.len() <= 200 => {
            format!(" {text:?}").replace("\\\"", "'")
        }
        Some(payload) => format!(" ({} bytes)", payload.length()),
    }
}

/// `1d`, `90s`, `250ms`: the largest unit that leaves nothing over.
pub(crate) fn span(duration: Duration) -> String {
    let ms = duration.as_millis();
    [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")]
        .into_iter()
        .find(|(unit, _)| ms >= *unit && ms.is_multiple_of(*unit))
        .map_or_else(|| format!("{ms}ms"), |(unit, name)| format!("{}{name}", ms / unit))
}

/// When something is next due, and what.
pub(crate) fn deadline(execution: &Execution<Durable>, now: Timestamp) -> String {
    execution.next_deadline().map_or_else(
        || "nothing is due".to_owned(),
        |(due, timer)| {
            let what = match timer {
                Timer::Deadline => "execution timeout".to_owned(),
                Timer::Work(TimerKey::Wait(n)) => format!("wait {n}"),
                Timer::Work(TimerKey::Step(n)) => format!("attempt of step {n}"),
                Timer::Work(TimerKey::Callback(n)) => format!("timeout of callback {n}"),
                Timer::Work(TimerKey::Heartbeat(n)) => format!("heartbeat of callback {n}"),
                Timer::Work(TimerKey::Invocation) => "next invocation".to_owned(),
            };
            format!("in {}: {what}", span(due.since(now)))
        },
    )
}

pub(crate) fn owed(owed: &Owed<Durable>) -> String {
    match owed {
        Owed::Call { call: Call::Handler { number, .. }, .. } => format!("handler {number}"),
        Owed::Call { call: Call::Target { number, .. }, .. } => format!("target of {number}"),
        Owed::Child { start, key, .. } => {
            format!("child of {} with{}", key.number, some(Some(&start.input)))
        }
        Owed::Parent => "parent".to_owned(),
    }
}

/// An operation as the state has it.
pub(crate) fn operation(operation: &Operation, now: Timestamp) -> String {
    let mut text = format!("{} {}", operation.head.id, operation.status.word());
    match &operation.detail {
        Detail::Step { attempt, next_attempt, .. } => {
            text += &format!(" attempt={attempt}");
            if let Some(at) = next_attempt {
                text += &format!(" next in {}", span(at.since(now)));
            }
        }
        Detail::Wait { until, .. } if operation.ended.is_none() => {
            text += &format!(" {} to go", span(until.since(now)));
        }
        Detail::Context { .. }
        | Detail::Wait { .. }
        | Detail::Callback { .. }
        | Detail::ChainedInvoke { .. } => {}
    }
    for payload in operation.payloads() {
        text += &some(Some(payload));
    }
    let took = |ended: Timestamp| format!(" ended after {}", span(ended.since(operation.started)));
    text + &operation.ended.map(took).unwrap_or_default()
}
