//! What an API says of one operation, and how much of it is built.

use crate::WireError;
use http::{Method, StatusCode};
use std::fmt::Write;

/// How many bytes of body an operation takes unless its API says otherwise: the 6 MB that Lambda allows an invoke.
const BODY_BYTES_MAX: usize = 6 * 1024 * 1024;

/// How much of an operation is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage {
    /// All that the API says, as far as known.
    Exact,
    /// Less; the text says what is missing.
    Partial(&'static str),
    /// Nothing: it answers 501 with its name, or on Alibaba Cloud `ActionNotSupported`.
    None,
}

/// One operation of an API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Op {
    /// As in the API model.
    pub name: &'static str,
    /// Its HTTP method.
    pub method: Method,
    /// Its path, as in `/2015-03-31/functions/{FunctionName}/versions`. A label `{Name+}` also takes what has raw
    /// slashes in it. A query behind it (`?find=LayerVersion`) must be there too.
    pub path: &'static str,
    /// The status of its success.
    pub success: StatusCode,
    /// How much of it is built.
    pub coverage: Coverage,
    /// How many bytes its body may have.
    pub body_bytes_max: usize,
    /// The code and the operation's name in the answer to a larger one.
    too_large: (&'static str, &'static str),
}

impl Op {
    /// An operation that answers 200 and is built in full.
    #[must_use]
    pub const fn new(method: Method, name: &'static str, path: &'static str) -> Self {
        Self {
            name,
            method,
            path,
            success: StatusCode::OK,
            coverage: Coverage::Exact,
            body_bytes_max: BODY_BYTES_MAX,
            too_large: ("RequestEntityTooLargeException", name),
        }
    }

    /// An operation by `GET`.
    #[must_use]
    pub const fn get(name: &'static str, path: &'static str) -> Self {
        Self::new(Method::GET, name, path)
    }

    /// An operation by `POST`.
    #[must_use]
    pub const fn post(name: &'static str, path: &'static str) -> Self {
        Self::new(Method::POST, name, path)
    }

    /// An operation by `PUT`.
    #[must_use]
    pub const fn put(name: &'static str, path: &'static str) -> Self {
        Self::new(Method::PUT, name, path)
    }

    /// An operation by `DELETE`.
    #[must_use]
    pub const fn delete(name: &'static str, path: &'static str) -> Self {
        Self::new(Method::DELETE, name, path)
    }

    /// The same with another status of success.
    #[must_use]
    pub const fn answers(mut self, success: StatusCode) -> Self {
        self.success = success;
        self
    }

    /// The same, built in part: `missing` says what is not.
    #[must_use]
    pub const fn partial(mut self, missing: &'static str) -> Self {
        self.coverage = Coverage::Partial(missing);
        self
    }

    /// The same, not built.
    #[must_use]
    pub const fn unbuilt(mut self) -> Self {
        self.coverage = Coverage::None;
        self
    }

    /// The same with another limit for its body.
    #[must_use]
    pub const fn body_bytes_max(mut self, bytes: usize) -> Self {
        self.body_bytes_max = bytes;
        self
    }

    /// The same with another code for too large a body, and another name in its text.
    #[must_use]
    pub const fn too_large_as(mut self, code: &'static str, name: &'static str) -> Self {
        self.too_large = (code, name);
        self
    }

    /// The answer to a body that is larger than [`Op::body_bytes_max`].
    #[must_use]
    pub fn too_large(&self) -> WireError {
        let (code, name) = self.too_large;
        let bytes = self.body_bytes_max;
        let text = format!("Request must be smaller than {bytes} bytes for the {name} operation");
        WireError::client(StatusCode::PAYLOAD_TOO_LARGE, code, text)
    }

    /// The answer of an operation that is not built.
    #[must_use]
    pub fn not_built(&self) -> WireError {
        let text = format!("durastack does not build the operation {} yet", self.name);
        WireError::service(StatusCode::NOT_IMPLEMENTED, "NotImplemented", text)
    }
}

/// The table of a service's operations and how much of each is built, as Markdown, sorted by name.
#[must_use]
pub fn coverage_markdown<'a>(service: &str, ops: impl IntoIterator<Item = &'a Op>) -> String {
    coverage_table(service, ops.into_iter().map(|op| (op.name, op.coverage)))
}

pub(crate) fn coverage_table(
    service: &str,
    ops: impl Iterator<Item = (&'static str, Coverage)>,
) -> String {
    let mut ops: Vec<_> = ops.collect();
    ops.sort_by_key(|(name, _)| *name);
    let built = ops.iter().filter(|(_, coverage)| *coverage != Coverage::None).count();
    let mut text = format!(
        "## {service}\n\n{built} of {} operations.\n\n| Operation | Coverage | Missing |\n| --- | --- | --- |\n",
        ops.len()
    );
    for (name, coverage) in ops {
        let (coverage, missing) = match coverage {
            Coverage::Exact => ("exact", ""),
            Coverage::Partial(missing) => ("partial", missing),
            Coverage::None => ("none", ""),
        };
        writeln!(text, "| {name} | {coverage} | {missing} |").expect("writing to a String");
    }
    text
}
