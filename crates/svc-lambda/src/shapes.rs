//! Shapes that several durable operations share.

use durastack_names::{ExecutionArn, Marker};
use durastack_wire::{BadShape, Constraints, Problem, Request};

/// Where a page begins, and how long it may be.
pub(crate) struct PageInput {
    pub(crate) marker: Option<Marker>,
    pub(crate) count: usize,
}

/// The length of a page that nobody asked for otherwise, and the longest one. Source: API model, `ItemCount`.
const PAGE: usize = 100;
const PAGE_MAX: usize = 1000;

/// The durable execution's ARN in the path.
pub(crate) fn arn_of(request: &Request) -> Result<ExecutionArn, BadShape> {
    let text: String = request.label("DurableExecutionArn")?;
    let mut c = Constraints::default();
    c.length("DurableExecutionArn", Some(&text), 1..=1024);
    c.finish()?;
    text.parse().map_err(|bad: durastack_names::BadName| {
        Problem::from(bad).at("DurableExecutionArn", &text)
    })
}

/// `Marker` and `MaxItems` in the query.
pub(crate) fn check_page(c: &mut Constraints, request: &Request) -> PageInput {
    let marker = c.take(request.query::<Marker>("Marker")).flatten();
    let count: Option<i64> = c.take(request.query("MaxItems")).flatten();
    c.range("MaxItems", count, 0..=1000);
    let count = count
        .and_then(|count| usize::try_from(count).ok())
        .filter(|count| *count > 0)
        .unwrap_or(PAGE);
    PageInput { marker, count: count.min(PAGE_MAX) }
}

pub(crate) fn is_operation_word(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

pub(crate) fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    text.len() - body.len() <= 2
        && !body.is_empty()
        && body.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
}
