//! The query protocol: parameters in a form or a query, answers in XML. STS speaks it, as do older services.

use crate::{WireError, request::pairs};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};

/// The parameters of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Reads the parameters of the query and, if the body is a form, of the body; `+` is a space in both.
    #[must_use]
    pub fn read(request: &Request<Bytes>) -> Self {
        let mut members: Vec<(String, String)> = Vec::new();
        let mut add = |text: &str| {
            members.extend(pairs(text).map(|(key, value)| (key.into_owned(), value.into_owned())));
        };
        add(request.uri().query().unwrap_or_default());
        let content_type = request.headers().get(header::CONTENT_TYPE);
        // Some clients name no type at all; nobody sends another one with this protocol.
        let is_form = content_type
            .is_none_or(|t| t.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
        if is_form {
            add(&String::from_utf8_lossy(request.body()));
        }
        Self(members)
    }

    /// The parameter; the first if there are several.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The operation's name.
    #[must_use]
    pub fn action(&self) -> Option<&str> {
        self.get("Action")
    }
}

/// XML under construction. Texts are escaped; names are ours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Xml(String);

impl Xml {
    /// Adds an element with text in it.
    #[must_use]
    pub fn text(mut self, name: &str, text: &str) -> Self {
        self.0.push_str(&format!("<{name}>"));
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\r' => self.0.push_str("&#xD;"),
                // XML 1.0 has no way to write these.
                c if c < ' ' && c != '\n' && c != '\t' => self.0.push('\u{FFFD}'),
                c => self.0.push(c),
            }
        }
        self.0.push_str(&format!("</{name}>"));
        self
    }

    /// Adds an element with elements in it.
    #[must_use]
    pub fn element(mut self, name: &str, inner: &Self) -> Self {
        self.0.push_str(&format!("<{name}>{}</{name}>", inner.0));
        self
    }

    fn document(&self, root: &str, namespace: &str) -> String {
        format!("<{root} xmlns=\"{namespace}\">{}</{root}>", self.0)
    }
}

/// A success: the action's response element with its result and the request's id.
#[must_use]
pub fn success(action: &str, namespace: &str, result: &Xml, request_id: &str) -> Response<Bytes> {
    let metadata = Xml::default().text("RequestId", request_id);
    let body = Xml::default()
        .element(&format!("{action}Result"), result)
        .element("ResponseMetadata", &metadata)
        .document(&format!("{action}Response"), namespace);
    respond(StatusCode::OK, body, request_id)
}

/// An error in the `ErrorResponse` envelope.
#[must_use]
pub fn failure(namespace: &str, error: &WireError, request_id: &str) -> Response<Bytes> {
    let side = if error.status.is_server_error() { "Receiver" } else { "Sender" };
    let inner =
        Xml::default().text("Type", side).text("Code", &error.code).text("Message", &error.message);
    let body = Xml::default()
        .element("Error", &inner)
        .text("RequestId", request_id)
        .document("ErrorResponse", namespace);
    let mut response = respond(error.status, body, request_id);
    response.headers_mut().extend(error.headers.iter().cloned());
    response
}

fn respond(status: StatusCode, body: String, request_id: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(crate::respond::REQUEST_ID, id);
    }
    response
}
