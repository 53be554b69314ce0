//! Memory stays bounded however many callers there are, counted by this binary's allocator. One test alone, since
//! another's memory would be counted too.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use durastack_clock::{Clock, Timestamp};
use durastack_names::Region;
use durastack_throttle::{Profile, Throttle};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

static HELD_BYTES: AtomicUsize = AtomicUsize::new(0);
static PEAK_BYTES: AtomicUsize = AtomicUsize::new(0);

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[expect(unsafe_code, reason = "an allocator is unsafe by its trait")]
// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD_BYTES.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK_BYTES.fetch_max(held, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD_BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// How many callers are remembered at most.
const CALLERS_MAX: usize = 131_072;

/// The memory for as many: 73 bytes each, in maps that may be half full (19 MB), and one of the sixteen maps twice while
/// it grows.
const BYTES_MAX: usize = 26 * 1024 * 1024;

/// The memory when callers go idle as fast as new ones come and 11,000 are busy at a time: that of twice as many, in
/// such maps.
const PASSING_BYTES_MAX: usize = 5 * 1024 * 1024;

/// What many checks came to.
struct Outcome {
    peak_bytes: usize,
    refused: usize,
    remembered: usize,
}

/// Checks by `callers` in turn, ten in each millisecond, on buckets of one that fill at `rate` per second.
fn run(rate: f64, callers: usize, checks: usize) -> Outcome {
    let text = format!(
        "[[bucket]]\nservice = \"lambda\"\noperations = [\"Invoke\"]\nrate = {rate}\nburst = 1"
    );
    let profile = Profile::read(&text, &[("lambda", vec!["Invoke"])]).unwrap();
    let clock = Clock::manual(Timestamp::from_millis(1_790_000_000_000));
    let region = Region::us_east_1();
    let before = HELD_BYTES.load(Ordering::Relaxed);
    PEAK_BYTES.store(before, Ordering::Relaxed);
    let throttle = Throttle::new(&profile, clock.clone());
    let mut refused = 0;
    for n in 0..checks {
        let account = format!("{:012}", n % callers).parse().unwrap();
        refused += usize::from(throttle.check("lambda", "Invoke", &account, &region).is_err());
        if n % 10 == 9 {
            clock.turn(Duration::from_millis(1));
        }
    }
    let peak_bytes = PEAK_BYTES.load(Ordering::Relaxed) - before;
    Outcome { peak_bytes, refused, remembered: throttle.remembered() }
}

#[test]
fn memory_is_bounded_by_the_busy_callers_and_by_a_limit() {
    // Full again after 100 ms, and each comes every 10 s: none is refused, and most are forgotten in between.
    let passing = run(10.0, 100_000, 1_000_000);
    assert_eq!(passing.refused, 0);
    assert!(passing.peak_bytes < PASSING_BYTES_MAX, "{}", passing.peak_bytes);
    assert!(passing.remembered < 2 * 11_000 + 16 * 256, "{}", passing.remembered);

    // None is full again before the end: all are remembered.
    let busy = run(0.001, 100_000, 200_000);
    assert_eq!((busy.refused, busy.remembered), (100_000, 100_000));
    assert!(busy.peak_bytes < BYTES_MAX, "{}", busy.peak_bytes);

    // More than can be remembered.
    let flood = run(0.001, 300_000, 300_000);
    assert_eq!(flood.refused, 0);
    assert!(flood.remembered <= CALLERS_MAX, "{}", flood.remembered);
    assert!(flood.peak_bytes < BYTES_MAX, "{}", flood.peak_bytes);
}
