//! Random batches and questions, answered by the store and by the model.

use crate::{id, model::Model, together};
use bytes::Bytes;
use durastack_store::{
    Append, Batch, Blob, Change, Claim, EventsQuery, Expect, Id, ListQuery, Record, RecordsQuery,
    Release, Row, Store, StoreError,
};
use proptest::{
    collection::vec,
    option,
    prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof},
    sample::select,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};

/// How many groups of batches one store is given. They build on each other, so many short stores would find less.
const GROUPS: usize = 300;

fn ids() -> impl Strategy<Value = Id> {
    (0..6u8).prop_map(id)
}

fn texts() -> impl Strategy<Value = String> {
    select(vec!["a", "b", "ba"]).prop_map(str::to_owned)
}

fn appends() -> impl Strategy<Value = Append> {
    let record = (option::of(1..9u64), vec(any::<u8>(), 0..20))
        .prop_map(|(event_id, data)| Record { event_id, data: Bytes::from(data) });
    // Sequence and event ids are made right later on for all but those that say that they are wrong.
    let wrong = prop_oneof![9 => Just(u64::MAX), 1 => 0..4u64];
    (ids(), wrong, vec(record, 0..4)).prop_map(|(execution, expected, mut records)| {
        records.sort_by_key(|record| record.event_id);
        records.dedup_by(|b, a| a.event_id.is_some() && a.event_id == b.event_id);
        Append { execution, expected, records }
    })
}

fn changes() -> impl Strategy<Value = Change> {
    let expect = prop_oneof![
        3 => Just(Expect::Anything),
        2 => Just(Expect::Absent),
        1 => (0..30u64).prop_map(Expect::Version),
        4 => Just(Expect::Version(u64::MAX)),
    ];
    let value = option::of(vec(any::<u8>(), 0..20)).prop_map(|value| value.map(Bytes::from));
    (select(vec!["n", "m"]), texts(), value, expect)
        .prop_map(|(namespace, key, value, expect)| Change { namespace, key, value, expect })
}

fn rows() -> impl Strategy<Value = Row> {
    let times = (0..6i64, option::of(0..9i64), option::weighted(0.2, 0..9i64));
    (ids(), texts(), texts(), texts(), 0..4u8, times).prop_map(
        |(execution, scope, version, name, status, (started, ended, expires))| Row {
            execution,
            dialect: "d".to_owned(),
            scope,
            version,
            name,
            status,
            started,
            ended,
            expires,
        },
    )
}

fn batches() -> impl Strategy<Value = Batch> {
    let claim = (texts(), texts(), ids(), any::<[u8; 32]>()).prop_map(
        |(scope, name, execution, input_hash)| Claim { scope, name, execution, input_hash },
    );
    let release = (texts(), texts(), ids()).prop_map(|(scope, name, execution)| Release {
        scope,
        name,
        execution,
    });
    let blob = (ids(), 0..3u8, vec(any::<u8>(), 0..20)).prop_map(|(execution, hash, data)| Blob {
        execution,
        sha256: [hash; 32],
        data: Bytes::from(data),
    });
    (
        vec(appends(), 0..2),
        vec(changes(), 0..2),
        vec(claim, 0..2),
        vec(release, 0..2),
        vec(rows(), 0..2),
        vec((ids(), option::of(0..9i64)), 0..3),
        vec((ids(), any::<bool>()), 0..3),
        vec(blob, 0..2),
    )
        .prop_map(|(appends, records, claims, releases, rows, due, owes, blobs)| Batch {
            appends,
            records,
            claims,
            releases,
            rows,
            due,
            owes,
            blobs,
        })
}

fn list_queries() -> impl Strategy<Value = ListQuery> {
    let names = (option::weighted(0.3, texts()), option::weighted(0.3, "[ab]{0,1}"));
    let filters = (texts(), option::of(texts()), names, vec(0..5u8, 0..4));
    let range = (option::of(0..6i64), option::of(0..6i64), option::of((0..6i64, ids())));
    (filters, range, any::<bool>(), 0..8usize).prop_map(
        |(
            (scope, version, (name, name_prefix), statuses),
            (low, high, after),
            newest_first,
            limit,
        )| ListQuery {
            scope,
            version,
            name,
            name_prefix,
            statuses,
            started_after: low,
            started_before: high,
            newest_first,
            after,
            limit,
        },
    )
}

/// Draws from a strategy with a generator that always starts the same.
struct Draw<T: 'static>(BoxedStrategy<T>);

impl<T: std::fmt::Debug> Draw<T> {
    fn next(&self, runner: &mut TestRunner) -> T {
        self.0.new_tree(runner).unwrap().current()
    }
}

/// Makes what a batch expects come true, where it is to.
fn settle(batch: &mut Batch, model: &Model) {
    for append in &mut batch.appends {
        if append.expected == u64::MAX {
            let journal = model.journal(append.execution);
            append.expected = journal.len() as u64;
            let last = journal.iter().filter_map(|entry| entry.event_id).max();
            for event_id in append.records.iter_mut().filter_map(|r| r.event_id.as_mut()) {
                *event_id += last.unwrap_or(0);
            }
        }
    }
    for change in &mut batch.records {
        if change.expect == Expect::Version(u64::MAX) {
            let found = model.records.get(&(change.namespace, change.key.clone()));
            change.expect = Expect::Version(found.map_or(1, |(_, version)| *version));
        }
    }
}

fn same(found: &Result<(), StoreError>, expected: &Result<(), StoreError>) -> bool {
    match (found, expected) {
        (Ok(()), Ok(())) | (Err(StoreError::Invalid(_)), Err(StoreError::Invalid(_))) => true,
        (Err(StoreError::Conflict(found)), Err(StoreError::Conflict(expected))) => {
            found == expected
        }
        _ => false,
    }
}

pub(crate) async fn answers_as_the_model_does(store: &dyn Store) {
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        ),
    );
    let groups = Draw(vec(batches(), 1..6).boxed());
    let queries = Draw(vec(list_queries(), 4).boxed());
    let pages = Draw((ids(), option::of(0..600u64), any::<bool>(), 0..5usize).boxed());
    let expiries = Draw(option::weighted(0.1, (0..9i64, 0..3usize)).boxed());

    let mut model = Model::default();
    let mut refused = 0;
    for _ in 0..GROUPS {
        let mut expected = Vec::new();
        let mut answers = Vec::new();
        for mut batch in groups.next(&mut runner) {
            settle(&mut batch, &model);
            expected.push(model.commit(&batch));
            answers.push(store.commit(batch));
        }
        for (found, expected) in together(answers).await.iter().zip(&expected) {
            assert!(same(found, expected), "{found:?} instead of {expected:?}");
            refused += usize::from(expected.is_err());
        }
        if let Some((now, limit)) = expiries.next(&mut runner) {
            assert_eq!(store.expire(now, limit).await.unwrap(), model.expire(now, limit));
        }

        for query in queries.next(&mut runner) {
            let listed = store.list(query.clone()).await.unwrap();
            assert_eq!(listed, model.list(&query), "{query:?}");
        }
        let (execution, from, newest_first, limit) = pages.next(&mut runner);
        let query = EventsQuery { execution, from, newest_first, limit };
        assert_eq!(store.events(query).await.unwrap(), model.events(query), "{query:?}");
        compare(store, &model, execution).await;
    }
    assert!(
        (GROUPS / 2..GROUPS * 2).contains(&refused),
        "{refused} refused: too tame, or too wild"
    );
}

async fn compare(store: &dyn Store, model: &Model, execution: Id) {
    assert_eq!(store.journal(execution).await.unwrap(), model.journal(execution));
    assert_eq!(store.row(execution).await.unwrap(), model.row(execution));
    for hash in 0..3 {
        let blob = store.blob(execution, [hash; 32]).await.unwrap();
        assert_eq!(blob.as_ref(), model.blobs.get(&(execution, [hash; 32])));
    }
    assert_eq!(store.due("d", 5, 99).await.unwrap(), model.due(5));
    let next = model.due(i64::MAX).first().map(|(at, _)| *at);
    assert_eq!(store.next_due("d").await.unwrap(), next);
    assert_eq!(store.owing("d", None, 99).await.unwrap(), model.owing());
    for scope in ["a", "b", "ba"] {
        for name in ["a", "b", "ba"] {
            let key = (scope.to_owned(), name.to_owned());
            assert_eq!(store.claimed(scope, name).await.unwrap().as_ref(), model.claims.get(&key));
        }
    }
    let page = RecordsQuery { namespace: "n", prefix: "b".to_owned(), after: None, limit: 99 };
    let page = store.records(page).await.unwrap();
    let page: Vec<_> =
        page.into_iter().map(|(key, found)| (("n", key), (found.value, found.version))).collect();
    let expected = model.records.iter().filter(|((n, k), _)| *n == "n" && k.starts_with('b'));
    assert_eq!(page, expected.map(|(k, v)| (k.clone(), v.clone())).collect::<Vec<_>>());
    for key in ["a", "b", "ba"] {
        let found = store.record("m", key).await.unwrap().map(|found| (found.value, found.version));
        assert_eq!(found.as_ref(), model.records.get(&("m", key.to_owned())));
    }
}
