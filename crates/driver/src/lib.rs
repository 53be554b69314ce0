//! The engine made real, for any dialect: load, decide, persist, perform, recover.
//!
//! The one place where the order is visible: what an execution has decided is durable before anybody hears of it and
//! before anything is done in the world because of it.

mod batch;
mod cell;
mod clockwork;
mod drive;
mod perform;
mod texts;
mod time;

pub use batch::status_number;
pub use clockwork::{Advanced, ClockError, Clockwork, Next, Pending, Timed, stored_offset};
pub use drive::{Ask, DriveError, Driver, NameClaim, Started};
pub use perform::{Performed, World};
pub use texts::Texts;
