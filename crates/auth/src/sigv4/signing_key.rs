//! The key that signs one day's requests to one service of one region, and the memory of those already derived.

use crate::sigv4::TERMINATOR;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

pub(crate) type HmacSha256 = Hmac<Sha256>;

/// How many derived keys are remembered. A caller uses a handful; whoever needs more derives them again.
const REMEMBERED_MAX: usize = 1024;

/// Derived signing keys by credential (`id/date/region/service/aws4_request`), as HMACs that have taken in their key.
///
/// Only keys that have just verified a signature are remembered, so a stranger cannot fill this.
#[derive(Default)]
pub(crate) struct SigningKeys {
    known: RwLock<HashMap<Box<str>, HmacSha256>>,
}

impl SigningKeys {
    pub(crate) fn get(&self, credential: &str) -> Option<HmacSha256> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(credential).cloned()
    }

    pub(crate) fn remember(&self, credential: &str, key: &HmacSha256) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        known.insert(credential.into(), key.clone());
    }
}

/// Derives a signing key. `date` is `yyyymmdd`; all parts are those of the credential scope.
#[must_use]
pub fn derive(secret: &str, date: &str, region: &str, service: &str) -> [u8; 32] {
    let mut key = [b"AWS4", secret.as_bytes()].concat();
    let mut derived = [0; 32];
    for part in [date, region, service, TERMINATOR] {
        let mut mac = keyed(&key);
        mac.update(part.as_bytes());
        derived = mac.finalize().into_bytes().into();
        key = derived.to_vec();
    }
    derived
}

/// An HMAC that has taken in its key.
pub(crate) fn keyed(key: &[u8]) -> HmacSha256 {
    HmacSha256::new_from_slice(key).expect("HMAC takes keys of every length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_is_bounded() {
        let keys = SigningKeys::default();
        for n in 0..3 * REMEMBERED_MAX {
            keys.remember(&n.to_string(), &keyed(b"key"));
        }
        assert!(keys.known.read().unwrap().len() <= REMEMBERED_MAX);
        let last = (3 * REMEMBERED_MAX - 1).to_string();
        assert!(keys.get(&last).is_some() && keys.get("0").is_none());
    }
}
