//! One execution: its life, its timers, and its dialect's state.

use crate::{
    BadRecord, ChildEnd, Dialect, Draft, Event, Life, LifeEvent, Outcome, Owed, OwedKey, Parent,
    Payload, Record, Timer, Timers,
};
use durastack_clock::{Moment, Timestamp};
use durastack_names::ExecutionId;
use std::time::Duration;

/// What is needed to begin an execution. The id is drawn by whoever asks, so that a repeat can name the same one.
#[derive(Debug)]
pub struct Start<D: Dialect> {
    /// Its id.
    pub id: ExecutionId,
    /// Its name within the scope.
    pub name: String,
    /// The incarnation of the function or flow.
    pub scope: String,
    /// The version that it is listed under.
    pub version: String,
    /// After how long it times out.
    pub timeout: Option<Duration>,
    /// How long it is kept after its end; for ever if absent.
    pub retention: Option<Duration>,
    /// Who waits for it.
    pub parent: Option<Parent>,
    /// Its input.
    pub input: Payload,
    /// What the dialect pins.
    pub definition: D::Definition,
}

impl<D: Dialect> Clone for Start<D> {
    fn clone(&self) -> Self {
        Self {
            id: self.id,
            name: self.name.clone(),
            scope: self.scope.clone(),
            version: self.version.clone(),
            timeout: self.timeout,
            retention: self.retention,
            parent: self.parent,
            input: self.input.clone(),
            definition: self.definition.clone(),
        }
    }
}

/// What can be asked of any execution.
#[derive(Debug)]
pub enum Command<D: Dialect> {
    /// End it by somebody's wish. Nothing happens if it has ended.
    Stop(Option<Payload>),
    /// Do what is due. Harmless if nothing is.
    FireTimers,
    /// A child has ended.
    ChildEnded(ChildEnd),
    /// The parent has recorded this execution's end.
    ParentTold,
    /// durastack starts again. What is due by now happens too.
    Recover,
    /// Something of the dialect.
    Work(D::Command),
}

/// One execution in memory: the fold of its journal.
#[derive(Debug)]
pub struct Execution<D: Dialect> {
    /// Who it is and how it stands.
    pub life: Life,
    /// The dialect's part.
    pub work: D,
    timers: Timers<D::Timer>,
    sequence: u64,
    events_shown: u64,
    last_at: Timestamp,
}

impl<D: Dialect> Execution<D> {
    /// Begins an execution: its first records, and its state after them.
    ///
    /// # Panics
    ///
    /// Never: the records it folds are those it has just written.
    #[must_use]
    pub fn start(moment: Moment, start: Start<D>) -> (Self, Vec<Record<D>>) {
        let started = LifeEvent::Started {
            id: start.id,
            name: start.name,
            scope: start.scope,
            version: start.version,
            timeout_ms: start.timeout.map(millis),
            retention_ms: start.retention.map(millis),
            parent: start.parent,
            input: start.input,
            definition: start.definition,
        };
        let first =
            Record { sequence: 1, at: moment.now, event_id: Some(1), event: Event::Life(started) };
        let mut execution = Self::first(&first).expect("the first record is a start");
        let mut draft = Draft::new(moment, execution.events_shown);
        D::settle(&execution, &mut draft);
        let mut records = vec![first];
        let next = execution.number(draft);
        next.iter().for_each(|record| execution.apply(record));
        records.extend(next);
        (execution, records)
    }

    /// Rebuilds an execution from its whole journal.
    ///
    /// # Errors
    ///
    /// [`BadRecord::Headless`] if it does not begin with a start.
    pub fn replay(records: impl IntoIterator<Item = Record<D>>) -> Result<Self, BadRecord> {
        let mut records = records.into_iter();
        let mut execution =
            records.next().and_then(|first| Self::first(&first)).ok_or(BadRecord::Headless)?;
        records.for_each(|record| execution.apply(&record));
        Ok(execution)
    }

    fn first(record: &Record<D>) -> Option<Self> {
        let Event::Life(LifeEvent::Started {
            id,
            name,
            scope,
            version,
            timeout_ms,
            retention_ms,
            parent,
            input,
            definition,
        }) = &record.event
        else {
            return None;
        };
        let life = Life {
            id: *id,
            name: name.clone(),
            scope: scope.clone(),
            version: version.clone(),
            started: record.at,
            timeout: timeout_ms.map(Duration::from_millis),
            retention: retention_ms.map(Duration::from_millis),
            parent: *parent,
            input: input.clone(),
            end: None,
            end_hidden: false,
            parent_told: false,
        };
        let mut timers = Timers::default();
        if let Some(deadline) = life.deadline() {
            timers.set(Timer::Deadline, deadline);
        }
        let work = D::begin(definition.clone());
        Some(Self { life, work, timers, sequence: 1, events_shown: 1, last_at: record.at })
    }

    /// Turns a command into the records it causes. Changes nothing.
    ///
    /// # Errors
    ///
    /// The dialect's rejection: the command breaks a rule.
    pub fn decide(
        &self,
        moment: Moment,
        command: Command<D>,
    ) -> Result<Vec<Record<D>>, D::Rejection> {
        // What a decision reckons from and what its records say must be one time, even if a clock ran backwards.
        let moment = Moment { now: moment.now.max(self.last_at), ..moment };
        let mut draft = Draft::new(moment, self.events_shown);
        match command {
            Command::Stop(error) if self.life.is_open() => {
                draft.end(Outcome::Stopped(error.or_else(D::stopped)))
            }
            Command::FireTimers if self.life.is_open() => self.fire(&mut draft),
            Command::ChildEnded(end) if self.life.is_open() => {
                D::child_ended(self, &mut draft, end)
            }
            // The first end stands; an ended execution has no timers and waits for no child.
            Command::Stop(_) | Command::FireTimers | Command::ChildEnded(_) => {}
            Command::ParentTold => {
                if !self.life.is_open() && !self.life.parent_told {
                    draft.events.push(Event::Life(LifeEvent::ParentTold));
                }
            }
            Command::Recover => {
                D::recover(self, &mut draft);
                // What fell due meanwhile belongs to what comes next; a timeout leaves nothing to come.
                if self.life.is_open() {
                    self.fire(&mut draft);
                }
            }
            Command::Work(command) => D::decide(self, &mut draft, command)?,
        }
        if self.life.is_open() && !draft.ended {
            D::settle(self, &mut draft);
        }
        Ok(self.number(draft))
    }

    fn fire(&self, draft: &mut Draft<D>) {
        for timer in self.timers.due(draft.now) {
            match timer {
                Timer::Work(timer) => D::fire(self, draft, timer),
                Timer::Deadline => draft.end(Outcome::TimedOut(D::timed_out(self))),
            }
            if draft.ended {
                return;
            }
        }
    }

    fn number(&self, draft: Draft<D>) -> Vec<Record<D>> {
        let at = draft.now;
        let (mut sequence, mut shown) = (self.sequence, self.events_shown);
        let place = |event: Event<D::Event, D::Definition>| {
            sequence += 1;
            let event_id = is_public::<D>(&event).then(|| {
                shown += 1;
                shown
            });
            Record { sequence, at, event_id, event }
        };
        draft.events.into_iter().map(place).collect()
    }

    /// Takes in one record. Total, and blind to time.
    pub fn apply(&mut self, record: &Record<D>) {
        self.sequence = record.sequence;
        self.last_at = record.at;
        self.events_shown = record.event_id.unwrap_or(self.events_shown);
        match &record.event {
            // Only the first record is a start, and `first` has taken it in.
            Event::Life(LifeEvent::Started { .. }) => {}
            Event::Life(LifeEvent::Ended { outcome, hidden }) => {
                self.life.end = Some((record.at, outcome.clone()));
                self.life.end_hidden = *hidden;
                self.timers.clear();
            }
            Event::Life(LifeEvent::EndShown { .. }) => self.life.end_hidden = false,
            Event::Life(LifeEvent::ParentTold) => self.life.parent_told = true,
            Event::Work(event) => self.work.apply(record.at, event, &mut self.timers),
        }
        if !self.life.is_open() {
            self.timers.clear();
        }
    }

    /// When `Command::FireTimers` next has something to do, and what for.
    #[must_use]
    pub fn next_deadline(&self) -> Option<(Timestamp, &Timer<D::Timer>)> {
        self.timers.next()
    }

    /// What the world still owes this execution.
    #[must_use]
    pub fn owed(&self) -> Vec<Owed<D>> {
        if self.life.is_open() {
            D::owed(self)
        } else if self.life.parent.is_some() && !self.life.parent_told {
            vec![Owed::Parent]
        } else {
            Vec::new()
        }
    }

    /// The sequence of the last record; 0 before the first.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }
}

impl<D: Dialect> Owed<D> {
    /// Tells one owed thing from another within an execution.
    #[must_use]
    pub fn key(&self) -> OwedKey {
        match self {
            Self::Call { key, .. } | Self::Child { key, .. } => *key,
            Self::Parent => OwedKey { kind: u8::MAX, number: 0 },
        }
    }
}

fn is_public<D: Dialect>(event: &Event<D::Event, D::Definition>) -> bool {
    match event {
        Event::Life(LifeEvent::Started { .. } | LifeEvent::EndShown { .. }) => true,
        Event::Life(LifeEvent::Ended { hidden, .. }) => !hidden,
        Event::Life(LifeEvent::ParentTold) => false,
        Event::Work(event) => D::is_public(event),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
