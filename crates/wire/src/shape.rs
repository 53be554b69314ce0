//! Requests that are not what the API model says, and the texts that AWS has for each way.

use crate::{Fault, IntoWire, WireError};
use durastack_clock::BadTimestamp;
use durastack_names::{BadMarker, BadName};
use http::StatusCode;
use std::{
    convert::Infallible,
    fmt::{self, Write},
    num::ParseIntError,
    str::ParseBoolError,
};

/// How much of a value a message repeats. Differs: AWS repeats all of it, up to megabytes.
const ECHOED_CHARS_MAX: usize = 1024;

/// A request that does not have the shape of its operation's input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadShape {
    /// The body is not JSON. Holds what the parser said.
    #[error("Could not parse request body into json: {0}")]
    Malformed(String),
    /// A member has another type than the model's. Holds the member's path and what was wrong.
    #[error("{member}: {problem}")]
    WrongType {
        /// As in `Environment.Variables.NAME`.
        member: String,
        /// In the words of the parser.
        problem: String,
    },
    /// Values of the right type that break a length, a range, a pattern or an enum, or are missing. Never empty.
    #[error("{}", violations_text(.0))]
    Constraints(Vec<Violation>),
    /// A value of the right shape that means nothing. Holds the service's text.
    #[error("{0}")]
    Value(String),
}

/// One broken constraint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The member as AWS names it there: each word of the path starts lower case, as in `vpcConfig.subnetIds`.
    pub member: String,
    /// What was given, and whether it may be repeated.
    pub value: Given,
    /// As in `Member must have length less than or equal to 64`.
    pub constraint: String,
}

/// What stood in the place of a member that broke a constraint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// A value.
    Value(String),
    /// Nothing, or `null`.
    Null,
    /// A value that the model marks as sensitive: messages leave it out.
    Sensitive,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Value ")?;
        match &self.value {
            Given::Value(value) => match value.char_indices().nth(ECHOED_CHARS_MAX) {
                None => write!(f, "'{value}' ")?,
                Some((end, _)) => write!(f, "'{}…' ", &value[..end])?,
            },
            Given::Null => f.write_str("null ")?,
            Given::Sensitive => {}
        }
        write!(f, "at '{}' failed to satisfy constraint: {}", self.member, self.constraint)
    }
}

fn violations_text(violations: &[Violation]) -> String {
    let count = violations.len();
    let plural = if count == 1 { "" } else { "s" };
    let mut text = format!("{count} validation error{plural} detected: ");
    for (i, violation) in violations.iter().enumerate() {
        let separator = if i == 0 { "" } else { "; " };
        write!(text, "{separator}{violation}").expect("writing to a String");
    }
    text
}

impl IntoWire for BadShape {
    /// Source: the statuses and codes of Lambda; its constraint failures are unmodelled and carry no `Type`.
    fn wire(&self) -> WireError {
        match self {
            Self::Malformed(_) => {
                WireError::client(StatusCode::BAD_REQUEST, "InvalidRequestContentException", self)
            }
            Self::WrongType { .. } => {
                WireError::client(StatusCode::BAD_REQUEST, "SerializationException", self)
            }
            Self::Value(_) => {
                WireError::client(StatusCode::BAD_REQUEST, "InvalidParameterValueException", self)
            }
            Self::Constraints(_) => {
                WireError::client(StatusCode::BAD_REQUEST, "ValidationException", self)
                    .fault(Fault::Unsaid)
            }
        }
    }
}

/// Why a text is not a value of the type that a label, header or query member should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// It breaks a constraint, which this states.
    Constraint(String),
    /// It is not of the type, which this names with its article.
    Type(&'static str),
    /// It has the right shape, but is no value that the service gave out. Holds the service's text.
    Value(String),
}

impl Problem {
    /// The error that this problem is for `value` at `member` (in the model's spelling).
    #[must_use]
    pub fn at(self, member: &str, value: &str) -> BadShape {
        match self {
            Self::Constraint(constraint) => BadShape::Constraints(vec![Violation {
                member: lower_first(member),
                value: Given::Value(value.to_owned()),
                constraint,
            }]),
            Self::Value(text) => BadShape::Value(text),
            Self::Type(kind) => BadShape::WrongType {
                member: member.to_owned(),
                problem: format!("'{value}' can not be converted to {kind}"),
            },
        }
    }
}

impl From<BadName> for Problem {
    fn from(bad: BadName) -> Self {
        Self::Constraint(bad.length_max.map_or_else(
            || pattern_text(bad.rule),
            |length_max| format!("Member must have length less than or equal to {length_max}"),
        ))
    }
}

impl From<BadMarker> for Problem {
    fn from(bad: BadMarker) -> Self {
        Self::Value(bad.to_string())
    }
}

impl From<ParseIntError> for Problem {
    fn from(_: ParseIntError) -> Self {
        Self::Type("an Integer")
    }
}

impl From<ParseBoolError> for Problem {
    fn from(_: ParseBoolError) -> Self {
        Self::Type("a Boolean")
    }
}

impl From<BadTimestamp> for Problem {
    fn from(_: BadTimestamp) -> Self {
        Self::Type("a Timestamp")
    }
}

impl From<Infallible> for Problem {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

pub(crate) fn pattern_text(pattern: &str) -> String {
    format!("Member must satisfy regular expression pattern: {pattern}")
}

/// A member's path as validation messages write it: each word starts lower case.
pub(crate) fn lower_first(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    let mut starts = true;
    for c in path.chars() {
        text.push(if starts { c.to_ascii_lowercase() } else { c });
        starts = c == '.';
    }
    text
}
