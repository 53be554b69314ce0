//! The state of an execution of a flow, as its events make it.
//!
//! A *strand* is one line of steps: the flow itself, a branch, an iteration. The ways of choices are frames on their
//! strand. What comes next is a function of this state, of the time and of the definition: after any event of the journal
//! the execution can be taken up.

use crate::{
    definition::{Action, Definition, FlowDefinition, Pattern, Place, Sequence, Step},
    event::{Event, Next, Request, Running, Then},
    failure::Failure,
    token::TaskToken,
};
use durastack_clock::Timestamp;
use durastack_engine::Timers;
use serde_json::{Map, Value};
use std::{collections::BTreeMap, sync::Arc};

/// Data that steps share; cheap to clone.
pub(crate) type Data = Arc<Value>;

/// What a timer of a flow is for. A strand has at most one at a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimerKey {
    /// A wait step of the strand.
    Wait(u64),
    /// The next attempt of the strand's task.
    Retry(u64),
    /// The limit of an attempt that somebody here works on.
    TaskTimeout(u64),
    /// The limit of an attempt that waits for a report: it stands for somebody's absence.
    CallbackTimeout(u64),
}

/// The state of an execution of a flow.
#[derive(Debug, Clone)]
pub struct Flow {
    /// What was pinned at the start.
    pub definition: Definition,
    /// How many public events there are, the start included.
    pub(crate) shown: u64,
    pub(crate) strands: BTreeMap<u64, Strand>,
    /// Whether the flow's input is known: the first step that is entered tells it.
    pub(crate) begun: bool,
}

/// The strand of the flow itself.
pub(crate) const MAIN: u64 = 0;

#[derive(Debug, Clone)]
pub(crate) struct Strand {
    /// The strand that it is part of, and its number there.
    pub(crate) parent: Option<(u64, u64)>,
    /// Its last event.
    pub(crate) last: u64,
    /// The strand's own frame, and one for each way of a choice that it is in.
    pub(crate) frames: Vec<Frame>,
    pub(crate) stage: Stage,
}

/// A list of steps under way, with its data.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) sequence: Sequence,
    pub(crate) input: Data,
    pub(crate) local: Data,
    /// The choice that it is a way of, and which.
    pub(crate) way_of: Option<(Place, u64)>,
}

/// How far the topmost frame of a strand has come.
#[derive(Debug, Clone)]
pub(crate) enum Stage {
    /// Between steps.
    Between(Ahead),
    /// A step is entered, nothing is evaluated.
    Entered { place: Place, event: u64 },
    /// A step other than a task runs.
    Running { place: Place, input: Data, running: Running },
    /// A step that contains others runs them.
    Several(Several),
    /// A task is under way.
    Task(Box<Attempt>),
    /// A step other than a task has its output.
    Done { place: Place, output: Value, leave: Leave },
    /// A step failed: so will all around it.
    Failed(Failure),
}

/// What is ahead of a strand between steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ahead {
    Step(Place),
    EndOfList,
    EndOfStrand,
}

/// How a step is left that is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Leave {
    ToNext,
    Goto(String),
    ToEndOfStrand,
}

/// Branches or iterations under way.
#[derive(Debug, Clone)]
pub(crate) struct Several {
    pub(crate) place: Place,
    pub(crate) input: Data,
    /// The EventId of StepStarted.
    pub(crate) started: u64,
    pub(crate) count: u64,
    pub(crate) entered: u64,
    /// What those that have ended made.
    pub(crate) results: BTreeMap<u64, Data>,
}

impl Several {
    pub(crate) fn running(&self) -> u64 {
        self.entered - self.results.len() as u64
    }
}

/// An attempt of a task.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) place: Place,
    /// The EventId of StepEntered.
    pub(crate) entered: u64,
    /// The EventId of TaskScheduled: names the attempt.
    pub(crate) scheduled: u64,
    /// From 1.
    pub(crate) number: u64,
    pub(crate) input: Data,
    pub(crate) request: Request,
    pub(crate) timeout: Option<Timestamp>,
    /// How many retries each entry of `retry` has made.
    pub(crate) retries: BTreeMap<u64, u64>,
    pub(crate) phase: Phase,
}

#[derive(Debug, Clone)]
pub(crate) enum Phase {
    /// Nothing is asked yet.
    Scheduled,
    /// The world owes the answer.
    Started,
    /// The world has answered; the end comes later.
    Submitted,
    /// It has its result.
    Succeeded(Value),
    /// It failed.
    Failed { failure: Failure, then: Then },
}

impl Attempt {
    pub(crate) fn token(&self) -> TaskToken {
        TaskToken { entered: self.entered, scheduled: self.scheduled }
    }

    /// Whether its end is still to come.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Started | Phase::Submitted)
    }
}

impl Strand {
    /// The topmost frame.
    pub(crate) fn frame(&self) -> &Frame {
        self.frames.last().expect("a strand keeps its own frame")
    }

    fn frame_mut(&mut self) -> &mut Frame {
        self.frames.last_mut().expect("a strand keeps its own frame")
    }

    /// When time alone will move the strand.
    ///
    /// The engine's timers hold the same instant, but only to wake the execution. What it then does is decided on a copy
    /// of this state, move by move in the order of due times: a move may begin a wait that is over already, and that one
    /// no timer of the engine has seen. So the strand itself must know.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        match &self.stage {
            Stage::Running { running: Running::Wait { until }, .. } => Some(*until),
            Stage::Task(attempt) => match &attempt.phase {
                Phase::Started | Phase::Submitted => attempt.timeout,
                Phase::Failed { then: Then::Retry { due, .. }, .. } => Some(*due),
                Phase::Scheduled | Phase::Succeeded(_) | Phase::Failed { .. } => None,
            },
            Stage::Between(_)
            | Stage::Entered { .. }
            | Stage::Running { .. }
            | Stage::Several(_)
            | Stage::Done { .. }
            | Stage::Failed(_) => None,
        }
    }
}

pub(crate) fn empty() -> Value {
    Value::Object(Map::new())
}

impl Flow {
    pub(crate) fn new(definition: Definition) -> Self {
        let frame = Frame {
            sequence: Sequence::FLOW,
            input: Arc::new(empty()),
            local: Arc::new(empty()),
            way_of: None,
        };
        let main = Strand {
            parent: None,
            last: 1,
            frames: vec![frame],
            stage: Stage::Between(Ahead::Step(Sequence::FLOW.first())),
        };
        Self { definition, shown: 1, strands: BTreeMap::from([(MAIN, main)]), begun: false }
    }

    pub(crate) fn steps(&self) -> &FlowDefinition {
        self.definition.steps()
    }

    /// The step that a strand is in, if time alone can move it.
    pub(crate) fn step_of(&self, strand: u64) -> Option<&Step> {
        let place = match &self.strands.get(&strand)?.stage {
            Stage::Running { place, .. } => *place,
            Stage::Task(attempt) => attempt.place,
            Stage::Between(_)
            | Stage::Entered { .. }
            | Stage::Several(_)
            | Stage::Done { .. }
            | Stage::Failed(_) => return None,
        };
        Some(self.steps().step(place))
    }

    /// The attempt that a TaskScheduled with this EventId began, if it is its task's current one.
    pub(crate) fn attempt(&self, scheduled: u64) -> Option<(u64, &Strand, &Attempt)> {
        self.strands.iter().find_map(|(id, strand)| match &strand.stage {
            Stage::Task(attempt) if attempt.scheduled == scheduled => {
                Some((*id, strand, &**attempt))
            }
            _ => None,
        })
    }

    /// Whether the execution waits for somebody to report a task token.
    #[must_use]
    pub fn awaits_report(&self) -> bool {
        self.strands.values().any(|strand| match &strand.stage {
            Stage::Task(attempt) => {
                attempt.is_open()
                    && pattern(self.steps().step(attempt.place)) == Some(Pattern::WaitForCallback)
            }
            _ => false,
        })
    }

    /// Takes in one event. Total: an event that fits nothing counts, and changes nothing else.
    pub(crate) fn take(&mut self, event: &Event, timers: &mut Timers<TimerKey>) {
        self.shown += 1;
        let id = self.shown;
        let head = event.head();
        let Some(place) = self.steps().place(&head.step) else { return };
        disarm(head.strand, timers);
        match event {
            Event::StepFailed { failure, .. } => {
                self.drop_below(head.strand, timers);
                if let Some(strand) = self.strands.get_mut(&head.strand) {
                    strand.last = id;
                    strand.leave_frames_above(place);
                    strand.stage = Stage::Failed(failure.clone());
                }
            }
            Event::BranchEntered { input, index, .. }
            | Event::IterationEntered { input, index, .. } => {
                self.begin_strand(id, head.strand, place, *index, input);
            }
            Event::BranchExited { index, local, .. }
            | Event::IterationExited { index, local, .. } => {
                self.end_strand(id, head.strand, *index, local);
            }
            Event::StepEntered { .. }
            | Event::StepStarted { .. }
            | Event::StepSucceeded { .. }
            | Event::StepExited { .. } => self.take_step(id, place, event),
            Event::TaskScheduled { .. }
            | Event::TaskStarted { .. }
            | Event::TaskSubmitted { .. }
            | Event::TaskSubmitFailed { .. }
            | Event::TaskSucceeded { .. }
            | Event::TaskFailed { .. }
            | Event::TaskTimedOut { .. } => self.take_task(id, place, event),
        }
        self.arm(head.strand, timers);
    }

    fn take_step(&mut self, id: u64, place: Place, event: &Event) {
        let steps = self.definition.clone();
        let steps = steps.steps();
        let head = event.head();
        let begun = std::mem::replace(&mut self.begun, true);
        let Some(strand) = self.strands.get_mut(&head.strand) else { return };
        strand.last = id;
        match event {
            Event::StepEntered { input, .. } => {
                if !begun {
                    strand.frame_mut().input = Arc::clone(input);
                }
                strand.stage = Stage::Entered { place, event: id };
            }
            Event::StepStarted { input, running, .. } => {
                strand.start(id, place, Arc::clone(input), running, steps);
            }
            Event::StepSucceeded { output, .. } => {
                let leave = strand.leave(place, steps);
                strand.leave_frames_above(place);
                strand.stage = Stage::Done { place, output: output.clone(), leave };
            }
            Event::StepExited { local, next, .. } => {
                strand.frame_mut().local = Arc::clone(local);
                strand.stage = Stage::Between(match next {
                    Next::Step(name) => steps.place(name).map_or(Ahead::EndOfList, Ahead::Step),
                    Next::EndOfList => Ahead::EndOfList,
                    Next::EndOfStrand => Ahead::EndOfStrand,
                });
            }
            // Taken in elsewhere.
            _ => {}
        }
    }

    fn take_task(&mut self, id: u64, place: Place, event: &Event) {
        let Some(strand) = self.strands.get_mut(&event.head().strand) else { return };
        strand.last = id;
        if let Event::TaskScheduled { input, attempt, request, .. } = event {
            let (entered, retries) = match &mut strand.stage {
                Stage::Entered { event, .. } => (*event, BTreeMap::new()),
                Stage::Task(before) => (before.entered, std::mem::take(&mut before.retries)),
                _ => return,
            };
            strand.stage = Stage::Task(Box::new(Attempt {
                place,
                entered,
                scheduled: id,
                number: *attempt,
                input: Arc::clone(input),
                request: request.clone(),
                timeout: None,
                retries,
                phase: Phase::Scheduled,
            }));
            return;
        }
        if let Stage::Task(attempt) = &mut strand.stage {
            attempt.take(event);
        }
    }

    fn begin_strand(&mut self, id: u64, around: u64, place: Place, index: u64, input: &Value) {
        let sequence = match &self.steps().step(place).action {
            Action::Parallel { branches } => {
                usize::try_from(index).ok().and_then(|index| branches.get(index).copied())
            }
            Action::Foreach(foreach) => Some(foreach.steps),
            _ => None,
        };
        let Some(sequence) = sequence else { return };
        let Some(Stage::Several(several)) = self.strands.get_mut(&around).map(|s| &mut s.stage)
        else {
            return;
        };
        several.entered = index + 1;
        let frame = Frame {
            sequence,
            input: Arc::new(input.clone()),
            local: Arc::new(empty()),
            way_of: None,
        };
        let strand = Strand {
            parent: Some((around, index)),
            last: id,
            frames: vec![frame],
            stage: Stage::Between(Ahead::Step(sequence.first())),
        };
        self.strands.insert(id, strand);
    }

    fn end_strand(&mut self, id: u64, ended: u64, index: u64, local: &Value) {
        let Some((around, _)) = self.strands.remove(&ended).and_then(|strand| strand.parent) else {
            return;
        };
        let Some(around) = self.strands.get_mut(&around) else { return };
        around.last = id;
        if let Stage::Several(several) = &mut around.stage {
            several.results.insert(index, Arc::new(local.clone()));
        }
    }

    /// Ends the strands that are part of this one, without a word.
    fn drop_below(&mut self, around: u64, timers: &mut Timers<TimerKey>) {
        // A strand has a larger number than the one that it is part of, so one pass in order finds all.
        let mut gone = vec![around];
        self.strands.retain(|id, strand| {
            let part = strand.parent.is_some_and(|(parent, _)| gone.contains(&parent));
            if part {
                gone.push(*id);
                disarm(*id, timers);
            }
            !part
        });
    }

    fn arm(&self, id: u64, timers: &mut Timers<TimerKey>) {
        let Some(strand) = self.strands.get(&id) else { return };
        let Some(due) = strand.due() else { return };
        let key = match &strand.stage {
            Stage::Task(attempt) if !attempt.is_open() => TimerKey::Retry(id),
            Stage::Task(attempt) => match pattern(self.steps().step(attempt.place)) {
                Some(Pattern::WaitForCallback) => TimerKey::CallbackTimeout(id),
                _ => TimerKey::TaskTimeout(id),
            },
            _ => TimerKey::Wait(id),
        };
        timers.arm(key, due);
    }
}

impl Strand {
    fn start(
        &mut self,
        id: u64,
        place: Place,
        input: Data,
        running: &Running,
        steps: &FlowDefinition,
    ) {
        let way = match running {
            Running::Choice { way: Some(way) } => *way,
            Running::Several { count } => {
                self.stage = Stage::Several(Several {
                    place,
                    input,
                    started: id,
                    count: *count,
                    entered: 0,
                    results: BTreeMap::new(),
                });
                return;
            }
            Running::Plain | Running::Wait { .. } | Running::Choice { way: None } => {
                self.stage = Stage::Running { place, input, running: running.clone() };
                return;
            }
        };
        let Some(sequence) = steps.step(place).way(way).and_then(|way| way.steps) else {
            self.stage = Stage::Running { place, input, running: running.clone() };
            return;
        };
        self.frames.push(Frame {
            sequence,
            input,
            local: Arc::new(empty()),
            way_of: Some((place, way)),
        });
        self.stage = Stage::Between(Ahead::Step(sequence.first()));
    }

    /// How the step that now succeeds will be left.
    fn leave(&self, place: Place, steps: &FlowDefinition) -> Leave {
        let way = match (&self.stage, self.frame().way_of) {
            (Stage::Between(ahead), Some((choice, way))) if choice == place => {
                if *ahead == Ahead::EndOfStrand {
                    return Leave::ToEndOfStrand;
                }
                Some(way)
            }
            (Stage::Running { running: Running::Choice { way }, .. }, _) => *way,
            _ => None,
        };
        let goto = way.and_then(|way| steps.step(place).way(way)?.goto.clone());
        goto.map_or(Leave::ToNext, Leave::Goto)
    }

    fn leave_frames_above(&mut self, place: Place) {
        while self.frames.len() > 1 && self.frame().sequence != place.sequence {
            self.frames.pop();
        }
    }
}

impl Attempt {
    fn take(&mut self, event: &Event) {
        self.phase = match event {
            Event::TaskStarted { timeout, .. } => {
                self.timeout = *timeout;
                Phase::Started
            }
            Event::TaskSubmitted { .. } => Phase::Submitted,
            Event::TaskSucceeded { output, .. } => Phase::Succeeded(output.clone()),
            Event::TaskSubmitFailed { failure, then, .. }
            | Event::TaskFailed { failure, then, .. }
            | Event::TaskTimedOut { failure, then, .. } => {
                if let Then::Retry { entry, .. } = then {
                    *self.retries.entry(*entry).or_insert(0) += 1;
                }
                Phase::Failed { failure: failure.clone(), then: then.clone() }
            }
            // No event of an attempt under way.
            _ => return,
        };
    }
}

/// The pattern of a task.
pub(crate) fn pattern(step: &Step) -> Option<Pattern> {
    match &step.action {
        Action::Task(task) => Some(task.pattern),
        _ => None,
    }
}

fn disarm(strand: u64, timers: &mut Timers<TimerKey>) {
    use TimerKey::{CallbackTimeout, Retry, TaskTimeout, Wait};
    for key in [Wait, Retry, TaskTimeout, CallbackTimeout] {
        timers.disarm(&key(strand));
    }
}
