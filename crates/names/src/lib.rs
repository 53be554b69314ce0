//! Names of things: parse and print, nothing else.
//!
//! A value of these types cannot be malformed; whoever holds one need not check again.

mod arn;
mod execution;
mod function;
mod marker;

pub use arn::{AccountId, Region};
pub use execution::{ExecutionArn, ExecutionId, ExecutionName};
pub use function::{AliasName, FunctionArn, FunctionName, FunctionRef, Qualifier, Version};
pub use marker::{BadMarker, Marker};

/// A text that breaks the rule of the name it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{value}' is not {kind}: {rule}")]
pub struct BadName {
    /// What it should have been, as a noun with its article.
    pub kind: &'static str,
    /// What was given.
    pub value: String,
    /// The rule, in the notation of the API model: a regular expression.
    pub rule: &'static str,
    /// The most characters that it may have, if it has more.
    pub length_max: Option<usize>,
}

impl BadName {
    fn new(kind: &'static str, value: &str, rule: &'static str) -> Self {
        Self { kind, value: value.to_owned(), rule, length_max: None }
    }

    fn too_long(self, length_max: usize) -> Self {
        Self { length_max: Some(length_max), ..self }
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// Gives a newtype over `String` its accessors and text conversions; the checks stay with the type.
macro_rules! text_name {
    ($name:ident) => {
        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                <String as serde::Deserialize>::deserialize(d)?
                    .parse()
                    .map_err(serde::de::Error::custom)
            }
        }
    };
}
use text_name;

/// Serializes a type as the text it displays, and reads it back by parsing.
macro_rules! serde_as_text {
    ($name:ident) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                <String as serde::Deserialize>::deserialize(d)?
                    .parse()
                    .map_err(serde::de::Error::custom)
            }
        }
    };
}
use serde_as_text;
