//! What passes when: buckets, their sharing and their owners, by a clock that the test turns.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use durastack_clock::{Clock, Timestamp};
use durastack_names::{AccountId, Region};
use durastack_throttle::{Profile, Throttle, Throttled};
use std::time::Duration;

const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);

/// Operations as the binary would pass them: those that the published profile names, and some that it does not.
fn known() -> Vec<(&'static str, Vec<&'static str>)> {
    let lambda = "GetFunction GetPolicy Invoke InvokeWithResponseStream InvokeAsync GetCapacityProvider \
        ListCapacityProviders ListFunctionVersionsByCapacityProvider CreateCapacityProvider UpdateCapacityProvider \
        DeleteCapacityProvider CheckpointDurableExecution GetDurableExecutionState SendDurableExecutionCallbackSuccess \
        SendDurableExecutionCallbackFailure SendDurableExecutionCallbackHeartbeat StopDurableExecution \
        PauseDurableExecution ResumeDurableExecution DeleteDurableExecution GetDurableExecution \
        GetDurableExecutionHistory ListDurableExecutionsByFunction CreateFunction UpdateFunctionCode ListTags";
    let fnf = "StartExecution DescribeExecution GetExecutionHistory CreateFlow DescribeFlow";
    vec![("lambda", lambda.split(' ').collect()), ("fnf", fnf.split(' ').collect())]
}

struct World {
    throttle: Throttle,
    clock: Clock,
    account: AccountId,
    region: Region,
}

impl World {
    fn new(profile: &Profile, region: &str) -> Self {
        let clock = Clock::manual(START);
        let throttle = Throttle::new(profile, clock.clone());
        let (account, region) = (AccountId::local(), region.parse().unwrap());
        Self { throttle, clock, account, region }
    }

    fn cloud() -> Self {
        Self::new(&Profile::cloud(&known()), "eu-central-1")
    }

    fn of(text: &str) -> Self {
        Self::new(&Profile::read(text, &known()).unwrap(), "eu-central-1")
    }

    fn call(&self, operation: &str) -> Result<(), Throttled> {
        let flow = known()[1].1.contains(&operation);
        let service = if flow { "fnf" } else { "lambda" };
        self.throttle.check(service, operation, &self.account, &self.region)
    }

    fn turn_ms(&self, ms: u64) {
        self.clock.turn(Duration::from_millis(ms));
    }

    /// How many calls pass at once, up to a number beyond all quotas.
    fn passing(&self, operation: &str) -> usize {
        (0..30_000).take_while(|_| self.call(operation).is_ok()).count()
    }
}

/// An operation's burst, and how many pass in the second after it is used up.
fn check(region: &str, operation: &str, burst: usize, rate: usize) {
    let world = World::new(&Profile::cloud(&known()), region);
    assert_eq!(world.passing(operation), burst, "{operation} in {region}: burst");
    world.turn_ms(1000);
    assert_eq!(world.passing(operation), rate, "{operation} in {region}: rate");
    world.turn_ms(1_000_000);
    assert_eq!(world.passing(operation), burst, "{operation} in {region}: burst again");
}

#[test]
fn the_clouds_quotas_are_as_published() {
    let elsewhere = "eu-central-1";
    check(elsewhere, "GetFunction", 100, 100);
    check(elsewhere, "GetPolicy", 15, 15);
    check(elsewhere, "CreateFunction", 15, 15);
    check(elsewhere, "Invoke", 10_000, 10_000);
    check(elsewhere, "InvokeAsync", 30_000, 30_000);
    check(elsewhere, "ListCapacityProviders", 15, 15);
    check(elsewhere, "CreateCapacityProvider", 1, 1);
    check(elsewhere, "GetDurableExecution", 30, 30);
    check(elsewhere, "GetDurableExecutionHistory", 15, 15);
    check(elsewhere, "PauseDurableExecution", 300, 300);
    for (region, factor) in [(elsewhere, 1), ("us-east-1", 2), ("us-west-2", 2), ("eu-west-1", 2)] {
        check(region, "CheckpointDurableExecution", 10_000 * factor, 10_000 * factor);
        check(region, "GetDurableExecutionState", 10_000 * factor, 10_000 * factor);
        check(region, "SendDurableExecutionCallbackFailure", 3000 * factor, 3000 * factor);
        check(region, "StopDurableExecution", 300 * factor, 300 * factor);
    }
    check("cn-hangzhou", "StartExecution", 100, 100);
    check("cn-hangzhou", "DescribeExecution", 50, 5);
    check("cn-hangzhou", "GetExecutionHistory", 50, 5);
    check("cn-hangzhou", "CreateFlow", 10, 2);
}

#[test]
fn a_bucket_refills_exactly_by_the_clock() {
    let world = World::cloud();
    assert_eq!(world.passing("CreateFlow"), 10);
    assert_eq!(world.call("CreateFlow").unwrap_err().wait, Duration::from_millis(500));
    world.turn_ms(499);
    assert_eq!(world.call("CreateFlow").unwrap_err().wait, Duration::from_millis(1));
    world.turn_ms(1);
    assert_eq!(world.passing("CreateFlow"), 1);
    world.turn_ms(1250);
    assert_eq!(world.passing("CreateFlow"), 2);
    world.turn_ms(250);
    assert_eq!(world.passing("CreateFlow"), 1);
    // Full, and not fuller than that.
    world.turn_ms(4999);
    assert_eq!(world.passing("CreateFlow"), 9);
    world.turn_ms(60_000);
    assert_eq!(world.passing("CreateFlow"), 10);
}

#[test]
fn a_slow_bucket_counts_in_fractions() {
    let world = World::of(
        "[[bucket]]\nservice = \"lambda\"\noperations = [\"Invoke\"]\nrate = 0.25\nburst = 3",
    );
    assert_eq!(world.passing("Invoke"), 3);
    world.turn_ms(3999);
    assert_eq!(world.passing("Invoke"), 0);
    world.turn_ms(1);
    assert_eq!(world.passing("Invoke"), 1);
}

#[test]
fn virtual_time_refills_nothing() {
    let world = World::cloud();
    assert_eq!(world.passing("GetPolicy"), 15);
    world.clock.advance(Duration::from_secs(30 * 86_400));
    assert_eq!(world.passing("GetPolicy"), 0);
}

#[test]
fn the_control_plane_shares_one_bucket_and_others_have_theirs() {
    let world = World::cloud();
    for _ in 0..5 {
        for operation in ["CreateFunction", "UpdateFunctionCode", "ListTags"] {
            world.call(operation).unwrap();
        }
    }
    for operation in ["CreateFunction", "UpdateFunctionCode", "ListTags"] {
        assert_eq!(world.passing(operation), 0, "{operation}");
    }
    assert_eq!(world.passing("GetFunction"), 100);
    assert_eq!(world.passing("GetDurableExecutionHistory"), 15);
    assert_eq!(world.passing("ListDurableExecutionsByFunction"), 15);
    assert_eq!(world.passing("CreateFlow"), 10);
    assert_eq!(world.passing("DescribeFlow"), 10);
}

#[test]
fn accounts_and_regions_do_not_meet() {
    let mut world = World::cloud();
    assert_eq!(world.passing("GetPolicy"), 15);
    world.account = "123456789012".parse().unwrap();
    assert_eq!(world.passing("GetPolicy"), 15);
    world.region = "ap-southeast-2".parse().unwrap();
    assert_eq!(world.passing("GetPolicy"), 15);
    world.account = AccountId::local();
    assert_eq!(world.passing("GetPolicy"), 15);
    world.region = "eu-central-1".parse().unwrap();
    assert_eq!(world.passing("GetPolicy"), 0);
    // The longest names that there can be.
    world.account = "9".repeat(20).parse().unwrap();
    world.region = format!("{}-1", "a".repeat(30)).parse().unwrap();
    assert_eq!(world.passing("GetPolicy"), 15);
    assert!("9".repeat(21).parse::<AccountId>().is_err());
    assert!(format!("{}-1", "a".repeat(31)).parse::<Region>().is_err());
}

#[test]
fn an_accounts_bucket_serves_all_its_regions() {
    let mut world = World::of(
        "[[bucket]]\nservice = \"lambda\"\noperations = [\"Invoke\"]\nscope = \"account\"\nrate = 1\nburst = 3",
    );
    assert_eq!(world.passing("Invoke"), 3);
    world.region = Region::us_east_1();
    assert_eq!(world.passing("Invoke"), 0);
    world.account = "123456789012".parse().unwrap();
    assert_eq!(world.passing("Invoke"), 3);
}

#[test]
fn a_refusal_carries_the_clouds_words() {
    let world = World::cloud();
    let refused = |operation: &str| {
        world.passing(operation);
        let refused = world.call(operation).unwrap_err();
        assert_eq!(refused.answer.status, 429);
        assert_eq!(refused.retry_after_s, None);
        (refused.answer.code, refused.answer.reason, refused.to_string())
    };
    let (code, reason) = ("TooManyRequestsException", Some("CallerRateLimitExceeded"));
    assert_eq!(refused("UpdateFunctionCode"), (code, reason, "Rate exceeded".into()));
    let reason = Some("FunctionInvocationRateLimitExceeded");
    assert_eq!(refused("Invoke"), (code, reason, "Rate Exceeded.".into()));
    let text = "The request is throttled. Please try again later.";
    assert_eq!(refused("CreateFlow"), ("ResourceThrottled", None, text.into()));
}

#[test]
fn when_to_come_again_is_said_on_request_in_whole_seconds() {
    let bucket =
        "[[bucket]]\nservice = \"lambda\"\noperations = [\"Invoke\"]\nrate = 0.4\nburst = 1";
    let world = World::of(&format!("retry_after = true\n{bucket}"));
    assert_eq!(world.passing("Invoke"), 1);
    let after = |ms| {
        world.turn_ms(ms);
        world.call("Invoke").unwrap_err().retry_after_s
    };
    assert_eq!([after(0), after(499), after(1), after(1999)], [Some(3), Some(3), Some(2), Some(1)]);
}

#[test]
fn off_lets_everything_pass_and_remembers_nothing() {
    let world = World::new(&Profile::off(), "us-east-1");
    assert_eq!(world.passing("CreateFlow"), 30_000);
    assert_eq!(world.passing("NoSuchOperation"), 30_000);
    assert_eq!(world.throttle.remembered(), 0);
}

#[test]
fn idle_callers_are_forgotten_and_busy_ones_are_not() {
    let mut world = World::cloud();
    assert_eq!(world.passing("CreateFlow"), 10);
    assert_eq!(world.passing("GetPolicy"), 15);
    world.turn_ms(2500);
    world.throttle.prune();
    assert_eq!(world.throttle.remembered(), 1, "the bucket of fifteen is full, that of ten is not");
    assert_eq!(world.passing("CreateFlow"), 5);
    world.turn_ms(6000);
    world.throttle.prune();
    assert_eq!(world.throttle.remembered(), 0);
    assert_eq!(world.passing("CreateFlow"), 10);
    // A refused newcomer cannot be; a caller who was forgotten is one.
    world.account = "1".parse().unwrap();
    assert_eq!(world.passing("CreateFlow"), 10);
}

#[test]
fn threads_take_no_more_than_there_is() {
    let world = World::cloud();
    let passed: usize = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| world.passing("CheckpointDurableExecution"))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(passed, 10_000);
}
