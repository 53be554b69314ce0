//! What is left after the process was killed, or the disk refused a write.
//!
//! The process to be killed is this test binary again, told by a variable to run [`child`].

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod child;

use child::{CLIENTS, FOLDER, id};
use durastack_clock::Entropy;
use durastack_store::{ListQuery, Sqlite, Store};
use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
};

const KILLS: usize = 20;

/// Starts the child. `shell` is what a shell does before it becomes the child.
fn spawn(folder: &Path, shell: &str) -> Child {
    Command::new("/bin/sh")
        .args(["-c", &format!("{shell} exec \"$0\" --exact runs_as_a_child --nocapture")])
        .arg(std::env::current_exe().unwrap())
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Reads the acknowledgements of a child, `kill`s it after so many, and returns the newest of each client.
fn acknowledged(mut child: Child, kill: Option<usize>) -> ([u64; CLIENTS], String, ExitStatus) {
    let mut newest = [0; CLIENTS];
    let mut rest = String::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut count = 0;
    let mut line = String::new();
    while lines.read_line(&mut line).unwrap() > 0 {
        let mut words = line.split_whitespace();
        if words.next() == Some("ack") {
            let client: usize = words.next().unwrap().parse().unwrap();
            // What the kill cut off may be half a line.
            if let (Some(Ok(sequence)), true) = (words.next().map(str::parse), line.ends_with('\n'))
            {
                newest[client] = sequence;
                count += 1;
            }
            if kill == Some(count) {
                child.kill().unwrap();
            }
        } else {
            rest.push_str(&line);
        }
        line.clear();
    }
    lines.read_to_string(&mut rest).unwrap();
    (newest, rest, child.wait().unwrap())
}

/// Everything acknowledged is there, and nothing by halves.
fn check(folder: &Path, acknowledged: [u64; CLIENTS]) -> [u64; CLIENTS] {
    let store = Sqlite::open(folder, [0; 32]).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut found = [0; CLIENTS];
        for client in 0..CLIENTS {
            let journal = store.journal(id(client)).await.unwrap();
            let length = journal.len() as u64;
            assert!(length >= acknowledged[client], "{length} of {acknowledged:?} at {client}");
            for (entry, sequence) in journal.iter().zip(1..) {
                assert_eq!(entry.sequence, sequence);
                assert_eq!(entry.data, child::data(client, sequence));
            }
            // The other parts of the batch that the last record came with.
            let row = store.row(id(client)).await.unwrap();
            assert_eq!(row, (length > 0).then(|| child::row(client, length)));
            let record = store.record("last", &client.to_string()).await.unwrap();
            let last = record.map(|record| record.value);
            assert_eq!(last, (length > 0).then(|| length.to_string().into()));
            found[client] = length;
        }
        let due = store.due("d", i64::MAX, 99).await.unwrap();
        let started = found.iter().filter(|length| **length > 0).count();
        assert_eq!(due.len(), started);
        let query = ListQuery { scope: "scope".to_owned(), limit: 99, ..ListQuery::default() };
        assert_eq!(store.list(query).await.unwrap().len(), started);
        found
    })
}

#[test]
fn runs_as_a_child() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        child::run(Path::new(&folder));
    }
}

#[test]
fn nothing_acknowledged_is_lost_by_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut entropy = Entropy::seeded(1);
    let mut total = 0;
    for _ in 0..KILLS {
        let kill = usize::try_from(entropy.next_u64() % 300).unwrap() + 1;
        let (newest, rest, status) = acknowledged(spawn(folder.path(), ""), Some(kill));
        assert_eq!(status.code(), None, "not killed: {rest}");
        let found: u64 = check(folder.path(), newest).iter().sum();
        assert!(found > total, "no progress");
        total = found;
    }
}

/// A limit on the size of files stands for a full disk: writes beyond it fail, and the signal is ignored.
#[test]
fn a_failed_write_stops_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let (newest, rest, status) =
        acknowledged(spawn(folder.path(), "trap '' XFSZ; ulimit -f 1000;"), None);
    assert!(status.success(), "{rest}");
    assert!(newest.iter().all(|sequence| *sequence > 0), "{newest:?}");
    let told = rest.lines().filter(|line| line.starts_with("stopped ")).collect::<Vec<_>>();
    assert_eq!(told.len(), CLIENTS, "{rest}");
    for line in told {
        assert!(
            line.contains("the store has stopped because a write failed"),
            "not a clear error: {line}"
        );
    }
    assert!(rest.contains("later calls are refused"), "{rest}");
    check(folder.path(), newest);
}
