//! The protocols of AWS and Alibaba Cloud over `http` types: which operation a request means, its typed input, its
//! rendered answer.
//!
//! Pure: no sockets, tasks or clocks, and no knowledge of any service. A service states its table of operations
//! ([`Op`], [`Routes`]), how each input is read ([`FromRequest`], [`Constraints`]) and how its errors look
//! ([`IntoWire`]); this crate does the rest.

mod constraints;
mod error;
mod op;
pub mod query;
mod request;
mod respond;
mod routes;
pub mod rpc;
mod shape;
#[cfg(test)]
mod tests;

pub use constraints::Constraints;
pub use error::{Fault, IntoWire, WireError};
pub use op::{Coverage, Op, coverage_markdown};
pub use request::{Call, FromRequest, Request};
pub use respond::{Blob, Empty, EpochSeconds, Json, Respond};
pub use routes::{Answering, Found, Routes, unknown_operation};
pub use shape::{BadShape, Given, Problem, Violation};

use durastack_names::{AccountId, FunctionName, Region};

/// Who sent a request, as the gate established it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Whose resources the request means.
    pub account: AccountId,
    /// Where they are: the region that the request was signed for.
    pub region: Region,
    /// The key that signed it.
    pub access_key_id: String,
    /// The function whose environment the key was made for, if it was.
    pub function: Option<FunctionName>,
}
