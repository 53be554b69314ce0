//! The Runtime API's own answers, byte for byte as AWS's emulator writes them.

use crate::runtime_api::{Invalid, RESPONSE_BYTES_MAX, Refused};
use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body_util::Full;

type Answer = Response<Full<Bytes>>;

pub(crate) fn accepted() -> Answer {
    json(StatusCode::ACCEPTED, "{\"status\":\"OK\"}\n".into())
}

pub(crate) fn refused(refused: Refused) -> Answer {
    match refused {
        Refused::RequestId => {
            error(StatusCode::BAD_REQUEST, "InvalidRequestID", "Invalid request ID")
        }
        Refused::Transition(from, to) => error(
            StatusCode::FORBIDDEN,
            "InvalidStateTransition",
            &format!(
                "State transition from {from} to {to} failed for runtime. Error: State transition is not allowed"
            ),
        ),
    }
}

pub(crate) fn invalid(invalid: Invalid) -> Answer {
    match invalid {
        Invalid::TooLarge => error(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestEntityTooLarge",
            &format!("Exceeded maximum allowed payload size ({RESPONSE_BYTES_MAX} bytes)."),
        ),
        Invalid::Truncated => truncated(),
        Invalid::Mode => error(
            StatusCode::BAD_REQUEST,
            "InvalidFunctionResponseMode",
            "Invalid function response mode",
        ),
    }
}

pub(crate) fn truncated() -> Answer {
    error(StatusCode::BAD_REQUEST, "TruncatedHTTPRequest", "HTTP request detected as truncated")
}

pub(crate) fn not_found() -> Answer {
    let mut answer = text("404 page not found");
    *answer.status_mut() = StatusCode::NOT_FOUND;
    answer
}

pub(crate) fn wrong_method(allowed: &Method) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    if let Ok(value) = HeaderValue::from_str(allowed.as_str()) {
        answer.headers_mut().insert(header::ALLOW, value);
    }
    answer
}

pub(crate) fn text(text: &'static str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

/// The words here hold nothing that JSON would escape.
fn error(status: StatusCode, kind: &str, message: &str) -> Answer {
    json(status, format!("{{\"errorMessage\":\"{message}\",\"errorType\":\"{kind}\"}}\n"))
}

fn json(status: StatusCode, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}
