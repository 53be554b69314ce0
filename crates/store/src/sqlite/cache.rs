//! Records that were read lately, in memory: every request asks for its function.

use crate::{Change, Value};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// How many bytes of keys and values are kept. When there would be more, all are forgotten: that is rare, and costs one
/// read each.
const BYTES_MAX: usize = 4 << 20;

/// What an entry costs beside its key and value, about.
const ENTRY_BYTES: usize = 128;

/// Values above this are read from the file each time.
const VALUE_BYTES_MAX: usize = 64 << 10;

#[derive(Debug, Default)]
pub(crate) struct RecordCache(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Counts the commits that changed a record.
    generation: u64,
    bytes: usize,
    /// By namespace and key; `None` for a record that is known not to exist.
    values: HashMap<&'static str, HashMap<String, Option<Value>>>,
}

impl RecordCache {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The record, or that there is none; `None` when that is not known.
    pub(crate) fn get(&self, namespace: &'static str, key: &str) -> Option<Option<Value>> {
        self.lock().values.get(namespace)?.get(key).cloned()
    }

    /// To be asked before a read, and given to [`Self::learn`] after it.
    pub(crate) fn generation(&self) -> u64 {
        self.lock().generation
    }

    /// Takes in what a read found, unless a commit since `seen` may have made it old.
    pub(crate) fn learn(
        &self,
        seen: u64,
        namespace: &'static str,
        key: String,
        value: Option<Value>,
    ) {
        let mut known = self.lock();
        if known.generation == seen {
            known.put(namespace, key, value);
        }
    }

    /// Takes in the changes of a commit, with their versions, before its answers are released.
    pub(crate) fn changed(&self, changes: Vec<(Change, u64)>) {
        let mut known = self.lock();
        known.generation += 1;
        for (change, version) in changes {
            let value = change.value.map(|value| Value { value, version });
            known.put(change.namespace, change.key, value);
        }
    }
}

impl Known {
    fn put(&mut self, namespace: &'static str, key: String, value: Option<Value>) {
        let cost = |key: &str, value: &Option<Value>| {
            ENTRY_BYTES + key.len() + value.as_ref().map_or(0, |value| value.value.len())
        };
        if let Some((key, old)) =
            self.values.get_mut(namespace).and_then(|values| values.remove_entry(&key))
        {
            self.bytes -= cost(&key, &old);
        }
        if value.as_ref().is_some_and(|value| value.value.len() > VALUE_BYTES_MAX) {
            return;
        }
        let bytes = cost(&key, &value);
        if self.bytes + bytes > BYTES_MAX {
            self.values.clear();
            self.bytes = 0;
        }
        self.bytes += bytes;
        self.values.entry(namespace).or_default().insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Expect;
    use bytes::Bytes;

    fn value(version: u64, bytes: usize) -> Option<Value> {
        Some(Value { value: Bytes::from(vec![7; bytes]), version })
    }

    fn put(key: &str, bytes: usize) -> Change {
        Change {
            namespace: "n",
            key: key.to_owned(),
            value: Some(Bytes::from(vec![7; bytes])),
            expect: Expect::Anything,
        }
    }

    #[test]
    fn a_read_that_a_commit_overtook_is_not_believed() {
        let cache = RecordCache::default();
        let seen = cache.generation();
        cache.changed(vec![(put("a", 1), 2)]);
        cache.learn(seen, "n", "a".to_owned(), value(1, 1));
        assert_eq!(cache.get("n", "a"), Some(value(2, 1)));
        cache.learn(seen, "n", "b".to_owned(), None);
        assert_eq!(cache.get("n", "b"), None);
        cache.learn(cache.generation(), "n", "b".to_owned(), None);
        assert_eq!(cache.get("n", "b"), Some(None));
    }

    #[test]
    fn a_large_value_displaces_the_small_one_it_replaces() {
        let cache = RecordCache::default();
        cache.changed(vec![(put("a", 1), 1)]);
        cache.changed(vec![(put("a", VALUE_BYTES_MAX + 1), 2)]);
        assert_eq!(cache.get("n", "a"), None);
        assert_eq!(cache.lock().bytes, 0);
    }

    #[test]
    fn stays_within_its_bytes() {
        let cache = RecordCache::default();
        for i in 0..200 {
            cache.changed(vec![(put(&i.to_string(), VALUE_BYTES_MAX), i)]);
            assert!(cache.lock().bytes <= BYTES_MAX);
        }
        assert_eq!(cache.get("n", "199"), Some(value(199, VALUE_BYTES_MAX)));
    }
}
