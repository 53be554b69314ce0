//! Stories of executions, from `fixtures/engine`: commands, and the events, deadlines and debts that they cause.
//!
//! With `SCRIPTS_UPDATE` set in the environment the outcomes are written instead of compared; review what changed.

#[path = "scripts/language.rs"]
mod language;
#[path = "scripts/print.rs"]
mod print;

use durastack_clock::{Entropy, Moment, Timestamp};
use durastack_durable::{
    Answer, Checkpoint, Command, Definition, Durable, ErrorObject, Output, Rejection, RetryPolicy,
    TargetEnd, visible_page,
};
use durastack_engine::{
    ChildEnd, Command as Asked, Event, Execution, LifeEvent, Outcome, Parent, Payload, Record,
    Start, Stash,
};
use durastack_names::{ExecutionId, Version};
use language::{Line, duration, function};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// One execution under the hand of a script.
struct Stage {
    execution: Execution<Durable>,
    journal: Vec<Record<Durable>>,
    now: Timestamp,
    seed: u128,
    owed: Vec<String>,
    out: Vec<String>,
}

fn definition(line: &Line) -> Definition {
    let retries = line.option("retries").map_or_else(RetryPolicy::default, |text| {
        let numbers: Vec<u32> = text.split(',').map(|n| n.parse().expect("a number")).collect();
        let [immediate_max, first_delay_ms, delay_ms_max, attempts_max] = numbers[..] else {
            panic!("four numbers: {text}")
        };
        RetryPolicy {
            immediate_max,
            first_delay_ms: first_delay_ms.into(),
            delay_ms_max: delay_ms_max.into(),
            attempts_max,
        }
    });
    Definition {
        function: function("handler"),
        version: Version::Number(1),
        execution_timeout_s: duration(line.option("timeout").unwrap_or("1h")).as_secs(),
        retention_days: 7,
        kms_key_arn: None,
        asynchronous: !line.words().contains(&"synchronously"),
        tenant_id: None,
        trace_header: line.option("trace").map(str::to_owned),
        retries,
    }
}

impl Stage {
    fn start(line: &Line) -> Self {
        let definition = definition(line);
        let parent = Parent { execution: ExecutionId::from_bytes([8; 16]), operation: 4 };
        let start = Start {
            id: ExecutionId::from_bytes([7; 16]),
            name: "story".to_owned(),
            scope: "scope".to_owned(),
            version: "1".to_owned(),
            timeout: Some(Duration::from_secs(definition.execution_timeout_s)),
            retention: Some(Duration::from_secs(definition.retention_days * 86_400)),
            parent: line.words().contains(&"child").then_some(parent),
            input: Payload::Inline(line.text.clone().unwrap_or_else(|| "{}".to_owned())),
            definition,
        };
        let now = Timestamp::from_millis(1_800_000_000_000);
        let (execution, journal) =
            Execution::start(Moment { now, entropy: Entropy::seeded(0) }, start);
        let out = journal.iter().map(print::record).collect();
        let mut stage =
            Self { execution, journal: journal.clone(), now, seed: 0, owed: Vec::new(), out };
        stage.after(&journal);
        stage
    }

    fn moment(&mut self) -> Moment {
        self.seed += 1;
        Moment { now: self.now, entropy: Entropy::seeded(self.seed) }
    }

    /// A decision, as the driver makes it.
    fn tell(&mut self, command: Asked<Durable>) -> Option<Vec<Record<Durable>>> {
        let moment = self.moment();
        let records = match self.execution.decide(moment, command) {
            Ok(records) => records,
            Err(refused) => {
                self.out.push(format!("refused: {refused}"));
                return None;
            }
        };
        records.iter().for_each(|record| self.execution.apply(record));
        let shown: Vec<_> = records.iter().map(print::record).collect();
        if shown.len() > 24 {
            self.out.extend_from_slice(&shown[..2]);
            self.out.push(format!("… {} more", shown.len() - 4));
            self.out.extend_from_slice(&shown[shown.len() - 2..]);
        } else {
            self.out.extend(shown);
        }
        self.journal.extend(records.iter().cloned());
        self.after(&records);
        Some(records)
    }

    /// What the driver does next: it makes the input of an invocation that has started.
    fn after(&mut self, records: &[Record<Durable>]) {
        let starts = |record: &Record<Durable>| {
            matches!(record.event, Event::Work(durastack_durable::Event::InvocationStarted { .. }))
        };
        if records.iter().any(starts) {
            let updated = self.execution.work.tell_input();
            let page = visible_page(&self.execution, 0, usize::MAX, true);
            let seen = page.positions.into_iter().filter(|position| *position > 0);
            let mut text = format!("  sees {}", self.ids(seen));
            if !updated.is_empty() {
                text += &format!("; updated {}", self.ids(updated));
            }
            self.out.push(text);
        }
    }

    fn ids(&self, numbers: impl IntoIterator<Item = u64>) -> String {
        let ids: Vec<_> = numbers.into_iter().map(|number| self.id(number)).collect();
        match ids.len() {
            0 => "nothing".to_owned(),
            1..=24 => ids.join(" "),
            count => format!("{count} operations"),
        }
    }

    fn id(&self, number: u64) -> String {
        let operation = self.execution.work.operation(number).expect("an operation");
        format!("{}={}", operation.head.id, operation.status.word())
    }

    fn number(&self, id: &str) -> u64 {
        let found = self.execution.work.operation_by_id(id).map(|operation| operation.head.number);
        found.unwrap_or_else(|| id.parse().expect("the id or number of an operation"))
    }

    /// What is due happens before anything else.
    fn fire(&mut self) {
        if self.execution.next_deadline().is_some_and(|(due, _)| due <= self.now) {
            self.tell(Asked::FireTimers);
        }
    }

    fn checkpoint(&mut self, line: &Line, updates: &[Line]) {
        let mut stash = Stash::default();
        let updates = updates.iter().flat_map(|line| line.updates(&mut stash)).collect();
        self.fire();
        let live = self.execution.work.live.as_ref();
        let (number, counter) = live.map_or((1, 0), |live| (live.number, live.counter));
        let option = |name: &str, value: u64| {
            line.option(name).map_or(value, |text| text.parse().expect("a number"))
        };
        let checkpoint = Checkpoint {
            invocation: option("invocation", number),
            counter: option("counter", counter),
            updates,
        };
        let Some(records) = self.tell(Asked::Work(Command::Checkpoint(checkpoint))) else { return };
        let ends =
            |record: &Record<Durable>| matches!(record.event, Event::Life(LifeEvent::Ended { .. }));
        let (mut delta, next) = self.execution.work.tell_checkpoint(records.iter().any(ends));
        delta.extend(records.iter().filter_map(|record| match &record.event {
            Event::Work(event) => event.operation(),
            Event::Life(_) => None,
        }));
        let token = if next.is_some() { "" } else { ", and no token" };
        self.out.push(format!("  told {}{token}", self.ids(delta)));
    }

    fn ends(&mut self, number: Option<u64>, how: &[&str], line: &Line) {
        let mut stash = Stash::default();
        let number = number.unwrap_or(self.execution.work.live.as_ref().map_or(1, |l| l.number));
        let error = |line: &Line| line.error().unwrap_or_default();
        let output = match how {
            ["returns"] => Output::read(
                line.text.as_deref().unwrap_or("").replace('\'', "\"").as_bytes(),
                &mut stash,
            ),
            ["SUCCEEDED"] => Output::Succeeded(line.payload(&mut stash)),
            ["FAILED"] => Output::Failed(line.error().map(|error| error.stash(&mut stash))),
            ["PENDING"] => Output::Pending,
            ["crashes"] => Output::FunctionError {
                error_type: error(line).error_type.unwrap_or_default(),
                error: error(line).stash(&mut stash),
            },
            ["finds", "no", "function"] => Output::Gone(ErrorObject::typed(
                "ResourceNotFoundException",
                "Function not found: handler",
            )),
            other => panic!("no end of an invocation: {other:?}"),
        };
        self.fire();
        self.tell(Asked::Work(Command::InvocationEnded { number, output }));
    }

    fn callback(&mut self, id: &str, how: &str, line: &Line) {
        let mut stash = Stash::default();
        let answer = match how {
            "succeeds" => Answer::Success(line.payload(&mut stash)),
            "fails" => Answer::Failure(line.error().map(|error| error.stash(&mut stash))),
            "beats" => Answer::Heartbeat,
            other => panic!("no answer: {other}"),
        };
        self.fire();
        let number = self.number(id);
        self.tell(Asked::Work(Command::Callback { number, answer }));
    }

    fn target(&mut self, id: &str, how: &str, line: &Line) {
        let mut stash = Stash::default();
        let end = match how {
            "returns" => TargetEnd::Succeeded(line.payload(&mut stash)),
            "fails" => TargetEnd::Failed(line.error().map(|error| error.stash(&mut stash))),
            other => panic!("no end of a target: {other}"),
        };
        self.fire();
        let number = self.number(id);
        self.tell(Asked::Work(Command::TargetEnded { number, end }));
    }

    fn child(&mut self, id: &str, how: &str, line: &Line) {
        let mut stash = Stash::default();
        let error = line.error().map(|error| error.stash(&mut stash));
        let operation = self.number(id);
        self.fire();
        let outcome = match how {
            "starts" => {
                self.tell(Asked::Work(Command::ChildStarted { number: operation }));
                return;
            }
            "succeeds" => Outcome::Succeeded(line.payload(&mut stash)),
            "fails" => Outcome::Failed(error),
            "expires" => Outcome::TimedOut(error),
            "stops" => Outcome::Stopped(error),
            other => panic!("no end of a child: {other}"),
        };
        let end = ChildEnd { operation, outcome, timeout: Some(Duration::from_secs(60)) };
        self.tell(Asked::ChildEnded(end));
    }

    /// From deadline to deadline, as the clock of a running durastack goes.
    fn advance(&mut self, by: Duration) {
        let target = self.now.plus(by);
        while let Some((due, _)) = self.execution.next_deadline().filter(|(due, _)| *due <= target)
        {
            self.out.push(format!("after {}:", print::span(due.since(self.now))));
            self.now = due;
            self.tell(Asked::FireTimers);
        }
        self.now = target;
    }

    /// durastack ends and starts again: what it knew beyond the journal is gone.
    fn recover(&mut self) {
        self.execution = replay(&self.journal);
        self.tell(Asked::Recover);
    }

    fn run(&mut self, line: &Line, updates: &[Line]) {
        match line.words()[..] {
            ["checkpoint"] => self.checkpoint(line, updates),
            ["invocation", ref how @ ..] => {
                let number = how.first().and_then(|word| word.parse().ok());
                self.ends(number, &how[usize::from(number.is_some())..], line);
            }
            ["callback", id, how] => self.callback(id, how, line),
            ["target", id, how] => self.target(id, how, line),
            ["child", id, how] => self.child(id, how, line),
            ["stop"] => {
                self.fire();
                let error = line.error().map(|error| error.inline());
                self.tell(Asked::Stop(error));
            }
            ["parent", "is", "told"] => {
                self.tell(Asked::ParentTold);
            }
            ["advance", by] => self.advance(duration(by)),
            // Time goes by, and nobody looks: durastack is down, or busy.
            ["miss", by] => self.now = self.now.plus(duration(by)),
            ["fire"] => self.fire(),
            ["recover"] => self.recover(),
            ["state"] => {
                let operations = self.execution.work.operations();
                self.out.extend(operations.iter().map(|o| print::operation(o, self.now)));
            }
            ref other => panic!("no command: {other:?}"),
        }
    }

    /// What a block showed, then the next deadline, then what the world owes, if that has changed.
    fn report(&mut self) -> String {
        let mut lines = std::mem::take(&mut self.out);
        lines.push(print::deadline(&self.execution, self.now));
        let owed: Vec<_> = self.execution.owed().iter().map(print::owed).collect();
        if owed != self.owed {
            let text = if owed.is_empty() { "nothing".to_owned() } else { owed.join(", ") };
            lines.push(format!("owed: {text}"));
            self.owed = owed;
        }
        lines.join("\n")
    }
}

fn replay(journal: &[Record<Durable>]) -> Execution<Durable> {
    let stored = journal.iter().map(|record| {
        Record::decode(record.sequence, &record.encode()).expect("a record that we wrote")
    });
    Execution::replay(stored).expect("a journal that we wrote")
}

/// Runs a script, and answers with it as it should read.
fn perform(script: &str) -> String {
    let mut stage: Option<Stage> = None;
    let mut written = Vec::new();
    for block in script.split("\n\n").map(str::trim_end).filter(|block| !block.is_empty()) {
        let commands = block.split("\n----").next().expect("a first part");
        let lines: Vec<_> =
            commands.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
        let Some((first, updates)) = lines.split_first() else {
            written.push(commands.to_owned());
            continue;
        };
        let updates: Vec<_> = updates.iter().map(|line| Line::parse(line)).collect();
        let line = Line::parse(first);
        match &mut stage {
            None => {
                assert_eq!(line.words().first(), Some(&"start"), "a script begins with a start");
                stage = Some(Stage::start(&line));
            }
            Some(stage) => stage.run(&line, &updates),
        }
        let report = stage.as_mut().map(Stage::report).unwrap_or_default();
        written.push(format!("{commands}\n----\n{report}"));
    }
    check(&stage.expect("a script has a start"));
    written.join("\n\n") + "\n"
}

/// What holds in every story.
fn check(stage: &Stage) {
    let shown: Vec<_> = stage.journal.iter().filter_map(|record| record.event_id).collect();
    assert_eq!(shown, (1..=shown.len() as u64).collect::<Vec<_>>(), "event ids have gaps");
    assert!(stage.journal.iter().map(|record| record.at).is_sorted(), "time falls");
    let replayed = replay(&stage.journal);
    let operations = |execution: &Execution<Durable>| {
        let print = |operation| print::operation(operation, stage.now);
        execution.work.operations().iter().map(print).collect::<Vec<_>>()
    };
    assert_eq!(operations(&replayed), operations(&stage.execution));
    assert_eq!(replayed.next_deadline(), stage.execution.next_deadline());
    let owed = |execution: &Execution<Durable>| {
        execution.owed().iter().map(print::owed).collect::<BTreeSet<_>>()
    };
    assert_eq!(owed(&replayed), owed(&stage.execution));
}

#[test]
fn every_script_reads_as_it_runs() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/engine");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the folder of scripts")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    let mut wrong = Vec::new();
    for path in paths {
        let script = fs::read_to_string(&path).expect("a readable script");
        let performed = perform(&script);
        if std::env::var_os("SCRIPTS_UPDATE").is_some() {
            fs::write(&path, performed).expect("a writable script");
        } else if performed != script {
            let line = script.lines().zip(performed.lines()).position(|(a, b)| a != b);
            let at = line.unwrap_or_else(|| script.lines().count().min(performed.lines().count()));
            let show = |text: &str| text.lines().nth(at).unwrap_or("(its end)").to_owned();
            wrong.push(format!(
                "{}:{}\n  reads {}\n  runs  {}",
                path.display(),
                at + 1,
                show(&script),
                show(&performed)
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn refusals_have_the_texts_that_sdks_know() {
    assert_eq!(Rejection::InvalidToken.to_string(), "Invalid checkpoint token");
    assert_eq!(Rejection::Invalid("x".to_owned()).to_string(), "x");
}
