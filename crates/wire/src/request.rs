//! A routed request and its typed readers.
//!
//! Labels and query members that are absent, and those that are empty, are two things; in a JSON body `null` is as
//! good as absent (as on the real service), and an empty text is a value.

use crate::{BadShape, Caller, Problem, shape::pattern_text};
use bytes::Bytes;
use durastack_clock::Timestamp;
use http::{Extensions, HeaderMap, Uri};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use std::{borrow::Cow, str::FromStr};

/// A request whose operation is known.
#[derive(Debug)]
pub struct Request {
    /// The operation's name.
    pub operation: &'static str,
    /// The path and query as sent, percent-encoded.
    pub uri: Uri,
    /// All headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// Who sent it, its id, and what the layers above added.
    pub call: Call,
    pub(crate) labels: Vec<(&'static str, String)>,
}

/// What an operation is told besides its input.
#[derive(Debug, Clone)]
pub struct Call {
    /// Who sent the request.
    pub caller: Caller,
    /// The request's id, a UUID.
    pub request_id: String,
    /// What the layers above know of the request, such as the token that says whether the client is still there.
    pub extensions: Extensions,
}

/// An operation's input that knows how it is read.
pub trait FromRequest: Sized {
    /// Reads the input.
    ///
    /// # Errors
    ///
    /// [`BadShape`], when the request is not what the API model says.
    fn from_request(request: &Request) -> Result<Self, BadShape>;
}

impl FromRequest for () {
    fn from_request(_: &Request) -> Result<Self, BadShape> {
        Ok(())
    }
}

impl Request {
    /// The label of the path, decoded. A `+` is a plus.
    ///
    /// # Errors
    ///
    /// The constraint that it breaks.
    ///
    /// # Panics
    ///
    /// When the operation's path has no such label.
    pub fn label<T>(&self, name: &'static str) -> Result<T, BadShape>
    where
        T: FromStr<Err: Into<Problem>>,
    {
        let (_, text) = self
            .labels
            .iter()
            .find(|(label, _)| *label == name)
            .unwrap_or_else(|| panic!("{} has no label {name}", self.operation));
        parse(name, text)
    }

    /// The query member, decoded; the first if there are several.
    ///
    /// # Errors
    ///
    /// The constraint that it breaks, or that it is of the wrong type.
    pub fn query<T>(&self, name: &str) -> Result<Option<T>, BadShape>
    where
        T: FromStr<Err: Into<Problem>>,
    {
        self.query_texts(name).next().map(|text| parse(name, &text)).transpose()
    }

    /// All query members of this name, in order.
    ///
    /// # Errors
    ///
    /// As [`Request::query`].
    pub fn query_list<T>(&self, name: &str) -> Result<Vec<T>, BadShape>
    where
        T: FromStr<Err: Into<Problem>>,
    {
        self.query_texts(name).map(|text| parse(name, &text)).collect()
    }

    /// The query member as an instant in ISO-8601.
    ///
    /// # Errors
    ///
    /// That it is none.
    pub fn query_time(&self, name: &str) -> Result<Option<Timestamp>, BadShape> {
        let Some(text) = self.query_texts(name).next() else { return Ok(None) };
        // A raw `+` before an offset has become a space.
        Timestamp::parse_iso(&text.replace(' ', "+"))
            .map(Some)
            .map_err(|bad| Problem::from(bad).at(name, &text))
    }

    /// The header's text.
    ///
    /// # Errors
    ///
    /// That it is no text.
    pub fn header(&self, name: &str) -> Result<Option<&str>, BadShape> {
        let Some(value) = self.headers.get(name) else { return Ok(None) };
        value
            .to_str()
            .map(Some)
            .map_err(|_| Problem::Constraint(pattern_text(r"[\x20-\x7E]*")).at(name, ""))
    }

    /// The header, read as `T`.
    ///
    /// # Errors
    ///
    /// The constraint that it breaks. `member` is the name it has in the model.
    pub fn header_as<T>(&self, name: &str, member: &str) -> Result<Option<T>, BadShape>
    where
        T: FromStr<Err: Into<Problem>>,
    {
        let Some(value) = self.headers.get(name) else { return Ok(None) };
        // Bytes that are no text fit no pattern; they are shown as well as they can be.
        parse(member, &String::from_utf8_lossy(value.as_bytes())).map(Some)
    }

    /// The body as JSON.
    ///
    /// # Errors
    ///
    /// [`BadShape::Malformed`] if it is not JSON (nothing at all is not JSON either), [`BadShape::WrongType`] with
    /// the member's path if it is, but not of this shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, BadShape> {
        read_json(&self.body)
    }

    /// The body as JSON; nothing at all is read as `{}`.
    ///
    /// # Errors
    ///
    /// As [`Request::json`].
    pub fn json_or_empty<T: DeserializeOwned>(&self) -> Result<T, BadShape> {
        read_json(if self.body.is_empty() { b"{}" } else { &self.body })
    }

    fn query_texts<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Cow<'a, str>> + 'a {
        pairs(self.uri.query().unwrap_or_default())
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value)
    }
}

fn parse<T>(member: &str, text: &str) -> Result<T, BadShape>
where
    T: FromStr<Err: Into<Problem>>,
{
    text.parse().map_err(|bad: T::Err| bad.into().at(member, text))
}

fn read_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, BadShape> {
    let error = match serde_json::from_slice(body) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    match error.classify() {
        Category::Syntax | Category::Eof | Category::Io => {
            Err(BadShape::Malformed(error.to_string()))
        }
        // Where it was wrong is found by reading again, so that nothing is spent on it when all is well.
        Category::Data => {
            let mut reader = serde_json::Deserializer::from_slice(body);
            let read: Result<T, _> = serde_path_to_error::deserialize(&mut reader);
            let member = read.err().map(|e| e.path().to_string()).unwrap_or_default();
            Err(BadShape::WrongType { member, problem: error.to_string() })
        }
    }
}

/// The members of a query or form, decoded: `%xx`, and `+` as a space.
pub(crate) fn pairs(text: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode_form(key), decode_form(value))
    })
}

fn decode_form(text: &str) -> Cow<'_, str> {
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        Cow::Owned(percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
    } else {
        percent_decode_str(text).decode_utf8_lossy()
    }
}
