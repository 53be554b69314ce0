//! The list index.

use crate::{id, row, rows};
use durastack_store::{ListQuery, Row, Store};

fn query() -> ListQuery {
    ListQuery { scope: "scope".to_owned(), limit: 100, ..ListQuery::default() }
}

/// The last bytes of the ids of a page.
async fn page(store: &dyn Store, query: ListQuery) -> Vec<u8> {
    store.list(query).await.unwrap().iter().map(|row| row.execution[15]).collect()
}

pub(crate) async fn filters_and_orders(store: &dyn Store) {
    let version_2 = |row| Row { version: "2".to_owned(), ..row };
    let other = Row { scope: "other".to_owned(), ..row(9, 0, 15) };
    let all = [
        row(1, 0, 10),
        row(2, 1, 20),
        version_2(row(3, 0, 20)),
        version_2(row(4, 2, 30)),
        row(5, 1, 5),
        other,
    ];
    store.commit(rows(&all)).await.unwrap();
    let check = async |query: ListQuery, expected: &[u8]| {
        assert_eq!(page(store, query.clone()).await, expected, "{query:?}");
        let newest_first = ListQuery { newest_first: true, ..query.clone() };
        let mut reversed = expected.to_vec();
        reversed.reverse();
        assert_eq!(page(store, newest_first).await, reversed, "newest first, {query:?}");
    };
    check(query(), &[5, 1, 2, 3, 4]).await;
    check(ListQuery { statuses: vec![1, 0, 1], ..query() }, &[5, 1, 2, 3]).await;
    check(ListQuery { statuses: vec![7], ..query() }, &[]).await;
    let version = Some("2".to_owned());
    check(ListQuery { version: version.clone(), ..query() }, &[3, 4]).await;
    check(ListQuery { version: Some("3".to_owned()), ..query() }, &[]).await;
    check(ListQuery { version: version.clone(), statuses: vec![2, 1], ..query() }, &[4]).await;
    let name = Some("name-3".to_owned());
    check(ListQuery { name: name.clone(), ..query() }, &[3]).await;
    check(ListQuery { name: name.clone(), version, ..query() }, &[3]).await;
    check(ListQuery { name, statuses: vec![1, 2], ..query() }, &[]).await;
    check(ListQuery { started_after: Some(10), ..query() }, &[2, 3, 4]).await;
    check(ListQuery { started_before: Some(20), ..query() }, &[5, 1]).await;
    let (started_after, started_before) = (Some(5), Some(30));
    check(ListQuery { started_after, started_before, ..query() }, &[1, 2, 3]).await;
    check(ListQuery { started_before, started_after: Some(30), ..query() }, &[]).await;
    check(ListQuery { limit: 0, ..query() }, &[]).await;

    let after = ListQuery { after: Some((20, id(2))), ..query() };
    assert_eq!(page(store, after.clone()).await, [3, 4]);
    assert_eq!(page(store, ListQuery { newest_first: true, ..after.clone() }).await, [1, 5]);
    assert_eq!(page(store, ListQuery { started_after: Some(20), ..after.clone() }).await, [4]);
    assert_eq!(page(store, ListQuery { limit: 1, ..after }).await, [3]);
}

pub(crate) async fn pages_visit_each_row_once_under_inserts(store: &dyn Store) {
    let even = (0..100).map(|n| row(n * 2, n % 3, i64::from(n / 4)));
    store.commit(rows(&even.collect::<Vec<_>>())).await.unwrap();
    for newest_first in [false, true] {
        let mut seen = Vec::new();
        let mut after = None;
        let mut step = 0;
        loop {
            let query =
                ListQuery { statuses: vec![0, 1, 2], newest_first, after, limit: 7, ..query() };
            let insert = rows(&[row(step * 2 + 1, step % 3, i64::from(step))]);
            let (page, inserted) = tokio::join!(store.list(query), store.commit(insert));
            inserted.unwrap();
            let page = page.unwrap();
            let Some(last) = page.last() else { break };
            after = Some((last.started, last.execution));
            seen.extend(page.iter().map(|row| row.execution[15]).filter(|n| n % 2 == 0));
            step += 1;
        }
        if newest_first {
            seen.reverse();
        }
        assert_eq!(seen, (0..100).map(|n| n * 2).collect::<Vec<_>>());
    }
}

pub(crate) async fn a_row_is_replaced(store: &dyn Store) {
    assert_eq!(store.row(id(1)).await.unwrap(), None);
    let running = row(1, 0, 10);
    let ended = Row { status: 1, ended: Some(20), expires: Some(99), ..running.clone() };
    let moved = Row { scope: "other".to_owned(), ..ended.clone() };
    let renamed =
        Row { name: "other".to_owned(), version: "2".to_owned(), started: 3, ..moved.clone() };
    for new in [&running, &running, &ended, &moved, &renamed, &running] {
        store.commit(rows(std::slice::from_ref(new))).await.unwrap();
        assert_eq!(store.row(id(1)).await.unwrap().as_ref(), Some(new));
        for scope in ["scope", "other"] {
            for status in [0, 1] {
                let statuses = vec![status];
                let query = ListQuery { scope: scope.to_owned(), statuses, ..query() };
                let listed = page(store, query).await;
                assert_eq!(listed.len() == 1, scope == new.scope && status == new.status);
            }
        }
    }
}
