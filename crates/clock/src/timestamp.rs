//! Instants and how the two clouds write them.

use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// An instant: whole milliseconds since 1970-01-01T00:00:00Z, without leap seconds.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(i64);

/// A text that is not the instant it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadTimestamp(pub String);

impl fmt::Display for BadTimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a timestamp: '{}'", self.0)
    }
}

impl std::error::Error for BadTimestamp {}

impl Timestamp {
    /// From milliseconds since 1970.
    #[must_use]
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms)
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Seconds since 1970 with the milliseconds as fraction: the number that rest-json bodies carry.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds of any sensible date fit the 53 bits of a double"
    )]
    pub fn epoch_seconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// This much later; stops at the end of time instead of overflowing.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this is; nothing if it is before.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// `2026-01-02T03:04:05.678Z`, the extended ISO form with milliseconds.
    #[must_use]
    pub fn iso(self) -> String {
        self.format("%Y-%m-%dT%H:%M:%S%.3fZ")
    }

    /// `20260102T030405Z`, the basic ISO form that SigV4 signs. Milliseconds are dropped.
    #[must_use]
    pub fn iso_basic(self) -> String {
        self.format("%Y%m%dT%H%M%SZ")
    }

    /// Lambda's form in `LastModified`: `2026-01-02T03:04:05.678+0000`.
    #[must_use]
    pub fn iso_lambda(self) -> String {
        self.format("%Y-%m-%dT%H:%M:%S%.3f+0000")
    }

    /// The UTC date as `2026/01/02`, as log stream names begin.
    #[must_use]
    pub fn date_slashed(self) -> String {
        self.format("%Y/%m/%d")
    }

    /// Reads the basic (`20260102T030405Z`) or extended ISO form, with `Z` or an offset, with or without fraction.
    ///
    /// # Errors
    ///
    /// [`BadTimestamp`] with the text, when it is neither.
    pub fn parse_iso(text: &str) -> Result<Self, BadTimestamp> {
        text.parse::<jiff::Timestamp>()
            .map(|t| Self(t.as_millisecond()))
            .map_err(|_| BadTimestamp(text.to_owned()))
    }

    /// Reads an RFC 1123 date as in a `Date` header; `GMT`, `UTC` and `-0000` are all UTC.
    ///
    /// # Errors
    ///
    /// [`BadTimestamp`] with the text.
    pub fn parse_rfc1123(text: &str) -> Result<Self, BadTimestamp> {
        let bad = || BadTimestamp(text.to_owned());
        let plain = text
            .strip_suffix("GMT")
            .or_else(|| text.strip_suffix("UTC"))
            .or_else(|| text.strip_suffix("-0000"));
        let numeric = plain.map_or_else(|| text.to_owned(), |t| format!("{t}+0000"));
        let zoned = jiff::fmt::rfc2822::parse(&numeric).map_err(|_| bad())?;
        Ok(Self(zoned.timestamp().as_millisecond()))
    }

    fn format(self, pattern: &str) -> String {
        jiff::Timestamp::from_millisecond(self.0)
            .unwrap_or(jiff::Timestamp::MAX)
            .strftime(pattern)
            .to_string()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iso())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Timestamp = Timestamp(1_767_323_045_678);

    #[test]
    fn prints_every_form() {
        assert_eq!(T.iso(), "2026-01-02T03:04:05.678Z");
        assert_eq!(T.iso_basic(), "20260102T030405Z");
        assert_eq!(T.iso_lambda(), "2026-01-02T03:04:05.678+0000");
        assert_eq!(T.date_slashed(), "2026/01/02");
        assert!((T.epoch_seconds() - 1_767_323_045.678).abs() < 1e-6);
    }

    #[test]
    fn reads_what_it_prints() {
        assert_eq!(Timestamp::parse_iso("2026-01-02T03:04:05.678Z"), Ok(T));
        assert_eq!(Timestamp::parse_iso("20260102T030405Z"), Ok(Timestamp(1_767_323_045_000)));
        assert_eq!(Timestamp::parse_iso("2026-01-02T04:04:05.678+01:00"), Ok(T));
        assert!(Timestamp::parse_iso("yesterday").is_err());
    }

    #[test]
    fn reads_rfc_1123_in_its_three_spellings() {
        for zone in ["GMT", "UTC", "-0000"] {
            let text = format!("Fri, 02 Jan 2026 03:04:05 {zone}");
            assert_eq!(Timestamp::parse_rfc1123(&text), Ok(Timestamp(1_767_323_045_000)), "{text}");
        }
    }
}
