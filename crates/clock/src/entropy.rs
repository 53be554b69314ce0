//! Chance, drawn from a seed so that a decision can be repeated.

/// A small deterministic generator (SplitMix64 over a 128-bit seed). Good for ids and jitter, not for secrets:
/// those come from [`Entropy::secret`].
#[derive(Debug, Clone)]
pub struct Entropy {
    state: [u64; 2],
}

impl Entropy {
    /// Seeded by the operating system.
    ///
    /// # Panics
    ///
    /// When the operating system has no randomness to give: nothing could be trusted then.
    #[must_use]
    pub fn system() -> Self {
        let seed: [u8; 16] = Self::secret();
        Self::seeded(u128::from_le_bytes(seed))
    }

    /// Always draws the same from the same seed.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of the seed are meant")]
    pub fn seeded(seed: u128) -> Self {
        Self { state: [seed as u64, (seed >> 64) as u64] }
    }

    /// Bytes fit for keys and secrets, straight from the operating system.
    ///
    /// # Panics
    ///
    /// When the operating system has no randomness to give.
    #[must_use]
    pub fn secret<const N: usize>() -> [u8; N] {
        let mut bytes = [0; N];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        bytes
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state[0] = self.state[0].wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state[0] ^ self.state[1].rotate_left(32);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        self.state[1] = self.state[1].wrapping_add(z | 1);
        z ^ (z >> 31)
    }

    /// The next 16 bytes.
    pub fn bytes16(&mut self) -> [u8; 16] {
        let mut out = [0; 16];
        out[..8].copy_from_slice(&self.next_u64().to_le_bytes());
        out[8..].copy_from_slice(&self.next_u64().to_le_bytes());
        out
    }

    /// A random (version 4) UUID, lower case with hyphens.
    pub fn uuid(&mut self) -> String {
        uuid_text(self.bytes16(), 4)
    }

    /// A UUID whose order is that of time (version 7), so that rows made together lie together.
    pub fn uuid_at(&mut self, at: crate::Timestamp) -> String {
        let mut bytes = self.bytes16();
        bytes[..6].copy_from_slice(&at.millis().to_be_bytes()[2..]);
        uuid_text(bytes, 7)
    }
}

fn uuid_text(mut bytes: [u8; 16], version: u8) -> String {
    use std::fmt::Write;
    bytes[6] = (bytes[6] & 0x0f) | (version << 4);
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let mut text = String::with_capacity(36);
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        write!(text, "{byte:02x}").expect("writing to a String");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_draw() {
        let (mut a, mut b) = (Entropy::seeded(7), Entropy::seeded(7));
        assert_eq!(a.uuid(), b.uuid());
        assert_ne!(a.uuid(), Entropy::seeded(8).uuid());
    }

    #[test]
    fn uuids_have_their_form_and_order() {
        let mut entropy = Entropy::seeded(1);
        let id = entropy.uuid();
        assert_eq!((id.len(), &id[14..15]), (36, "4"));
        let early = entropy.uuid_at(crate::Timestamp::from_millis(1_767_323_045_678));
        let late = entropy.uuid_at(crate::Timestamp::from_millis(1_767_323_045_679));
        assert_eq!(&early[14..15], "7");
        assert!(early < late);
    }
}
