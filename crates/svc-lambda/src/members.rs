//! Members that many operations have: the function's name, a page.

use durastack_names::{BadMarker, FunctionRef, Marker};
use durastack_wire::{BadShape, Constraints, Problem, Request};
use std::str::FromStr;

/// How many functions, versions or aliases a page has at most, whatever is asked for.
/// Source: API reference, ListFunctions.
const PAGE_MAX: usize = 50;

/// How long a function's name, and a name or ARN, may be.
const NAME_LENGTH_MAX: usize = 64;
const ARN_LENGTH_MAX: usize = 140;

/// The label `FunctionName`.
pub(crate) fn function(c: &mut Constraints, r: &Request) -> Option<FunctionRef> {
    let text: String = c.take(r.label("FunctionName"))?;
    function_text(c, &text)
}

/// A function's name in any form.
pub(crate) fn function_text(c: &mut Constraints, text: &str) -> Option<FunctionRef> {
    const MEMBER: &str = "FunctionName";
    let is_bare = !text.contains(':');
    let max = if is_bare { NAME_LENGTH_MAX } else { ARN_LENGTH_MAX };
    if text.chars().count() > max {
        c.length(MEMBER, Some(text), ..=max);
        return None;
    }
    c.take(read(MEMBER, text))
}

/// A member of a body that is read by its own type.
pub(crate) fn read<T>(member: &str, text: &str) -> Result<T, BadShape>
where
    T: FromStr<Err: Into<Problem>>,
{
    text.parse().map_err(|bad: T::Err| bad.into().at(member, text))
}

/// Which page of a list is asked for.
#[derive(Debug)]
pub(crate) struct Page {
    /// Where the page before ended.
    pub(crate) marker: Option<Marker>,
    /// At least 1.
    pub(crate) limit: usize,
}

impl Page {
    pub(crate) fn read(c: &mut Constraints, r: &Request) -> Option<Self> {
        let marker = c.take(r.query("Marker"));
        let items: Option<i64> = c.take(r.query("MaxItems"))?;
        c.range("MaxItems", items, 1..=10_000);
        let asked = items.and_then(|n| usize::try_from(n).ok()).unwrap_or(PAGE_MAX);
        Some(Self { marker: marker?, limit: asked.clamp(1, PAGE_MAX) })
    }

    /// Cuts the items behind the page off; the marker then stands for the last one on it.
    pub(crate) fn cut<T>(
        &self,
        items: &mut Vec<T>,
        position: impl Fn(&T) -> String,
    ) -> Option<Marker> {
        if items.len() <= self.limit {
            return None;
        }
        items.truncate(self.limit);
        items.last().map(|last| Marker::new(position(last)))
    }
}

/// A marker that an earlier page returned is never wrong; one that leads nowhere is the caller's invention.
pub(crate) fn bad_marker() -> BadShape {
    BadShape::Value(BadMarker.to_string())
}
