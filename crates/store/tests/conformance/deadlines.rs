//! What a start asks for: who is due, and who is owed something.

use crate::{id, row, rows};
use durastack_store::{Batch, Id, Row, Store};

fn due(due: &[(Id, Option<i64>)]) -> Batch {
    Batch { due: due.to_vec(), ..Batch::default() }
}

pub(crate) async fn finds_what_is_due(store: &dyn Store) {
    assert_eq!(store.next_due("d").await.unwrap(), None);
    store.commit(rows(&[row(1, 0, 1), row(2, 0, 1), row(3, 0, 1)])).await.unwrap();
    store.commit(due(&[(id(1), Some(30)), (id(2), Some(10)), (id(3), Some(10))])).await.unwrap();
    assert_eq!(store.next_due("d").await.unwrap(), Some(10));
    assert_eq!(store.due("d", 9, 10).await.unwrap(), []);
    assert_eq!(store.due("d", 10, 10).await.unwrap(), [(10, id(2)), (10, id(3))]);
    assert_eq!(store.due("d", 99, 2).await.unwrap(), [(10, id(2)), (10, id(3))]);
    store.commit(due(&[(id(2), None), (id(3), Some(40)), (id(1), Some(30))])).await.unwrap();
    assert_eq!(store.due("d", 99, 10).await.unwrap(), [(30, id(1)), (40, id(3))]);
    store.commit(due(&[(id(1), None), (id(3), None)])).await.unwrap();
    assert_eq!(store.next_due("d").await.unwrap(), None);
}

pub(crate) async fn are_told_apart_by_dialect(store: &dyn Store) {
    let other = Row { dialect: "e".to_owned(), ..row(2, 0, 1) };
    let start = Batch {
        owes: vec![(id(1), true), (id(2), true)],
        due: vec![(id(1), Some(7)), (id(2), Some(5))],
        ..rows(&[row(1, 0, 1), other])
    };
    store.commit(start).await.unwrap();
    assert_eq!(store.due("d", 9, 9).await.unwrap(), [(7, id(1))]);
    assert_eq!(store.next_due("e").await.unwrap(), Some(5));
    assert_eq!(store.owing("d", None, 9).await.unwrap(), [id(1)]);
    assert_eq!(store.owing("e", None, 9).await.unwrap(), [id(2)]);
}

pub(crate) async fn finds_who_is_owed(store: &dyn Store) {
    let start = Batch {
        owes: vec![(id(1), true), (id(3), true), (id(2), false), (id(4), true)],
        ..rows(&[row(3, 0, 1), row(1, 0, 2), row(2, 0, 3), row(4, 0, 4)])
    };
    store.commit(start).await.unwrap();
    assert_eq!(store.owing("d", None, 9).await.unwrap(), [id(1), id(3), id(4)]);
    assert_eq!(store.owing("d", None, 1).await.unwrap(), [id(1)]);
    assert_eq!(store.owing("d", Some(id(1)), 9).await.unwrap(), [id(3), id(4)]);
    let owes = vec![(id(3), false), (id(1), true), (id(5), false)];
    store.commit(Batch { owes, ..Batch::default() }).await.unwrap();
    assert_eq!(store.owing("d", None, 9).await.unwrap(), [id(1), id(4)]);
}

pub(crate) async fn are_kept_without_a_row(store: &dyn Store) {
    store.commit(due(&[(id(1), Some(5))])).await.unwrap();
    // Only the row says whose it is.
    assert_eq!(store.due("d", 5, 1).await.unwrap(), []);
    assert_eq!(store.row(id(1)).await.unwrap(), None);
    store.commit(rows(&[row(1, 0, 1)])).await.unwrap();
    assert_eq!(store.row(id(1)).await.unwrap(), Some(row(1, 0, 1)));
    assert_eq!(store.due("d", 5, 1).await.unwrap(), [(5, id(1))]);
}
