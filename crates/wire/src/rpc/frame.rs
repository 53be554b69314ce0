//! How answers look: a JSON object with `RequestId`, on errors with code and message besides.

use super::Parameters;
use crate::WireError;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use std::collections::BTreeMap;

/// The header that repeats the body's `RequestId`.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-acs-request-id");

const JSON: HeaderValue = HeaderValue::from_static("application/json;charset=utf-8");

/// How long an id that the caller chose may be, in bytes: it travels in a header too.
const GIVEN_ID_MAX: usize = 256;

/// What every answer to one request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The request's id.
    pub request_id: &'a str,
    /// By which host the server was called.
    pub host: &'a str,
}

/// The id that the answer is to have: the caller's own choice, if it made one, else `own` in upper case, as the gateway
/// writes its own.
/// Source: API reference, parameter `RequestId` of every operation.
#[must_use]
pub fn request_id(parameters: Option<&Parameters>, own: &str) -> String {
    let given = parameters.and_then(|parameters| parameters.text("RequestId"));
    // Differs: an id that no header could carry is ignored.
    given
        .filter(|id| id.len() <= GIVEN_ID_MAX && id.bytes().all(|b| b.is_ascii_graphic()))
        .map_or_else(|| own.to_ascii_uppercase(), str::to_owned)
}

#[derive(Serialize)]
struct Success<'a, T> {
    #[serde(rename = "RequestId")]
    request_id: &'a str,
    #[serde(flatten)]
    output: &'a T,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Failure<'a> {
    request_id: &'a str,
    host_id: &'a str,
    code: &'a str,
    message: &'a str,
    recommend: &'a str,
    #[serde(flatten)]
    members: BTreeMap<&'a str, &'a str>,
}

impl Frame<'_> {
    /// A success: the members of `output`, and `RequestId`. No body is ever empty, since all SDKs parse it.
    ///
    /// `output` is a struct, a map or `()`. It must have no member `Code`: one SDK takes that for an error.
    ///
    /// # Panics
    ///
    /// When `output` is no such thing.
    #[must_use]
    pub fn success<T: Serialize>(&self, output: &T) -> Response<Bytes> {
        let body = serde_json::to_vec(&Success { request_id: self.request_id, output })
            .expect("outputs have string keys and no failing parts");
        self.respond(StatusCode::OK, body)
    }

    /// An error; `None` if there shall be no answer. Of `error`, the members `fault` and `capital` have no meaning here.
    ///
    /// # Panics
    ///
    /// Never: an error is texts alone.
    #[must_use]
    pub fn failure(&self, error: &WireError) -> Option<Response<Bytes>> {
        if error.hang_up {
            return None;
        }
        let (code, id) = (text(&error.code), text(self.request_id));
        let failure = Failure {
            request_id: self.request_id,
            host_id: self.host,
            code: &error.code,
            message: &error.message,
            recommend: &format!(
                "https://api.aliyun.com/troubleshoot?q={code}&product=fnf&requestId={id}"
            ),
            members: error.members.iter().map(|(name, text)| (*name, text.as_str())).collect(),
        };
        let body = serde_json::to_vec(&failure).expect("texts can be written");
        let mut response = self.respond(error.status, body);
        response.headers_mut().extend(error.headers.iter().cloned());
        Some(response)
    }

    fn respond(&self, status: StatusCode, body: Vec<u8>) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, JSON);
        if let Ok(id) = HeaderValue::from_str(self.request_id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        response
    }
}

/// Text for a query; ids and codes stay readable.
fn text(text: &str) -> String {
    const KEPT: percent_encoding::AsciiSet =
        NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');
    utf8_percent_encode(text, &KEPT).to_string()
}
