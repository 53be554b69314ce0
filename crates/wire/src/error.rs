//! Errors as a rest-json service writes them.

use crate::respond::{ERROR_TYPE, JSON, REQUEST_ID};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::{Map, Value};
use std::{borrow::Cow, fmt::Display};

/// Whose fault an error is: the member `Type` of Lambda's error bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The caller's.
    User,
    /// The service's.
    Service,
    /// The body has no such member.
    Unsaid,
}

/// An error ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireError {
    /// The HTTP status.
    pub status: StatusCode,
    /// The exception's name.
    pub code: Cow<'static, str>,
    /// The text for the caller.
    pub message: String,
    /// The member `Type`.
    pub fault: Fault,
    /// Whether the text's member is `Message`; most have `message`.
    pub capital: bool,
    /// Further members of the body, such as `Reason`.
    pub members: Vec<(&'static str, String)>,
    /// Further headers, such as `Retry-After`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Instead of all that: the connection is closed without an answer.
    pub(crate) hang_up: bool,
}

impl WireError {
    /// An error of the caller's making.
    #[must_use]
    pub fn client(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        message: impl Display,
    ) -> Self {
        Self::new(status, code.into(), message.to_string(), Fault::User)
    }

    /// An error of the service's making.
    #[must_use]
    pub fn service(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        message: impl Display,
    ) -> Self {
        Self::new(status, code.into(), message.to_string(), Fault::Service)
    }

    /// A 500 that says nothing of its cause, which goes to the log.
    #[must_use]
    pub fn internal(code: impl Into<Cow<'static, str>>) -> Self {
        Self::service(
            StatusCode::INTERNAL_SERVER_ERROR,
            code,
            "An internal error occurred. The log of durastack has its cause.",
        )
        .capital()
    }

    /// No answer at all: what a waiter gets whose server stops.
    #[must_use]
    pub fn hang_up() -> Self {
        let mut error = Self::internal("HangUp");
        error.hang_up = true;
        error
    }

    fn new(status: StatusCode, code: Cow<'static, str>, message: String, fault: Fault) -> Self {
        Self {
            status,
            code,
            message,
            fault,
            capital: false,
            members: Vec::new(),
            headers: Vec::new(),
            hang_up: false,
        }
    }

    /// The same with its text as `Message`, as the model has it for some exceptions.
    #[must_use]
    pub fn capital(mut self) -> Self {
        self.capital = true;
        self
    }

    /// The same with another `Type`.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.fault = fault;
        self
    }

    /// The same with one more member in the body.
    #[must_use]
    pub fn member(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.members.push((name, value.into()));
        self
    }

    /// The same with one more header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The response in the rest-json frame; `None` if there shall be none.
    #[must_use]
    pub fn render(&self, request_id: &str) -> Option<Response<Bytes>> {
        if self.hang_up {
            return None;
        }
        let mut body = Map::new();
        match self.fault {
            Fault::User => body.insert("Type".to_owned(), "User".into()),
            Fault::Service => body.insert("Type".to_owned(), "Service".into()),
            Fault::Unsaid => None,
        };
        for (name, value) in &self.members {
            body.insert((*name).to_owned(), value.as_str().into());
        }
        let member = if self.capital { "Message" } else { "message" };
        body.insert(member.to_owned(), self.message.as_str().into());
        let mut response = Response::new(Bytes::from(Value::Object(body).to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, JSON);
        if let Ok(code) = HeaderValue::from_str(&self.code) {
            headers.insert(ERROR_TYPE, code);
        }
        if let Ok(id) = HeaderValue::from_str(request_id) {
            headers.insert(REQUEST_ID, id);
        }
        headers.extend(self.headers.iter().cloned());
        Some(response)
    }
}

/// An operation's error that knows how it looks on the wire.
///
/// Errors with a status from 500 on are logged, with their sources, where they become a response.
pub trait IntoWire: std::error::Error + Send + Sync + 'static {
    /// The error as the API has it.
    fn wire(&self) -> WireError;
}

impl IntoWire for std::convert::Infallible {
    fn wire(&self) -> WireError {
        match *self {}
    }
}
