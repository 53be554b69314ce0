//! The admin API: health and the clock.

use crate::banner;
use bytes::Bytes;
use durastack_driver::{Clockwork, Next};
use durastack_svc_lambda::Lambda;
use http::{HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// The longest turn of the clock: a hundred years.
const ADVANCE_MAX: Duration = Duration::from_secs(100 * 366 * 86_400);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    by: String,
}

/// Answers a request to the admin API.
pub(crate) async fn answer(
    lambda: &Lambda,
    clockwork: &Clockwork,
    request: &Request<Bytes>,
) -> Response<Bytes> {
    match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/_durastack/health") => respond(
            StatusCode::OK,
            &json!({ "status": "running", "version": env!("CARGO_PKG_VERSION") }),
        ),
        (&Method::GET | &Method::HEAD, "/_localstack/health") => respond(
            StatusCode::OK,
            &json!({
                "services": { "lambda": "running", "sts": "running", "fnf": "running" },
                "edition": "durastack",
                "version": env!("CARGO_PKG_VERSION"),
            }),
        ),
        (&Method::GET, "/_durastack/clock") => show_clock(clockwork).await,
        (&Method::POST, "/_durastack/clock/advance") => advance(clockwork, request.body()).await,
        (
            _,
            "/_durastack/health"
            | "/_localstack/health"
            | "/_durastack/clock"
            | "/_durastack/clock/advance",
        ) => refuse(StatusCode::METHOD_NOT_ALLOWED, "this path takes another method"),
        (&Method::GET, path) => match durastack_svc_lambda::package(lambda, path).await {
            Some(zip) => zipped(zip),
            None => refuse(StatusCode::NOT_FOUND, "the admin API has no such path"),
        },
        _ => refuse(StatusCode::NOT_FOUND, "the admin API has no such path"),
    }
}

fn zipped(zip: Bytes) -> Response<Bytes> {
    let mut response = Response::new(zip);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/zip"));
    response
}

async fn show_clock(clockwork: &Clockwork) -> Response<Bytes> {
    let next = match clockwork.next().await {
        Ok(next) => next,
        Err(error) => return failed(&error),
    };
    let next = next.as_ref().map(shown);
    respond(
        StatusCode::OK,
        &json!({
            "now": clockwork.clock().now().iso(),
            "mode": "real",
            "ahead": banner::duration(clockwork.clock().offset()),
            "running": clockwork.running(),
            "next": next,
        }),
    )
}

/// A deadline as the admin API shows it.
fn shown(next: &Next) -> Value {
    json!({
        "at": next.at.iso(),
        "execution": next.execution.map(|id| id.to_string()),
        "name": next.name,
        "purpose": next.purpose,
    })
}

async fn advance(clockwork: &Clockwork, body: &Bytes) -> Response<Bytes> {
    let by = match serde_json::from_slice::<Advance>(body) {
        Ok(advance) => advance.by,
        Err(error) => {
            return refuse(
                StatusCode::BAD_REQUEST,
                &format!("the body must be like {{\"by\":\"30d\"}}: {error}"),
            );
        }
    };
    let Some(by) = parse_duration(&by).filter(|by| *by <= ADVANCE_MAX) else {
        let text = format!(
            "'{by}' is not a duration such as 30d, 1h30m, 45s or 250ms, of at most a hundred years"
        );
        return refuse(StatusCode::BAD_REQUEST, &text);
    };
    // The turn goes on even if the client does not wait for its end.
    let turned = clockwork.advance(by).await;
    let waiting = clockwork.next().await;
    match (turned, waiting) {
        (Ok(turned), Ok(next)) => respond(
            StatusCode::OK,
            &json!({
                "now": turned.now.iso(),
                "ahead": banner::duration(clockwork.clock().offset()),
                "delivered": turned.delivered,
                "running": turned.running,
                "next": next.as_ref().map(shown),
            }),
        ),
        (Err(error), _) | (_, Err(error)) => failed(&error),
    }
}

/// Reads `30d`, `1h30m`, `45s`, `250ms`: numbers with units, largest first or not, no signs.
fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let unit_end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let ms_each: u64 = match unit.trim() {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return None,
        };
        let ms = number.parse::<u64>().ok()?.checked_mul(ms_each)?;
        total = total.checked_add(Duration::from_millis(ms))?;
        rest = tail;
    }
    Some(total)
}

fn failed(error: &dyn std::error::Error) -> Response<Bytes> {
    tracing::error!(%error, "the admin API failed");
    refuse(StatusCode::INTERNAL_SERVER_ERROR, "failed; the log of durastack has the cause")
}

fn refuse(status: StatusCode, message: &str) -> Response<Bytes> {
    respond(status, &json!({ "message": message }))
}

fn respond(status: StatusCode, body: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(format!("{body}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, ms) in [
            ("30d", 2_592_000_000),
            ("1h30m", 5_400_000),
            ("45s", 45_000),
            ("250ms", 250),
            ("2w", 1_209_600_000),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(ms)), "{text}");
            assert_eq!(
                parse_duration(&banner::duration(Duration::from_millis(ms))),
                Some(Duration::from_millis(ms))
            );
        }
        for text in ["", "30", "d", "-1d", "1y", "1.5h", "99999999999999999999d"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
