//! What every store must do, run over each implementation.
//!
//! A contract is an `async fn(&dyn Store)` that is given an empty store. Another implementation joins with one more
//! line at the end of this file.

#![expect(clippy::unwrap_used, reason = "a contract that cannot go on has failed")]

mod deadlines;
mod journals;
mod lists;
mod model;
mod names;
mod properties;
mod records;
mod retention;

use bytes::Bytes;
use durastack_store::{Answer, Append, Batch, Id, Record, Row, Sqlite, Store};
use std::task::Poll;

/// The `n`th execution.
fn id(n: u8) -> Id {
    let mut id = [0; 16];
    id[15] = n;
    id
}

fn record(event_id: Option<u64>, data: &'static str) -> Record {
    Record { event_id, data: Bytes::from_static(data.as_bytes()) }
}

fn append(execution: Id, expected: u64, records: &[Record]) -> Batch {
    let append = Append { execution, expected, records: records.to_vec() };
    Batch { appends: vec![append], ..Batch::default() }
}

fn row(n: u8, status: u8, started: i64) -> Row {
    Row {
        execution: id(n),
        dialect: "d".to_owned(),
        scope: "scope".to_owned(),
        version: "1".to_owned(),
        name: format!("name-{n}"),
        status,
        started,
        ended: None,
        expires: None,
    }
}

fn rows(rows: &[Row]) -> Batch {
    Batch { rows: rows.to_vec(), ..Batch::default() }
}

/// Starts all in their order, then awaits all, so that they may share a transaction.
async fn together<T>(mut answers: Vec<Answer<T>>) -> Vec<Result<T, durastack_store::StoreError>> {
    let mut done: Vec<_> = answers.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (answer, done) in answers.iter_mut().zip(&mut done) {
            if done.is_none()
                && let Poll::Ready(outcome) = answer.as_mut().poll(context)
            {
                *done = Some(outcome);
            }
        }
        if done.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

/// Runs a contract over an empty store in a folder of its own.
fn over_sqlite(contract: impl AsyncFnOnce(&dyn Store)) {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(folder.path(), [0; 32]).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(contract(&store));
}

macro_rules! contracts {
    ($over:path: $($module:ident { $($contract:ident),+ $(,)? })+) => {
        $(mod $module {
            $(#[test]
            fn $contract() {
                $over(async |store| crate::$module::$contract(store).await);
            })+
        })+
    };
}

macro_rules! every_contract {
    ($implementation:ident, $over:path) => {
        mod $implementation {
            contracts! { $over:
                journals {
                    keeps_records_in_order,
                    refuses_a_sequence_that_is_not_the_last,
                    refuses_event_ids_that_do_not_rise,
                    finds_events_by_id,
                    a_refused_batch_changes_nothing,
                    a_refused_batch_does_not_touch_others,
                    keeps_blobs_of_an_execution,
                }
                records {
                    puts_and_deletes,
                    compares_and_swaps,
                    never_repeats_a_version,
                    only_one_of_many_wins,
                    pages_by_prefix,
                }
                names {
                    the_first_claim_wins,
                    a_release_frees_what_its_owner_held,
                }
                lists {
                    filters_and_orders,
                    pages_visit_each_row_once_under_inserts,
                    a_row_is_replaced,
                }
                deadlines {
                    finds_what_is_due,
                    finds_who_is_owed,
                    are_kept_without_a_row,
                    are_told_apart_by_dialect,
                }
                retention {
                    deletes_what_has_expired,
                    deletes_in_bounded_slices,
                }
                properties {
                    answers_as_the_model_does,
                }
            }
        }
    };
}

every_contract!(sqlite, crate::over_sqlite);
