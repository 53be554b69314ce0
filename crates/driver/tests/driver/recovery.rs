//! A durastack that was killed, and the next one on its folder.

use crate::rig::{
    self, DAY, Next, Rig, Script, calls_child, checkpoint_of, find, held, life, nothing,
    sleeps_then_long, succeed, two_days, update,
};
use durastack_durable::{Action, Durable, OperationKind, Output, Update};
use durastack_engine::{Command, Execution, Payload, Stash};
use std::time::Duration;

/// Its result comes by a checkpoint, and then it does not come to an end.
fn large_result(execution: &Execution<Durable>) -> Next {
    if !execution.life.is_open() {
        return Next::Hold(Output::Succeeded(Some(Payload::Inline(String::new()))));
    }
    let end = update(OperationKind::Execution, Action::Succeed, "result");
    checkpoint_of(Update { payload: Some(Payload::Inline("42".to_owned())), ..end })
}

/// A step that is under way when the lights go out.
fn step_then_hold(execution: &Execution<Durable>) -> Next {
    match find(execution, "step") {
        None => checkpoint_of(update(OperationKind::Step, Action::Start, "step")),
        Some((_, false)) if execution.work.live.as_ref().is_some_and(|live| live.number == 1) => {
            held(execution)
        }
        Some((_, false)) => checkpoint_of(update(OperationKind::Step, Action::Succeed, "step")),
        Some((_, true)) => succeed("in the end"),
    }
}

const SCRIPTS: [(&str, Script); 6] = [
    ("large-result", large_result),
    ("step-then-hold", step_then_hold),
    ("two-days", two_days),
    ("nothing", nothing),
    ("parent", calls_child),
    ("child", sleeps_then_long),
];

#[test]
fn what_was_under_way_is_done_again_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (running, waiting, ended, journal) = life(async {
        let rig = Rig::open(folder.path(), &SCRIPTS).await;
        let ended = rig.start("nothing", "1").await;
        rig.result(ended).await;
        let waiting = rig.start("two-days", "1").await;
        rig.settle().await;
        let running = rig.start("step-then-hold", "1").await;
        rig.until(running, "StepStarted").await;
        (running, waiting, ended, (rig.journal(waiting).await, rig.journal(ended).await))
    });
    life(async {
        let rig = Rig::open(folder.path(), &SCRIPTS).await;
        assert_eq!(rig.driver.recover().await.unwrap(), 1);
        assert_eq!(rig.result(running).await.as_deref(), Some("in the end"));
        assert_eq!(rig.world.calls(), ["step-then-hold 2"]);
        assert_eq!((rig.journal(waiting).await, rig.journal(ended).await), journal);
        // The history is that of an undisturbed run.
        let shown = [
            "1 +0 Started",
            "2 +0 StepStarted",
            "3 +0 StepSucceeded",
            "4 +0 InvocationCompleted",
            "5 +0 Ended",
        ];
        assert_eq!(rig.history(running).await, shown);
        rig.advance(2 * DAY).await.unwrap();
        assert_eq!(rig.result(waiting).await.as_deref(), Some("two days later"));
    });
}

#[test]
fn an_end_that_was_not_yet_shown_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let id = life(async {
        let rig = Rig::open(folder.path(), &SCRIPTS).await;
        let id = rig.start("large-result", "1").await;
        assert_eq!(rig.result(id).await.as_deref(), Some("42"), "it has ended by its checkpoint");
        assert_eq!(rig.history(id).await, ["1 +0 Started"]);
        id
    });
    life(async {
        let rig = Rig::open(folder.path(), &SCRIPTS).await;
        assert_eq!(rig.driver.recover().await.unwrap(), 1);
        assert_eq!(
            rig.history(id).await,
            ["1 +0 Started", "2 +0 InvocationCompleted", "3 +0 EndShown"]
        );
        assert_eq!(rig.result(id).await.as_deref(), Some("42"));
        assert_eq!(rig.world.calls(), [""; 0], "an ended execution is not invoked");
        assert_eq!(rig.driver.recover().await.unwrap(), 0);
    });
}

#[test]
fn functions_killed_on_the_way_down_are_not_journaled() {
    let folder = tempfile::tempdir().unwrap();
    let id = life(async {
        let rig = Rig::open(folder.path(), &SCRIPTS).await;
        let id = rig.start("step-then-hold", "1").await;
        rig.until(id, "StepStarted").await;
        rig.driver.detach();
        rig.world.gate.add_permits(1);
        tokio::time::timeout(Duration::from_secs(30), rig.driver.finish()).await.unwrap();
        assert_eq!(rig.journal(id).await, ["Started", "InvocationStarted", "StepStarted"]);
        id
    });
    life(async {
        let rig = Rig::open(folder.path(), &SCRIPTS).await;
        rig.driver.recover().await.unwrap();
        assert_eq!(rig.result(id).await.as_deref(), Some("in the end"));
    });
}

/// The parent and its child both go on, whoever of them was caught where.
#[test]
fn a_family_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let parent = life(async {
        let rig = Rig::open(folder.path(), &SCRIPTS).await;
        let parent = rig.start("parent", "1").await;
        rig.world.called(1).await;
        parent
    });
    life(async {
        let rig = Rig::open(folder.path(), &SCRIPTS).await;
        rig.driver.recover().await.unwrap();
        rig.advance(DAY).await.unwrap();
        assert_eq!(rig.result(parent).await, Some("r".repeat(rig::LONG)));
        let journal = rig.journal(parent).await;
        let ends = journal.iter().filter(|event| *event == "ChainedInvokeSucceeded").count();
        assert_eq!(ends, 1);
    });
}

#[test]
fn an_execution_whose_time_is_up_is_not_invoked_again() {
    let folder = tempfile::tempdir().unwrap();
    let id = life(async {
        let rig = Rig::open(folder.path(), &SCRIPTS).await;
        let id = rig.start("step-then-hold", "1").await;
        rig.world.called(1).await;
        id
    });
    life(async {
        let rig = Rig::open(folder.path(), &SCRIPTS).await;
        rig.clock.turn(366 * DAY);
        rig.driver.recover().await.unwrap();
        let ended = rig.driver.ended(id).await.unwrap();
        assert_eq!(ended.status(), durastack_engine::Status::TimedOut);
        assert_eq!(rig.world.calls(), [""; 0]);
        let stop = rig.driver.command(id, Command::Stop(None), Stash::default()).await;
        assert!(stop.is_ok(), "stopping what has ended is no error");
    });
}
