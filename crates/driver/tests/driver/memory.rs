//! Executions that do not fit into memory.

use crate::rig::{
    self, DAY, Next, Rig, Script, checkpoint_of, find, succeed, suspend, two_days, update, wait,
};
use durastack_durable::{Action, Answer, Command, Durable, OperationKind};
use durastack_engine::{Command as Asked, Execution, Stash};
use durastack_names::ExecutionId;
use durastack_store::{Sqlite, Store};
use std::sync::Arc;

/// A wait ends while the handler is looking; then it waits for somebody.
fn looks_on(execution: &Execution<Durable>) -> Next {
    match (find(execution, "wait"), find(execution, "callback")) {
        (None, _) => Next::Checkpoint(
            vec![wait("wait", 0), update(OperationKind::Callback, Action::Start, "callback")],
            Stash::default(),
        ),
        (Some((_, false)), _) => {
            checkpoint_of(update(OperationKind::Step, Action::Succeed, "look"))
        }
        (_, Some((_, false))) => suspend(),
        _ => succeed("both"),
    }
}

fn holds(execution: &Execution<Durable>) -> Next {
    match find(execution, "step") {
        None => checkpoint_of(update(OperationKind::Step, Action::Start, "step")),
        Some(_) => rig::held(execution),
    }
}

const SCRIPTS: [(&str, Script); 3] =
    [("two-days", two_days), ("looks-on", looks_on), ("holds", holds)];

async fn crowded(folder: &std::path::Path) -> Rig {
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(folder, [1; 32]).expect("a data folder"));
    Rig::on(Arc::clone(&store), store, &SCRIPTS, 0).await
}

async fn push_out(rig: &Rig) {
    for number in 0..80 {
        let _ = rig.driver.read(ExecutionId::from_bytes([number; 16]), |_| ()).await;
    }
}

#[tokio::test]
async fn executions_survive_eviction() {
    let folder = tempfile::tempdir().unwrap();
    let rig = crowded(folder.path()).await;
    let mut ids = Vec::new();
    for _ in 0..30 {
        ids.push(rig.start("two-days", "1").await);
    }
    rig.advance(3 * DAY).await.unwrap();
    for id in ids {
        assert_eq!(rig.history(id).await.last().map(String::as_str), Some("9 +172800 Ended"));
    }
}

#[tokio::test]
async fn an_execution_in_flight_is_not_evicted() {
    let folder = tempfile::tempdir().unwrap();
    let rig = crowded(folder.path()).await;
    let id = rig.start("holds", "1").await;
    rig.world.called(1).await;
    // The handler has had its first token, and then its second by its checkpoint.
    let counter = async || {
        rig.driver.read(id, |e| e.work.live.as_ref().map(|live| live.counter)).await.unwrap()
    };
    rig.until(id, "StepStarted").await;
    assert_eq!(counter().await, Some(1));
    push_out(&rig).await;
    assert_eq!(counter().await, Some(1), "what only memory knows is still known");
    let step = update(OperationKind::Step, Action::Succeed, "step");
    assert!(rig::checkpoint(&rig.driver, id, vec![step], Stash::default()).await.is_some());
    rig.world.gate.add_permits(1);
    assert_eq!(rig.result(id).await.as_deref(), Some("held"));
    assert_eq!(rig.world.calls(), ["holds 1"]);
}

/// The folded execution reports to its handler what the one in memory would have reported.
#[tokio::test]
async fn eviction_changes_nothing_that_a_handler_is_told() {
    for evicted in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let rig = if evicted {
            crowded(folder.path()).await
        } else {
            Rig::open(folder.path(), &SCRIPTS).await
        };
        let id = rig.start("looks-on", "1").await;
        rig.settle().await;
        if evicted {
            push_out(&rig).await;
        }
        // Taken before the handler is called, by the one who holds the execution.
        let answer = Asked::Work(Command::Callback { number: 2, answer: Answer::Success(None) });
        let told = rig
            .driver
            .act(
                id,
                Stash::default(),
                |_| durastack_driver::Ask::Decide(answer),
                |execution, _| execution.work.tell_input(),
            )
            .await
            .unwrap();
        assert_eq!(told.into_iter().collect::<Vec<_>>(), [1, 2], "evicted: {evicted}");
        assert_eq!(rig.result(id).await.as_deref(), Some("both"));
    }
}
