//! Texts that users give or get: small ones stand in the journal, large ones beside it.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The longest text that stands in the journal itself, in bytes.
pub const INLINE_BYTES_MAX: usize = 64 * 1024;

/// A user's text, opaque to the engine: input, result, or an error as the dialect writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload {
    /// At most [`INLINE_BYTES_MAX`] bytes.
    Inline(String),
    /// Longer: kept in the store under its hash, beside the execution that owns it.
    Blob(Blob),
}

/// Where a long text is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    /// SHA-256 of the text.
    pub sha256: [u8; 32],
    /// Length of the text in bytes.
    pub length: u64,
}

impl Payload {
    /// Length of the text in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        match self {
            Self::Inline(text) => text.len() as u64,
            Self::Blob(blob) => blob.length,
        }
    }

    /// The text, if it stands here.
    #[must_use]
    pub fn inline(&self) -> Option<&str> {
        match self {
            Self::Inline(text) => Some(text),
            Self::Blob(_) => None,
        }
    }
}

/// Collects the long texts of a command on their way in, so that they are stored in the batch that names them.
#[derive(Debug, Default)]
pub struct Stash {
    blobs: Vec<([u8; 32], String)>,
}

impl Stash {
    /// Turns a text into a payload, keeping it here if it is long.
    pub fn put(&mut self, text: String) -> Payload {
        if text.len() <= INLINE_BYTES_MAX {
            return Payload::Inline(text);
        }
        let sha256: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        let length = text.len() as u64;
        self.blobs.push((sha256, text));
        Payload::Blob(Blob { sha256, length })
    }

    /// The long texts, with their hashes.
    pub fn blobs(&self) -> impl Iterator<Item = &([u8; 32], String)> {
        self.blobs.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_go_beside_the_journal() {
        let mut stash = Stash::default();
        assert_eq!(stash.put("x".into()), Payload::Inline("x".into()));
        let long = stash.put("y".repeat(INLINE_BYTES_MAX + 1));
        assert_eq!((long.length(), long.inline()), (INLINE_BYTES_MAX as u64 + 1, None));
        assert_eq!(stash.blobs().count(), 1);
    }
}
