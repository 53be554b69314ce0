//! The state of a durable execution, as its events make it, and how it meets the engine.

use crate::{
    Command, Definition, ErrorObject, Rejection, callback, checkpoint,
    event::{Event, Head, Link, Then},
    invocation::{self, Call},
    operation::{Detail, Operation, OperationStatus},
    view::StateEntry,
};
use durastack_clock::Timestamp;
use durastack_engine::{
    ChildEnd, Dialect, Draft, Execution, Owed, OwedKey, Payload, TakenName, Timers,
};
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

const CALL_HANDLER: u8 = 0;
const CALL_TARGET: u8 = 1;
const START_CHILD: u8 = 2;

impl Dialect for Durable {
    const NAME: &'static str = "durable";
    const TAKEN_NAME: TakenName = TakenName::ReturnIfSameInput;

    type Definition = Definition;
    type Event = Event;
    type Command = Command;
    type Timer = TimerKey;
    type Call = Call;
    type Rejection = Rejection;

    fn begin(definition: Definition) -> Self {
        Self {
            definition,
            operations: Vec::new(),
            numbers: BTreeMap::new(),
            stored_bytes: 0,
            invocations: 0,
            immediate_retries: 0,
            paused_retries: 0,
            idle_suspensions: 0,
            retry_at: None,
            updated: BTreeSet::new(),
            unperformed: BTreeMap::new(),
            live: None,
        }
    }

    fn decide(
        execution: &Execution<Self>,
        draft: &mut Draft<Self>,
        command: Command,
    ) -> Result<(), Rejection> {
        match command {
            Command::Checkpoint(checkpoint) => checkpoint::decide(execution, draft, checkpoint),
            Command::Callback { number, answer } => {
                callback::decide(execution, draft, number, answer)
            }
            Command::InvocationEnded { number, output } => {
                invocation::ended(execution, draft, number, output);
                Ok(())
            }
            Command::TargetEnded { number, end } => {
                invocation::target_ended(execution, draft, number, end);
                Ok(())
            }
            Command::ChildStarted { number } => {
                if execution.life.is_open() && execution.work.unperformed.contains_key(&number) {
                    draft.push(Event::ChainedInvokeChildStarted { number });
                }
                Ok(())
            }
        }
    }

    fn fire(execution: &Execution<Self>, draft: &mut Draft<Self>, timer: &TimerKey) {
        match timer {
            TimerKey::Wait(number) => {
                if let Some(Operation { head, detail: Detail::Wait { seconds, .. }, .. }) =
                    execution.work.operation(*number)
                {
                    draft.push(Event::WaitSucceeded { head: head.clone(), seconds: *seconds });
                }
            }
            TimerKey::Step(number) => draft.push(Event::StepReady { number: *number }),
            TimerKey::Callback(number) => {
                callback::time_out(
                    execution,
                    draft,
                    *number,
                    "Callback.Timeout",
                    "Callback timed out",
                );
            }
            TimerKey::Heartbeat(number) => {
                callback::time_out(
                    execution,
                    draft,
                    *number,
                    "Callback.Heartbeat",
                    "Callback timed out on heartbeat",
                );
            }
            // `settle` sees that the pause is over.
            TimerKey::Invocation => {}
        }
    }

    fn child_ended(execution: &Execution<Self>, draft: &mut Draft<Self>, end: ChildEnd) {
        invocation::child_ended(execution, draft, end);
    }

    fn recover(execution: &Execution<Self>, draft: &mut Draft<Self>) {
        if let Some(live) = &execution.work.live {
            draft.push(Event::InvocationLost { number: live.number });
        }
        if let (Some((_, outcome)), true) = (&execution.life.end, execution.life.end_hidden) {
            draft.show_end(outcome.clone());
        }
    }

    fn settle(execution: &Execution<Self>, draft: &mut Draft<Self>) {
        let work = &execution.work;
        let mut in_flight = work.live.is_some();
        let mut again = work.invocations == 0 || work.retry_at.is_some_and(|due| due <= draft.now);
        let mut woken = false;
        for event in draft.work() {
            match event {
                Event::InvocationLost { .. } => (in_flight, again) = (false, true),
                Event::InvocationCompleted { then, .. } => {
                    in_flight = false;
                    again = matches!(then, Then::Again | Then::RetryNow | Then::NothingPending);
                }
                event => woken |= event.wakes(),
            }
        }
        // A completion during the pause after a failure is told by the invocation that the pause ends with.
        again |= woken && work.retry_at.is_none();
        if !in_flight && again {
            let request_id = draft.entropy.uuid();
            draft.push(Event::InvocationStarted { number: work.invocations + 1, request_id });
        }
    }

    fn timed_out(execution: &Execution<Self>) -> Option<Payload> {
        let seconds = execution.work.definition.execution_timeout_s;
        Some(ErrorObject::message(format!("Execution timed out after {seconds} seconds.")).inline())
    }

    fn stopped() -> Option<Payload> {
        Some(ErrorObject::message("Execution stopped by user request").inline())
    }

    fn apply(&mut self, at: Timestamp, event: &Event, timers: &mut Timers<TimerKey>) {
        match event {
            Event::InvocationStarted { .. }
            | Event::InvocationLost { .. }
            | Event::InvocationCompleted { .. } => {
                self.apply_invocation(at, event, timers);
            }
            Event::ContextStarted { head } => self.open(head, at, new_context()),
            Event::ContextSucceeded { head, result, replay_children } => {
                self.open(head, at, new_context());
                self.close(head, at, OperationStatus::Succeeded, Closing::Result(result));
                self.keep_children(head.number, *replay_children);
            }
            Event::ContextFailed { head, error, replay_children } => {
                self.open(head, at, new_context());
                self.close(head, at, OperationStatus::Failed, Closing::Error(error.as_ref()));
                self.keep_children(head.number, *replay_children);
            }
            Event::StepStarted { head } => {
                self.open(head, at, new_step());
                if let Some(operation) = self.operation_mut(head.number) {
                    operation.status = OperationStatus::Started;
                }
            }
            Event::StepSucceeded { head, result, attempt, next } => {
                let end = StepEnd {
                    failed: false,
                    attempt: *attempt,
                    next: next.as_ref(),
                    result: result.as_ref(),
                    error: None,
                };
                self.apply_step(at, head, &end, timers);
            }
            Event::StepFailed { head, error, attempt, next } => {
                let end = StepEnd {
                    failed: true,
                    attempt: *attempt,
                    next: next.as_ref(),
                    result: None,
                    error: error.as_ref(),
                };
                self.apply_step(at, head, &end, timers);
            }
            Event::StepReady { number } => {
                timers.disarm(&TimerKey::Step(*number));
                if let Some(operation) = self.operation_mut(*number) {
                    operation.status = OperationStatus::Ready;
                    if let Detail::Step { next_attempt, .. } = &mut operation.detail {
                        *next_attempt = None;
                    }
                }
            }
            Event::WaitStarted { head, seconds, until } => {
                self.open(head, at, Detail::Wait { until: *until, seconds: *seconds });
                timers.arm(TimerKey::Wait(head.number), *until);
            }
            Event::WaitSucceeded { head, .. } => {
                timers.disarm(&TimerKey::Wait(head.number));
                self.close(head, at, OperationStatus::Succeeded, Closing::Result(&None));
            }
            Event::WaitCancelled { head } => {
                timers.disarm(&TimerKey::Wait(head.number));
                self.close(head, at, OperationStatus::Cancelled, Closing::Result(&None));
            }
            Event::CallbackStarted { .. }
            | Event::CallbackHeartbeat { .. }
            | Event::CallbackSucceeded { .. }
            | Event::CallbackFailed { .. }
            | Event::CallbackTimedOut { .. } => self.apply_callback(at, event, timers),
            Event::ChainedInvokeStarted { .. }
            | Event::ChainedInvokeChildStarted { .. }
            | Event::ChainedInvokeSucceeded { .. }
            | Event::ChainedInvokeFailed { .. }
            | Event::ChainedInvokeTimedOut { .. }
            | Event::ChainedInvokeStopped { .. } => self.apply_chained(at, event),
        }
        if event.wakes()
            && let Some(number) = event.operation()
        {
            self.changed(number);
        }
    }

    fn is_public(event: &Event) -> bool {
        event.is_public()
    }

    fn owed(execution: &Execution<Self>) -> Vec<Owed<Self>> {
        let work = &execution.work;
        let handler = work.live.iter().map(|live| Owed::Call {
            key: OwedKey { kind: CALL_HANDLER, number: live.number },
            call: Call::Handler { number: live.number, request_id: live.request_id.clone() },
        });
        let chained = work
            .unperformed
            .iter()
            .filter_map(|(number, input)| owed_for(execution, *number, input));
        handler.chain(chained).collect()
    }
}

impl Durable {
    fn keep_children(&mut self, number: u64, keep: bool) {
        if let Some(Detail::Context { replay_children, .. }) =
            self.operation_mut(number).map(|o| &mut o.detail)
        {
            *replay_children = keep;
        }
    }
}

fn owed_for(
    execution: &Execution<Durable>,
    number: u64,
    input: &ChainedInput,
) -> Option<Owed<Durable>> {
    let operation = execution.work.operation(number)?;
    let Detail::ChainedInvoke { link, .. } = &operation.detail else { return None };
    match link {
        Link::Nowhere => None,
        Link::Invoke { target, request_id } => Some(Owed::Call {
            key: OwedKey { kind: CALL_TARGET, number },
            call: Call::Target {
                number,
                request_id: request_id.clone(),
                target: Box::new(target.clone()),
                input: input.clone(),
            },
        }),
        Link::Child { target, execution: child, name } => {
            let start = invocation::child_start(execution, target, *child, name, number, input)?;
            Some(Owed::Child {
                key: OwedKey { kind: START_CHILD, number },
                start: Box::new(start),
                then: Command::ChildStarted { number },
            })
        }
    }
}

fn new_context() -> Detail {
    Detail::Context { replay_children: false, result: None, error: None }
}
