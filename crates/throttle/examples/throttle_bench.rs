//! What a check costs, in nanoseconds, with one thread and with two.
//!
//! `cargo run -p durastack-throttle --example throttle_bench` (with `--release` for figures that count).

use durastack_clock::{Clock, Stopwatch};
use durastack_names::{AccountId, Region};
use durastack_throttle::{Profile, Throttle};

const CHECKS: u32 = 2_000_000;

fn main() {
    let known = [("lambda", vec!["CheckpointDurableExecution", "GetFunction"])];
    let bucket = |rate: &str, burst: &str| {
        let text = format!(
            "[[bucket]]\nservice = \"lambda\"\noperations = [\"*\"]\nrate = {rate}\nburst = {burst}\n"
        );
        Profile::read(&text, &known).expect("a profile")
    };
    let profiles = [
        ("off", Profile::off()),
        ("passing", bucket("1_000_000", "1_000_000_000")),
        ("refused", bucket("0.001", "1")),
    ];
    for (name, profile) in &profiles {
        for callers in [1, 10_000] {
            let throttle = Throttle::new(profile, Clock::system(std::time::Duration::ZERO));
            let accounts: Vec<AccountId> =
                (0..callers).map(|n| format!("{n:012}").parse().expect("twelve digits")).collect();
            for threads in [1, 2] {
                let ns = measure(&throttle, &accounts, threads);
                report(name, callers, threads, ns);
            }
        }
    }
}

/// Nanoseconds of wall time per check and thread: contention shows as a higher figure with two threads than with one.
fn measure(throttle: &Throttle, accounts: &[AccountId], threads: u32) -> f64 {
    let region = Region::us_east_1();
    let work = || {
        for account in accounts.iter().cycle().take(CHECKS as usize) {
            let passed = throttle.check("lambda", "CheckpointDurableExecution", account, &region);
            std::hint::black_box(passed.is_ok());
        }
    };
    let stopwatch = Stopwatch::start();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    stopwatch.elapsed().as_secs_f64() * 1e9 / f64::from(CHECKS)
}

#[expect(clippy::print_stdout, reason = "an example that prints its figures")]
fn report(name: &str, callers: u32, threads: u32, ns: f64) {
    println!("{name:8} {callers:6} callers, {threads} threads: {ns:6.0} ns per check");
}
