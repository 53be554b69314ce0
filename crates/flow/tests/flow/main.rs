//! Flows run against scripts, through the engine, with the clock turned by hand.

mod cases;
mod harness;
mod script;
