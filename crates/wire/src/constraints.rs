//! The constraints of the API model, one line each; all that are broken are told at once.

use crate::{
    BadShape, Violation,
    shape::{Given, lower_first, pattern_text},
};
use std::{fmt::Display, ops::RangeBounds};

/// Collects broken constraints. Members are named as in the model (`FunctionName`, `VpcConfig.SubnetIds`).
///
/// ```
/// # use durastack_wire::Constraints;
/// let mut c = Constraints::default();
/// c.length("Description", Some("short"), 0..=256);
/// c.range("Timeout", Some(901), 1..=900);
/// assert_eq!(
///     c.finish().unwrap_err().to_string(),
///     "1 validation error detected: Value '901' at 'timeout' failed to satisfy constraint: \
///      Member must have value less than or equal to 900",
/// );
/// ```
#[derive(Debug, Default)]
pub struct Constraints {
    violations: Vec<Violation>,
    /// A member that could not even be read; tells more than the constraints do.
    unreadable: Option<BadShape>,
}

impl Constraints {
    /// Takes the value out of a reader's result, keeping its error for [`Constraints::finish`].
    pub fn take<T>(&mut self, read: Result<T, BadShape>) -> Option<T> {
        match read {
            Ok(value) => return Some(value),
            Err(BadShape::Constraints(violations)) => self.violations.extend(violations),
            Err(other) => self.unreadable = self.unreadable.take().or(Some(other)),
        }
        None
    }

    /// The member must be there.
    pub fn required<T>(&mut self, member: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.push(member, Given::Null, "Member must not be null".to_owned());
        }
        value
    }

    /// The member, if there, has this many characters.
    pub fn length(&mut self, member: &str, value: Option<&str>, range: impl RangeBounds<usize>) {
        let Some(value) = value else { return };
        if let Some(bound) = broken_bound(&value.chars().count(), &range) {
            self.push_value(member, value, format!("Member must have length {bound}"));
        }
    }

    /// The list, if there, has this many items. Lists are shown as AWS shows them: `[a, b]`.
    pub fn items<T: Display>(
        &mut self,
        member: &str,
        value: Option<&[T]>,
        range: impl RangeBounds<usize>,
    ) {
        let Some(value) = value else { return };
        if let Some(bound) = broken_bound(&value.len(), &range) {
            let shown: Vec<_> = value.iter().map(T::to_string).collect();
            let shown = format!("[{}]", shown.join(", "));
            self.push_value(member, &shown, format!("Member must have length {bound}"));
        }
    }

    /// The number, if there, is within the range.
    pub fn range<T: PartialOrd + Display>(
        &mut self,
        member: &str,
        value: Option<T>,
        range: impl RangeBounds<T>,
    ) {
        let Some(value) = value else { return };
        if let Some(bound) = broken_bound(&value, &range) {
            self.push_value(member, &value.to_string(), format!("Member must have value {bound}"));
        }
    }

    /// The text, if there, fits the pattern, which `fits` decides.
    pub fn pattern(
        &mut self,
        member: &str,
        value: Option<&str>,
        pattern: &str,
        fits: impl Fn(&str) -> bool,
    ) {
        if let Some(value) = value.filter(|v| !fits(v)) {
            self.push_value(member, value, pattern_text(pattern));
        }
    }

    /// The text, if there, is one of these.
    pub fn one_of(&mut self, member: &str, value: Option<&str>, set: &[&str]) {
        if let Some(value) = value.filter(|v| !set.contains(v)) {
            let text = format!("Member must satisfy enum value set: [{}]", set.join(", "));
            self.push_value(member, value, text);
        }
    }

    /// A member broke a rule that none of the other methods knows.
    pub fn broken(&mut self, member: &str, value: &str, constraint: impl Into<String>) {
        self.push_value(member, value, constraint.into());
    }

    /// A member whose value must not be repeated broke a rule.
    pub fn broken_sensitive(&mut self, member: &str, constraint: impl Into<String>) {
        self.push(member, Given::Sensitive, constraint.into());
    }

    /// # Errors
    ///
    /// The first [`BadShape`] that is no constraint, else all broken constraints together.
    pub fn finish(self) -> Result<(), BadShape> {
        match (self.unreadable, self.violations) {
            (Some(unreadable), _) => Err(unreadable),
            (None, violations) if violations.is_empty() => Ok(()),
            (None, violations) => Err(BadShape::Constraints(violations)),
        }
    }

    fn push_value(&mut self, member: &str, value: &str, constraint: String) {
        self.push(member, Given::Value(value.to_owned()), constraint);
    }

    fn push(&mut self, member: &str, value: Given, constraint: String) {
        self.violations.push(Violation { member: lower_first(member), value, constraint });
    }
}

/// The bound of the range that the value breaks, in AWS's words.
fn broken_bound<T: PartialOrd + Display>(value: &T, range: &impl RangeBounds<T>) -> Option<String> {
    use std::ops::Bound::{Excluded, Included, Unbounded};
    match range.start_bound() {
        Included(min) if value < min => return Some(format!("greater than or equal to {min}")),
        Excluded(min) if value <= min => return Some(format!("greater than {min}")),
        Included(_) | Excluded(_) | Unbounded => {}
    }
    match range.end_bound() {
        Included(max) if value > max => Some(format!("less than or equal to {max}")),
        Excluded(max) if value >= max => Some(format!("less than {max}")),
        Included(_) | Excluded(_) | Unbounded => None,
    }
}
