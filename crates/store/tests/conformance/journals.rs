//! Journals, events and blobs; and that a batch is all or nothing.

use crate::{append, id, record, row, together};
use bytes::Bytes;
use durastack_store::{
    Append, Batch, Blob, Change, Conflict, Entry, EventsQuery, Expect, Store, StoreError,
};

fn entry(sequence: u64, event_id: Option<u64>, data: &'static str) -> Entry {
    Entry { sequence, event_id, data: Bytes::from_static(data.as_bytes()) }
}

pub(crate) async fn keeps_records_in_order(store: &dyn Store) {
    assert_eq!(store.journal(id(1)).await.unwrap(), []);
    store.commit(append(id(1), 0, &[record(Some(1), "a"), record(None, "")])).await.unwrap();
    store.commit(append(id(2), 0, &[record(None, "other")])).await.unwrap();
    store.commit(append(id(1), 2, &[record(Some(5), "c")])).await.unwrap();
    let journal = [entry(1, Some(1), "a"), entry(2, None, ""), entry(3, Some(5), "c")];
    assert_eq!(store.journal(id(1)).await.unwrap(), journal);
    assert_eq!(store.journal(id(2)).await.unwrap(), [entry(1, None, "other")]);
}

pub(crate) async fn refuses_a_sequence_that_is_not_the_last(store: &dyn Store) {
    store.commit(append(id(1), 0, &[record(None, "a"), record(None, "b")])).await.unwrap();
    for expected in [0, 1, 3] {
        for records in [&[record(None, "x")][..], &[]] {
            let refused = store.commit(append(id(1), expected, records)).await;
            let Err(StoreError::Conflict(conflict)) = refused else { panic!("{refused:?}") };
            assert_eq!(conflict, Conflict::Sequence { execution: id(1), expected, found: 2 });
        }
    }
    store.commit(append(id(1), 2, &[])).await.unwrap();
    assert_eq!(store.journal(id(1)).await.unwrap().len(), 2);
}

pub(crate) async fn refuses_event_ids_that_do_not_rise(store: &dyn Store) {
    store.commit(append(id(1), 0, &[record(Some(3), "a"), record(None, "b")])).await.unwrap();
    for records in [
        vec![record(Some(3), "x")],
        vec![record(Some(0), "x")],
        vec![record(None, "x"), record(Some(2), "x")],
        vec![record(Some(5), "x"), record(Some(4), "x")],
        vec![record(Some(u64::MAX), "x")],
    ] {
        let refused = store.commit(append(id(1), 2, &records)).await;
        assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
    }
    assert_eq!(store.journal(id(1)).await.unwrap().len(), 2);
}

pub(crate) async fn finds_events_by_id(store: &dyn Store) {
    let records: Vec<_> =
        (1..=20).map(|n| record((n % 2 == 0).then_some(n / 2 * 10), "event")).collect();
    store.commit(append(id(1), 0, &records)).await.unwrap();
    let check = async |from, newest_first, limit, expected: &[u64]| {
        let query = EventsQuery { execution: id(1), from, newest_first, limit };
        let events = store.events(query).await.unwrap();
        let ids: Vec<u64> = events.iter().filter_map(|event| event.event_id).collect();
        assert_eq!(ids, expected, "{query:?}");
        assert!(events.iter().all(|event| event.sequence * 5 == event.event_id.unwrap()));
    };
    check(None, false, 3, &[10, 20, 30]).await;
    check(None, true, 3, &[100, 90, 80]).await;
    check(Some(40), false, 2, &[40, 50]).await;
    check(Some(41), false, 2, &[50, 60]).await;
    check(Some(41), true, 2, &[40, 30]).await;
    check(Some(95), false, 100, &[100]).await;
    check(Some(5), true, 100, &[]).await;
    check(Some(u64::MAX), true, 1, &[100]).await;
    check(Some(u64::MAX), false, 1, &[]).await;
    check(None, false, 0, &[]).await;
}

/// A batch of everything, with one precondition that fails.
pub(crate) async fn a_refused_batch_changes_nothing(store: &dyn Store) {
    store.commit(append(id(1), 0, &[record(None, "a")])).await.unwrap();
    let put = Change {
        namespace: "n",
        key: "k".to_owned(),
        value: Some(Bytes::from_static(b"v")),
        expect: Expect::Absent,
    };
    let batch = Batch {
        appends: vec![
            Append { execution: id(2), expected: 0, records: vec![record(None, "b")] },
            Append { execution: id(1), expected: 0, records: vec![record(None, "b")] },
        ],
        records: vec![put],
        rows: vec![row(2, 0, 10)],
        due: vec![(id(2), Some(5))],
        owes: vec![(id(2), true)],
        blobs: vec![Blob { execution: id(2), sha256: [1; 32], data: Bytes::from_static(b"b") }],
        ..Batch::default()
    };
    let refused = store.commit(batch).await;
    assert!(matches!(refused, Err(StoreError::Conflict(Conflict::Sequence { found: 1, .. }))));
    assert_eq!(store.journal(id(2)).await.unwrap(), []);
    assert_eq!(store.record("n", "k").await.unwrap(), None);
    assert_eq!(store.row(id(2)).await.unwrap(), None);
    assert_eq!(store.next_due("d").await.unwrap(), None);
    assert_eq!(store.owing("d", None, 9).await.unwrap(), [[0; 16]; 0]);
    assert_eq!(store.blob(id(2), [1; 32]).await.unwrap(), None);
}

pub(crate) async fn a_refused_batch_does_not_touch_others(store: &dyn Store) {
    let answers = (0..40)
        .map(|n| store.commit(append(id(1), n / 2, &[record(None, "a")])))
        .collect::<Vec<_>>();
    // Of each two that expect the same, the first is applied, and the second finds it there.
    for (n, outcome) in together(answers).await.into_iter().enumerate() {
        match outcome {
            Ok(()) => assert_eq!(n % 2, 0),
            Err(StoreError::Conflict(Conflict::Sequence { found, expected, .. })) => {
                assert_eq!((n % 2, found), (1, expected + 1));
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(store.journal(id(1)).await.unwrap().len(), 20);
}

pub(crate) async fn keeps_blobs_of_an_execution(store: &dyn Store) {
    let data = Bytes::from(vec![7; 1 << 20]);
    let blob = Blob { execution: id(1), sha256: [1; 32], data: data.clone() };
    for _ in 0..2 {
        let batch = Batch { blobs: vec![blob.clone()], ..Batch::default() };
        store.commit(batch).await.unwrap();
    }
    assert_eq!(store.blob(id(1), [1; 32]).await.unwrap(), Some(data));
    assert_eq!(store.blob(id(2), [1; 32]).await.unwrap(), None);
    assert_eq!(store.blob(id(1), [2; 32]).await.unwrap(), None);
}
