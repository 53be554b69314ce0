//! The nonces that were used lately, so that a request which is caught and sent again is refused.

use super::WINDOW;
use durastack_clock::Timestamp;
use std::{
    collections::{HashSet, VecDeque},
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// How many are remembered, in about 8 MB. When there are more, the oldest are forgotten early: who sends that many signs
/// faster than anyone would replay.
const REMEMBERED_MAX: usize = 1 << 18;

/// How long one is remembered: from a request whose time lies a window ahead until it lies a window behind, and the
/// second that rounding may add.
const REMEMBERED_FOR: Duration = Duration::from_secs(2 * WINDOW.as_secs() + 1);

/// The nonces used lately, per key. Its size is bounded, and what is too old to matter goes with every use.
pub struct Nonces {
    max: usize,
    /// Keyed by chance at the start of the process, so that nobody can make two nonces look alike.
    hasher: RandomState,
    used: Mutex<Used>,
}

#[derive(Default)]
struct Used {
    /// In the order in which they came.
    order: VecDeque<(Timestamp, u64)>,
    known: HashSet<u64>,
}

impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nonces").finish_non_exhaustive()
    }
}

impl Default for Nonces {
    fn default() -> Self {
        Self::new()
    }
}

impl Nonces {
    /// Nothing was used yet.
    #[must_use]
    pub fn new() -> Self {
        Self::with_room_for(REMEMBERED_MAX)
    }

    pub(super) fn with_room_for(max: usize) -> Self {
        Self { max, hasher: RandomState::new(), used: Mutex::default() }
    }

    /// Whether this key uses the nonce for the first time; from now on it does so no more.
    pub(super) fn first_use(&self, access_key_id: &str, nonce: &str, wall: Timestamp) -> bool {
        let mark = self.hasher.hash_one((access_key_id, nonce));
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.prune(wall);
        if !used.known.insert(mark) {
            return false;
        }
        used.order.push_back((wall, mark));
        if used.order.len() > self.max {
            used.forget_oldest();
        }
        true
    }

    /// Forgets what is too old to matter. Every use does so too; this is for times without any.
    pub fn prune(&self, wall: Timestamp) {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).prune(wall);
    }

    /// How many are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).order.len()
    }

    /// Whether none is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Used {
    fn prune(&mut self, wall: Timestamp) {
        while self.order.front().is_some_and(|(at, _)| wall.since(*at) > REMEMBERED_FOR) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, mark)) = self.order.pop_front() {
            self.known.remove(&mark);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_767_323_045_000 + 1000 * seconds)
    }

    #[test]
    fn a_nonce_is_used_once_by_each_key() {
        let nonces = Nonces::new();
        assert!(nonces.first_use("a", "1", at(0)) && nonces.first_use("b", "1", at(0)));
        assert!(nonces.first_use("a", "2", at(0)) && !nonces.first_use("a", "1", at(1800)));
        // Nor do the parts run together.
        assert!(nonces.first_use("a1", "", at(0)));
    }

    #[test]
    fn it_is_forgotten_when_no_request_with_it_could_pass() {
        let nonces = Nonces::new();
        assert!(nonces.first_use("a", "1", at(0)));
        assert!(!nonces.first_use("a", "1", at(1801)));
        nonces.prune(at(1802));
        assert!(nonces.is_empty() && nonces.first_use("a", "1", at(1802)));
        // A clock that was put back forgets nothing.
        assert!(!nonces.first_use("a", "1", at(0)));
    }

    #[test]
    fn the_memory_is_bounded() {
        let nonces = Nonces::with_room_for(10);
        assert!((0..100).all(|n| nonces.first_use("a", &n.to_string(), at(n))));
        assert_eq!(nonces.len(), 10);
        assert!(!nonces.first_use("a", "90", at(100)) && nonces.first_use("a", "89", at(100)));
    }
}
