//! What an API of this protocol says of one operation, and how much of it is built.

use crate::{Coverage, op::coverage_table};

/// One operation. Any method, and any mixture of query and form, will do: clients differ in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Op {
    /// As in the API's metadata, and in `Action`.
    pub name: &'static str,
    /// How much of it is built.
    pub coverage: Coverage,
}

impl Op {
    /// An operation that is built in full.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, coverage: Coverage::Exact }
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
}

/// The table of a service's operations and how much of each is built, as Markdown, sorted by name.
#[must_use]
pub fn coverage_markdown<'a>(service: &str, ops: impl IntoIterator<Item = &'a Op>) -> String {
    coverage_table(service, ops.into_iter().map(|op| (op.name, op.coverage)))
}
