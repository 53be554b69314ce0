//! The time that buckets refill by: wall time, made so that it never runs backwards.

use durastack_clock::Clock;
use governor::nanos::Nanos;
use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

/// How far the wall clock must have been set back to be believed, in milliseconds. Less is two threads that read it one
/// after the other and arrive the other way round, or the slewing of a time service.
const SET_BACK_MS_MIN: i64 = 1000;

/// The longest time that is measured: 146 years, far from where adding to it would overflow.
const ELAPSED_MS_MAX: i64 = 4_600_000_000_000;

/// Time since it was made, for governor. All clones are one clock.
#[derive(Debug, Clone)]
pub(crate) struct WallClock {
    clock: Clock,
    monotonic: Arc<Monotonic>,
}

impl WallClock {
    pub(crate) fn new(clock: Clock) -> Self {
        let monotonic = Arc::new(Monotonic::starting_at(clock.wall().millis()));
        Self { clock, monotonic }
    }
}

impl governor::clock::Clock for WallClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        let elapsed_ms = self.monotonic.elapsed_ms(self.clock.wall().millis());
        Nanos::new(u64::try_from(elapsed_ms).unwrap_or(0) * 1_000_000)
    }
}

/// Wall time that was set back would leave every bucket empty until it has caught up, for hours perhaps: the difference
/// is added from then on.
#[derive(Debug)]
struct Monotonic {
    /// What is added to wall time to get the time since the start.
    correction_ms: AtomicI64,
    /// The latest time given out.
    latest_ms: AtomicI64,
}

impl Monotonic {
    const fn starting_at(wall_ms: i64) -> Self {
        Self {
            correction_ms: AtomicI64::new(wall_ms.saturating_neg()),
            latest_ms: AtomicI64::new(0),
        }
    }

    fn elapsed_ms(&self, wall_ms: i64) -> i64 {
        let correction = self.correction_ms.load(Ordering::Relaxed);
        let elapsed = wall_ms.saturating_add(correction).min(ELAPSED_MS_MAX);
        let latest = self.latest_ms.load(Ordering::Relaxed);
        // Most calls come within the millisecond of another: they write nothing that the cores would have to exchange.
        if elapsed > latest {
            return self.latest_ms.fetch_max(elapsed, Ordering::Relaxed).max(elapsed);
        }
        let behind = latest.saturating_sub(elapsed);
        if behind >= SET_BACK_MS_MIN {
            // Of several that notice, one corrects; a failed exchange means that it is done.
            let corrected = correction.saturating_add(behind);
            let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
            self.correction_ms.compare_exchange(correction, corrected, success, failure).ok();
        }
        latest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wall times that are read one after the other, and the time since the start at each.
    fn check(readings: &[(i64, i64)]) {
        let monotonic = Monotonic::starting_at(readings[0].0);
        for (wall_ms, elapsed_ms) in readings {
            assert_eq!(monotonic.elapsed_ms(*wall_ms), *elapsed_ms, "at {wall_ms} of {readings:?}");
        }
    }

    #[test]
    fn time_runs_on_when_the_clock_is_set_back() {
        check(&[(5000, 0), (5000, 0), (5250, 250), (6000, 1000)]);
        check(&[(9_000_000, 0), (9_002_000, 2000), (1000, 2000), (1500, 2500), (3000, 4000)]);
        check(&[(9_000_000, 0), (0, 0), (10, 10), (-4000, 10), (-3999, 11)]);
    }

    #[test]
    fn a_small_step_back_stands_still() {
        check(&[(5000, 0), (7000, 2000), (6001, 2000), (6999, 2000), (7001, 2001)]);
    }

    #[test]
    fn the_end_of_time_is_harmless() {
        check(&[(0, 0), (i64::MAX, ELAPSED_MS_MAX), (i64::MAX, ELAPSED_MS_MAX)]);
        check(&[(i64::MIN, 0), (0, ELAPSED_MS_MAX)]);
    }
}
