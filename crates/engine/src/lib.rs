//! What every durable execution has, in whichever language its work is written: a life with a beginning and an end,
//! timers, tokens, parent and child links, and a journal.
//!
//! A [`Dialect`] supplies the rest: its commands, its events, what comes next. Nothing here knows a socket, a file,
//! a task or the system's clock: time and chance arrive in the call and are written into events.

mod dialect;
mod execution;
mod journal;
mod life;
mod payload;
mod timers;
mod token;

pub use dialect::{Dialect, Draft, Owed, OwedKey, TakenName};
pub use execution::{Command, Execution, Start};
pub use journal::{BadRecord, Event, Record};
pub use life::{ChildEnd, Life, LifeEvent, Outcome, Parent, Status};
pub use payload::{Blob, INLINE_BYTES_MAX, Payload, Stash};
pub use timers::{Timer, Timers};
pub use token::{BadToken, Token, TokenKey, TokenKind};
