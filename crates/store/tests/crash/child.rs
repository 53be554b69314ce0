//! The process that is killed: clients that commit, and say on standard output what was acknowledged.

use bytes::Bytes;
use durastack_store::{Append, Batch, Change, Expect, Id, Record, Row, Sqlite, Store, StoreError};
use std::{error::Error, io::Write, path::Path, sync::Arc};
use tokio_util::task::TaskTracker;

/// The variable that holds the child's folder.
pub(crate) const FOLDER: &str = "DURASTACK_STORE_CRASH_FOLDER";

pub(crate) const CLIENTS: usize = 8;

pub(crate) fn id(client: usize) -> Id {
    let mut id = [0; 16];
    id[0] = u8::try_from(client).unwrap();
    id
}

pub(crate) fn data(client: usize, sequence: u64) -> Bytes {
    Bytes::from(format!("{client} {sequence} {}", "x".repeat(300)))
}

pub(crate) fn row(client: usize, length: u64) -> Row {
    Row {
        execution: id(client),
        dialect: "d".to_owned(),
        scope: "scope".to_owned(),
        version: "1".to_owned(),
        name: client.to_string(),
        status: u8::try_from(length % 4).unwrap(),
        started: 1,
        ended: i64::try_from(length).ok(),
        expires: None,
    }
}

/// The batch that makes a journal longer, with something in every table that must agree with it.
fn batch(client: usize, length: u64) -> Batch {
    let records = [length + 1, length + 2]
        .map(|n| Record { event_id: Some(n), data: data(client, n) })
        .to_vec();
    let last = Change {
        namespace: "last",
        key: client.to_string(),
        value: Some((length + 2).to_string().into()),
        expect: Expect::Anything,
    };
    Batch {
        appends: vec![Append { execution: id(client), expected: length, records }],
        records: vec![last],
        rows: vec![row(client, length + 2)],
        due: vec![(id(client), i64::try_from(length).ok())],
        ..Batch::default()
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

pub(crate) fn run(folder: &Path) {
    let store = Arc::new(Sqlite::open(folder, [0; 32]).unwrap());
    // The test harness leaves a line open.
    say("");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let clients = TaskTracker::new();
        for client in 0..CLIENTS {
            clients.spawn_on(work(Arc::clone(&store), client), runtime.handle());
        }
        clients.close();
        clients.wait().await;
        let refused = [
            store.commit(Batch::default()).await.is_err(),
            store.journal(id(0)).await.is_err(),
            store.record("last", "0").await.is_err(),
            store.expire(0, 1).await.is_err(),
        ];
        if refused == [true; 4] {
            say("later calls are refused");
        }
    });
}

async fn work(store: Arc<Sqlite>, client: usize) {
    let mut length = store.journal(id(client)).await.unwrap().len() as u64;
    loop {
        match store.commit(batch(client, length)).await {
            Ok(()) => length += 2,
            Err(error @ StoreError::Failed(_)) => {
                let cause = error.source().map(ToString::to_string).unwrap_or_default();
                return say(&format!("stopped {client}: {error}: {cause}"));
            }
            Err(other) => panic!("{other:?}"),
        }
        say(&format!("ack {client} {length}"));
    }
}
