//! Time and chance as arguments: the only crate that asks the system for either.
//!
//! Everything else is handed a [`Timestamp`] or an [`Entropy`], so that a test (or `advance`) decides both.

mod clock;
mod entropy;
mod timestamp;

pub use clock::{Clock, Stopwatch};
pub use entropy::Entropy;
pub use timestamp::{BadTimestamp, Timestamp};

/// What a decision may know of the world: the time, and chance.
#[derive(Debug, Clone)]
pub struct Moment {
    /// Virtual time.
    pub now: Timestamp,
    /// Where ids and jitter come from. Whatever is drawn must be written into an event.
    pub entropy: Entropy,
}
