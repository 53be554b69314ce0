//! What holds after any sequence of commands, good and bad, and any crash.

use durastack_clock::{Entropy, Moment, Timestamp};
use durastack_durable::{
    Action, Answer, CallbackOptions, ChainedOptions, Checkpoint, Command, Definition, Durable,
    ErrorObject, Event, Operation, OperationKind, Output, RetryPolicy, Target, TargetEnd,
    TargetKind, Then, Update,
};
use durastack_engine::{
    ChildEnd, Command as Asked, Event as Recorded, Execution, LifeEvent, Outcome, Parent, Payload,
    Record, Start,
};
use durastack_names::{ExecutionId, Version};
use proptest::{prelude::*, strategy::ValueTree};
use std::{collections::BTreeSet, time::Duration};

/// One thing done to an execution. Numbers choose among what there is, and sometimes something that there is not.
#[derive(Debug, Clone)]
enum Deed {
    Checkpoint { stale: bool, updates: Vec<Change> },
    Callback { pick: usize, answer: u8 },
    InvocationEnds { late: bool, how: u8 },
    TargetEnds { pick: usize, well: bool },
    ChildStarts { pick: usize },
    ChildEnds { pick: usize, how: u8 },
    Stop,
    ParentTold,
    TimeGoesBy { seconds: u64, fire: bool },
    Crash,
}

#[derive(Debug, Clone)]
struct Change {
    id: u8,
    kind: usize,
    action: usize,
    parent: Option<u8>,
    payload: bool,
    error: bool,
    seconds: Option<u64>,
    target: u8,
}

/// Mostly sound: what nobody would accept teaches little.
fn change() -> impl Strategy<Value = Change> {
    let sound = prop_oneof![
        4 => Just((1_usize, 0_usize)), 2 => Just((1, 1)), 1 => Just((1, 2)),
        5 => Just((2, 0)), 4 => Just((2, 1)), 2 => Just((2, 2)), 4 => Just((2, 3)),
        4 => Just((3, 0)), 4 => Just((3, 4)), 4 => Just((4, 0)), 4 => Just((5, 0)),
        1 => Just((0, 1)), 2 => (0..6_usize, 0..5_usize),
    ];
    let members =
        (any::<bool>(), prop::bool::weighted(0.1), prop::option::weighted(0.95, 1..20_u64));
    (0..7_u8, sound, prop::option::weighted(0.08, 0..7_u8), members, 0..3_u8).prop_map(
        |(id, (kind, action), parent, (payload, error, seconds), target)| {
            // Steps, waits and so on have ids of their own most of the time.
            let id = id + 7 * u8::try_from(kind).unwrap_or(0) * u8::from(id != 0);
            Change { id, kind, action, parent, payload, error, seconds, target }
        },
    )
}

fn deed() -> impl Strategy<Value = Deed> {
    let updates = prop::collection::vec(change(), 0..4);
    prop_oneof![
        10 => (prop::bool::weighted(0.05), updates)
            .prop_map(|(stale, updates)| Deed::Checkpoint { stale, updates }),
        3 => (0..20_usize, 0..3_u8).prop_map(|(pick, answer)| Deed::Callback { pick, answer }),
        5 => (prop::bool::weighted(0.1), 0..30_u8)
            .prop_map(|(late, how)| Deed::InvocationEnds { late, how }),
        2 => (0..20_usize, any::<bool>()).prop_map(|(pick, well)| Deed::TargetEnds { pick, well }),
        2 => (0..20_usize).prop_map(|pick| Deed::ChildStarts { pick }),
        2 => (0..20_usize, 0..4_u8).prop_map(|(pick, how)| Deed::ChildEnds { pick, how }),
        1 => prop::bool::weighted(0.2).prop_map(|stop| if stop { Deed::Stop } else { Deed::ParentTold }),
        5 => (0..30_u64, any::<bool>())
            .prop_map(|(seconds, fire)| Deed::TimeGoesBy { seconds, fire }),
        1 => Just(Deed::Crash),
    ]
}

fn error() -> ErrorObject {
    ErrorObject::typed("E", "no")
}

fn update(change: &Change) -> Update {
    let kind = OperationKind::ALL[change.kind];
    let target = |kind| Target {
        function: "arn:aws:lambda:eu-west-1:000000000000:function:t".parse().expect("an ARN"),
        scope: "t".to_owned(),
        version: Version::Number(1),
        kind,
    };
    let durable =
        TargetKind::Durable { execution_timeout_s: 60, retention_days: 1, kms_key_arn: None };
    let target = match change.target {
        0 => Ok(target(TargetKind::Plain)),
        1 => Ok(target(durable)),
        _ => Err(error()),
    };
    Update {
        id: change.id.to_string(),
        kind,
        action: Action::ALL[change.action],
        parent: change.parent.map(|parent| (parent + 7).to_string()),
        name: None,
        sub_type: None,
        payload: (change.payload && !change.error).then(|| Payload::Inline("1".to_owned())),
        error: change.error.then(|| error().inline()),
        replay_children: change.payload,
        next_attempt_delay_s: change.seconds,
        wait_s: change.seconds,
        callback: CallbackOptions {
            timeout_s: change.seconds.unwrap_or(0),
            heartbeat_s: if change.payload { change.seconds.unwrap_or(0) / 2 } else { 0 },
        },
        chained: Some(ChainedOptions {
            function_name: "t".to_owned(),
            tenant_id: None,
            trace_header: None,
            target,
        }),
    }
}

struct World {
    execution: Execution<Durable>,
    journal: Vec<Record<Durable>>,
    /// How long the journal was after each decision: a decision is written whole or not at all.
    cuts: Vec<usize>,
    now: Timestamp,
    seed: u128,
}

impl World {
    fn new(timeout_s: u64, child: bool) -> Self {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let parent = Parent { execution: ExecutionId::from_bytes([8; 16]), operation: 1 };
        let start = Start {
            id: ExecutionId::from_bytes([7; 16]),
            name: "n".to_owned(),
            scope: "s".to_owned(),
            version: "1".to_owned(),
            timeout: Some(Duration::from_secs(timeout_s)),
            retention: Some(Duration::from_secs(86_400)),
            parent: child.then_some(parent),
            input: Payload::Inline("{}".to_owned()),
            definition: Definition {
                function: "arn:aws:lambda:eu-west-1:000000000000:function:f"
                    .parse()
                    .expect("an ARN"),
                version: Version::Number(1),
                execution_timeout_s: timeout_s,
                retention_days: 1,
                kms_key_arn: None,
                asynchronous: true,
                tenant_id: None,
                trace_header: None,
                retries: RetryPolicy { attempts_max: 4, ..RetryPolicy::default() },
            },
        };
        let moment = Moment { now, entropy: Entropy::seeded(0) };
        let (execution, journal) = Execution::start(moment, start);
        let cuts = vec![journal.len()];
        Self { execution, journal, cuts, now, seed: 0 }
    }

    /// A decision, made durable. A refusal changes nothing.
    fn tell(&mut self, command: Asked<Durable>) {
        self.seed += 1;
        let moment = Moment { now: self.now, entropy: Entropy::seeded(self.seed) };
        let Ok(records) = self.execution.decide(moment, command) else { return };
        records.iter().for_each(|record| self.execution.apply(record));
        self.journal.extend(records);
        self.cuts.push(self.journal.len());
        self.check();
    }

    fn fire(&mut self) {
        if self.execution.next_deadline().is_some_and(|(due, _)| due <= self.now) {
            self.tell(Asked::FireTimers);
        }
    }

    fn number(&self, pick: usize) -> u64 {
        // One more than there are: nobody's.
        (pick % (self.execution.work.operations().len() + 1)) as u64 + 1
    }

    fn kind(&self, number: u64) -> Option<OperationKind> {
        self.execution.work.operation(number).map(Operation::kind)
    }

    fn perform(&mut self, deed: &Deed) {
        self.fire();
        let live = self.execution.work.live.as_ref().map(|live| (live.number, live.counter));
        match deed {
            Deed::Checkpoint { stale, updates } => {
                let (invocation, counter) = live.unwrap_or((1, 0));
                let counter = if *stale { counter + 1 } else { counter };
                let updates = updates.iter().map(update).collect();
                let checkpoint = Checkpoint { invocation, counter, updates };
                let before = self.journal.len();
                self.tell(Asked::Work(Command::Checkpoint(checkpoint)));
                if self.journal.len() > before {
                    self.execution.work.tell_checkpoint(false);
                }
            }
            Deed::Callback { pick, answer } => {
                let number = self.number(*pick);
                let answer = match answer {
                    0 => Answer::Success(None),
                    1 => Answer::Failure(Some(error().inline())),
                    _ => Answer::Heartbeat,
                };
                self.tell(Asked::Work(Command::Callback { number, answer }));
            }
            Deed::InvocationEnds { late, how } => {
                // Suspending on nothing again and again is a quick end; it is done now and then.
                let pending = self.execution.work.operations().iter().any(Operation::is_pending);
                if *how > 5 && !pending {
                    return;
                }
                let number = live.map_or(1, |(number, _)| number) - u64::from(*late);
                let failed = |error_type: &str| Output::FunctionError {
                    error_type: error_type.to_owned(),
                    error: error().inline(),
                };
                let output = match how {
                    0 => Output::Succeeded(None),
                    1 => Output::Failed(None),
                    2 => Output::Invalid(error()),
                    3 => failed("Runtime.ExitError"),
                    4 => failed("ValueError"),
                    _ => Output::Pending,
                };
                self.tell(Asked::Work(Command::InvocationEnded { number, output }));
            }
            Deed::TargetEnds { pick, well } => {
                let number = self.number(*pick);
                let end = if *well { TargetEnd::Succeeded(None) } else { TargetEnd::Failed(None) };
                self.tell(Asked::Work(Command::TargetEnded { number, end }));
            }
            Deed::ChildStarts { pick } => {
                let number = self.number(*pick);
                // The driver says so of children alone.
                let is_child = self.execution.owed().iter().any(|owed| {
                    matches!(owed, durastack_engine::Owed::Child { key, .. } if key.number == number)
                });
                if is_child {
                    self.tell(Asked::Work(Command::ChildStarted { number }));
                }
            }
            Deed::ChildEnds { pick, how } => {
                let outcome = match how {
                    0 => Outcome::Succeeded(None),
                    1 => Outcome::Failed(None),
                    2 => Outcome::TimedOut(None),
                    _ => Outcome::Stopped(None),
                };
                let operation = self.number(*pick);
                self.tell(Asked::ChildEnded(ChildEnd { operation, outcome, timeout: None }));
            }
            Deed::Stop => self.tell(Asked::Stop(None)),
            Deed::ParentTold => self.tell(Asked::ParentTold),
            Deed::TimeGoesBy { seconds, fire } => {
                self.now = self.now.plus(Duration::from_secs(*seconds));
                if *fire {
                    self.fire();
                }
            }
            Deed::Crash => {
                self.execution = replay(&self.journal);
                self.tell(Asked::Recover);
            }
        }
    }

    fn check(&self) {
        let replayed = replay(&self.journal);
        assert_eq!(project(&replayed), project(&self.execution), "the fold is the live state");
        self.check_never_stuck();
    }

    /// Something is under way, or will come by itself, or somebody outside is waited for.
    fn check_never_stuck(&self) {
        let execution = &self.execution;
        if !execution.life.is_open() {
            assert_eq!(execution.next_deadline(), None, "an ended execution has no timer");
            return;
        }
        let pauses = self.journal.iter().rev().find_map(|record| match &record.event {
            Recorded::Work(Event::InvocationStarted { .. }) => Some(false),
            Recorded::Work(Event::InvocationCompleted { then, .. }) => {
                Some(matches!(then, Then::RetryAt(due) if *due > record.at))
            }
            _ => None,
        });
        let waits = execution.work.operations().iter().any(Operation::is_pending);
        assert!(
            !execution.owed().is_empty() || waits || pauses == Some(true),
            "an open execution has nothing to come"
        );
    }

    /// Whatever has happened: the handler can still bring it to its end.
    fn finish(mut self) {
        for _ in 0..100 {
            self.fire();
            if !self.execution.life.is_open() && !self.execution.life.end_hidden {
                return;
            }
            if let Some(number) = self.execution.work.live.as_ref().map(|live| live.number) {
                let output = Output::Succeeded(None);
                self.tell(Asked::Work(Command::InvocationEnded { number, output }));
                continue;
            }
            let open = self.execution.work.operations().iter().find(|operation| {
                operation.ended.is_none()
                    && matches!(
                        operation.kind(),
                        OperationKind::Callback | OperationKind::ChainedInvoke
                    )
            });
            if let Some(number) = open.map(|operation| operation.head.number) {
                if self.kind(number) == Some(OperationKind::Callback) {
                    let answer = Answer::Success(None);
                    self.tell(Asked::Work(Command::Callback { number, answer }));
                } else {
                    let outcome = Outcome::Succeeded(None);
                    let end = ChildEnd { operation: number, outcome, timeout: None };
                    self.tell(Asked::ChildEnded(end));
                }
                continue;
            }
            let (due, _) = self.execution.next_deadline().expect("something to wait for");
            self.now = self.now.max(due);
        }
        panic!("the execution does not come to an end");
    }
}

fn replay(journal: &[Record<Durable>]) -> Execution<Durable> {
    let stored = journal.iter().map(|record| {
        Record::decode(record.sequence, &record.encode()).expect("a record that we wrote")
    });
    Execution::replay(stored).expect("a journal that we wrote")
}

/// Everything of the state that a restart must bring back. What only the live invocation knows is left out: a restart
/// voids it.
fn project(execution: &Execution<Durable>) -> String {
    let work = &execution.work;
    let live = work.live.as_ref().map(|live| (live.number, &live.request_id, live.started));
    let owed: Vec<_> = execution.owed().iter().map(durastack_engine::Owed::key).collect();
    format!(
        "{:?} {:?} {} {live:?} {:?} {owed:?} {}",
        execution.life,
        work.operations(),
        work.stored_bytes(),
        execution.next_deadline(),
        execution.sequence()
    )
}

/// What holds of any journal.
fn check_journal(journal: &[Record<Durable>]) {
    let sequences: Vec<_> = journal.iter().map(|record| record.sequence).collect();
    assert_eq!(sequences, (1..=journal.len() as u64).collect::<Vec<_>>());
    let shown: Vec<_> = journal.iter().filter_map(|record| record.event_id).collect();
    assert_eq!(shown, (1..=shown.len() as u64).collect::<Vec<_>>(), "event ids have no gaps");
    assert!(journal.iter().map(|record| record.at).is_sorted(), "time never falls");

    let mut in_flight = None;
    let mut ended = None;
    let mut closed = BTreeSet::new();
    let mut started = BTreeSet::new();
    for record in journal {
        if ended == Some(false) {
            assert_eq!(record.event_id, None, "nothing public after the end: {record:?}");
        }
        match &record.event {
            Recorded::Life(LifeEvent::Ended { hidden, .. }) => {
                assert_eq!(ended.replace(*hidden), None, "an execution ends once");
            }
            Recorded::Life(LifeEvent::EndShown { .. }) => {
                assert_eq!(ended.replace(false), Some(true), "a hidden end is shown once");
            }
            Recorded::Life(LifeEvent::Started { .. } | LifeEvent::ParentTold) => {}
            Recorded::Work(event) => {
                match event {
                    Event::InvocationStarted { number, .. } => {
                        assert_eq!(ended, None, "nobody is invoked after the end");
                        assert_eq!(in_flight.replace(*number), None, "one invocation at a time");
                    }
                    Event::InvocationLost { number }
                    | Event::InvocationCompleted { number, .. } => {
                        assert_eq!(in_flight.take(), Some(*number));
                    }
                    _ => {}
                }
                if let Some(number) = event.operation() {
                    assert!(
                        !closed.contains(&number),
                        "a closed operation stays closed: {record:?}"
                    );
                    if matches!(event, Event::StepStarted { .. }) {
                        assert!(started.insert(number), "a step starts once for each attempt");
                    }
                    if closes(event) {
                        closed.insert(number);
                    }
                    if matches!(event, Event::StepReady { .. }) {
                        started.remove(&number);
                    }
                }
            }
        }
    }
}

fn closes(event: &Event) -> bool {
    match event {
        Event::StepSucceeded { next, .. } | Event::StepFailed { next, .. } => next.is_none(),
        Event::ContextSucceeded { .. }
        | Event::ContextFailed { .. }
        | Event::WaitSucceeded { .. }
        | Event::WaitCancelled { .. }
        | Event::CallbackSucceeded { .. }
        | Event::CallbackFailed { .. }
        | Event::CallbackTimedOut { .. }
        | Event::ChainedInvokeSucceeded { .. }
        | Event::ChainedInvokeFailed { .. }
        | Event::ChainedInvokeTimedOut { .. }
        | Event::ChainedInvokeStopped { .. } => true,
        Event::InvocationStarted { .. }
        | Event::InvocationLost { .. }
        | Event::InvocationCompleted { .. }
        | Event::ContextStarted { .. }
        | Event::StepStarted { .. }
        | Event::StepReady { .. }
        | Event::WaitStarted { .. }
        | Event::CallbackStarted { .. }
        | Event::CallbackHeartbeat { .. }
        | Event::ChainedInvokeStarted { .. }
        | Event::ChainedInvokeChildStarted { .. } => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_keeps_the_rules_and_can_be_finished(
        deeds in prop::collection::vec(deed(), 1..40),
        timeout_s in prop_oneof![1 => 1..100_u64, 2 => Just(100_000)],
        child: bool,
    ) {
        let mut world = World::new(timeout_s, child);
        for deed in &deeds {
            world.perform(deed);
        }
        check_journal(&world.journal);
        // A crash after any decision leads to an execution that can finish.
        for cut in world.cuts.iter().step_by(world.cuts.len() / 8 + 1) {
            let journal = world.journal[..*cut].to_vec();
            let (execution, seed) = (replay(&journal), world.seed + *cut as u128);
            let mut crashed = World { execution, journal, cuts: Vec::new(), now: world.now, seed };
            crashed.tell(Asked::Recover);
            check_journal(&crashed.journal);
            crashed.finish();
        }
        world.finish();
    }
}

/// The sequences are no use if they are mostly refused: a look at what they reach.
#[test]
fn random_histories_reach_every_kind_of_event() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut reached = BTreeSet::new();
    for _ in 0..200 {
        let deeds =
            prop::collection::vec(deed(), 40).new_tree(&mut runner).expect("a tree").current();
        let mut world = World::new(100_000, true);
        deeds.iter().for_each(|deed| world.perform(deed));
        for record in &world.journal {
            let text = match &record.event {
                Recorded::Life(event) => format!("{event:?}"),
                Recorded::Work(event) => format!("{event:?}"),
            };
            reached.insert(text.split([' ', '{']).next().unwrap_or_default().to_owned());
        }
    }
    assert_eq!(reached.len(), 28, "{reached:?}");
}
