//! What happens to executions whose time is over.

use crate::{append, id, record, row, rows};
use bytes::Bytes;
use durastack_store::{Append, Batch, Blob, Claim, EventsQuery, Id, ListQuery, Row, Store};

fn expiring(n: u8, expires: i64) -> Row {
    Row { status: 1, ended: Some(2), expires: Some(expires), ..row(n, 1, 1) }
}

pub(crate) async fn deletes_what_has_expired(store: &dyn Store) {
    for n in [1, 2] {
        let claim = Claim {
            scope: "s".to_owned(),
            name: n.to_string(),
            execution: id(n),
            input_hash: [n; 32],
        };
        let batch = Batch {
            claims: vec![claim],
            rows: vec![expiring(n, 10 * i64::from(n))],
            due: vec![(id(n), Some(5))],
            owes: vec![(id(n), true)],
            blobs: vec![Blob { execution: id(n), sha256: [1; 32], data: Bytes::from_static(b"b") }],
            ..append(id(n), 0, &[record(Some(1), "a"), record(None, "b")])
        };
        store.commit(batch).await.unwrap();
    }
    store.commit(rows(&[row(3, 0, 1)])).await.unwrap();
    assert_eq!(store.expire(9, 10).await.unwrap(), [[0; 16]; 0]);
    assert_eq!(store.expire(10, 10).await.unwrap(), [id(1)]);

    assert_eq!(store.journal(id(1)).await.unwrap(), []);
    let events = EventsQuery { execution: id(1), from: None, newest_first: false, limit: 9 };
    assert_eq!(store.events(events).await.unwrap(), []);
    assert_eq!(store.row(id(1)).await.unwrap(), None);
    assert_eq!(store.claimed("s", "1").await.unwrap(), None);
    assert_eq!(store.blob(id(1), [1; 32]).await.unwrap(), None);
    assert_eq!(store.due("d", 99, 9).await.unwrap(), [(5, id(2))]);
    assert_eq!(store.owing("d", None, 9).await.unwrap(), [id(2)]);
    let query = ListQuery { scope: "scope".to_owned(), limit: 9, ..ListQuery::default() };
    assert_eq!(store.list(query).await.unwrap(), [expiring(2, 20), row(3, 0, 1)]);
    assert_eq!(store.journal(id(2)).await.unwrap().len(), 2);

    // The id is free again, from the first sequence and the first event on.
    store.commit(append(id(1), 0, &[record(Some(1), "a")])).await.unwrap();
}

pub(crate) async fn deletes_in_bounded_slices(store: &dyn Store) {
    let long = vec![record(None, "x"); 5_000];
    for n in 1..=4 {
        let append = Append { execution: id(n), expected: 0, records: long.clone() };
        let batch = Batch { appends: vec![append], ..rows(&[expiring(n, i64::from(n))]) };
        store.commit(batch).await.unwrap();
    }
    assert_eq!(store.expire(9, 1).await.unwrap(), [id(1)]);
    // The second journal brings the slice over what it may delete.
    assert_eq!(store.expire(9, 9).await.unwrap(), [id(2), id(3)]);
    assert_eq!(store.expire(9, 9).await.unwrap(), [id(4)]);
    assert_eq!(store.expire(9, 9).await.unwrap(), Vec::<Id>::new());
}
