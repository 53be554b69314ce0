//! The wall clock, and the virtual clock that runs beside it at an offset.

use crate::Timestamp;
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

/// Where the time comes from. Virtual time is wall time plus an offset that only grows.
///
/// Cheap to clone; all clones are one clock.
#[derive(Debug, Clone)]
pub struct Clock {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    wall: Wall,
    offset_ms: AtomicI64,
    /// The latest virtual time given out or known to be stored: `now` never answers less.
    floor_ms: AtomicI64,
}

#[derive(Debug)]
enum Wall {
    System,
    Manual(AtomicI64),
}

impl Clock {
    /// The system's clock, with the virtual clock `offset` ahead of it.
    #[must_use]
    pub fn system(offset: Duration) -> Self {
        Self::new(Wall::System, offset)
    }

    /// A clock whose wall time stands at `at` until [`Clock::turn`] moves it.
    #[must_use]
    pub fn manual(at: Timestamp) -> Self {
        Self::new(Wall::Manual(AtomicI64::new(at.millis())), Duration::ZERO)
    }

    fn new(wall: Wall, offset: Duration) -> Self {
        let offset_ms = i64::try_from(offset.as_millis()).unwrap_or(i64::MAX / 4);
        Self {
            shared: Arc::new(Shared {
                wall,
                offset_ms: offset_ms.into(),
                floor_ms: i64::MIN.into(),
            }),
        }
    }

    /// Wall time: for signatures, the `Date` header, function timeouts and long polls.
    #[must_use]
    pub fn wall(&self) -> Timestamp {
        match &self.shared.wall {
            Wall::System => Timestamp::from_millis(system_millis()),
            Wall::Manual(at) => Timestamp::from_millis(at.load(Ordering::SeqCst)),
        }
    }

    /// Virtual time: for everything that an execution sees. Never runs backwards, even if the wall clock does.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let raw = self.wall().millis().saturating_add(self.shared.offset_ms.load(Ordering::SeqCst));
        let before = self.shared.floor_ms.fetch_max(raw, Ordering::SeqCst);
        Timestamp::from_millis(raw.max(before))
    }

    /// How far virtual time is ahead of wall time.
    #[must_use]
    pub fn offset(&self) -> Duration {
        Duration::from_millis(
            u64::try_from(self.shared.offset_ms.load(Ordering::SeqCst)).unwrap_or(0),
        )
    }

    /// Moves virtual time ahead by `by`, at once. Returns the new offset.
    pub fn advance(&self, by: Duration) -> Duration {
        let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX / 4);
        self.shared.offset_ms.fetch_add(by_ms, Ordering::SeqCst);
        self.offset()
    }

    /// Promises that `now` will not answer less than `at`: called with the times found in a data folder at start.
    pub fn not_before(&self, at: Timestamp) {
        self.shared.floor_ms.fetch_max(at.millis(), Ordering::SeqCst);
    }

    /// What a function may be told of a virtual instant: functions compare due times with their own wall clock.
    #[must_use]
    pub fn as_told_to_functions(&self, at: Timestamp) -> Timestamp {
        Timestamp::from_millis(
            at.millis().saturating_sub(self.shared.offset_ms.load(Ordering::SeqCst)),
        )
    }

    /// Moves the wall time of a manual clock ahead by `by`.
    ///
    /// # Panics
    ///
    /// When this is the system's clock: a test asked for the wrong one.
    pub fn turn(&self, by: Duration) {
        let Wall::Manual(at) = &self.shared.wall else {
            panic!("only a manual clock can be turned")
        };
        at.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX / 4), Ordering::SeqCst);
    }
}

#[expect(clippy::disallowed_methods, reason = "this crate is the one that may ask")]
fn system_millis() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

/// Measures how long something really took, for reports and logs; no behaviour depends on it.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(std::time::Instant);

impl Stopwatch {
    /// Starts measuring.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this crate is the one that may ask")]
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// The time since the start, by the system's monotonic clock.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_000_000);

    #[test]
    fn virtual_time_is_wall_time_plus_offset() {
        let clock = Clock::manual(START);
        clock.turn(Duration::from_secs(1));
        clock.advance(Duration::from_secs(60));
        assert_eq!(clock.wall(), START.plus(Duration::from_secs(1)));
        assert_eq!(clock.now(), START.plus(Duration::from_secs(61)));
        assert_eq!(clock.as_told_to_functions(clock.now()), clock.wall());
    }

    #[test]
    fn virtual_time_never_runs_backwards() {
        let clock = Clock::manual(START);
        clock.not_before(START.plus(Duration::from_secs(9)));
        assert_eq!(clock.now(), START.plus(Duration::from_secs(9)));
        clock.turn(Duration::from_secs(10));
        assert_eq!(clock.now(), START.plus(Duration::from_secs(10)));
    }
}
