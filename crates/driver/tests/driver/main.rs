//! The driver with a real store, a clock that is turned by hand, and a world that follows a script.

mod children;
mod failing;
mod life;
mod memory;
mod recovery;
mod rig;
mod time;
