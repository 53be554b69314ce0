//! Runs flows against a script, with the clock turned by hand: a driver and a world in one, without tasks or files.

use crate::script::{Report, Script, Stop};
use durastack_clock::{Entropy, Moment, Timestamp};
use durastack_engine::{
    ChildEnd, Command, Event as Recorded, Execution, LifeEvent, Outcome, Owed, OwedKey, Parent,
    Payload, Record, Start, Status, TokenKey, TokenKind,
};
use durastack_flow::{
    Call, CallEnd, Definition, Event, Failure, Flow, HistoryView, Rejection, Request, TaskToken,
    Tokens, public_event,
};
use durastack_names::ExecutionId;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// When every case begins.
pub(crate) const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);
/// The name of a case's own execution.
pub(crate) const NAME: &str = "case";
/// A history of more events than this is not kept whole.
const LONG_HISTORY: usize = 200;
/// How many events of a long history are kept at each of its ends.
const LONG_HISTORY_ENDS: usize = 20;

/// A record of some execution, in the order in which all of them were written.
pub(crate) type Written = (ExecutionId, Record<Flow>);

pub(crate) struct World {
    pub(crate) script: Script,
    pub(crate) now: Timestamp,
    pub(crate) executions: BTreeMap<ExecutionId, Execution<Flow>>,
    order: Vec<ExecutionId>,
    pub(crate) journal: Vec<Written>,
    /// Calls of functions: which, by whom, with what key and event.
    pub(crate) calls: Vec<(String, ExecutionId, u64, Value)>,
    pub(crate) rejections: Vec<Rejection>,
    /// Whether two functions were ever called at the same time.
    pub(crate) concurrent: bool,
    performing: BTreeSet<(ExecutionId, OwedKey)>,
    happenings: BTreeMap<(Timestamp, u64), Happening>,
    key: TokenKey,
    draws: u64,
}

enum Happening {
    Answer(ExecutionId, OwedKey, CallEnd),
    Report(TaskToken, ExecutionId, Report),
    Stop(Stop),
}

fn moment(now: Timestamp, draws: &mut u64) -> Moment {
    *draws += 1;
    Moment { now, entropy: Entropy::seeded(u128::from(*draws)) }
}

impl World {
    pub(crate) fn new(script: Script) -> Self {
        Self {
            script,
            now: START,
            executions: BTreeMap::new(),
            order: Vec::new(),
            journal: Vec::new(),
            calls: Vec::new(),
            rejections: Vec::new(),
            concurrent: false,
            performing: BTreeSet::new(),
            happenings: BTreeMap::new(),
            key: TokenKey::new(&[9; 32]),
            draws: 0,
        }
    }

    pub(crate) fn main(&self) -> &Execution<Flow> {
        &self.executions[&self.order[0]]
    }

    pub(crate) fn tokens(&self, execution: ExecutionId) -> Tokens<'_> {
        Tokens { key: &self.key, execution }
    }

    pub(crate) fn start_case(&mut self, definition: Definition, input: String) {
        let start = Start {
            id: ExecutionId::from_bytes([1; 16]),
            name: NAME.into(),
            scope: definition.flow().into(),
            version: String::new(),
            timeout: Some(definition.timeout()),
            retention: None,
            parent: None,
            input: Payload::Inline(input),
            definition,
        };
        self.start(start);
        self.plan_stops();
    }

    /// Starts another execution, whose end somebody waits for.
    pub(crate) fn start_child(&mut self, definition: Definition, parent: Parent) {
        self.start(Start {
            id: ExecutionId::from_bytes([2; 16]),
            name: "child".into(),
            scope: definition.flow().into(),
            version: String::new(),
            timeout: Some(definition.timeout()),
            retention: None,
            parent: Some(parent),
            input: Payload::Inline("{}".into()),
            definition,
        });
    }

    fn plan_stops(&mut self) {
        for stop in self.script.stops.clone() {
            self.later(START.plus(Duration::from_secs(stop.after_s)), Happening::Stop(stop));
        }
    }

    fn start(&mut self, start: Start<Flow>) {
        let id = start.id;
        let (execution, records) = Execution::start(moment(self.now, &mut self.draws), start);
        self.journal.extend(records.into_iter().map(|record| (id, record)));
        self.executions.insert(id, execution);
        self.order.push(id);
    }

    /// Takes up what a crash left: the executions are rebuilt from what was written.
    pub(crate) fn recover(mut script: Script, written: Vec<Written>) -> Self {
        let mut calls = BTreeMap::new();
        let mut ended = Vec::new();
        let key = TokenKey::new(&[9; 32]);
        for (id, record) in &written {
            let Recorded::Work(event) = &record.event else { continue };
            let strand = (*id, event.head().strand);
            match event {
                Event::TaskScheduled { request: Request::Function(target), input, .. } => {
                    let tokens = Tokens { key: &key, execution: *id };
                    let event = tokens.reveal(&input.to_string());
                    let event: Value = serde_json::from_str(&event).unwrap();
                    calls.insert(strand, (target.function.clone(), event));
                }
                Event::TaskSubmitted { .. }
                | Event::TaskSubmitFailed { .. }
                | Event::TaskSucceeded { .. }
                | Event::TaskFailed { .. }
                | Event::TaskTimedOut { .. } => {
                    if let Some((function, event)) = calls.remove(&strand) {
                        script.skip(&function, &event);
                        ended.push((function, event));
                    }
                }
                _ => {}
            }
        }
        let mut world = Self::new(script);
        world.now = written.last().map_or(START, |(_, record)| record.at);
        let mut journals: BTreeMap<ExecutionId, Vec<Record<Flow>>> = BTreeMap::new();
        for (id, record) in &written {
            if !world.order.contains(id) {
                world.order.push(*id);
            }
            journals.entry(*id).or_default().push(record.clone());
        }
        for (id, records) in journals {
            world.executions.insert(id, Execution::replay(records).unwrap());
        }
        world.journal = written;
        // What is drawn from here on differs from what was drawn before the crash.
        world.draws = 1_000_000;
        world.plan_stops();
        for (function, event) in ended {
            // As in the first run: the calls that ended are known to whoever reports.
            let call = world.called(&function);
            world.plan_reports(&function, call, &event);
            world.calls.push((function, world.order[0], 0, Value::Null));
        }
        for id in world.order.clone() {
            world.command(id, Command::Recover).unwrap();
        }
        world
    }

    fn called(&self, function: &str) -> usize {
        self.calls.iter().filter(|(name, ..)| name == function).count() + 1
    }

    /// Until nothing more can happen.
    pub(crate) fn run(&mut self) {
        for _ in 0..100_000 {
            self.perform();
            let happening = self.happenings.keys().next().copied();
            let due = self
                .executions
                .iter()
                .filter(|(_, execution)| execution.life.is_open())
                .filter_map(|(id, execution)| Some((execution.next_deadline()?.0, *id)))
                .min();
            match (happening, due) {
                (Some((at, number)), due) if due.is_none_or(|(due, _)| at <= due) => {
                    self.now = self.now.max(at);
                    let happening = self.happenings.remove(&(at, number)).unwrap();
                    self.happen(happening);
                }
                (_, Some((due, id))) => {
                    self.now = self.now.max(due);
                    self.command(id, Command::FireTimers).unwrap();
                }
                (None, None) => return,
                (Some(_), None) => unreachable!("a happening without a deadline comes first"),
            }
        }
        panic!("the case does not end");
    }

    fn later(&mut self, at: Timestamp, happening: Happening) {
        self.draws += 1;
        self.happenings.insert((at, self.draws), happening);
    }

    /// Writes what a command leads to. Returns the first number that it writes in the public history.
    pub(crate) fn command(
        &mut self,
        id: ExecutionId,
        command: Command<Flow>,
    ) -> Result<Option<u64>, Rejection> {
        let moment = moment(self.now, &mut self.draws);
        let execution = self.executions.get_mut(&id).unwrap();
        let records = execution.decide(moment, command)?;
        let first = records.first().and_then(|record| record.event_id);
        records.iter().for_each(|record| execution.apply(record));
        self.journal.extend(records.into_iter().map(|record| (id, record)));
        Ok(first)
    }

    fn perform(&mut self) {
        loop {
            let owed = self.order.iter().find_map(|id| {
                let owed = self.executions[id].owed();
                let functions = owed
                    .iter()
                    .filter(|owed| matches!(owed, Owed::Call { call: Call::Function(_), .. }));
                self.concurrent |= functions.count() > 1;
                owed.into_iter()
                    .find(|owed| !self.performing.contains(&(*id, owed.key())))
                    .map(|owed| (*id, owed))
            });
            let Some((id, owed)) = owed else { return };
            self.performing.insert((id, owed.key()));
            match owed {
                Owed::Call { key, call: Call::Function(call) } => {
                    let event = call.event(&self.tokens(id));
                    let event: Value = serde_json::from_str(&event).unwrap();
                    let function = call.target.function;
                    let answer = self.script.answer(&function, &event);
                    let at = self.now.plus(Duration::from_secs(answer.after_s));
                    let number = self.called(&function);
                    self.plan_early_reports(&function, number, &event);
                    self.later(at, Happening::Answer(id, key, answer.end));
                    self.plan_reports(&function, number, &event);
                    self.calls.push((function, id, call.key, event));
                }
                Owed::Call { key, call: Call::StartFlow(call) } => {
                    let end = self.start_flow(id, &call);
                    self.later(self.now, Happening::Answer(id, key, end));
                }
                Owed::Parent => {
                    let life = &self.executions[&id].life;
                    let (parent, end) = (life.parent.unwrap(), life.end.clone().unwrap());
                    let (timeout, operation) = (life.timeout, parent.operation);
                    let end = ChildEnd { operation, outcome: end.1, timeout };
                    self.command(parent.execution, Command::ChildEnded(end)).unwrap();
                    self.command(id, Command::ParentTold).unwrap();
                }
                Owed::Child { .. } => panic!("flows start their children by calls"),
            }
        }
    }

    fn start_flow(&mut self, from: ExecutionId, call: &durastack_flow::StartCall) -> CallEnd {
        let Some(text) = self.script.flows.get(&call.flow) else {
            return CallEnd::Failed(Failure::flow_not_exists(&call.flow));
        };
        let taken = self.executions.values().find(|execution| {
            execution.life.scope == call.flow && execution.life.name == call.name
        });
        match taken {
            Some(execution) if execution.life.id == call.id => return CallEnd::Started,
            Some(execution) if execution.life.is_open() && call.parent.is_none() => {
                return CallEnd::Started;
            }
            Some(_) => {
                return CallEnd::Failed(Failure::execution_already_exists(&call.flow, &call.name));
            }
            None => {}
        }
        let definition = Definition::parse(call.flow.as_str(), text.as_str()).unwrap();
        let start = Start {
            id: call.id,
            name: call.name.clone(),
            scope: call.flow.clone(),
            version: String::new(),
            timeout: Some(definition.timeout()),
            retention: None,
            parent: call.parent,
            input: Payload::Inline(call.input(&self.tokens(from))),
            definition,
        };
        self.start(start);
        CallEnd::Started
    }

    fn plan_reports(&mut self, function: &str, call: usize, event: &Value) {
        self.plan(function, call, event, false);
    }

    fn plan_early_reports(&mut self, function: &str, call: usize, event: &Value) {
        self.plan(function, call, event, true);
    }

    fn plan(&mut self, function: &str, call: usize, event: &Value, early: bool) {
        for report in self.script.reports.clone() {
            if report.function != function || report.call != call || report.early != early {
                continue;
            }
            let text = find_token(event).expect("the event of a function that reports has a token");
            let (execution, task) = TaskToken::open(&self.key, text).unwrap();
            let at = self.now.plus(Duration::from_secs(report.after_s));
            self.later(at, Happening::Report(task, execution, report));
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Answer(id, key, end) => {
                self.performing.remove(&(id, key));
                let command = durastack_flow::Command::CallEnded { key: key.number, end };
                self.command(id, Command::Work(command)).unwrap();
            }
            Happening::Report(token, id, report) => {
                let command = match report.outcome {
                    Ok(output) => durastack_flow::Command::ReportSucceeded { token, output },
                    Err(failure) => durastack_flow::Command::ReportFailed { token, failure },
                };
                if let Err(rejection) = self.command(id, Command::Work(command)) {
                    self.rejections.push(rejection);
                }
            }
            Happening::Stop(stop) => {
                let name = stop.execution.as_deref().unwrap_or(NAME);
                let id = self.order.iter().find(|id| self.executions[id].life.name == name);
                if let Some(id) = id.copied() {
                    let error = stop.failure.map(|failure| failure.payload());
                    self.command(id, Command::Stop(error)).unwrap();
                }
            }
        }
    }

    /// What the case comes to, as `expected.json` has it.
    pub(crate) fn outcome(&self) -> Value {
        let life = &self.main().life;
        let id = life.id;
        let mut history = self.history(id);
        let events = history.len();
        if events > LONG_HISTORY {
            history.drain(LONG_HISTORY_ENDS..events - LONG_HISTORY_ENDS);
        }
        let mut outcome = json!({
            "status": match life.status() {
                Status::Running => "Running",
                Status::Succeeded => "Succeeded",
                Status::Failed => "Failed",
                Status::TimedOut => "TimedOut",
                Status::Stopped => "Stopped",
            },
            "calls": self.calls.iter().map(|(function, _, _, event)| {
                json!({ "function": function, "event": self.masked(event.clone()) })
            }).collect::<Vec<_>>(),
            "history": history,
        });
        if events > LONG_HISTORY {
            outcome["events"] = json!(events);
        }
        if let Some((_, end)) = &life.end {
            if let Outcome::Succeeded(Some(Payload::Inline(text))) = end {
                let output = self.tokens(id).reveal(text);
                outcome["output"] = self.masked(serde_json::from_str(&output).unwrap());
            }
            if let Some(failure) = Failure::of_outcome(end) {
                outcome["error"] = json!(failure.error);
                outcome["cause"] = json!(failure.cause);
            }
        }
        if !self.rejections.is_empty() {
            let refused = self.rejections.iter().map(|rejection| format!("{rejection:?}"));
            outcome["refused"] = json!(refused.collect::<Vec<_>>());
        }
        if self.concurrent {
            outcome["concurrent"] = json!(true);
        }
        outcome
    }

    pub(crate) fn history(&self, id: ExecutionId) -> Vec<Value> {
        let view = HistoryView {
            definition: &self.executions[&id].work.definition,
            tokens: self.tokens(id),
            text: &|payload| payload.inline().unwrap().to_owned(),
        };
        let records = self.journal.iter().filter(|(of, _)| *of == id);
        let shown =
            records.filter_map(|(_, record)| Some((record.at, public_event(&view, record)?)));
        shown
            .map(|(at, mut event)| {
                let detail = event["EventDetail"].as_str().unwrap().to_owned();
                event["EventDetail"] = self.masked(serde_json::from_str(&detail).unwrap());
                let members = event.as_object_mut().unwrap();
                assert_eq!(members.remove("Time"), Some(json!(at.iso())));
                event["after_ms"] = json!(at.millis() - START.millis());
                event
            })
            .collect()
    }

    /// Tokens and random names differ from run to run.
    fn masked(&self, value: Value) -> Value {
        match value {
            Value::String(text) => match self.key.open(TokenKind::Callback, &text) {
                Ok(token) => json!(format!("<token of event {}>", token.number)),
                Err(_) if is_uuid(&text) => json!("<uuid>"),
                Err(_) => Value::String(text),
            },
            Value::Array(items) => items.into_iter().map(|item| self.masked(item)).collect(),
            Value::Object(members) => Value::Object(
                members.into_iter().map(|(key, value)| (key, self.masked(value))).collect(),
            ),
            other => other,
        }
    }

    /// Every journal, written and read back, gives the live state.
    pub(crate) fn check_replay(&self) {
        for (id, execution) in &self.executions {
            let records = self.journal.iter().filter(|(of, _)| of == id).map(|(_, record)| {
                Record::<Flow>::decode(record.sequence, &record.encode()).unwrap()
            });
            let replayed = Execution::replay(records).unwrap();
            assert_eq!(format!("{replayed:?}"), format!("{execution:?}"));
        }
    }

    /// The calls of functions that have ended, by execution and key, as the journal knows them.
    pub(crate) fn ended_calls(written: &[Written]) -> BTreeSet<(ExecutionId, u64)> {
        let mut open = BTreeMap::new();
        let mut ended = BTreeSet::new();
        for (id, record) in written {
            let Recorded::Work(event) = &record.event else {
                if let Recorded::Life(LifeEvent::Ended { .. }) = &record.event {
                    let of: Vec<_> = open.keys().filter(|(of, _)| of == id).copied().collect();
                    ended.extend(of.into_iter().filter_map(|strand| open.remove(&strand)));
                }
                continue;
            };
            let strand = (*id, event.head().strand);
            match event {
                Event::TaskScheduled { request: Request::Function(_), .. } => {
                    open.insert(strand, (*id, record.event_id.unwrap()));
                }
                Event::TaskSubmitted { .. }
                | Event::TaskSubmitFailed { .. }
                | Event::TaskSucceeded { .. }
                | Event::TaskFailed { .. }
                | Event::TaskTimedOut { .. } => ended.extend(open.remove(&strand)),
                _ => {}
            }
        }
        ended
    }
}

fn find_token(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) if text.len() == 68 => Some(text),
        Value::Array(items) => items.iter().find_map(find_token),
        Value::Object(members) => members.values().find_map(find_token),
        _ => None,
    }
}

fn is_uuid(text: &str) -> bool {
    text.parse::<ExecutionId>().is_ok()
}
