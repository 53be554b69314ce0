//! How flows meet the engine.

use crate::{
    Command, Rejection,
    definition::Definition,
    event::Event,
    failure::{EXECUTION_STOPPED, EXECUTION_TIMED_OUT, Failure},
    next::{EVENTS_MAX, Move, World, end_badly},
    state::{Flow, TimerKey},
    task::{Call, Report},
};
use durastack_clock::Timestamp;
use durastack_engine::{
    ChildEnd, Dialect, Draft, Execution, Owed, OwedKey, Payload, TakenName, Timers,
};

/// The only kind of thing that is owed; its number is the key of the call.
const CALL: u8 = 0;

impl Dialect for Flow {
    const NAME: &'static str = "flow";
    const TAKEN_NAME: TakenName = TakenName::Conflict;

    type Definition = Definition;
    type Event = Event;
    type Command = Command;
    type Timer = TimerKey;
    type Call = Call;
    type Rejection = Rejection;

    fn begin(definition: Definition) -> Self {
        Self::new(definition)
    }

    fn decide(
        execution: &Execution<Self>,
        draft: &mut Draft<Self>,
        command: Command,
    ) -> Result<(), Rejection> {
        let open = execution.life.is_open();
        let report = |token, report| match open {
            true => execution.work.reported(token, report, draft.now),
            false => Err(Rejection::TaskCompleted),
        };
        let event = match command {
            Command::CallEnded { key, end } if open => {
                execution.work.call_ended(key, end, draft.now)
            }
            // The answer is for an execution that no longer waits for it.
            Command::CallEnded { .. } => None,
            Command::ReportSucceeded { token, output } => {
                Some(report(token, Report::Succeeded(output))?)
            }
            Command::ReportFailed { token, failure } => {
                Some(report(token, Report::Failed(failure))?)
            }
        };
        if let Some(event) = event {
            write(draft, event);
        }
        Ok(())
    }

    /// Whatever is due happens now, in the order of its due times, and with it all that follows: an execution that comes
    /// to its end by it has ended before its time is up.
    fn fire(execution: &Execution<Self>, draft: &mut Draft<Self>, _: &TimerKey) {
        go_on(execution, draft);
    }

    fn describe(execution: &Execution<Self>, timer: &TimerKey) -> String {
        let (what, strand) = match timer {
            TimerKey::Wait(strand) => ("wait", strand),
            TimerKey::Retry(strand) => ("next attempt of step", strand),
            TimerKey::TaskTimeout(strand) => ("task timeout of", strand),
            TimerKey::CallbackTimeout(strand) => ("callback timeout of", strand),
        };
        match execution.work.step_of(*strand) {
            Some(step) => format!("{what} '{}'", step.name),
            None => what.to_owned(),
        }
    }

    fn child_ended(execution: &Execution<Self>, draft: &mut Draft<Self>, end: ChildEnd) {
        for event in execution.work.child_events(&end, draft.now) {
            write(draft, event);
        }
    }

    /// Nothing is lost: calls that have not ended are owed still, and are made again.
    fn recover(_: &Execution<Self>, _: &mut Draft<Self>) {}

    fn settle(execution: &Execution<Self>, draft: &mut Draft<Self>) {
        go_on(execution, draft);
    }

    fn timed_out(execution: &Execution<Self>) -> Option<Payload> {
        let timeout = execution.life.timeout;
        let seconds = timeout.unwrap_or_else(|| execution.work.definition.timeout()).as_secs();
        let cause = format!("The execution did not end within {seconds} seconds.");
        Some(Failure::new(EXECUTION_TIMED_OUT, cause).payload())
    }

    fn stopped() -> Option<Payload> {
        Some(Failure::new(EXECUTION_STOPPED, "").payload())
    }

    fn apply(&mut self, _: Timestamp, event: &Event, timers: &mut Timers<TimerKey>) {
        self.take(event, timers);
    }

    fn is_public(_: &Event) -> bool {
        true
    }

    fn owed(execution: &Execution<Self>) -> Vec<Owed<Self>> {
        let owed = |call: Call| {
            let key = OwedKey { kind: CALL, number: call.key() };
            Owed::Call { key, call }
        };
        execution.work.calls(&execution.life).into_iter().map(owed).collect()
    }
}

/// Writes whatever comes next, until everything waits. The moves are tried on a copy of the state.
fn go_on(execution: &Execution<Flow>, draft: &mut Draft<Flow>) {
    let mut scratch = execution.work.clone();
    let mut timers = Timers::default();
    draft.work().for_each(|event| scratch.take(event, &mut timers));
    while !draft.has_ended() {
        debug_assert_eq!(scratch.shown + 1, draft.next_event_id(), "the state counts the history");
        let mut world =
            World { life: &execution.life, now: draft.now, entropy: &mut draft.entropy };
        match scratch.next_move(&mut world) {
            Some(Move::Event(event)) => {
                scratch.take(&event, &mut timers);
                write(draft, event);
            }
            Some(Move::End(outcome)) => draft.end(outcome),
            None => return,
        }
    }
}

/// Writes an event, unless only the end has room after it.
fn write(draft: &mut Draft<Flow>, event: Event) {
    if draft.has_ended() {
        return;
    }
    if draft.next_event_id() < EVENTS_MAX {
        draft.push(event);
        return;
    }
    let cause = format!("The execution has more than {EVENTS_MAX} events.");
    if let Move::End(outcome) = end_badly(&Failure::runtime(cause)) {
        draft.end(outcome);
    }
}
