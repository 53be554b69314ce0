//! What comes next: one move at a time, from the state, the time and the definition alone.

use crate::{
    definition::{Action, BRANCHES_MAX, Step, WAIT_SECONDS_MAX, Wait},
    event::{Event, Head, Next, Running},
    failure::Failure,
    mapping::{self, Context, DATA_BYTES_MAX, Mappings, json_bytes, merge, too_large},
    state::{Ahead, Data, Flow, Leave, MAIN, Several, Stage, Strand, empty},
    token::{TaskToken, foreign},
};
use durastack_clock::{Entropy, Timestamp};
use durastack_engine::{Life, Outcome, Payload};
use serde_json::{Map, Value, json};
use std::{sync::Arc, time::Duration};

/// The most events that one execution may have, its end included. Source: the vendor's page on limits.
pub const EVENTS_MAX: u64 = 5_000;
/// The deepest nesting of data; a limit of ours, below that of the JSON reader, which must read the journal back.
const DATA_DEPTH_MAX: usize = 100;

/// The next thing to write.
#[derive(Debug)]
pub(crate) enum Move {
    Event(Event),
    End(Outcome),
}

/// What a move may know beside the state.
pub(crate) struct World<'a> {
    pub(crate) life: &'a Life,
    pub(crate) now: Timestamp,
    pub(crate) entropy: &'a mut Entropy,
}

/// Why a step cannot go on.
type Trouble = String;

impl Flow {
    /// The next move; nothing while everything waits for the world or for time.
    ///
    /// A failure goes out to the flow's end before anything else happens. Then strands move in the order of their
    /// beginning; then what is due, in the order of its due times; and only when all of it rests does a step that contains
    /// others begin another branch or iteration, the innermost such step first.
    pub(crate) fn next_move(&self, world: &mut World<'_>) -> Option<Move> {
        if !self.begun {
            return Some(self.begin(world));
        }
        let failed = self.strands.iter().find_map(|(id, strand)| match &strand.stage {
            Stage::Failed(failure) => Some(self.fail_around(*id, strand, failure)),
            _ => None,
        });
        if failed.is_some() {
            return failed;
        }
        let moved = self.strands.iter().find_map(|(id, strand)| self.step(*id, strand, world));
        if moved.is_some() {
            return moved;
        }
        let due = self.strands.iter().filter_map(|(id, strand)| Some((strand.due()?, *id, strand)));
        if let Some((due, id, strand)) = due.min_by_key(|(due, id, _)| (*due, *id))
            && due <= world.now
        {
            return self.pass_time(id, strand, world);
        }
        let mut containers = self.strands.iter().rev();
        containers.find_map(|(id, strand)| match &strand.stage {
            Stage::Several(several) => self.begin_another(*id, strand, several, world.life),
            _ => None,
        })
    }

    /// The flow's input, made and checked, becomes known by the first step that is entered.
    fn begin(&self, world: &World<'_>) -> Move {
        let input = match self.flow_input(world.life) {
            Ok(input) => input,
            Err(trouble) => return end_badly(&Failure::runtime(trouble)),
        };
        let steps = self.steps();
        let first = steps.step(crate::definition::Sequence::FLOW.first());
        let head = Head { strand: MAIN, step: first.name.clone(), schedule: self.shown };
        let (input, local) = (Arc::new(input), Arc::new(empty()));
        Move::Event(Event::StepEntered { head, input, local })
    }

    fn flow_input(&self, life: &Life) -> Result<Value, Trouble> {
        let Some(text) = life.input.inline() else { return Err(too_large("input")) };
        let input = read_object(text).ok_or("the input is no JSON object")?;
        check(&[&input], "input")?;
        let Some(mappings) = &self.steps().input_mappings else { return Ok(input) };
        let context = self.context(life, None);
        let mapped =
            mappings.evaluate(mapping::Data { input: &input, local: &empty(), context })?;
        check(&[&mapped], "input")?;
        Ok(mapped)
    }

    pub(crate) fn context<'a>(&'a self, life: &'a Life, token: Option<TaskToken>) -> Context<'a> {
        Context { flow: self.definition.flow(), execution: &life.name, token }
    }

    /// A step failed: what it is part of fails too, from the inside out.
    fn fail_around(&self, id: u64, strand: &Strand, failure: &Failure) -> Move {
        let around = match (strand.frame().way_of, strand.parent) {
            (Some((choice, _)), _) => Some((id, choice)),
            (None, Some((parent, _))) => match self.strands.get(&parent).map(|s| &s.stage) {
                Some(Stage::Several(several)) => Some((parent, several.place)),
                _ => None,
            },
            (None, None) => None,
        };
        match around {
            Some((around, place)) => {
                let step = self.steps().step(place).name.clone();
                let head = Head { strand: around, step, schedule: strand.last };
                Move::Event(Event::StepFailed { head, failure: failure.clone() })
            }
            None => end_badly(failure),
        }
    }

    /// What a strand does that waits for nothing.
    fn step(&self, id: u64, strand: &Strand, world: &mut World<'_>) -> Option<Move> {
        let steps = self.steps();
        match &strand.stage {
            Stage::Between(Ahead::Step(place)) => Some(Move::Event(Event::StepEntered {
                head: head(id, strand, steps.step(*place)),
                input: Arc::clone(&strand.frame().input),
                local: Arc::clone(&strand.frame().local),
            })),
            Stage::Between(Ahead::EndOfList | Ahead::EndOfStrand) => {
                self.end_list(id, strand, world.life)
            }
            Stage::Entered { place, event } => {
                let step = steps.step(*place);
                let event = match &step.action {
                    Action::Task(task) => self.schedule(id, strand, step, task, (*event, 1), world),
                    _ => self.start(id, strand, step, world),
                };
                Some(Move::Event(or_fail(event, head(id, strand, step))))
            }
            Stage::Running { running: Running::Wait { .. }, .. } => None,
            Stage::Running { place, input, .. } => {
                let step = steps.step(*place);
                let head = head(id, strand, step);
                Some(Move::Event(match &step.action {
                    Action::Fail { error, cause } => Event::StepFailed {
                        head,
                        failure: Failure::new(error.as_str(), cause.as_str()),
                    },
                    _ => self.succeed(head, step, input, &empty(), world.life),
                }))
            }
            Stage::Several(several) => {
                if several.entered < several.count || several.running() > 0 {
                    return None;
                }
                let step = steps.step(several.place);
                let local = several.results.values().map(|local| (**local).clone()).collect();
                let local = Value::Array(local);
                Some(Move::Event(self.succeed(
                    head(id, strand, step),
                    step,
                    &several.input,
                    &local,
                    world.life,
                )))
            }
            Stage::Task(attempt) => {
                let step = steps.step(attempt.place);
                self.task_move(head(id, strand, step), strand, step, attempt, world)
                    .map(Move::Event)
            }
            Stage::Done { place, output, leave } => {
                let step = steps.step(*place);
                let next = match leave {
                    Leave::ToNext if step.end || step.action == Action::Succeed => {
                        Next::EndOfStrand
                    }
                    Leave::ToNext => steps
                        .after(*place)
                        .map_or(Next::EndOfList, |next| Next::Step(steps.step(next).name.clone())),
                    Leave::Goto(name) => Next::Step(name.clone()),
                    Leave::ToEndOfStrand => Next::EndOfStrand,
                };
                Some(Move::Event(exit(head(id, strand, step), strand, output, next)))
            }
            Stage::Failed(_) => None,
        }
    }

    /// What a strand does whose time has come.
    fn pass_time(&self, id: u64, strand: &Strand, world: &mut World<'_>) -> Option<Move> {
        match &strand.stage {
            Stage::Running { place, input, .. } => {
                let step = self.steps().step(*place);
                let head = head(id, strand, step);
                Some(Move::Event(self.succeed(head, step, input, &empty(), world.life)))
            }
            Stage::Task(attempt) => {
                let step = self.steps().step(attempt.place);
                let Action::Task(task) = &step.action else { return None };
                let head = head(id, strand, step);
                Some(Move::Event(self.task_due(head, strand, (step, task), attempt, world)))
            }
            Stage::Between(_)
            | Stage::Entered { .. }
            | Stage::Several(_)
            | Stage::Done { .. }
            | Stage::Failed(_) => None,
        }
    }

    /// A list of steps has ended: with it the choice that it is a way of, or its branch or iteration, or the flow.
    fn end_list(&self, id: u64, strand: &Strand, life: &Life) -> Option<Move> {
        let frame = strand.frame();
        if let Some((choice, _)) = frame.way_of {
            let step = self.steps().step(choice);
            let head = head(id, strand, step);
            return Some(Move::Event(self.succeed(head, step, &frame.input, &frame.local, life)));
        }
        let Some((parent, index)) = strand.parent else { return Some(self.end_well(strand, life)) };
        // A branch is gone before the step that contains it.
        let Stage::Several(several) = &self.strands.get(&parent)?.stage else { return None };
        let step = self.steps().step(several.place);
        let head = head(id, strand, step);
        let local = (*frame.local).clone();
        Some(Move::Event(match &step.action {
            Action::Foreach(_) => Event::IterationExited { head, index, local },
            _ => Event::BranchExited { head, index, local },
        }))
    }

    fn end_well(&self, strand: &Strand, life: &Life) -> Move {
        let Strand { frames, .. } = strand;
        let (input, local) = (&frames[0].input, &frames[0].local);
        let output = match &self.steps().output_mappings {
            Some(mappings) => {
                let context = self.context(life, None);
                mappings.evaluate(mapping::Data { input, local, context })
            }
            None => Ok((**local).clone()),
        };
        let checked = output.and_then(|output| check(&[&output], "output").map(|()| output));
        match checked {
            Ok(output) => Move::End(Outcome::Succeeded(Some(Payload::Inline(output.to_string())))),
            Err(trouble) => end_badly(&Failure::runtime(trouble)),
        }
    }

    /// A step's input, made of what surrounds it.
    pub(crate) fn input(
        &self,
        strand: &Strand,
        step: &Step,
        life: &Life,
        token: Option<TaskToken>,
    ) -> Result<Data, Trouble> {
        let frame = strand.frame();
        let input = match &step.input_mappings {
            Some(mappings) => {
                // Within a way of a choice, `$local` also shows what was made before the choice: a vendor sample needs it.
                let local = if strand.frames.len() == 1 {
                    Arc::clone(&frame.local)
                } else {
                    let locals = strand.frames.iter().map(|frame| &frame.local);
                    Arc::new(locals.fold(empty(), |all, local| merge(&all, local)))
                };
                let context = self.context(life, token);
                let data = mapping::Data { input: &frame.input, local: &local, context };
                Arc::new(mappings.evaluate(data)?)
            }
            None => merge_shared(&frame.input, &frame.local),
        };
        check(&[&input], "input")?;
        Ok(input)
    }

    fn start(
        &self,
        id: u64,
        strand: &Strand,
        step: &Step,
        world: &World<'_>,
    ) -> Result<Event, Trouble> {
        let input = self.input(strand, step, world.life, None)?;
        let data = mapping::Data {
            input: &input,
            local: &empty(),
            context: self.context(world.life, None),
        };
        let running = match &step.action {
            Action::Choice { choices, default } => {
                let mut way = default.is_some().then_some(choices.len());
                for (number, (condition, _)) in choices.iter().enumerate() {
                    if condition.holds(&input)? {
                        way = Some(number);
                        break;
                    }
                }
                Running::Choice { way: way.map(|way| way as u64) }
            }
            Action::Parallel { branches } => Running::Several { count: branches.len() as u64 },
            Action::Foreach(foreach) => match foreach.collection.evaluate(data)? {
                Value::Array(items) => Running::Several { count: items.len() as u64 },
                _ => return Err("the collection is no array".to_owned()),
            },
            Action::Wait(wait) => Running::Wait { until: until(wait, data, world.now)? },
            Action::Pass | Action::Succeed | Action::Fail { .. } | Action::Task(_) => {
                Running::Plain
            }
        };
        Ok(Event::StepStarted { head: head(id, strand, step), input, running })
    }

    /// The step has its local: what is its output?
    fn succeed(&self, head: Head, step: &Step, input: &Value, local: &Value, life: &Life) -> Event {
        let output = match (&step.output_mappings, &step.action) {
            (Some(mappings), _) => self.output(mappings, input, local, life),
            (None, Action::Parallel { .. } | Action::Foreach(_)) => Ok(empty()),
            (None, _) => Ok(local.clone()),
        };
        let event = output.and_then(|output| {
            check(&[input, local, &output], "data of the step")?;
            Ok(Event::StepSucceeded { head: head.clone(), output })
        });
        or_fail(event, head)
    }

    pub(crate) fn output(
        &self,
        mappings: &Mappings,
        input: &Value,
        local: &Value,
        life: &Life,
    ) -> Result<Value, Trouble> {
        let context = self.context(life, None);
        mappings.evaluate(mapping::Data { input, local, context })
    }

    fn begin_another(
        &self,
        id: u64,
        strand: &Strand,
        several: &Several,
        life: &Life,
    ) -> Option<Move> {
        if several.entered == several.count || several.running() >= BRANCHES_MAX as u64 {
            return None;
        }
        let step = self.steps().step(several.place);
        let head = Head { schedule: several.started, ..head(id, strand, step) };
        let index = several.entered;
        let Action::Foreach(foreach) = &step.action else {
            let input = (*several.input).clone();
            return Some(Move::Event(Event::BranchEntered { head, index, input }));
        };
        let item = || {
            let data = mapping::Data {
                input: &several.input,
                local: &empty(),
                context: self.context(life, None),
            };
            let mut item = foreach.collection.evaluate(data)?;
            let number = usize::try_from(index).map_err(|_| "no such item")?;
            let mut input = (*several.input).clone();
            input[&foreach.item] = item.get_mut(number).map(Value::take).unwrap_or_default();
            if let Some(name) = &foreach.index {
                input[name] = json!(index);
            }
            check(&[&input], "input of the iteration")?;
            Ok(Event::IterationEntered { head: head.clone(), index, input })
        };
        Some(Move::Event(or_fail(item(), head)))
    }
}

pub(crate) fn head(id: u64, strand: &Strand, step: &Step) -> Head {
    Head { strand: id, step: step.name.clone(), schedule: strand.last }
}

/// The step is left, and its output becomes part of what surrounds it.
pub(crate) fn exit(head: Head, strand: &Strand, output: &Value, next: Next) -> Event {
    let frame = strand.frame();
    let local = merge_shared(&frame.local, output);
    match check(&[&frame.input, &local], "data after the step") {
        Ok(()) => Event::StepExited { head, local, next },
        Err(trouble) => Event::StepFailed { head, failure: Failure::runtime(trouble) },
    }
}

/// As [`merge`]; nothing is copied where nothing is added.
fn merge_shared(first: &Data, second: &Value) -> Data {
    let adds_nothing = second.as_object().is_none_or(Map::is_empty);
    if adds_nothing && first.is_object() {
        Arc::clone(first)
    } else {
        Arc::new(merge(first, second))
    }
}

pub(crate) fn or_fail(event: Result<Event, Trouble>, head: Head) -> Event {
    event.unwrap_or_else(|trouble| Event::StepFailed { head, failure: Failure::runtime(trouble) })
}

pub(crate) fn end_badly(failure: &Failure) -> Move {
    Move::End(Outcome::Failed(Some(failure.payload())))
}

fn until(wait: &Wait, data: mapping::Data<'_>, now: Timestamp) -> Result<Timestamp, Trouble> {
    let until = match wait {
        Wait::Seconds(seconds) => {
            let seconds = seconds.evaluate(data)?;
            let whole = seconds.as_u64().filter(|seconds| *seconds <= WAIT_SECONDS_MAX);
            let seconds = whole.ok_or_else(|| {
                format!("the duration {seconds} is no whole number from 0 to {WAIT_SECONDS_MAX}")
            })?;
            return Ok(now.plus(Duration::from_secs(seconds)));
        }
        Wait::Until(until) => *until,
        Wait::UntilFound(source) => {
            let found = source.evaluate(data)?;
            let parsed = found.as_str().and_then(|text| Timestamp::parse_iso(text).ok());
            parsed.ok_or_else(|| format!("the timestamp {found} is no RFC 3339 time"))?
        }
    };
    if until.since(now) > Duration::from_secs(WAIT_SECONDS_MAX) {
        return Err(format!("the wait until {until} is longer than {WAIT_SECONDS_MAX} seconds"));
    }
    Ok(until)
}

/// Data must be small enough together, and flat enough each.
pub(crate) fn check(values: &[&Value], what: &str) -> Result<(), Trouble> {
    if values.iter().map(|value| json_bytes(value)).sum::<usize>() > DATA_BYTES_MAX {
        return Err(too_large(what));
    }
    if values.iter().any(|value| !is_flat(value, DATA_DEPTH_MAX)) {
        return Err(format!("the {what} is nested deeper than {DATA_DEPTH_MAX}"));
    }
    Ok(())
}

fn is_flat(value: &Value, depth: usize) -> bool {
    match value {
        Value::Array(items) => depth > 0 && items.iter().all(|item| is_flat(item, depth - 1)),
        Value::Object(members) => {
            depth > 0 && members.values().all(|item| is_flat(item, depth - 1))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

/// A JSON object from outside.
///
/// Differs: numbers are whole ones of 64 bits, or floating-point numbers of 64 bits, as JavaScript and most JSON parsers
/// have them; a longer whole number is rounded to one of the latter. What the service does with it is not published.
pub(crate) fn read_object(text: &str) -> Option<Value> {
    object(text).ok().map(foreign)
}

/// Whether a text is a JSON object as executions read it: `1e400` is no number to them, nor is nesting without end JSON.
///
/// # Errors
///
/// What is wrong, as the end of a sentence.
pub fn check_object(text: &str) -> Result<(), String> {
    object(text).map(|_| ())
}

fn object(text: &str) -> Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(object @ Value::Object(_)) => Ok(object),
        Ok(_) => Err("it must be a JSON object".to_owned()),
        Err(error) => Err(format!("it must be a JSON object: {error}")),
    }
}
