//! What durable executions look like from outside: in the journal, in the public history, and to their handlers.

#[path = "formats/history.rs"]
mod history;
#[path = "formats/journal.rs"]
mod journal;
#[path = "formats/samples.rs"]
mod samples;
#[path = "formats/state.rs"]
mod state;
