//! What a language of work supplies, and the page on which it writes a decision.

use crate::{ChildEnd, Event, Execution, LifeEvent, Outcome, Payload, Start, Timers};
use durastack_clock::{Entropy, Moment, Timestamp};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;

/// What a start with a name that is in use means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakenName {
    /// The execution of that name is returned if its input is the same; another input is a conflict.
    ReturnIfSameInput,
    /// Always a conflict.
    Conflict,
}

/// A language of work: which commands exist, which events they cause, and what the world is owed next.
///
/// The value itself is the dialect's part of an execution's state. `apply` is total and blind to time: replaying a
/// journal rebuilds the same state. Decisions change nothing: they write events into a [`Draft`].
pub trait Dialect: Sized + Debug + Send + Sync + 'static {
    /// Stands in every journal record.
    const NAME: &'static str;
    /// What a start with a name in use means.
    const TAKEN_NAME: TakenName;

    /// What is pinned at the start: which code, which limits.
    type Definition: Debug + Clone + Serialize + DeserializeOwned + Send + Sync + 'static;
    /// What happens to an execution of this dialect.
    type Event: Debug + Clone + Serialize + DeserializeOwned + Send + Sync + 'static;
    /// What can be asked of it.
    type Command: Debug + Send + 'static;
    /// What its timers are for.
    type Timer: Debug + Clone + Ord + Send + Sync + 'static;
    /// A call to user code that the driver makes for it.
    type Call: Debug + Clone + Send + 'static;
    /// Why a command was refused; nothing changed then.
    type Rejection: std::error::Error + Send + Sync + 'static;

    /// The state right after the start.
    fn begin(definition: Self::Definition) -> Self;

    /// Decides on a command of the dialect. Called for ended executions too: a late command is the dialect's to refuse.
    ///
    /// # Errors
    ///
    /// The rule that the command breaks. What was drafted before is then forgotten.
    fn decide(
        execution: &Execution<Self>,
        draft: &mut Draft<Self>,
        command: Self::Command,
    ) -> Result<(), Self::Rejection>;

    /// A timer is due.
    fn fire(execution: &Execution<Self>, draft: &mut Draft<Self>, timer: &Self::Timer);

    /// What a timer is for, in words for people, with the public name of the operation: `wait 'think'`.
    fn describe(execution: &Execution<Self>, timer: &Self::Timer) -> String;

    /// A child has ended. The operation may have ended before: then nothing happens.
    fn child_ended(execution: &Execution<Self>, draft: &mut Draft<Self>, end: ChildEnd);

    /// durastack starts again: whatever was under way outside is lost.
    fn recover(execution: &Execution<Self>, draft: &mut Draft<Self>);

    /// Called last in each decision that leaves the execution open: what comes next?
    fn settle(execution: &Execution<Self>, draft: &mut Draft<Self>);

    /// The error of an execution whose time is up.
    fn timed_out(execution: &Execution<Self>) -> Option<Payload>;

    /// The error of an execution that is stopped without one.
    fn stopped() -> Option<Payload>;

    /// Takes in one event.
    fn apply(&mut self, at: Timestamp, event: &Self::Event, timers: &mut Timers<Self::Timer>);

    /// Whether the public history shows the event.
    fn is_public(event: &Self::Event) -> bool;

    /// Calls and children that the world still owes an open execution.
    fn owed(execution: &Execution<Self>) -> Vec<Owed<Self>>;
}

/// What the world owes an execution. A function of its state: after a crash it is simply asked for again.
#[derive(Debug)]
pub enum Owed<D: Dialect> {
    /// User code must be called.
    Call {
        /// Tells this call from every other of the execution.
        key: OwedKey,
        /// The call.
        call: D::Call,
    },
    /// A child must be started; starting it twice is harmless.
    Child {
        /// Tells this start from everything else that is owed.
        key: OwedKey,
        /// The child.
        start: Box<Start<D>>,
        /// Told to the dialect when the child's start is durable.
        then: D::Command,
    },
    /// The parent must be told of the end.
    Parent,
}

/// Tells one owed thing from another within an execution: its kind in the dialect's own counting, and its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwedKey {
    /// The dialect's own counting of kinds.
    pub kind: u8,
    /// The number within the kind.
    pub number: u64,
}

/// The page on which a decision is written.
#[derive(Debug)]
pub struct Draft<D: Dialect> {
    /// Virtual time.
    pub now: Timestamp,
    /// Chance; what is drawn must go into an event.
    pub entropy: Entropy,
    pub(crate) events: Vec<Event<D::Event, D::Definition>>,
    pub(crate) ended: bool,
    shown: u64,
}

impl<D: Dialect> Draft<D> {
    pub(crate) fn new(moment: Moment, shown: u64) -> Self {
        Self { now: moment.now, entropy: moment.entropy, events: Vec::new(), ended: false, shown }
    }

    /// Writes an event of the dialect.
    pub fn push(&mut self, event: D::Event) {
        self.shown += u64::from(D::is_public(&event));
        self.events.push(Event::Work(event));
    }

    /// The number that the next public event will have: for events that name each other, and for tokens that name one.
    #[must_use]
    pub fn next_event_id(&self) -> u64 {
        self.shown + 1
    }

    /// Writes the end of the execution, as the public history shows it now.
    pub fn end(&mut self, outcome: Outcome) {
        self.ended = true;
        self.shown += 1;
        self.events.push(Event::Life(LifeEvent::Ended { outcome, hidden: false }));
    }

    /// Writes the end of the execution; the public history shows it later, by [`Draft::show_end`].
    pub fn end_hidden(&mut self, outcome: Outcome) {
        self.ended = true;
        self.events.push(Event::Life(LifeEvent::Ended { outcome, hidden: true }));
    }

    /// Shows an end that was written hidden.
    pub fn show_end(&mut self, outcome: Outcome) {
        self.shown += 1;
        self.events.push(Event::Life(LifeEvent::EndShown { outcome }));
    }

    /// Whether this decision ends the execution.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The dialect's events written so far.
    pub fn work(&self) -> impl Iterator<Item = &D::Event> {
        self.events.iter().filter_map(|event| match event {
            Event::Work(event) => Some(event),
            Event::Life(_) => None,
        })
    }
}
