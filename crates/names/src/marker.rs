//! Page tokens: opaque to callers, a position for us.

use base64::{Engine, engine::general_purpose::STANDARD};
use std::{fmt, str::FromStr};

/// A text that no page returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Invalid marker")]
pub struct BadMarker;

/// Where a listing goes on. Callers see base64; inside is the position, a text whose meaning the listing knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker(String);

impl Marker {
    /// A marker that stands for this position.
    #[must_use]
    pub fn new(position: impl fmt::Display) -> Self {
        Self(position.to_string())
    }

    /// The position.
    #[must_use]
    pub fn position(&self) -> &str {
        &self.0
    }
}

const FORM: &str = "1:";

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(format!("{FORM}{}", self.0)))
    }
}

impl FromStr for Marker {
    type Err = BadMarker;

    fn from_str(text: &str) -> Result<Self, BadMarker> {
        STANDARD
            .decode(text)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .and_then(|inner| inner.strip_prefix(FORM).map(|position| Self(position.to_owned())))
            .ok_or(BadMarker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_survives_the_caller() {
        let marker = Marker::new(42);
        assert_eq!(marker.to_string().parse(), Ok(marker));
        assert!("nonsense".parse::<Marker>().is_err());
    }
}
