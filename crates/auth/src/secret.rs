//! Text that must not reach a log.

use std::fmt;
use subtle::ConstantTimeEq;

/// A secret key, a session token, or a header that holds one. Neither `Debug` nor anything else prints it;
/// [`Secret::expose`] is the one way to the text.
#[derive(Clone)]
pub struct Secret(Box<str>);

impl Secret {
    /// Wraps the text.
    #[must_use]
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The text itself, for signing or for the one who owns it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `other` is the same text. How long the comparison takes tells nothing but the lengths.
    #[must_use]
    pub fn equals(&self, other: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(other).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_hides_from_debug() {
        let secret = Secret::new("wJalr");
        assert_eq!(format!("{secret:?}"), "Secret(hidden)");
        assert!(secret.equals(b"wJalr") && !secret.equals(b"wJalR") && !secret.equals(b"wJal"));
    }
}
