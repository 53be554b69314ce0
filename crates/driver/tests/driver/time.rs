//! Deadlines, and the clock when somebody turns it.

use crate::rig::{
    DAY, Next, Rig, START, Script, checkpoint_of, find, life, nothing, succeed, suspend, two_days,
    wait,
};
use durastack_driver::{DriveError, stored_offset};
use durastack_durable::Durable;
use durastack_engine::{Command, Execution, Stash};
use std::{sync::Arc, time::Duration};
use tokio_util::task::TaskTracker;

/// A wait that is over as soon as it begins.
fn blinks(execution: &Execution<Durable>) -> Next {
    match find(execution, "blink") {
        None => checkpoint_of(wait("blink", 0)),
        Some((_, false)) => suspend(),
        Some((_, true)) => succeed("blinked"),
    }
}

const SCRIPTS: [(&str, Script); 3] =
    [("two-days", two_days), ("blinks", blinks), ("nothing", nothing)];

#[tokio::test]
async fn turning_the_clock_makes_the_history_that_waiting_would_have_made() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::open(folder.path(), &SCRIPTS).await;
    let id = rig.start("two-days", "1").await;
    let advanced = rig.advance(6 * DAY).await.unwrap();
    assert_eq!((advanced.now, advanced.delivered, advanced.running), (START.plus(6 * DAY), 2, 0));
    let shown = [
        "1 +0 Started",
        "2 +0 WaitStarted",
        "3 +0 InvocationCompleted",
        "4 +86400 WaitSucceeded",
        "5 +86400 WaitStarted",
        "6 +86400 InvocationCompleted",
        "7 +172800 WaitSucceeded",
        "8 +172800 InvocationCompleted",
        "9 +172800 Ended",
    ];
    assert_eq!(rig.history(id).await, shown);
    // What has expired on the way is gone.
    rig.advance(24 * DAY).await.unwrap();
    assert_eq!(rig.clock.now(), START.plus(30 * DAY));
    assert!(matches!(rig.driver.read(id, |_| ()).await, Err(DriveError::Unknown)));
    assert_eq!(rig.store.row(id.bytes()).await.unwrap(), None);
}

#[tokio::test]
async fn nothing_fires_before_it_is_due() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::open(folder.path(), &SCRIPTS).await;
    let id = rig.start("two-days", "1").await;
    let almost = DAY - Duration::from_millis(1);
    assert_eq!(rig.advance(almost).await.unwrap().delivered, 0);
    let next = rig.next().await.unwrap().expect("a deadline");
    assert_eq!((next.at, next.execution), (START.plus(DAY), Some(id)));
    assert_eq!((next.dialect, next.name), ("durable", id.to_string()));
    assert_eq!(next.purpose, "wait 'first'");
    assert_eq!(rig.advance(Duration::from_millis(1)).await.unwrap().delivered, 1);
}

#[tokio::test]
async fn deadlines_of_many_executions_come_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::open(folder.path(), &SCRIPTS).await;
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(rig.start("two-days", "1").await);
        rig.advance(Duration::from_secs(60)).await.unwrap();
    }
    rig.advance(3 * DAY).await.unwrap();
    for (index, id) in (0..).zip(ids) {
        let at = 172_800 + 60 * index;
        assert_eq!(rig.history(id).await.last(), Some(&format!("9 +{at} Ended")));
    }
}

#[tokio::test]
async fn what_is_due_happens_before_a_command() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::open(folder.path(), &SCRIPTS).await;
    let id = rig.start("two-days", "1").await;
    rig.settle().await;
    // Nobody delivers: the clock has moved, and a command is the first to notice.
    rig.clock.turn(DAY);
    rig.driver.command(id, Command::Stop(None), Stash::default()).await.unwrap();
    let history = rig.history(id).await;
    assert_eq!(history[3..], ["4 +86400 WaitSucceeded", "5 +86400 Ended"]);
    rig.settle().await;
    assert_eq!(rig.next().await.unwrap().map(|next| next.at), None, "timers die with it");
}

#[tokio::test]
async fn a_new_deadline_wakes_the_timekeeper() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::open(folder.path(), &SCRIPTS).await;
    let tasks = TaskTracker::new();
    let keeper = tasks.spawn(Arc::clone(&rig.driver).keep_time());
    let id = rig.start("blinks", "1").await;
    assert_eq!(rig.result(id).await.as_deref(), Some("blinked"));
    rig.driver.detach();
    rig.driver.finish().await;
    tokio::time::timeout(Duration::from_secs(30), keeper).await.expect("it ends").unwrap();
}

#[test]
fn virtual_time_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let before = life(async {
        let rig = Rig::open(folder.path(), &SCRIPTS).await;
        rig.advance(3 * DAY).await.unwrap();
        rig.advance(Duration::from_millis(5)).await.unwrap();
        rig.clock.now()
    });
    life(async {
        let rig = Rig::open(folder.path(), &SCRIPTS).await;
        let offset = 3 * DAY + Duration::from_millis(5);
        assert_eq!(stored_offset(&*rig.store).await.unwrap(), offset);
        assert!(rig.clock.now() >= before);
        rig.advance(DAY).await.unwrap();
        assert_eq!(rig.clock.now(), START.plus(offset + DAY));
    });
}
