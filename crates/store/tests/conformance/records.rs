//! Records by namespace and key, with compare-and-swap.

use crate::together;
use bytes::Bytes;
use durastack_store::{Batch, Change, Conflict, Expect, RecordsQuery, Store, StoreError};

fn put(key: &str, value: &str, expect: Expect) -> Batch {
    change(key, Some(Bytes::copy_from_slice(value.as_bytes())), expect)
}

fn delete(key: &str, expect: Expect) -> Batch {
    change(key, None, expect)
}

fn change(key: &str, value: Option<Bytes>, expect: Expect) -> Batch {
    let change = Change { namespace: "n", key: key.to_owned(), value, expect };
    Batch { records: vec![change], ..Batch::default() }
}

async fn version(store: &dyn Store, key: &str) -> u64 {
    store.record("n", key).await.unwrap().unwrap().version
}

pub(crate) async fn puts_and_deletes(store: &dyn Store) {
    assert_eq!(store.record("n", "k").await.unwrap(), None);
    for value in ["one", "", "two"] {
        store.commit(put("k", value, Expect::Anything)).await.unwrap();
        assert_eq!(store.record("n", "k").await.unwrap().unwrap().value, value);
        assert_eq!(store.record("m", "k").await.unwrap(), None);
    }
    for _ in 0..2 {
        store.commit(delete("k", Expect::Anything)).await.unwrap();
        assert_eq!(store.record("n", "k").await.unwrap(), None);
    }
}

pub(crate) async fn compares_and_swaps(store: &dyn Store) {
    let check = async |batch, found| {
        let refused = store.commit(batch).await;
        let Err(StoreError::Conflict(conflict)) = refused else { panic!("{refused:?}") };
        assert_eq!(conflict, Conflict::Record { namespace: "n", key: "k".to_owned(), found });
    };
    check(put("k", "x", Expect::Version(1)), None).await;
    check(delete("k", Expect::Version(1)), None).await;
    store.commit(put("k", "one", Expect::Absent)).await.unwrap();
    let first = version(store, "k").await;
    check(put("k", "x", Expect::Absent), Some(first)).await;
    check(put("k", "x", Expect::Version(first + 1)), Some(first)).await;
    store.commit(put("k", "two", Expect::Version(first))).await.unwrap();
    let second = version(store, "k").await;
    check(delete("k", Expect::Version(first)), Some(second)).await;
    assert_eq!(store.record("n", "k").await.unwrap().unwrap().value, "two");
    store.commit(delete("k", Expect::Version(second))).await.unwrap();
    store.commit(delete("k", Expect::Absent)).await.unwrap();
}

pub(crate) async fn never_repeats_a_version(store: &dyn Store) {
    let mut last = 0;
    for key in ["a", "b", "a", "a"] {
        store.commit(put(key, "v", Expect::Absent)).await.unwrap();
        assert!(version(store, key).await > last);
        last = version(store, key).await;
        store.commit(delete(key, Expect::Version(last))).await.unwrap();
    }
}

pub(crate) async fn only_one_of_many_wins(store: &dyn Store) {
    let answers = (0..50).map(|n| store.commit(put("k", &n.to_string(), Expect::Absent))).collect();
    let won = together(answers).await.into_iter().filter(Result::is_ok).count();
    assert_eq!(won, 1);
    assert_eq!(store.record("n", "k").await.unwrap().unwrap().value, "0");
}

pub(crate) async fn pages_by_prefix(store: &dyn Store) {
    let keys = ["a", "b", "b/", "b/1", "b/2", "b/\u{10ffff}", "b0", "c", "é"];
    for key in keys.iter().rev() {
        store.commit(put(key, key, Expect::Anything)).await.unwrap();
    }
    let check = async |prefix: &str, after: Option<&str>, limit, expected: &[&str]| {
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        let query = RecordsQuery { namespace: "n", prefix, after, limit };
        let page = store.records(query.clone()).await.unwrap();
        let keys: Vec<&str> = page.iter().map(|(key, _)| &key[..]).collect();
        assert_eq!(keys, expected, "{query:?}");
        assert!(page.iter().all(|(key, value)| key.as_bytes() == value.value));
    };
    check("", None, 100, &keys).await;
    check("b/", None, 100, &["b/", "b/1", "b/2", "b/\u{10ffff}"]).await;
    check("b/", None, 2, &["b/", "b/1"]).await;
    check("b/", Some("b/1"), 2, &["b/2", "b/\u{10ffff}"]).await;
    check("b/", Some("a"), 1, &["b/"]).await;
    check("b/", Some("c"), 1, &[]).await;
    check("é", None, 1, &["é"]).await;
    check("", None, 0, &[]).await;
}
