//! The binary as a person or a script meets it: how it starts, what it refuses, how it ends. What the services answer
//! is tested with real SDKs, in the folder beside this one.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends here, helpers included")]

mod commands;
mod flows;
mod process;
mod start;
mod stop;
mod throttle;
