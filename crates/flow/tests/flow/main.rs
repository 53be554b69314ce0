//! Flows run against scripts, through the engine, with the clock turned by hand.

#![expect(clippy::unwrap_used, reason = "the helpers here are tests too")]

mod cases;
mod definitions;
mod harness;
mod journal;
mod properties;
mod recovery;
mod reports;
mod script;
