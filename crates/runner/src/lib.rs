//! Function processes and the Lambda Runtime API: start user code, feed it, time it out, reap it.
//!
//! Functions of Alibaba Cloud Function Compute run here too: their bootstraps speak the same Runtime API, and turn to
//! user code as that cloud does ([`Contract`]).
//!
//! What it does not know: durable executions, retries, HTTP towards callers, the store. It is handed a
//! [`Function`] (unpacked code and configuration) and an [`Invocation`], and says how it [`Finished`].
//!
//! Invariants:
//! - One [`Runner::invoke`] is one Lambda invoke; its environment runs nothing else meanwhile.
//! - Every process lives in a process group of its own. The group ends with its environment, and with durastack even
//!   after `kill -9`: a guard in the group kills it when the lifeline closes, and noted groups are reaped at start.
//! - Nothing here waits for the end of a pipe: a grandchild may hold it open for ever.
//! - Deadlines of functions are wall time.

mod answer;
mod bootstrap;
mod contract;
mod environment;
mod failure;
mod fc_variables;
mod function;
mod groups;
mod http;
mod interpreter;
mod invocation;
mod lines;
mod output;
mod platform;
mod pool;
mod process;
mod runner;
mod runtime_api;
mod tap;
mod variables;

pub use contract::{Contract, FcIdentity, Initializer, LambdaIdentity};
pub use function::{
    Credentials, EnvironmentKey, Finished, Function, Invocation, LineKind, LogFormat, LogLine,
    Logs, Outcome, Refusal,
};
pub use interpreter::check_function_compute_runtime;
pub use runner::{INIT_MAX, Runner, Settings, StartError};
