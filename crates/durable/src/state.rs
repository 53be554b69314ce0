//! The state of a durable execution, as its events make it.

mod dialect;

use crate::{
    Definition,
    event::{Event, Head, Link, Then},
    operation::{Detail, Operation, OperationStatus},
    view::StateEntry,
};
use durastack_clock::Timestamp;
use durastack_engine::{Payload, Timers};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// What a timer of a durable execution is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimerKey {
    /// A wait, by its number.
    Wait(u64),
    /// A step's next attempt.
    Step(u64),
    /// A callback's limit.
    Callback(u64),
    /// A callback's inactivity limit.
    Heartbeat(u64),
    /// The next invocation after a failed one.
    Invocation,
}

/// The state of a durable execution.
#[derive(Debug)]
pub struct Durable {
    /// What was pinned at the start.
    pub definition: Definition,
    operations: Vec<Operation>,
    numbers: BTreeMap<String, u64>,
    stored_bytes: u64,
    /// Invocations so far.
    pub(crate) invocations: u64,
    /// Invocations that failed since the last good one and were repeated at once.
    pub(crate) immediate_retries: u32,
    /// Invocations that failed since the last good one and were repeated after a pause.
    pub(crate) paused_retries: u32,
    /// Suspensions in a row with nothing pending.
    pub(crate) idle_suspensions: u32,
    retry_at: Option<Timestamp>,
    /// Changed by the service since the last invocation started: reported by the next one. What a handler learns from
    /// replies is reported all the same, as AWS's local test runner does.
    updated: BTreeSet<u64>,
    /// Chained invokes whose target is still to be called, or whose child is still to be started.
    unperformed: BTreeMap<u64, ChainedInput>,
    /// The invocation under way. What it holds beyond its number and request id is not in the journal: a restart voids
    /// every invocation.
    pub live: Option<Live>,
}

/// The invocation under way.
#[derive(Debug)]
pub struct Live {
    /// Which one.
    pub number: u64,
    /// What the handler sees as its request id.
    pub request_id: String,
    /// When it started.
    pub started: Timestamp,
    /// Counts the checkpoint tokens it was given: the valid one has this counter.
    pub counter: u64,
    /// Whether the token was withheld: it may write no more.
    pub withheld: bool,
    /// The reply to the last checkpoint, for a client that repeats it.
    pub reply: Option<Reply>,
    /// Changed before it started: reported with its input.
    reported: BTreeSet<u64>,
    /// Changed since it started, and not yet told by its input or a reply.
    unseen: BTreeSet<u64>,
}

/// What a chained invoke passes on to its target.
#[derive(Debug, Clone)]
pub struct ChainedInput {
    /// The input; absent is the same as `{}`.
    pub payload: Option<Payload>,
    /// The tenant that the target is called for.
    pub tenant_id: Option<String>,
    /// The trace header that it starts with.
    pub trace_header: Option<String>,
}

/// A reply that a client may ask for again, because it did not arrive.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The client's token of the request.
    pub client_token: String,
    /// The counter of the checkpoint token of the request.
    pub counter: u64,
    /// The operations that it told of, as they were.
    pub entries: Vec<StateEntry>,
    /// The counter of the next token.
    pub next: Option<u64>,
    /// How far the virtual clock was ahead: the answer must be the same, byte for byte.
    pub ahead: Duration,
}

impl Durable {
    /// The operations, in the order of their start.
    #[must_use]
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// The operation with this number.
    #[must_use]
    pub fn operation(&self, number: u64) -> Option<&Operation> {
        self.operations.get(usize::try_from(number).ok()?.checked_sub(1)?)
    }

    /// The operation with the SDK's id.
    #[must_use]
    pub fn operation_by_id(&self, id: &str) -> Option<&Operation> {
        self.operation(*self.numbers.get(id)?)
    }

    /// Bytes of payload written so far.
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        self.stored_bytes
    }

    /// The input of an invocation is being made: what it shows is seen. Returns what to report as updated.
    pub fn tell_input(&mut self) -> BTreeSet<u64> {
        let Some(live) = &mut self.live else { return BTreeSet::new() };
        live.unseen.clear();
        live.reported.clone()
    }

    /// A checkpoint's reply is being made: returns the operations that the handler has not seen, and moves the token
    /// on. The counter of the next token is absent if the invocation may write no more.
    pub fn tell_checkpoint(&mut self, withhold: bool) -> (BTreeSet<u64>, Option<u64>) {
        let Some(live) = &mut self.live else { return (BTreeSet::new(), None) };
        live.counter += 1;
        live.withheld = withhold;
        let next = (!withhold).then_some(live.counter);
        (std::mem::take(&mut live.unseen), next)
    }

    pub(crate) fn has_unseen(&self) -> bool {
        self.live.as_ref().is_some_and(|live| !live.unseen.is_empty())
    }

    fn operation_mut(&mut self, number: u64) -> Option<&mut Operation> {
        self.operations.get_mut(usize::try_from(number).ok()?.checked_sub(1)?)
    }

    /// The service has changed an operation: the handler must be told.
    fn changed(&mut self, number: u64) {
        self.updated.insert(number);
        if let Some(live) = &mut self.live {
            live.unseen.insert(number);
        }
    }

    fn open(&mut self, head: &Head, at: Timestamp, detail: Detail) {
        if self.numbers.contains_key(&head.id) {
            return;
        }
        self.numbers.insert(head.id.clone(), head.number);
        self.operations.push(Operation {
            head: head.clone(),
            status: OperationStatus::Started,
            started: at,
            ended: None,
            detail,
        });
    }

    fn close(&mut self, head: &Head, at: Timestamp, status: OperationStatus, outcome: Closing<'_>) {
        let Some(operation) = self.operation_mut(head.number) else { return };
        operation.status = status;
        operation.ended = Some(at);
        match &mut operation.detail {
            Detail::Context { result, error, .. }
            | Detail::Step { result, error, .. }
            | Detail::Callback { result, error, .. }
            | Detail::ChainedInvoke { result, error, .. } => {
                let (new_result, new_error) = match outcome {
                    Closing::Result(payload) => (payload.clone(), None),
                    Closing::Error(payload) => (None, payload.cloned()),
                };
                *result = new_result;
                *error = new_error;
            }
            Detail::Wait { .. } => {}
        }
        self.stored_bytes += outcome.payload().map_or(0, Payload::length);
    }

    fn apply_step(
        &mut self,
        at: Timestamp,
        head: &Head,
        ended: &StepEnd<'_>,
        timers: &mut Timers<TimerKey>,
    ) {
        self.open(head, at, new_step());
        if let Some(next) = ended.next {
            timers.arm(TimerKey::Step(head.number), next.at);
        }
        let Some(operation) = self.operation_mut(head.number) else { return };
        let Detail::Step { attempt, next_attempt, result, error } = &mut operation.detail else {
            return;
        };
        *attempt = ended.attempt;
        *next_attempt = ended.next.map(|next| next.at);
        *result = ended.result.cloned();
        *error = ended.error.cloned();
        (operation.status, operation.ended) = match (ended.next, ended.failed) {
            (Some(_), _) => (OperationStatus::Pending, None),
            (None, true) => (OperationStatus::Failed, Some(at)),
            (None, false) => (OperationStatus::Succeeded, Some(at)),
        };
        for payload in ended.result.into_iter().chain(ended.error) {
            self.stored_bytes += payload.length();
        }
    }

    fn apply_invocation(&mut self, at: Timestamp, event: &Event, timers: &mut Timers<TimerKey>) {
        match event {
            Event::InvocationStarted { number, request_id } => {
                self.invocations = *number;
                self.retry_at = None;
                timers.disarm(&TimerKey::Invocation);
                self.live = Some(Live {
                    number: *number,
                    request_id: request_id.clone(),
                    started: at,
                    counter: 0,
                    withheld: false,
                    reply: None,
                    reported: std::mem::take(&mut self.updated),
                    unseen: BTreeSet::new(),
                });
            }
            Event::InvocationLost { .. } => {
                // Whatever the lost one was told is told again.
                if let Some(live) = self.live.take() {
                    self.updated.extend(live.reported);
                }
            }
            Event::InvocationCompleted { then, .. } => {
                self.live = None;
                let (immediate, paused) = (self.immediate_retries, self.paused_retries);
                (self.immediate_retries, self.paused_retries, self.idle_suspensions) = match then {
                    Then::RetryNow => (immediate + 1, paused, 0),
                    Then::RetryAt(_) => (immediate, paused + 1, 0),
                    Then::NothingPending => (0, 0, self.idle_suspensions + 1),
                    Then::Suspend | Then::Again | Then::End => (0, 0, 0),
                };
                if let Then::RetryAt(due) = then {
                    self.retry_at = Some(*due);
                    timers.arm(TimerKey::Invocation, *due);
                }
            }
            _ => {}
        }
    }

    fn apply_chained(&mut self, at: Timestamp, event: &Event) {
        match event {
            Event::ChainedInvokeStarted { head, input, link, tenant_id, trace_header, .. } => {
                self.open(
                    head,
                    at,
                    Detail::ChainedInvoke { link: (**link).clone(), result: None, error: None },
                );
                self.stored_bytes += input.as_ref().map_or(0, Payload::length);
                if !matches!(**link, Link::Nowhere) {
                    let input = ChainedInput {
                        payload: input.clone(),
                        tenant_id: tenant_id.clone(),
                        trace_header: trace_header.clone(),
                    };
                    self.unperformed.insert(head.number, input);
                }
            }
            Event::ChainedInvokeChildStarted { number } => {
                self.unperformed.remove(number);
            }
            Event::ChainedInvokeSucceeded { head, result } => {
                self.close_chained(head, at, OperationStatus::Succeeded, Closing::Result(result));
            }
            Event::ChainedInvokeFailed { head, error } => {
                self.close_chained(
                    head,
                    at,
                    OperationStatus::Failed,
                    Closing::Error(error.as_ref()),
                );
            }
            Event::ChainedInvokeTimedOut { head, error } => {
                self.close_chained(
                    head,
                    at,
                    OperationStatus::TimedOut,
                    Closing::Error(error.as_ref()),
                );
            }
            Event::ChainedInvokeStopped { head, error } => {
                self.close_chained(
                    head,
                    at,
                    OperationStatus::Stopped,
                    Closing::Error(error.as_ref()),
                );
            }
            _ => {}
        }
    }

    fn close_chained(
        &mut self,
        head: &Head,
        at: Timestamp,
        status: OperationStatus,
        outcome: Closing<'_>,
    ) {
        self.unperformed.remove(&head.number);
        self.close(head, at, status, outcome);
    }

    fn close_callback(
        &mut self,
        head: &Head,
        at: Timestamp,
        status: OperationStatus,
        outcome: Closing<'_>,
        timers: &mut Timers<TimerKey>,
    ) {
        timers.disarm(&TimerKey::Callback(head.number));
        timers.disarm(&TimerKey::Heartbeat(head.number));
        self.close(head, at, status, outcome);
    }

    fn apply_callback(&mut self, at: Timestamp, event: &Event, timers: &mut Timers<TimerKey>) {
        match event {
            Event::CallbackStarted { head, timeout_s, heartbeat_s } => {
                self.open(
                    head,
                    at,
                    Detail::Callback { heartbeat_s: *heartbeat_s, result: None, error: None },
                );
                if *timeout_s > 0 {
                    timers.arm(
                        TimerKey::Callback(head.number),
                        at.plus(Duration::from_secs(*timeout_s)),
                    );
                }
                if *heartbeat_s > 0 {
                    timers.arm(
                        TimerKey::Heartbeat(head.number),
                        at.plus(Duration::from_secs(*heartbeat_s)),
                    );
                }
            }
            Event::CallbackHeartbeat { number } => {
                if let Some(Detail::Callback { heartbeat_s, .. }) =
                    self.operation(*number).map(|o| &o.detail)
                    && *heartbeat_s > 0
                {
                    timers.arm(
                        TimerKey::Heartbeat(*number),
                        at.plus(Duration::from_secs(*heartbeat_s)),
                    );
                }
            }
            Event::CallbackSucceeded { head, result } => {
                self.close_callback(
                    head,
                    at,
                    OperationStatus::Succeeded,
                    Closing::Result(result),
                    timers,
                );
            }
            Event::CallbackFailed { head, error } => {
                self.close_callback(
                    head,
                    at,
                    OperationStatus::Failed,
                    Closing::Error(error.as_ref()),
                    timers,
                );
            }
            Event::CallbackTimedOut { head, error } => {
                self.close_callback(
                    head,
                    at,
                    OperationStatus::TimedOut,
                    Closing::Error(Some(error)),
                    timers,
                );
            }
            _ => {}
        }
    }
}

/// What an operation ends with.
#[derive(Clone, Copy)]
enum Closing<'a> {
    Result(&'a Option<Payload>),
    Error(Option<&'a Payload>),
}

impl<'a> Closing<'a> {
    fn payload(self) -> Option<&'a Payload> {
        match self {
            Self::Result(payload) => payload.as_ref(),
            Self::Error(payload) => payload,
        }
    }
}

/// How a step's attempt ended.
struct StepEnd<'a> {
    failed: bool,
    attempt: u64,
    next: Option<&'a crate::event::NextAttempt>,
    result: Option<&'a Payload>,
    error: Option<&'a Payload>,
}

fn new_step() -> Detail {
    Detail::Step { attempt: 0, next_attempt: None, result: None, error: None }
}
