//! The Runtime API's listener: one per environment, since nothing in a request names the environment.
//!
//! It speaks hyper itself instead of going through the edge: streamed responses end in trailers, a body cut short
//! means something here, and a line of log per request would drown the others.

use crate::{
    answer,
    runtime_api::{
        Event, Invalid, Post, Posted, RESPONSE_BYTES_MAX, Refused, RuntimeApi, STREAMED_BYTES_MAX,
        Work,
    },
};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Bytes that the head of a request may have: the error cause header of the official clients goes up to 1 MiB.
const HEAD_BYTES_MAX: usize = 2 * 1024 * 1024;
/// How much of a body that is too large is read and thrown away, so that its sender gets to read the answer.
const DISCARD_BYTES_MAX: usize = 256 * 1024 * 1024;
/// An error document may have this many bytes; what is beyond is treated as a response that is too large.
const ERROR_BYTES_MAX: usize = RESPONSE_BYTES_MAX;

/// How long accepting rests after it failed for want of file descriptors or memory.
const ACCEPT_REST: Duration = Duration::from_millis(50);

const ERROR_TYPE: &str = "lambda-runtime-function-error-type";
const ERROR_BODY: &str = "lambda-runtime-function-error-body";
const RESPONSE_MODE: &str = "lambda-runtime-function-response-mode";

/// Serves until `stop`. `connections` is empty once every byte that came has been dealt with.
pub(crate) async fn serve(
    listener: TcpListener,
    api: Arc<RuntimeApi>,
    connections: TaskTracker,
    stop: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                stream.set_nodelay(true).ok();
                let (api, stop) = (Arc::clone(&api), stop.clone());
                connections.spawn(async move {
                    let service = service_fn(|request| {
                        let api = Arc::clone(&api);
                        async move { Ok::<_, Infallible>(call(&api, request).await) }
                    });
                    let connection = http1::Builder::new()
                        .max_buf_size(HEAD_BYTES_MAX)
                        .header_read_timeout(None)
                        .serve_connection(TokioIo::new(stream), service);
                    tokio::select! {
                        ended = connection => if let Err(error) = ended {
                            tracing::debug!(%error, "a connection to the Runtime API ended early");
                        },
                        () = stop.cancelled() => {}
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection to the Runtime API");
                tokio::time::sleep(ACCEPT_REST).await;
            }
        }
    }
}

async fn call(api: &RuntimeApi, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    if path == "/ping" {
        return only(&head.method, &Method::GET).unwrap_or_else(|| answer::text("pong"));
    }
    let parts: Vec<&str> =
        path.strip_prefix("/2018-06-01/runtime/").unwrap_or_default().split('/').collect();
    let wanted = match parts[..] {
        ["invocation", "next"] => Method::GET,
        ["init", "error"] | ["invocation", _, "response" | "error"] => Method::POST,
        _ => return answer::not_found(),
    };
    if let Some(refusal) = only(&head.method, &wanted) {
        return refusal;
    }
    match parts[..] {
        ["invocation", "next"] => match api.next().await {
            Ok(work) => next(&work),
            Err(refused) => answer::refused(refused),
        },
        ["init", "error"] => match read(body, ERROR_BYTES_MAX).await {
            Body::Whole(document, _) | Body::TooLarge(document) => {
                accept(api.init_error(Posted { document, header_type: error_type(&head.headers) }))
            }
            Body::Truncated => answer::truncated(),
        },
        ["invocation", id, "response"] => respond(api, id, &head.headers, body).await,
        ["invocation", id, _] => {
            if let Err(refused) = api.may_post(id, Post::Error) {
                return refuse(body, refused).await;
            }
            match read(body, ERROR_BYTES_MAX).await {
                Body::Whole(document, _) => {
                    let posted = Posted { document, header_type: error_type(&head.headers) };
                    accept(api.answer(id, Post::Error, Event::Error(posted)))
                }
                Body::TooLarge(_) => fail(api, id, Post::Error, Invalid::TooLarge),
                Body::Truncated => fail(api, id, Post::Error, Invalid::Truncated),
            }
        }
        _ => answer::not_found(),
    }
}

async fn respond(
    api: &RuntimeApi,
    id: &str,
    headers: &HeaderMap,
    body: Incoming,
) -> Response<Full<Bytes>> {
    if let Err(refused) = api.may_post(id, Post::Response) {
        return refuse(body, refused).await;
    }
    let limit = match headers.get(RESPONSE_MODE).map(HeaderValue::as_bytes) {
        None => RESPONSE_BYTES_MAX,
        Some(b"streaming") => STREAMED_BYTES_MAX,
        Some(_) => {
            read(body, 0).await;
            return fail(api, id, Post::Response, Invalid::Mode);
        }
    };
    match read(body, limit).await {
        Body::Whole(bytes, trailers) => {
            let event = match trailers.as_ref().and_then(mid_stream_error) {
                Some(posted) => Event::Error(posted),
                None => Event::Response(bytes),
            };
            accept(api.answer(id, Post::Response, event))
        }
        Body::TooLarge(_) => fail(api, id, Post::Response, Invalid::TooLarge),
        Body::Truncated => fail(api, id, Post::Response, Invalid::Truncated),
    }
}

fn next(work: &Work) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(work.event.clone()));
    let headers = response.headers_mut();
    // Exactly this: the official clients crash without it, and read another type as raw text.
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("lambda-runtime-deadline-ms", HeaderValue::from(work.deadline_ms));
    let mut put = |name, value: Option<&String>| {
        // A value that no header can hold is left out, as if the caller had not given it.
        if let Some(value) = value.and_then(|v| HeaderValue::from_bytes(v.as_bytes()).ok()) {
            headers.insert(name, value);
        }
    };
    put("lambda-runtime-aws-request-id", Some(&work.request_id));
    put("lambda-runtime-invoked-function-arn", Some(&work.invoked_arn));
    put("lambda-runtime-trace-id", work.trace_id.as_ref());
    put("lambda-runtime-client-context", work.client_context.as_ref());
    put("lambda-runtime-aws-tenant-id", work.tenant_id.as_ref());
    response
}

fn only(method: &Method, wanted: &Method) -> Option<Response<Full<Bytes>>> {
    (method != wanted).then(|| answer::wrong_method(wanted))
}

fn accept(result: Result<(), Refused>) -> Response<Full<Bytes>> {
    result.map_or_else(answer::refused, |()| answer::accepted())
}

/// Refuses, once the body is read: its sender reads no answer before.
async fn refuse(body: Incoming, refused: Refused) -> Response<Full<Bytes>> {
    read(body, 0).await;
    answer::refused(refused)
}

fn fail(api: &RuntimeApi, id: &str, post: Post, invalid: Invalid) -> Response<Full<Bytes>> {
    match api.answer(id, post, Event::Invalid(invalid)) {
        Ok(()) => answer::invalid(invalid),
        Err(refused) => answer::refused(refused),
    }
}

fn error_type(headers: &HeaderMap) -> Option<String> {
    headers.get(ERROR_TYPE)?.to_str().ok().map(str::to_owned)
}

/// A stream that failed in its middle says so in its trailers, of which only the document is sure to be there.
fn mid_stream_error(trailers: &HeaderMap) -> Option<Posted> {
    let encoded = trailers.get(ERROR_BODY)?;
    let document = BASE64_STANDARD.decode(encoded.as_bytes()).ok()?;
    Some(Posted { document: document.into(), header_type: error_type(trailers) })
}

enum Body {
    Whole(Bytes, Option<HeaderMap>),
    /// With what was within the limit.
    TooLarge(Bytes),
    Truncated,
}

async fn read(mut body: Incoming, limit: usize) -> Body {
    let mut whole = BytesMut::new();
    let (mut excess, mut trailers) = (0usize, None);
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Body::Truncated };
        match frame.into_data() {
            Ok(data) => {
                let room = data.len().min(limit - whole.len());
                whole.extend_from_slice(&data[..room]);
                excess += data.len() - room;
                if excess > DISCARD_BYTES_MAX {
                    break;
                }
            }
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    if excess > 0 { Body::TooLarge(whole.freeze()) } else { Body::Whole(whole.freeze(), trailers) }
}
