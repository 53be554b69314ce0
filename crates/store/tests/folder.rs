//! What opening and closing a data folder promises.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use bytes::Bytes;
use durastack_store::{Append, Batch, OpenError, Record, Sqlite, Store, StoreError};
use std::{error::Error, fs, path::Path};

/// Names, sizes and contents of the files in a folder.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap())
        .map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap()))
        .collect();
    files.sort();
    files
}

fn append(expected: u64) -> Batch {
    let record = Record { event_id: None, data: Bytes::from_static(b"data") };
    let append = Append { execution: [1; 16], expected, records: vec![record] };
    Batch { appends: vec![append], ..Batch::default() }
}

#[tokio::test]
async fn what_was_committed_is_there_after_the_close() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("made").join("on demand");
    for n in 0..3 {
        let store = Sqlite::open(&folder, [n; 32]).unwrap();
        assert_eq!(store.secret(), [0; 32], "the first secret stays");
        store.commit(append(n.into())).await.unwrap();
        store.close().await;
        assert!(matches!(store.commit(append(9)).await, Err(StoreError::Closed)));
        assert!(matches!(store.journal([1; 16]).await, Err(StoreError::Closed)));
        assert!(matches!(store.record("n", "k").await, Err(StoreError::Closed)));
        let log = folder.join("store.db-wal");
        assert!(!log.exists() || log.metadata().unwrap().len() == 0, "the log was written out");
    }
    let store = Sqlite::open(&folder, [9; 32]).unwrap();
    assert_eq!(store.journal([1; 16]).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_close_finishes_what_was_committed_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(folder.path(), [0; 32]).unwrap();
    let commits = async {
        for expected in 0..50 {
            if store.commit(append(expected)).await.is_err() {
                return expected;
            }
        }
        50
    };
    let (acknowledged, ()) = tokio::join!(commits, store.close());
    drop(store);
    let store = Sqlite::open(folder.path(), [0; 32]).unwrap();
    assert_eq!(store.journal([1; 16]).await.unwrap().len() as u64, acknowledged);
}

#[tokio::test]
async fn one_store_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(folder.path(), [0; 32]).unwrap();
    let refused = Sqlite::open(folder.path(), [0; 32]).unwrap_err();
    let pid = std::process::id();
    let OpenError::Locked { folder: named, pid: Some(holder) } = &refused else {
        panic!("{refused:?}")
    };
    assert_eq!((&**named, *holder), (folder.path(), pid));
    let text = format!(
        "the data folder {} is in use by process {pid}; stop that one first, or choose another folder",
        folder.path().display()
    );
    assert_eq!(refused.to_string(), text);

    store.close().await;
    let second = Sqlite::open(folder.path(), [0; 32]).unwrap();
    drop(store);
    assert!(matches!(Sqlite::open(folder.path(), [0; 32]), Err(OpenError::Locked { .. })));
    drop(second);
    Sqlite::open(folder.path(), [0; 32]).unwrap();
}

#[test]
fn a_newer_format_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(Sqlite::open(folder.path(), [0; 32]).unwrap());
    fs::write(folder.path().join("format"), "2\n").unwrap();
    let before = contents(folder.path());
    let refused = Sqlite::open(folder.path(), [0; 32]).unwrap_err();
    assert!(matches!(refused, OpenError::Newer { found: 2, known: 1, .. }), "{refused:?}");
    assert_eq!(contents(folder.path()), before);
}

#[test]
fn what_is_no_data_folder_is_left_alone() {
    for (file, text) in [("format", "zero"), ("format", "0"), ("store.db", "mine")] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(file), text).unwrap();
        let before = contents(folder.path());
        let refused = Sqlite::open(folder.path(), [0; 32]).unwrap_err();
        assert!(matches!(refused, OpenError::Unusable { .. }), "{refused:?}");
        assert_eq!(contents(folder.path()), before);
    }
}

#[test]
fn a_damaged_database_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    drop(Sqlite::open(folder.path(), [0; 32]).unwrap());
    fs::write(folder.path().join("store.db"), vec![0xff; 8192]).unwrap();
    let refused = Sqlite::open(folder.path(), [0; 32]).unwrap_err();
    assert!(matches!(refused, OpenError::Database { .. }), "{refused:?}");
    assert_eq!(refused.source().unwrap().to_string(), "file is not a database");
}

#[cfg(unix)]
#[test]
fn only_the_user_may_look_into_it() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("data");
    drop(Sqlite::open(&folder, [0; 32]).unwrap());
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_lock_that_outlives_its_process_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut gone = std::process::Command::new("true").spawn().unwrap();
    gone.wait().unwrap();
    let path = folder.path().join("lock");
    fs::write(&path, gone.id().to_string()).unwrap();
    let heir = fs::File::open(&path).unwrap();
    heir.lock().unwrap();
    let (opened, waiting) = std::sync::mpsc::channel();
    let place = folder.path().to_owned();
    let opening = std::thread::spawn(move || {
        let store = Sqlite::open(&place, [1; 32]);
        opened.send(()).unwrap();
        store.map(drop)
    });
    assert!(
        waiting.recv_timeout(std::time::Duration::from_millis(100)).is_err(),
        "it is still held"
    );
    drop(heir);
    opening.join().unwrap().unwrap();
}
