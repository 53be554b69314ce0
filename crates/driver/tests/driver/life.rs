//! Starts, commands, waiters and names.

use crate::rig::{self, DAY, Rig, Script, held, nothing, two_days, waits_for_callback};
use durastack_driver::{Ask, DriveError, Started, status_number};
use durastack_durable::{Answer, Command, Rejection};
use durastack_engine::{Command as Asked, Outcome, Payload, Stash, Status};
use durastack_names::ExecutionId;

const SCRIPTS: [(&str, Script); 4] = [
    ("nothing", nothing),
    ("held", held),
    ("two-days", two_days),
    ("callback", waits_for_callback),
];

#[tokio::test]
async fn an_execution_runs_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::open(folder.path(), &SCRIPTS).await;
    let id = rig.start("nothing", "1").await;
    assert_eq!(rig.result(id).await.as_deref(), Some("nothing"));
    let shown = ["1 +0 Started", "2 +0 InvocationCompleted", "3 +0 Ended"];
    assert_eq!(rig.history(id).await, shown);
    let row = rig.store.row(id.bytes()).await.unwrap().expect("a row");
    assert_eq!(row.status, status_number(Status::Succeeded));
    assert_eq!(row.expires, Some(rig::START.plus(7 * DAY).millis()));
    assert_eq!(
        rig.store.owing("durable", None, 10).await.unwrap(),
        [[0; 16]; 0],
        "nothing is owed"
    );
    assert_eq!(rig.store.next_due("durable").await.unwrap(), None);
}

#[tokio::test]
async fn pages_of_history_go_both_ways() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::open(folder.path(), &SCRIPTS).await;
    let id = rig.start("nothing", "1").await;
    rig.result(id).await;
    let page = async |from, newest_first, limit| {
        let records = rig.driver.events(id, from, newest_first, limit).await.unwrap();
        records.iter().filter_map(|record| record.event_id).collect::<Vec<_>>()
    };
    assert_eq!(page(None, false, 2).await, [1, 2]);
    assert_eq!(page(Some(3), false, 2).await, [3]);
    assert_eq!(page(None, true, 2).await, [3, 2]);
    assert_eq!(page(Some(1), true, 2).await, [1]);
}

#[tokio::test]
async fn every_waiter_is_told_of_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::open(folder.path(), &SCRIPTS).await;
    let id = rig.start("held", "1").await;
    rig.world.called(1).await;
    let (one, two, ()) = tokio::join!(rig.result(id), rig.result(id), async {
        rig.world.gate.add_permits(1);
    });
    assert_eq!((one.as_deref(), two.as_deref()), (Some("held"), Some("held")));
    assert_eq!(rig.result(id).await.as_deref(), Some("held"), "also when it is over");
}

#[tokio::test]
async fn a_stop_answers_waiters_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::open(folder.path(), &SCRIPTS).await;
    let id = rig.start("held", "1").await;
    rig.world.called(1).await;
    let error = Payload::Inline("{}".to_owned());
    let stop = Asked::Stop(Some(error.clone()));
    rig.driver.command(id, stop, Stash::default()).await.unwrap();
    assert_eq!(rig.driver.ended(id).await.unwrap(), Outcome::Stopped(Some(error)));
    rig.world.gate.add_permits(1);
    rig.settle().await;
    assert_eq!(rig.history(id).await, ["1 +0 Started", "2 +0 Ended"], "a late answer is dropped");
}

#[tokio::test]
async fn what_is_not_there_is_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::open(folder.path(), &SCRIPTS).await;
    let nobody = ExecutionId::from_bytes([5; 16]);
    let stopped = rig.driver.command(nobody, Asked::Stop(None), Stash::default()).await;
    assert!(matches!(stopped, Err(DriveError::Unknown)));
    assert!(matches!(rig.driver.ended(nobody).await, Err(DriveError::Unknown)));
    assert!(matches!(rig.driver.read(nobody, |_| ()).await, Err(DriveError::Unknown)));
    assert!(matches!(rig.driver.events(nobody, None, false, 9).await, Err(DriveError::Unknown)));
}

#[tokio::test]
async fn refusals_and_looks_write_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::open(folder.path(), &SCRIPTS).await;
    let id = rig.start("callback", "1").await;
    rig.settle().await;
    let before = rig.journal(id).await;
    let answer = Asked::Work(Command::Callback { number: 9, answer: Answer::Success(None) });
    let refused = rig.driver.command(id, answer, Stash::default()).await;
    assert!(matches!(refused, Err(DriveError::Rejected(Rejection::CallbackUnknown))));
    let answer = rig.driver.act(id, Stash::default(), |_| Ask::Answer(7), |_, _| 8).await;
    assert_eq!(answer.unwrap(), 7);
    assert_eq!(rig.journal(id).await, before);
    let answer = Asked::Work(Command::Callback { number: 1, answer: Answer::Success(None) });
    rig.driver.command(id, answer, Stash::default()).await.unwrap();
    assert_eq!(rig.result(id).await.as_deref(), Some("answered"));
}

fn is_taken<T: std::fmt::Debug>(started: Result<T, DriveError<Rejection>>, by: ExecutionId) {
    assert!(matches!(started, Err(DriveError::NameTaken(owner)) if owner == by), "{started:?}");
}

#[tokio::test]
async fn a_name_stands_for_one_start_until_retention_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::open(folder.path(), &SCRIPTS).await;
    let Started::New(first) = rig.start_named("callback", "n", 1).await.unwrap() else {
        panic!("nobody had the name")
    };
    // Running.
    assert_eq!(rig.start_named("callback", "n", 1).await.unwrap(), Started::Existing(first));
    is_taken(rig.start_named("callback", "n", 2).await, first);
    // Names are unique within a function, and executions without a claim take none.
    assert!(matches!(rig.start_named("nothing", "n", 1).await, Ok(Started::New(_))));
    let (one, two) = (rig.start("nothing", "1").await, rig.start("nothing", "1").await);
    assert_ne!(one, two);
    // Ended.
    rig.driver.command(first, Asked::Stop(None), Stash::default()).await.unwrap();
    assert_eq!(rig.start_named("callback", "n", 1).await.unwrap(), Started::Existing(first));
    is_taken(rig.start_named("callback", "n", 2).await, first);
    // Expired, though nobody has cleaned up since.
    rig.clock.advance(8 * DAY);
    assert!(matches!(rig.driver.read(first, |_| ()).await, Err(DriveError::Unknown)));
    let Started::New(second) = rig.start_named("callback", "n", 2).await.unwrap() else {
        panic!("the name was free")
    };
    assert_ne!(first, second);
    assert_eq!(rig.store.row(first.bytes()).await.unwrap(), None, "all of it is gone");
    assert!(rig.store.journal(first.bytes()).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_same_start_twice_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::open(folder.path(), &SCRIPTS).await;
    let id = rig.driver.new_id();
    let start = || rig::start(id, "nothing", Payload::Inline("1".to_owned()));
    let first = rig.driver.start(start(), Stash::default(), None).await.unwrap();
    let second = rig.driver.start(start(), Stash::default(), None).await.unwrap();
    assert_eq!((first, second), (Started::New(id), Started::Existing(id)));
    rig.result(id).await;
    assert_eq!(rig.world.calls(), ["nothing 1"]);
}
