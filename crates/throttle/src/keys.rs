//! What is remembered of each account and region: until when its bucket is not full. A full bucket is the same as a
//! forgotten one, so idle keys are forgotten.

use crate::wall::WallClock;
use durastack_names::{AccountId, Region};
use governor::{clock::Clock as _, nanos::Nanos, state::StateStore};
use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, Hasher, RandomState},
    sync::{Arc, Mutex, PoisonError},
};

/// How many keys are remembered at most, busy ones too: at 73 bytes each, in maps that may be half full, about 20 MB.
pub(crate) const KEYS_MAX: usize = 131_072;

/// Many, so that checks of different callers seldom meet, and so that forgetting holds up one in so many of them.
const SHARDS: usize = 16;

/// A shard with fewer keys is not searched for idle ones.
const PRUNE_LEN_MIN: usize = 256;

/// How long a bucket must have been full to be forgotten: limiters that are made one after the other measure time from
/// starts that lie this far apart at most.
const IDLE: Nanos = Nanos::new(1_000_000_000);

/// The longest account id and the longest region, in bytes. Source: the rules of `durastack_names`.
const ACCOUNT_LEN_MAX: usize = 20;
const REGION_LEN_MAX: usize = 32;

/// Whose bucket: plain bytes, so that a check allocates nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    /// Of all that follows; picks the shard and the place in its map.
    hash: u64,
    bucket: u16,
    account: [u8; ACCOUNT_LEN_MAX],
    region: [u8; REGION_LEN_MAX],
}

impl Key {
    /// `region` is absent where a bucket serves all regions together.
    pub(crate) fn new(
        hashing: &RandomState,
        bucket: u16,
        account: &AccountId,
        region: Option<&Region>,
    ) -> Self {
        let account = padded(account.as_str());
        let region = region.map_or([0; REGION_LEN_MAX], |region| padded(region.as_str()));
        let mut hasher = hashing.build_hasher();
        hasher.write_u16(bucket);
        hasher.write(&account);
        hasher.write(&region);
        Self { hash: hasher.finish(), bucket, account, region }
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    bytes
}

/// Passes on the hash that a [`Key`] carries.
#[derive(Debug, Clone, Copy, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Nothing but a key's `u64` is hashed here; whatever else it were, it would still be told apart.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl BuildHasher for Hashed {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        Self::default()
    }
}

/// The keys of all buckets. Cheap to clone; all clones are one memory.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    shards: Arc<[Shard; SHARDS]>,
    clock: WallClock,
}

/// On cache lines of its own, so that two cores that lock neighbours do not wait for each other.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(Mutex<Remembered>);

#[derive(Debug)]
struct Remembered {
    /// When each bucket is full again.
    full_at: HashMap<Key, Nanos, Hashed>,
    /// With how many keys idle ones are searched for: twice what the last search left, so that a key costs no more than
    /// a few looks in its life.
    prune_len: usize,
}

impl Default for Remembered {
    fn default() -> Self {
        Self { full_at: HashMap::default(), prune_len: PRUNE_LEN_MIN }
    }
}

impl Keys {
    pub(crate) fn new(clock: WallClock) -> Self {
        Self { shards: Arc::default(), clock }
    }

    /// How many keys are remembered.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock(|remembered| remembered.full_at.len())).sum()
    }

    /// Forgets the keys whose buckets are full.
    pub(crate) fn prune(&self) {
        let now = self.clock.now();
        for shard in self.shards.iter() {
            shard.lock(|remembered| remembered.prune(now));
        }
    }

    fn shard(&self, key: &Key) -> &Shard {
        // The map goes by the lowest bits and the highest; these lie between.
        let [.., middle, _, _, _] = key.hash.to_le_bytes();
        &self.shards[usize::from(middle) % SHARDS]
    }
}

impl Shard {
    fn lock<T>(&self, work: impl FnOnce(&mut Remembered) -> T) -> T {
        // What a panic could leave is a bucket that is not counted.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Remembered {
    fn prune(&mut self, now: Nanos) {
        let full_since = now.saturating_sub(IDLE);
        self.full_at.retain(|_, full_at| *full_at > full_since);
        self.prune_len = (2 * self.full_at.len()).clamp(PRUNE_LEN_MIN, KEYS_MAX / SHARDS);
        self.full_at.shrink_to(self.prune_len);
    }

    /// Makes room for one more key.
    fn make_room(&mut self, clock: &WallClock) {
        if self.full_at.len() < self.prune_len {
            return;
        }
        self.prune(clock.now());
        // Differs: the clouds forget nobody. With so many callers at once, memory comes before their count: each starts
        // again with a full bucket.
        if self.full_at.len() >= KEYS_MAX / SHARDS {
            self.full_at.clear();
        }
    }
}

impl StateStore for Keys {
    type Key = Key;

    fn measure_and_replace<T, F, E>(&self, key: &Key, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.shard(key).lock(|remembered| {
            if let Some(full_at) = remembered.full_at.get_mut(key) {
                let (answer, next) = measure(Some(*full_at))?;
                *full_at = next;
                return Ok(answer);
            }
            let (answer, next) = measure(None)?;
            remembered.make_room(&self.clock);
            remembered.full_at.insert(*key, next);
            Ok(answer)
        })
    }
}
