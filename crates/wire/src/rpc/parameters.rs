//! The parameters of a request, and how typed values are read from them.

use crate::{IntoWire, WireError, request::pairs};
use http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use std::{fmt, str::FromStr};

/// How many parameters a request may have. The operation with the most has about twenty, besides ten of the protocol.
pub const PARAMETERS_MAX: usize = 1000;

/// How much of a value a message repeats, in characters.
const ECHOED_CHARS_MAX: usize = 200;

const FORM: &str = "application/x-www-form-urlencoded";

/// One parameter, decoded.
#[derive(Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name, never changed in case.
    pub name: String,
    /// Its value; may be empty.
    pub value: String,
    /// Whether it stood in the query; else it stood in the form.
    pub in_query: bool,
}

/// All parameters of a request, sorted by name.
#[derive(Clone, PartialEq, Eq)]
pub struct Parameters(Vec<Parameter>);

/// A request with more than [`PARAMETERS_MAX`] parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("The request has more than {PARAMETERS_MAX} parameters.")]
pub struct TooMany;

/// Values may be secrets or payloads: a log sees the names alone.
impl fmt::Debug for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

impl Parameters {
    /// Reads the query and, if the body is a form, the body. In both, `%XX` and `+` (a space) are decoded, and what is
    /// not UTF-8 then becomes U+FFFD. A body of no stated type is a form too; one of another type is left alone.
    ///
    /// # Errors
    ///
    /// [`TooMany`].
    pub fn read(query: &str, headers: &HeaderMap, body: &[u8]) -> Result<Self, TooMany> {
        let mut found = Vec::new();
        let mut add = |text: &str, in_query: bool| {
            for (name, value) in pairs(text) {
                if found.len() == PARAMETERS_MAX {
                    return Err(TooMany);
                }
                let (name, value) = (name.into_owned(), value.into_owned());
                found.push(Parameter { name, value, in_query });
            }
            Ok(())
        };
        add(query, true)?;
        if is_form(headers) {
            add(&String::from_utf8_lossy(body), false)?;
        }
        // Stable: of a repeated name the first that was sent stays the first.
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self(found))
    }

    /// All of them, sorted by name, bytewise; of one name in the order in which they were sent.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Parameter> {
        self.0.iter()
    }

    /// The value as sent, which may be empty; the first if there are several.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.0.partition_point(|parameter| parameter.name.as_str() < name);
        self.0.get(at).filter(|found| found.name == name).map(|found| found.value.as_str())
    }

    /// The value, an empty one being as good as none: SDKs send `ExecutionName=` for a text that nobody set.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// The value of a parameter that must be there.
    ///
    /// # Errors
    ///
    /// [`BadParameter::Missing`], also if it is empty.
    pub fn required(&self, name: &'static str) -> Result<&str, BadParameter> {
        self.text(name).ok_or(BadParameter::Missing(name))
    }

    /// The value read as `T`; absent if it is empty.
    ///
    /// # Errors
    ///
    /// [`BadParameter::Invalid`] with what `T` says of it.
    pub fn parse<T>(&self, name: &'static str) -> Result<Option<T>, BadParameter>
    where
        T: FromStr<Err: fmt::Display>,
    {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|bad: T::Err| BadParameter::invalid(name, text, bad))
    }

    /// The value as a truth, in any case: some SDKs send `true`, others `True`.
    ///
    /// # Errors
    ///
    /// [`BadParameter::Invalid`] if it is neither true nor false.
    pub fn boolean(&self, name: &'static str) -> Result<Option<bool>, BadParameter> {
        match self.text(name) {
            None => Ok(None),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(text) => Err(BadParameter::invalid(name, text, "it is neither true nor false")),
        }
    }

    /// The value as JSON, which is how parameters with a structure travel; absent if it is empty.
    ///
    /// # Errors
    ///
    /// [`BadParameter::Invalid`] if it is not JSON of this shape.
    pub fn json<T: DeserializeOwned>(&self, name: &'static str) -> Result<Option<T>, BadParameter> {
        let Some(text) = self.text(name) else { return Ok(None) };
        serde_json::from_str(text).map(Some).map_err(|bad| BadParameter::invalid(name, text, bad))
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let Some(content_type) = headers.get(header::CONTENT_TYPE) else { return true };
    let start = content_type.as_bytes().get(..FORM.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(FORM.as_bytes()))
}

/// An operation's input that knows how it is read.
pub trait FromParameters: Sized {
    /// Reads the input.
    ///
    /// # Errors
    ///
    /// The first parameter that is missing or wrong.
    fn from_parameters(parameters: &Parameters) -> Result<Self, BadParameter>;
}

impl FromParameters for () {
    fn from_parameters(_: &Parameters) -> Result<Self, BadParameter> {
        Ok(())
    }
}

/// A parameter that is missing or wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadParameter {
    /// It is not there, or empty.
    /// Source: error table of the API, `MissingRequiredParams`.
    #[error("The HTTP query '{0}' must be specified.")]
    Missing(&'static str),
    /// It is there and cannot be.
    /// Differs: the service publishes the code alone, its texts being "specific to the problem".
    #[error("The parameter '{name}' with the value '{}' is invalid: {problem}.", echo(value))]
    Invalid {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: String,
        /// What is wrong, as the end of a sentence.
        problem: String,
    },
}

impl BadParameter {
    /// A parameter whose value is wrong.
    #[must_use]
    pub fn invalid(name: &'static str, value: &str, problem: impl fmt::Display) -> Self {
        Self::Invalid { name, value: value.to_owned(), problem: problem.to_string() }
    }
}

impl IntoWire for BadParameter {
    fn wire(&self) -> WireError {
        let code = match self {
            Self::Missing(_) => "MissingRequiredParams",
            Self::Invalid { .. } => "InvalidArgument",
        };
        WireError::client(StatusCode::BAD_REQUEST, code, self)
    }
}

/// What a stranger sent, short and on one line.
pub(super) fn echo(text: &str) -> String {
    let one_line = |c: char| if c.is_control() { '\u{FFFD}' } else { c };
    match text.char_indices().nth(ECHOED_CHARS_MAX) {
        None => text.chars().map(one_line).collect(),
        Some((end, _)) => text[..end].chars().map(one_line).chain(['…']).collect(),
    }
}
