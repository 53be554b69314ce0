//! Chained invokes: children, plain targets, and the long texts between them.

use crate::rig::{
    self, DAY, LONG, Next, Rig, Script, calls_child, chained, find, sleeps_then_long, suspend,
};
use durastack_durable::{Durable, Output, TargetKind};
use durastack_engine::{Command, Execution, Payload, Stash};
use durastack_names::ExecutionId;
use durastack_store::{ListQuery, Sqlite, Store};
use durastack_testkit::failing::FailingStore;
use std::sync::Arc;

/// Calls a plain function with something long, which returns it.
fn calls_plain(execution: &Execution<Durable>) -> Next {
    match find(execution, "call") {
        None => {
            let mut stash = Stash::default();
            let input = stash.put("p".repeat(LONG));
            let update = chained("call", "plain", TargetKind::Plain, Some(input));
            Next::Checkpoint(vec![update], stash)
        }
        Some((_, false)) => suspend(),
        Some((operation, true)) => {
            let result = operation.payloads().next().cloned();
            Next::Return(Output::Succeeded(result), Stash::default())
        }
    }
}

const SCRIPTS: [(&str, Script); 3] =
    [("parent", calls_child), ("child", sleeps_then_long), ("plain-parent", calls_plain)];

async fn child(rig: &Rig) -> ExecutionId {
    let query = ListQuery { scope: "child-scope".to_owned(), limit: 10, ..ListQuery::default() };
    let rows = rig.store.list(query).await.expect("a readable index");
    assert_eq!(rows.len(), 1, "one child");
    ExecutionId::from_bytes(rows[0].execution)
}

#[tokio::test]
async fn a_child_runs_on_its_own_and_its_parent_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::open(folder.path(), &SCRIPTS).await;
    let parent = rig.start("parent", &"x".repeat(LONG)).await;
    rig.advance(2 * DAY).await.unwrap();
    assert_eq!(rig.result(parent).await, Some("r".repeat(LONG)), "the child's result");
    let shown = [
        "1 +0 Started",
        "2 +0 ChainedInvokeStarted",
        "3 +0 InvocationCompleted",
        "4 +86400 ChainedInvokeSucceeded",
        "5 +86400 InvocationCompleted",
        "6 +86400 Ended",
    ];
    assert_eq!(rig.history(parent).await, shown);
    let child = child(&rig).await;
    let told = rig.journal(child).await.iter().filter(|event| *event == "ParentTold").count();
    assert_eq!(told, 1);
    assert_eq!(rig.store.owing("durable", None, 10).await.unwrap(), [[0; 16]; 0]);
    // Each execution owns its texts: a parent's do not vanish with its child.
    for (id, length) in [(parent, LONG), (child, LONG)] {
        let input = rig.driver.read(id, |execution| execution.life.input.clone()).await.unwrap();
        assert_eq!(rig.driver.text(id, &input).await.unwrap().len(), length);
    }
    let mut calls = rig.world.calls();
    calls.sort();
    assert_eq!(calls, ["child 1", "child 2", "parent 1", "parent 2"]);
}

#[tokio::test]
async fn a_parent_that_cannot_be_read_is_told_a_little_later() {
    let folder = tempfile::tempdir().unwrap();
    let raw: Arc<dyn Store> = Arc::new(Sqlite::open(folder.path(), [1; 32]).unwrap());
    let store = Arc::new(FailingStore::sound(Arc::clone(&raw)));
    // No room in memory: the parent is read anew when its child has ended.
    let rig = Rig::on(Arc::clone(&store) as _, raw, &SCRIPTS, 0).await;
    let parent = rig.start("parent", "1").await;
    rig.settle().await;
    // Asking for others pushes the parent out.
    for number in 0..40 {
        let _ = rig.driver.read(ExecutionId::from_bytes([number; 16]), |_| ()).await;
    }
    store.fail_next_read_of(parent.bytes());
    rig.advance(2 * DAY).await.unwrap();
    assert_eq!(rig.result(parent).await, Some("r".repeat(LONG)));
    let told = |journal: Vec<String>, what: &str| journal.iter().filter(|e| *e == what).count();
    assert_eq!(told(rig.journal(parent).await, "ChainedInvokeSucceeded"), 1);
    assert_eq!(told(rig.journal(child(&rig).await).await, "ParentTold"), 1);
}

#[tokio::test]
async fn a_child_whose_input_cannot_be_read_starts_a_little_later() {
    let folder = tempfile::tempdir().unwrap();
    let raw: Arc<dyn Store> = Arc::new(Sqlite::open(folder.path(), [1; 32]).unwrap());
    let store = Arc::new(FailingStore::sound(Arc::clone(&raw)));
    let rig = Rig::on(Arc::clone(&store) as _, raw, &SCRIPTS, 1 << 20).await;
    let parent = rig.driver.new_id();
    store.fail_next_read_of(parent.bytes());
    let start = rig::start(parent, "parent", Payload::Inline("1".to_owned()));
    rig.driver.start(start, Stash::default(), None).await.unwrap();
    rig.advance(2 * DAY).await.unwrap();
    assert_eq!(rig.result(parent).await, Some("r".repeat(LONG)));
    child(&rig).await;
}

#[tokio::test]
async fn a_child_outlives_its_parent() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::open(folder.path(), &SCRIPTS).await;
    let parent = rig.start("parent", "1").await;
    rig.settle().await;
    rig.driver.command(parent, Command::Stop(None), Stash::default()).await.unwrap();
    rig.advance(2 * DAY).await.unwrap();
    let child = child(&rig).await;
    assert_eq!(rig.result(child).await, Some("r".repeat(LONG)));
    assert_eq!(rig.history(parent).await.last().map(String::as_str), Some("4 +0 Ended"));
    assert_eq!(
        rig.store.owing("durable", None, 10).await.unwrap(),
        [[0; 16]; 0],
        "it was told, and is done"
    );
}

#[tokio::test]
async fn a_plain_target_is_called_with_its_whole_input() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::open(folder.path(), &SCRIPTS).await;
    let id = rig.start("plain-parent", "1").await;
    assert_eq!(rig.result(id).await, Some("p".repeat(LONG)));
    let calls = rig.world.calls();
    assert_eq!(calls.iter().filter(|call| *call == "target of 1").count(), 1);
}
