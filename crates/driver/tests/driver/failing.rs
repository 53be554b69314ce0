//! A store that stops at write n, for every n: nothing acknowledged is lost, and nothing is done before it is durable.

use crate::rig::{
    DAY, LONG, Next, Rig, Script, calls_child, checkpoint_of, find, life, sleeps_then_long,
    succeed, suspend, update, wait,
};
use durastack_driver::{DriveError, Started};
use durastack_durable::{Action, Durable, OperationKind, Rejection};
use durastack_engine::{Command, Execution, Stash};
use durastack_names::ExecutionId;
use durastack_store::{Sqlite, Store, StoreError};
use durastack_testkit::failing::{FailingStore, Fate};
use std::{collections::BTreeMap, path::Path, sync::Arc};

fn a_step_and_a_wait(execution: &Execution<Durable>) -> Next {
    match (find(execution, "step"), find(execution, "wait")) {
        (None, _) => checkpoint_of(update(OperationKind::Step, Action::Start, "step")),
        (Some((_, false)), _) => {
            checkpoint_of(update(OperationKind::Step, Action::Succeed, "step"))
        }
        (_, None) => checkpoint_of(wait("wait", 60)),
        (_, Some((_, false))) => suspend(),
        (_, Some((_, true))) => succeed("done"),
    }
}

const SCRIPTS: [(&str, Script); 3] =
    [("steps", a_step_and_a_wait), ("parent", calls_child), ("child", sleeps_then_long)];

/// What a first durastack was told before its disk was full.
struct Left {
    failed: bool,
    started: Vec<ExecutionId>,
    acknowledged: BTreeMap<ExecutionId, u64>,
}

fn until_it_fails(folder: &Path, writes: usize, fate: Fate) -> Left {
    life(async {
        let raw: Arc<dyn Store> = Arc::new(Sqlite::open(folder, [1; 32]).expect("a data folder"));
        let store = Arc::new(FailingStore::after(Arc::clone(&raw), writes, fate));
        let rig = Rig::on(Arc::clone(&store) as _, Arc::clone(&raw), &SCRIPTS, 1 << 20).await;
        let mut started = Vec::new();
        for function in ["steps", "parent"] {
            match rig.start_named(function, "n", 1).await {
                Ok(known) => started.push(known.id()),
                Err(error) => assert!(is_failure(&error), "{error:?}"),
            }
        }
        let advanced = rig.advance(DAY).await;
        // Whoever asks now is told that the store has stopped, and not what memory still thinks. Only stopping what has
        // ended on disk, which writes nothing, may still be answered.
        if store.has_failed() {
            assert!(advanced.is_err(), "the store has failed");
            for id in &started {
                let stopped = rig.driver.command(*id, Command::Stop(None), Stash::default()).await;
                let journal = raw.journal(id.bytes()).await.expect("a readable journal");
                let ended = journal
                    .iter()
                    .any(|entry| String::from_utf8_lossy(&entry.data).contains("\"Ended\""));
                match stopped {
                    Ok(()) => assert!(ended),
                    Err(error) => assert!(is_failure(&error), "{error:?}"),
                }
            }
        }
        let acknowledged = rig.world.acknowledged.lock().expect("no test panicked").clone();
        Left { failed: store.has_failed(), started, acknowledged }
    })
}

fn is_failure(error: &DriveError<Rejection>) -> bool {
    matches!(error, DriveError::Store(StoreError::Failed(_)))
}

async fn check_recovered(folder: &Path, left: &Left, case: &str) {
    let rig = Rig::open(folder, &SCRIPTS).await;
    for (id, sequence) in &left.acknowledged {
        let journal = rig.journal(*id).await;
        assert!(journal.len() as u64 >= *sequence, "{case}: an acknowledged checkpoint is lost");
    }
    rig.driver.recover().await.expect("a recovery");
    rig.advance(DAY).await.expect("a sound store");
    for (function, result) in [("steps", "done".to_owned()), ("parent", "r".repeat(LONG))] {
        // A start that was not acknowledged is repeated by its client; the name tells whether it happened.
        let started = rig.start_named(function, "n", 1).await.expect("a start");
        if left.started.contains(&started.id()) {
            assert!(matches!(started, Started::Existing(_)));
        }
        rig.advance(DAY).await.expect("a sound store");
        assert_eq!(rig.result(started.id()).await, Some(result), "{case}");
        let journal = rig.journal(started.id()).await;
        let count = |what: &str| journal.iter().filter(|event| *event == what).count();
        let once = ["StepSucceeded", "WaitSucceeded", "ChainedInvokeSucceeded", "Ended"];
        assert!(once.iter().all(|what| count(what) <= 1), "{case}: {journal:?}");
    }
    for id in &left.started {
        assert!(
            rig.driver.read(*id, |_| ()).await.is_ok(),
            "{case}: an acknowledged start is lost"
        );
    }
    assert_eq!(
        rig.store.owing("durable", None, 10).await.expect("a readable store"),
        [[0; 16]; 0],
        "{case}"
    );
}

fn stop_at_every_write(fate: Fate) {
    for writes in 0.. {
        let folder = tempfile::tempdir().expect("a folder");
        let left = until_it_fails(folder.path(), writes, fate);
        let case = format!("{fate:?} after {writes}");
        life(check_recovered(folder.path(), &left, &case));
        if !left.failed {
            assert!(writes > 10, "the story has more writes than that");
            return;
        }
    }
}

#[test]
fn the_store_stops_at_every_write_and_loses_it() {
    stop_at_every_write(Fate::Lost);
}

#[test]
fn the_store_stops_at_every_write_and_keeps_it() {
    stop_at_every_write(Fate::Kept);
}
