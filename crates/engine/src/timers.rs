//! The timers of one execution.

use durastack_clock::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// What a timer is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer<T> {
    /// A timer of the dialect.
    Work(T),
    /// The execution timeout. Orders after the dialect's timers: what is due at the same moment still happens.
    Deadline,
}

/// Armed timers, ordered by due time and then by what they are for. One per purpose.
#[derive(Debug, Clone)]
pub struct Timers<T> {
    by_due: BTreeSet<(Timestamp, Timer<T>)>,
    due_of: BTreeMap<Timer<T>, Timestamp>,
}

impl<T: Ord + Clone> Default for Timers<T> {
    fn default() -> Self {
        Self { by_due: BTreeSet::new(), due_of: BTreeMap::new() }
    }
}

impl<T: Ord + Clone> Timers<T> {
    /// Arms the dialect's timer for `due`, in place of an earlier one for the same purpose.
    pub fn arm(&mut self, purpose: T, due: Timestamp) {
        self.set(Timer::Work(purpose), due);
    }

    /// Disarms the dialect's timer, if it is armed.
    pub fn disarm(&mut self, purpose: &T) {
        let purpose = Timer::Work(purpose.clone());
        if let Some(due) = self.due_of.remove(&purpose) {
            self.by_due.remove(&(due, purpose));
        }
    }

    pub(crate) fn set(&mut self, timer: Timer<T>, due: Timestamp) {
        if let Some(before) = self.due_of.insert(timer.clone(), due) {
            self.by_due.remove(&(before, timer.clone()));
        }
        self.by_due.insert((due, timer));
    }

    pub(crate) fn clear(&mut self) {
        self.by_due.clear();
        self.due_of.clear();
    }

    /// The next due time, and what it is for.
    #[must_use]
    pub fn next(&self) -> Option<(Timestamp, &Timer<T>)> {
        self.by_due.first().map(|(due, timer)| (*due, timer))
    }

    /// What is due at `now`, in order.
    pub fn due(&self, now: Timestamp) -> impl Iterator<Item = &Timer<T>> {
        self.by_due.iter().take_while(move |(due, _)| *due <= now).map(|(_, timer)| timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn timers_fire_in_order_and_once_per_purpose() {
        let mut timers = Timers::default();
        timers.set(Timer::Deadline, at(5));
        timers.arm("b", at(5));
        timers.arm("a", at(9));
        timers.arm("a", at(3));
        assert_eq!(timers.next(), Some((at(3), &Timer::Work("a"))));
        let due: Vec<_> = timers.due(at(5)).cloned().collect();
        assert_eq!(due, [Timer::Work("a"), Timer::Work("b"), Timer::Deadline]);
        timers.disarm(&"a");
        timers.disarm(&"never armed");
        assert_eq!(timers.next(), Some((at(5), &Timer::Work("b"))));
    }
}
