//! May this call pass now: the clouds' request quotas, by account, region and operation.
//!
//! Rates alone: how much may exist or run at a time is counted where it is kept. Buckets refill by wall time, which the
//! virtual clock does not move.

mod keys;
mod profile;
mod throttled;
mod wall;

pub use profile::{BadProfile, Operations, Profile};
pub use throttled::{Answer, Throttled};

use durastack_clock::Clock;
use durastack_names::{AccountId, Region};
use governor::{RateLimiter, clock::Clock as _, middleware::NoOpMiddleware, nanos::Nanos};
use keys::{Key, Keys};
use profile::{Bucket, Scope};
use std::{collections::HashMap, hash::RandomState, ops::RangeInclusive};
use wall::WallClock;

type Limiter = RateLimiter<Key, Keys, WallClock, NoOpMiddleware<Nanos>>;

/// The throttle of one server.
#[derive(Debug)]
pub struct Throttle {
    /// By service and operation, an index into `buckets` and what is answered. Empty when it is off.
    services: HashMap<String, HashMap<String, Place>>,
    buckets: Vec<Limited>,
    retry_after: bool,
    /// The secret of the keys' hashes, so that no client can choose keys that collide.
    hashing: RandomState,
    keys: Keys,
    clock: WallClock,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    bucket: usize,
    answer: &'static Answer,
}

/// A bucket at work.
#[derive(Debug)]
struct Limited {
    scope: Scope,
    everywhere: Numbered,
    exceptions: Vec<(Vec<Region>, Numbered)>,
}

/// A limiter, and the number that tells its keys from those of others.
#[derive(Debug)]
struct Numbered {
    number: u16,
    limiter: Limiter,
}

impl Throttle {
    /// A throttle whose buckets are all full. `clock` gives the wall time that they refill by.
    #[must_use]
    pub fn new(profile: &Profile, clock: Clock) -> Self {
        let clock = WallClock::new(clock);
        let keys = Keys::new(clock.clone());
        let mut throttle = Self {
            services: HashMap::new(),
            buckets: Vec::new(),
            retry_after: profile.retry_after,
            hashing: RandomState::new(),
            keys,
            clock,
        };
        let mut numbers = 0..=u16::MAX;
        for bucket in &profile.buckets {
            throttle.add(bucket, &mut numbers);
        }
        throttle
    }

    /// A throttle that lets everything pass.
    #[must_use]
    pub fn off(clock: Clock) -> Self {
        Self::new(&Profile::off(), clock)
    }

    fn add(&mut self, bucket: &Bucket, numbers: &mut RangeInclusive<u16>) {
        let mut numbered = |quota| Numbered {
            number: numbers.next().expect("a profile has fewer buckets"),
            limiter: RateLimiter::new(quota, self.keys.clone(), self.clock.clone()),
        };
        let everywhere = numbered(bucket.quota);
        let exceptions = bucket
            .exceptions
            .iter()
            .map(|(regions, quota)| (regions.clone(), numbered(*quota)))
            .collect();
        let operations = self.services.entry(bucket.service.clone()).or_default();
        for operation in &bucket.operations {
            let answer = Answer::of(&bucket.service, operation);
            operations.insert(operation.clone(), Place { bucket: self.buckets.len(), answer });
        }
        self.buckets.push(Limited { scope: bucket.scope, everywhere, exceptions });
    }

    /// Takes one call out of its bucket. `service` is the signing name, `operation` the API's name; what the profile
    /// does not name passes.
    ///
    /// # Errors
    ///
    /// [`Throttled`] when the bucket is empty; nothing is taken then.
    pub fn check(
        &self,
        service: &str,
        operation: &str,
        account: &AccountId,
        region: &Region,
    ) -> Result<(), Throttled> {
        let place = self.services.get(service).and_then(|operations| operations.get(operation));
        let Some(Place { bucket, answer }) = place else { return Ok(()) };
        let limited = &self.buckets[*bucket];
        let Numbered { number, limiter } = limited.at(region);
        let region = (limited.scope == Scope::AccountAndRegion).then_some(region);
        let key = Key::new(&self.hashing, *number, account, region);
        limiter.check_key(&key).map_err(|not_until| {
            let wait = not_until.wait_time_from(self.clock.now());
            Throttled::new(answer, wait, self.retry_after)
        })
    }

    /// Forgets callers whose buckets are full again, which changes no answer. It happens by itself as new callers come;
    /// this is for whoever wants the memory back at once.
    pub fn prune(&self) {
        self.keys.prune();
    }

    /// How many callers' buckets are remembered, of all buckets together: at most 131,072.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.keys.len()
    }
}

impl Limited {
    fn at(&self, region: &Region) -> &Numbered {
        let exception = self.exceptions.iter().find(|(regions, _)| regions.contains(region));
        exception.map_or(&self.everywhere, |(_, numbered)| numbered)
    }
}
