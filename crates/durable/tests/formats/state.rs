//! The state as handlers are told it: operations in both forms of time, and pages of them.

use crate::samples::{self, AT, ID};
use durastack_clock::{Entropy, Moment, Timestamp};
use durastack_durable::{
    Detail, Durable, Event, Link, Operation, OperationStatus, OperationsView, STATE_PAGE_BYTES,
    StateEntry, TimeForm, visible_page,
};
use durastack_engine::{
    Blob, Event as Recorded, Execution, Payload, Record, Start, Token, TokenKey, TokenKind,
};
use serde_json::{Value, json};
use std::time::Duration;

const LATER: Timestamp = Timestamp::from_millis(1_800_000_007_500);

fn text(payload: &Payload) -> String {
    payload.inline().map_or_else(|| "a long text".to_owned(), str::to_owned)
}

fn render(entry: &StateEntry, time: TimeForm, ahead: Duration) -> Value {
    let key = TokenKey::new(&[1; 32]);
    OperationsView { execution: ID, time, ahead, key: &key, text: &text }.entry(entry)
}

fn operation(number: u64, status: OperationStatus, detail: Detail) -> StateEntry {
    let ended = status.is_terminal().then_some(LATER);
    let head = samples::head(number);
    StateEntry::Operation(Box::new(Operation { head, status, started: AT, ended, detail }))
}

fn entries() -> Vec<(&'static str, StateEntry)> {
    use OperationStatus::{
        Cancelled, Failed, Pending, Ready, Started, Stopped, Succeeded, TimedOut,
    };
    let (some, error) = (samples::text("1"), samples::error());
    let step = |attempt, next_attempt, result: &Option<Payload>, error: &Option<Payload>| {
        Detail::Step { attempt, next_attempt, result: result.clone(), error: error.clone() }
    };
    let context = |replay_children, result: &Option<Payload>, error: &Option<Payload>| {
        Detail::Context { replay_children, result: result.clone(), error: error.clone() }
    };
    let callback = |result: &Option<Payload>, error: &Option<Payload>| Detail::Callback {
        heartbeat_s: 9,
        result: result.clone(),
        error: error.clone(),
    };
    let chained = |result: &Option<Payload>, error: &Option<Payload>| Detail::ChainedInvoke {
        link: Link::Nowhere,
        result: result.clone(),
        error: error.clone(),
    };
    let wait = || Detail::Wait { until: LATER, seconds: 7 };
    let execution = StateEntry::Execution {
        name: "order-1".to_owned(),
        started: AT,
        input: Payload::Inline("{\"a\":1}".to_owned()),
    };
    vec![
        ("execution", execution),
        ("step started", operation(2, Started, step(0, None, &None, &None))),
        ("step pending", operation(2, Pending, step(1, Some(LATER), &None, &error))),
        ("step pending with a state", operation(2, Pending, step(1, Some(LATER), &some, &None))),
        ("step ready", operation(2, Ready, step(1, None, &some, &None))),
        ("step succeeded", operation(2, Succeeded, step(2, None, &some, &None))),
        ("step failed", operation(2, Failed, step(2, None, &None, &error))),
        ("context started", operation(2, Started, context(false, &None, &None))),
        ("context succeeded", operation(2, Succeeded, context(false, &some, &None))),
        ("context with children", operation(2, Succeeded, context(true, &None, &None))),
        ("context failed", operation(2, Failed, context(false, &None, &error))),
        ("wait started", operation(3, Started, wait())),
        ("wait succeeded", operation(3, Succeeded, wait())),
        ("wait cancelled", operation(3, Cancelled, wait())),
        ("callback started", operation(4, Started, callback(&None, &None))),
        ("callback succeeded", operation(4, Succeeded, callback(&some, &None))),
        ("callback timed out", operation(4, TimedOut, callback(&None, &error))),
        ("chained invoke started", operation(5, Started, chained(&None, &None))),
        ("chained invoke succeeded", operation(5, Succeeded, chained(&some, &None))),
        ("chained invoke stopped", operation(5, Stopped, chained(&None, &error))),
    ]
}

#[test]
fn operations_are_shown_in_both_forms_of_time() {
    let show = |(name, entry): (&str, StateEntry)| {
        let envelope = render(&entry, TimeForm::EpochMillis, Duration::ZERO);
        let body = render(&entry, TimeForm::EpochSeconds, Duration::ZERO);
        (name.to_owned(), json!({ "in the envelope": envelope, "in a body": body }))
    };
    let shown: serde_json::Map<_, _> = entries().into_iter().map(show).collect();
    samples::check(&samples::folder("history").join("operations.json"), &shown.into());
}

/// Functions compare what they are told with their own clock, which nobody has turned.
#[test]
fn functions_are_told_wall_time() {
    let (_, entry) = entries().remove(2);
    let day = Duration::from_secs(86_400);
    let told = render(&entry, TimeForm::EpochMillis, day);
    assert_eq!(told["StartTimestamp"], json!(AT.millis() - 86_400_000));
    assert_eq!(told["StepDetails"]["NextAttemptTimestamp"], json!(LATER.millis() - 86_400_000));
}

#[test]
fn a_callback_id_names_its_execution_and_operation() {
    let entry = operation(
        4,
        OperationStatus::Started,
        Detail::Callback { heartbeat_s: 0, result: None, error: None },
    );
    let shown = render(&entry, TimeForm::EpochSeconds, Duration::ZERO);
    let id = shown["CallbackDetails"]["CallbackId"].as_str().expect("an id");
    let opened = TokenKey::new(&[1; 32]).open(TokenKind::Callback, id);
    let expected = Token { kind: TokenKind::Callback, execution: ID, number: 4, counter: 0 };
    assert_eq!(opened, Ok(expected));
}

/// An execution with this input and these results of steps, in bytes.
fn execution(input: u64, results: &[u64]) -> Execution<Durable> {
    let long = |length| Payload::Blob(Blob { sha256: [0; 32], length });
    let moment = Moment { now: AT, entropy: Entropy::seeded(1) };
    let (mut execution, _) = Execution::start(
        moment,
        Start {
            id: ID,
            name: "order-1".to_owned(),
            scope: "scope".to_owned(),
            version: "7".to_owned(),
            timeout: None,
            retention: None,
            parent: None,
            input: long(input),
            definition: samples::definition(),
        },
    );
    for (number, length) in (1..).zip(results) {
        let result = Some(long(*length));
        let event =
            Event::StepSucceeded { head: samples::bare(number), result, attempt: 1, next: None };
        let sequence = execution.sequence() + 1;
        execution.apply(&Record { sequence, at: AT, event_id: None, event: Recorded::Work(event) });
    }
    execution
}

fn page(
    execution: &Execution<Durable>,
    from: u64,
    count: usize,
    allow_none: bool,
) -> (Vec<u64>, Option<u64>) {
    let page = visible_page(execution, from, count, allow_none);
    (page.positions, page.next)
}

#[test]
fn the_first_entry_may_be_too_large_for_an_envelope() {
    let large = execution(STATE_PAGE_BYTES + 1, &[1, 1]);
    assert_eq!(page(&large, 0, usize::MAX, true), (vec![], Some(0)));
    // Then the handler asks for it, and gets it alone.
    assert_eq!(page(&large, 0, 100, false), (vec![0], Some(1)));
    assert_eq!(page(&large, 1, 100, false), (vec![1, 2], None));
    let fits = execution(STATE_PAGE_BYTES - 2, &[1, 1]);
    assert_eq!(page(&fits, 0, usize::MAX, true), (vec![0, 1, 2], None));
}

#[test]
fn pages_end_by_count_or_by_bytes() {
    let third = STATE_PAGE_BYTES / 3 + 1;
    let state = execution(1, &[third, third, third, third]);
    assert_eq!(page(&state, 0, 2, false), (vec![0, 1], Some(2)));
    assert_eq!(page(&state, 0, 100, false), (vec![0, 1, 2], Some(3)));
    assert_eq!(page(&state, 3, 100, false), (vec![3, 4], None));
    assert_eq!(page(&state, 5, 100, false), (vec![], None));
}

#[test]
fn the_execution_itself_stands_at_the_first_position() {
    let state = execution(1, &[1]);
    assert!(matches!(StateEntry::at(&state, 0), StateEntry::Execution { .. }));
    assert!(matches!(StateEntry::at(&state, 1), StateEntry::Operation(_)));
    assert_eq!(StateEntry::at(&state, 1).payloads().len(), 1);
}
