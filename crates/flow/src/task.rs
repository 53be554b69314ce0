//! Tasks: their attempts, what they ask of the world, and what becomes of the answers.

use crate::{
    Rejection,
    definition::{Action, FunctionTarget, Pattern, StartParameters, Step, Target, Task, is_name},
    event::{Event, Head, Next, Request, Then},
    failure::{Failure, INVALID_LOCAL, TASK_TIMEOUT},
    mapping::{self, Source},
    next::{World, check, exit, head, or_fail, read_object},
    state::{Attempt, Flow, Phase, Stage, Strand, empty, pattern},
    token::{TaskToken, Tokens, foreign},
};
use durastack_clock::{Entropy, Timestamp};
use durastack_engine::{ChildEnd, Life, Outcome, Parent, Payload};
use durastack_names::ExecutionId;
use serde_json::{Value, json};
use std::time::Duration;

/// What the world owes a task.
#[derive(Debug, Clone)]
pub enum Call {
    /// Invoke a function, and answer with [`CallEnd::Answered`] or [`CallEnd::Failed`].
    Function(FunctionCall),
    /// Start an execution of another flow, and answer with [`CallEnd::Started`] or [`CallEnd::Failed`].
    StartFlow(StartCall),
}

impl Call {
    /// Names the attempt; the answer carries it.
    #[must_use]
    pub fn key(&self) -> u64 {
        match self {
            Self::Function(call) => call.key,
            Self::StartFlow(call) => call.key,
        }
    }
}

/// An invocation of a function. After a crash it may be made a second time.
#[derive(Debug, Clone)]
pub struct FunctionCall {
    /// Names the attempt; the answer carries it.
    pub key: u64,
    /// The function.
    pub target: FunctionTarget,
    event: String,
}

impl FunctionCall {
    /// The function's event: the step's input as JSON text.
    #[must_use]
    pub fn event(&self, tokens: &Tokens<'_>) -> String {
        tokens.reveal(&self.event)
    }
}

/// A start of another flow.
///
/// After a crash it may be made a second time. It is then recognised: the id was drawn when the task was scheduled and
/// stands in its event. Whoever performs the start claims the name for this id, and takes a name that is claimed for the
/// same id as started.
#[derive(Debug, Clone)]
pub struct StartCall {
    /// Names the attempt; the answer carries it.
    pub key: u64,
    /// The flow to start.
    pub flow: String,
    /// The name of the execution.
    pub name: String,
    /// The id of the execution.
    pub id: ExecutionId,
    /// The execution's parent, if the task waits for its end. A name that another execution has cannot be waited for:
    /// the answer is then [`Failure::execution_already_exists`]. Without a parent an execution of that name which still
    /// runs is as good as started.
    pub parent: Option<Parent>,
    input: String,
}

impl StartCall {
    /// The execution's input, as JSON text.
    #[must_use]
    pub fn input(&self, tokens: &Tokens<'_>) -> String {
        tokens.reveal(&self.input)
    }
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallEnd {
    /// The function's result, as text.
    Answered(String),
    /// The execution is on record.
    Started,
    /// It was refused, failed, or its answer was lost.
    Failed(Failure),
}

/// What somebody reports of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Report {
    Succeeded(String),
    Failed(Failure),
}

impl Flow {
    /// An attempt, with the EventId of StepEntered and the attempt's number.
    ///
    /// Differs: a mapping that leads nowhere ends the execution with FnF.RuntimeError, whatever the task retries or
    /// catches, `FnF.ALL` included. What the service does is not published: of such a mapping, and of data that is too
    /// large, it says only that the execution fails. No other attempt could fare better, and the task has not begun.
    pub(crate) fn schedule(
        &self,
        id: u64,
        strand: &Strand,
        step: &Step,
        task: &Task,
        (entered, attempt): (u64, u64),
        world: &mut World<'_>,
    ) -> Result<Event, String> {
        let token = TaskToken { entered, scheduled: self.shown + 1 };
        let input = self.input(strand, step, world.life, Some(token))?;
        let request = match &task.target {
            Target::Function(function) => Request::Function(function.clone()),
            Target::Flow(parameters) | Target::StartExecution(parameters) => {
                let context = self.context(world.life, Some(token));
                let data = mapping::Data { input: &input, local: &empty(), context };
                start_request(parameters, data, world.entropy)?
            }
        };
        Ok(Event::TaskScheduled { head: head(id, strand, step), input, attempt, request })
    }

    /// What a task does that waits for nothing.
    pub(crate) fn task_move(
        &self,
        head: Head,
        strand: &Strand,
        step: &Step,
        attempt: &Attempt,
        world: &World<'_>,
    ) -> Option<Event> {
        let Action::Task(task) = &step.action else { return None };
        match &attempt.phase {
            Phase::Scheduled => {
                let timeout = task.timeout_s.map(|s| world.now.plus(Duration::from_secs(s)));
                Some(Event::TaskStarted { head, timeout })
            }
            Phase::Started => match &attempt.request {
                Request::Unfit(failure) => {
                    Some(refused(head, task, attempt, failure.clone(), world.now))
                }
                Request::Function(_) | Request::StartFlow { .. } => None,
            },
            Phase::Submitted => None,
            Phase::Succeeded(result) => {
                Some(self.leave_task(head, strand, step, attempt, result, world.life))
            }
            Phase::Failed { failure, then } => match then {
                Then::Retry { .. } => None,
                Then::Catch { goto } => {
                    let output = match &task.error_mappings {
                        Some(mappings) => {
                            let local = json!({ "error": failure.error, "cause": failure.cause });
                            self.output(mappings, &attempt.input, &local, world.life)
                        }
                        None => Ok(empty()),
                    };
                    let event = output.map(|output| {
                        exit(head.clone(), strand, &output, Next::Step(goto.clone()))
                    });
                    Some(or_fail(event, head))
                }
                Then::Fail => Some(Event::StepFailed { head, failure: failure.clone() }),
            },
        }
    }

    fn leave_task(
        &self,
        head: Head,
        strand: &Strand,
        step: &Step,
        attempt: &Attempt,
        result: &Value,
        life: &Life,
    ) -> Event {
        let output = match &step.output_mappings {
            Some(mappings) => self.output(mappings, &attempt.input, result, life),
            None => Ok(result.clone()),
        };
        let event = output.and_then(|output| {
            check(&[&attempt.input, result, &output], "data of the step")?;
            let steps = self.steps();
            let next = match steps.after(attempt.place) {
                _ if step.end => Next::EndOfStrand,
                Some(next) => Next::Step(steps.step(next).name.clone()),
                None => Next::EndOfList,
            };
            Ok(exit(head.clone(), strand, &output, next))
        });
        or_fail(event, head)
    }

    /// What a task does whose time has come: its attempt is over, or the next one begins.
    pub(crate) fn task_due(
        &self,
        head: Head,
        strand: &Strand,
        (step, task): (&Step, &Task),
        attempt: &Attempt,
        world: &mut World<'_>,
    ) -> Event {
        if attempt.is_open() {
            let seconds = task.timeout_s.unwrap_or_default();
            let failure = Failure::new(
                TASK_TIMEOUT,
                format!("The task did not end within {seconds} seconds."),
            );
            let then = then(task, attempt, &failure, world.now);
            return Event::TaskTimedOut { head, failure, then };
        }
        let next = (attempt.entered, attempt.number + 1);
        or_fail(self.schedule(head.strand, strand, step, task, next, world), head)
    }

    /// What the world owes the tasks.
    pub(crate) fn calls(&self, life: &Life) -> Vec<Call> {
        let call = |strand: &Strand| {
            let Stage::Task(attempt) = &strand.stage else { return None };
            let Phase::Started = attempt.phase else { return None };
            let key = attempt.scheduled;
            Some(match &attempt.request {
                Request::Function(target) => Call::Function(FunctionCall {
                    key,
                    target: target.clone(),
                    event: attempt.input.to_string(),
                }),
                Request::StartFlow { flow, name, id, input, .. } => {
                    let pattern = pattern(self.steps().step(attempt.place));
                    let parent = Parent { execution: life.id, operation: key };
                    Call::StartFlow(StartCall {
                        key,
                        flow: flow.clone(),
                        name: name.clone(),
                        id: *id,
                        parent: (pattern == Some(Pattern::Sync)).then_some(parent),
                        input: input.clone(),
                    })
                }
                Request::Unfit(_) => return None,
            })
        };
        self.strands.values().filter_map(call).collect()
    }

    /// A call has ended. Nothing happens if its attempt is over.
    pub(crate) fn call_ended(&self, key: u64, end: CallEnd, now: Timestamp) -> Option<Event> {
        let (id, strand, attempt) = self.attempt(key)?;
        let step = self.steps().step(attempt.place);
        let (Action::Task(task), Phase::Started) = (&step.action, &attempt.phase) else {
            return None;
        };
        let head = head(id, strand, step);
        let output = match (&attempt.request, end) {
            (_, CallEnd::Failed(failure)) => {
                return Some(refused(head, task, attempt, failure, now));
            }
            (Request::StartFlow { flow, name, request_id, .. }, _) => {
                start_result(flow, name, request_id).to_string()
            }
            (_, CallEnd::Answered(text)) => text,
            (_, CallEnd::Started) => empty().to_string(),
        };
        if task.pattern == Pattern::RequestResponse {
            return Some(succeeded(head, task, attempt, &output, now));
        }
        // What a function answers is not what the task waits for; the history shows it if it is small and an object.
        let output = read_object(&output).filter(|output| check(&[output], "").is_ok());
        Some(Event::TaskSubmitted { head, output: output.unwrap_or_else(empty) })
    }

    /// Somebody reports a task.
    pub(crate) fn reported(
        &self,
        token: TaskToken,
        report: Report,
        now: Timestamp,
    ) -> Result<Event, Rejection> {
        if token.scheduled > self.shown || token.entered >= token.scheduled {
            return Err(Rejection::TokenUnknown);
        }
        let Some((id, strand, attempt)) =
            self.attempt(token.scheduled).filter(|(_, _, attempt)| attempt.token() == token)
        else {
            return Err(Rejection::TaskCompleted);
        };
        let step = self.steps().step(attempt.place);
        let Action::Task(task) = &step.action else { return Err(Rejection::TokenUnknown) };
        match attempt.phase {
            Phase::Succeeded(_) | Phase::Failed { .. } => return Err(Rejection::TaskCompleted),
            Phase::Scheduled => return Err(Rejection::TaskNotWaiting),
            // A function may report before it returns.
            Phase::Started | Phase::Submitted => {}
        }
        if task.pattern != Pattern::WaitForCallback {
            return Err(Rejection::TaskNotWaiting);
        }
        let head = head(id, strand, step);
        Ok(match report {
            Report::Succeeded(output) => {
                if read_object(&output).is_none() {
                    return Err(Rejection::OutputNotAnObject);
                }
                succeeded(head, task, attempt, &output, now)
            }
            Report::Failed(failure) => failed(head, task, attempt, failure, now),
        })
    }

    /// An execution that a task waits for has ended: one that it started itself, or one that was given its token.
    pub(crate) fn child_events(&self, end: &ChildEnd, now: Timestamp) -> Vec<Event> {
        let Some((id, strand, attempt)) = self.attempt(end.operation) else { return Vec::new() };
        let step = self.steps().step(attempt.place);
        let Action::Task(task) = &step.action else { return Vec::new() };
        if !attempt.is_open() || task.pattern == Pattern::RequestResponse {
            return Vec::new();
        }
        let mut head = head(id, strand, step);
        let mut events = Vec::new();
        // A quick child may end before the answer to its start is here. The history is the same as if it had not.
        if let (Phase::Started, Request::StartFlow { flow, name, request_id, .. }, Pattern::Sync) =
            (&attempt.phase, &attempt.request, task.pattern)
        {
            let output = start_result(flow, name, request_id);
            events.push(Event::TaskSubmitted { head: head.clone(), output });
            head.schedule = self.shown + 1;
        }
        events.push(match (&end.outcome, Failure::of_outcome(&end.outcome)) {
            (_, Some(failure)) => failed(head, task, attempt, failure, now),
            (Outcome::Succeeded(Some(Payload::Inline(output))), None) => {
                succeeded(head, task, attempt, output, now)
            }
            (_, None) => succeeded(head, task, attempt, "{}", now),
        });
        events
    }
}

/// What starting a flow answers. The members are not published; these are the ones of the API's answer that are known when
/// the start is decided.
fn start_result(flow: &str, name: &str, request_id: &str) -> Value {
    json!({ "FlowName": flow, "Name": name, "RequestId": request_id })
}

fn start_request(
    parameters: &StartParameters,
    data: mapping::Data<'_>,
    entropy: &mut Entropy,
) -> Result<Request, String> {
    let evaluate =
        |source: &Option<Source>| source.as_ref().map(|source| source.evaluate(data)).transpose();
    let flow = parameters.flow.evaluate(data)?;
    let name = evaluate(&parameters.execution)?;
    let input = evaluate(&parameters.input)?.unwrap_or_else(empty);
    let unfit = |cause: String| Ok(Request::Unfit(Failure::start_invalid(cause)));
    let Some(flow) = flow.as_str().filter(|flow| is_name(flow)) else {
        return unfit(format!("{flow} is not the name of a flow."));
    };
    let name = match name {
        Some(Value::String(name)) if is_name(&name) => name,
        Some(name) => return unfit(format!("{name} is not the name of an execution.")),
        None => entropy.uuid(),
    };
    let input = match input {
        Value::Object(_) => input.to_string(),
        Value::String(text) if read_object(&text).is_some() => text,
        _ => return unfit("The input is not a JSON object.".to_owned()),
    };
    if input.len() > 2 * mapping::DATA_BYTES_MAX {
        return unfit("The input is too large.".to_owned());
    }
    Ok(Request::StartFlow {
        flow: flow.to_owned(),
        name,
        id: ExecutionId::from_bytes(entropy.bytes16()),
        input,
        request_id: entropy.uuid(),
    })
}

/// The end of an attempt by a result.
fn succeeded(head: Head, task: &Task, attempt: &Attempt, output: &str, now: Timestamp) -> Event {
    let Some(output) = read_value(output).filter(Value::is_object) else {
        let failure = Failure::new(INVALID_LOCAL, "The result is not a JSON object.");
        return failed(head, task, attempt, failure, now);
    };
    match check(&[&output], "result") {
        Ok(()) => Event::TaskSucceeded { head, output },
        // Too large for the engine, which ends the execution: no retry and no catch helps.
        Err(trouble) => {
            Event::TaskFailed { head, failure: Failure::runtime(trouble), then: Then::Fail }
        }
    }
}

fn read_value(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok().map(foreign)
}

fn failed(head: Head, task: &Task, attempt: &Attempt, failure: Failure, now: Timestamp) -> Event {
    let then = then(task, attempt, &failure, now);
    Event::TaskFailed { head, failure, then }
}

/// The request itself went wrong.
fn refused(head: Head, task: &Task, attempt: &Attempt, failure: Failure, now: Timestamp) -> Event {
    let then = then(task, attempt, &failure, now);
    match task.pattern {
        Pattern::RequestResponse => Event::TaskFailed { head, failure, then },
        Pattern::Sync | Pattern::WaitForCallback => Event::TaskSubmitFailed { head, failure, then },
    }
}

/// The first entry of `retry` that lists the error counts, and has its turn until it is used up; then the first of `catch`.
fn then(task: &Task, attempt: &Attempt, failure: &Failure, now: Timestamp) -> Then {
    let mut retries = (0..).zip(&task.retry);
    if let Some((entry, retry)) = retries.find(|(_, retry)| failure.is_among(&retry.errors)) {
        let made = attempt.retries.get(&entry).copied().unwrap_or(0);
        if made < retry.attempts {
            return Then::Retry { entry, due: now.plus(retry.pause(made + 1)) };
        }
    }
    let caught = task.catch.iter().find(|catch| failure.is_among(&catch.errors));
    caught.map_or(Then::Fail, |catch| Then::Catch { goto: catch.goto.clone() })
}
