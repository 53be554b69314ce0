//! How the state of a durable execution meets the engine.

use super::{ChainedInput, Closing, Durable, StepEnd, TimerKey, new_step};
use crate::{
    Command, Definition, ErrorObject, Rejection, callback, checkpoint,
    event::{Event, Link, Then},
    invocation::{self, Call},
    operation::{Detail, Operation, OperationStatus},
};
use durastack_clock::Timestamp;
use durastack_engine::{
    ChildEnd, Dialect, Draft, Execution, Owed, OwedKey, Payload, TakenName, Timers,
};
use std::collections::{BTreeMap, BTreeSet};

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

    fn describe(execution: &Execution<Self>, timer: &TimerKey) -> String {
        let (what, number) = match timer {
            TimerKey::Wait(number) => ("wait", number),
            TimerKey::Step(number) => ("next attempt of step", number),
            TimerKey::Callback(number) => ("callback timeout of", number),
            TimerKey::Heartbeat(number) => ("heartbeat timeout of", number),
            TimerKey::Invocation => return "next invocation after a failed one".to_owned(),
        };
        match execution.work.operation(*number) {
            // Names are the SDK's choice; ids are always there.
            Some(Operation { head, .. }) => {
                format!("{what} '{}'", head.name.as_deref().unwrap_or(&head.id))
            }
            None => what.to_owned(),
        }
    }

    fn child_ended(execution: &Execution<Self>, draft: &mut Draft<Self>, end: ChildEnd) {
        invocation::child_ended(execution, draft, end);
    }

    fn recover(execution: &Execution<Self>, draft: &mut Draft<Self>) {
        let Some(live) = &execution.work.live else { return };
        if let (Some((_, outcome)), true) = (&execution.life.end, execution.life.end_hidden) {
            // Its checkpoint has said all that it had to say.
            invocation::complete(draft, live, None, Then::End);
            draft.show_end(outcome.clone());
        } else {
            draft.push(Event::InvocationLost { number: live.number });
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
