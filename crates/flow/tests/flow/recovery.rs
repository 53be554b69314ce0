//! A crash after any record: what is rebuilt goes on to the same end, and calls nobody again who has answered.

use crate::{
    cases::all,
    harness::{World, Written},
};
use serde_json::Value;

/// How many prefixes of one case are tried at most: of a long journal a sample, its beginning and its end included.
const PREFIXES_MAX: usize = 120;
/// A journal of more records than this takes long to rebuild, and repeats itself.
const LONG: usize = 300;

#[test]
fn a_crash_after_any_record_recovers_to_the_same_end() {
    for case in all() {
        let undisturbed = case.run();
        let expected = undisturbed.outcome();
        let journal = &undisturbed.journal;
        let prefixes = if journal.len() > LONG { PREFIXES_MAX / 8 } else { PREFIXES_MAX };
        let stride = journal.len().div_ceil(prefixes);
        for length in (1..=journal.len()).rev().step_by(stride) {
            let written: Vec<Written> = journal[..length].to_vec();
            let ended = World::ended_calls(&written);
            let mut world = World::recover(case.script.clone(), written);
            let known = world.calls.len();
            world.run();
            world.check_replay();
            let told = format!("{} after {length} of {} records", case.name, journal.len());
            let outcome = world.outcome();
            for member in ["status", "output", "error", "cause"] {
                assert_eq!(outcome.get(member), expected.get(member), "{told}");
            }
            let again =
                world.calls[known..].iter().find(|(_, id, key, _)| ended.contains(&(*id, *key)));
            assert!(again.is_none(), "{told}: called again: {again:?}");
            if !undisturbed.concurrent {
                assert_eq!(types(&outcome), types(&expected), "{told}");
            }
        }
    }
}

/// The history without its times: a call that is made again may end later.
fn types(outcome: &Value) -> Vec<Value> {
    let mut history = outcome["history"].as_array().unwrap().clone();
    for event in &mut history {
        event.as_object_mut().unwrap().remove("after_ms");
    }
    history
}
