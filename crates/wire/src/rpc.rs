//! Alibaba Cloud's RPC protocol: every operation at one path, told by `Action`; parameters in query and form together;
//! answers in JSON.
//!
//! Differs: `Format` is ignored. The one product that is meant here has no XML; its documentation shows a placeholder
//! in its place.

mod frame;
mod op;
mod parameters;
mod routes;
#[cfg(test)]
mod tests;

pub use frame::{Frame, REQUEST_ID, request_id};
pub use op::{Op, coverage_markdown};
pub use parameters::{
    BadParameter, FromParameters, PARAMETERS_MAX, Parameter, Parameters, TooMany,
};
pub use routes::{Routes, not_supported};

use crate::Caller;

/// A request of this protocol whose caller is established.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The operation's name as sent; empty if none was.
    pub action: String,
    /// The API's version as sent, such as `2019-03-15`; empty if none was.
    pub version: String,
    /// All parameters, those of the protocol itself among them.
    pub parameters: Parameters,
    /// Who sent it.
    pub caller: Caller,
    /// What the answer's `RequestId` is to be.
    pub request_id: String,
    /// The `Host` header, for an error's `HostId`; empty if there was none.
    pub host: String,
}

impl Request {
    /// How its answer is framed.
    #[must_use]
    pub fn frame(&self) -> Frame<'_> {
        Frame { request_id: &self.request_id, host: &self.host }
    }
}
