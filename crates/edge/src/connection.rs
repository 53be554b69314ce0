//! One connection: hyper's side of it, and the way of each request to the handler and back.

use crate::{
    Context, Handler, Options,
    body::{self, Arrival},
};
use bytes::Bytes;
use durastack_clock::{Entropy, Stopwatch};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header, request::Parts};
use http_body_util::Full;
use hyper::{
    body::{Body, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    net::SocketAddr,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::net::TcpStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument, debug, error, field::Empty, info, info_span, trace};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
/// An answer that has this one is of the other cloud, and names its request by itself.
const ALIYUN_REQUEST_ID: HeaderName = HeaderName::from_static("x-acs-request-id");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// Requests to this path are reported at `debug`: whoever asks every second for health fills no log.
const HEALTH_PATH: &str = "/_durastack/health";

/// hyper's buffer must hold a whole head, and holds this much by itself.
const BUFFER_BYTES_MIN: usize = 64 * 1024;

/// What all connections of a server share.
pub(crate) struct Server<H> {
    pub(crate) handler: Arc<H>,
    pub(crate) options: Options,
    pub(crate) operations: TaskTracker,
    /// No new requests; those in flight finish.
    pub(crate) stop: CancellationToken,
    /// The grace is over.
    pub(crate) abort: CancellationToken,
}

/// Why hyper gets no response: it then closes the connection.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed without an answer")]
struct NoAnswer;

impl<H: Handler> Server<H> {
    pub(crate) async fn connection(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        entropy: Entropy,
    ) {
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "failed to switch off Nagle's algorithm");
        }
        let gone = self.stop.child_token();
        // Never contended: hyper calls the service from this task alone, but wants it `Sync`.
        let entropy = Mutex::new(entropy);
        let service = service_fn(|request: Request<Incoming>| {
            let context = Context {
                request_id: entropy.lock().unwrap_or_else(PoisonError::into_inner).uuid(),
                peer,
                gone: gone.child_token(),
            };
            Arc::clone(&self).request(request, context)
        });
        let header_bytes_max = self.options.header_bytes_max;
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.options.header_timeout)
            .max_header_size(header_bytes_max)
            .max_buf_size(BUFFER_BYTES_MIN.max(header_bytes_max.saturating_add(BUFFER_BYTES_MIN)))
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection.as_mut() => ended,
                    () = self.abort.cancelled() => return,
                }
            }
        };
        if let Err(error) = ended {
            trace!(%error, %peer, "a connection ended early");
        }
    }

    /// Reads the body and has the handler answer, in a task that survives this future: hyper drops it when the
    /// client hangs up, which cancels [`Context::gone`].
    async fn request(
        self: Arc<Self>,
        request: Request<Incoming>,
        context: Context,
    ) -> Result<Response<Full<Bytes>>, NoAnswer> {
        let _gone = context.gone.clone().drop_guard();
        let stopwatch = Stopwatch::start();
        let request_id = HeaderValue::from_str(&context.request_id).map_err(|_| NoAnswer)?;
        let span = info_span!(
            "request",
            request_id = %context.request_id,
            service = Empty,
            operation = Empty,
            account = Empty,
            region = Empty,
            code = Empty,
        );
        let (head, mut body) = request.into_parts();
        let quiet = head.uri.path() == HEALTH_PATH;
        let answer = match self.body(&head, &mut body, &context).await {
            Ok(body) => {
                let request = Request::from_parts(head, body);
                let call = Arc::clone(&self.handler).call(request, context);
                let operation = async move {
                    let answer = call.await;
                    report(answer.as_ref().map(Response::status), quiet, stopwatch);
                    answer
                };
                let task = self.operations.spawn(operation.instrument(span.clone()));
                match task.await {
                    Ok(answer) => answer,
                    Err(failure) => {
                        let _entered = span.enter();
                        error!(%failure, "an operation panicked");
                        report(Some(StatusCode::INTERNAL_SERVER_ERROR), quiet, stopwatch);
                        Some(internal_failure())
                    }
                }
            }
            Err(answer) => {
                let _entered = span.enter();
                report(answer.as_ref().map(Response::status), quiet, stopwatch);
                answer
            }
        };
        let mut answer = answer.ok_or(NoAnswer)?;
        if !answer.headers().contains_key(ALIYUN_REQUEST_ID) {
            answer.headers_mut().entry(REQUEST_ID).or_insert(request_id);
        }
        Ok(answer.map(Full::new))
    }

    /// The body, or the answer to a request whose body cannot be had.
    async fn body(
        &self,
        head: &Parts,
        body: &mut Incoming,
        context: &Context,
    ) -> Result<Bytes, Option<Response<Bytes>>> {
        // Most requests that only ask have none, and then nobody need look for its limit.
        if body.is_end_stream() {
            return Ok(Bytes::new());
        }
        let limit = self.handler.body_limit(head);
        let length = body.size_hint().exact();
        let pause = self.options.body_pause_max;
        if length.is_none_or(|n| n <= u64::try_from(limit).unwrap_or(u64::MAX)) {
            match body::read(body, limit, pause).await {
                Arrival::Whole(bytes) => return Ok(bytes),
                Arrival::Broken => return Err(None),
                Arrival::TooLarge => {}
            }
        }
        // A client that asked for leave to send has sent nothing and reads our answer at once.
        if !head.headers.contains_key(header::EXPECT) {
            body::discard(body, self.options.discard_bytes_max, pause).await;
        }
        Err(Some(self.handler.too_large(head, context, length)))
    }
}

/// The one line that each finished request has.
fn report(status: Option<StatusCode>, quiet: bool, stopwatch: Stopwatch) {
    let status = status.map_or(0, |s| s.as_u16());
    // Whole microseconds are all that anybody reads.
    let elapsed_ms = (stopwatch.elapsed().as_secs_f64() * 1e6).round() / 1e3;
    if quiet {
        debug!(status, elapsed_ms, "request completed");
    } else {
        info!(status, elapsed_ms, "request completed");
    }
}

/// Says nothing about the cause: that is in the log, under the request's id.
fn internal_failure() -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(br#"{"message":"Internal failure"}"#));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ERROR_TYPE, HeaderValue::from_static("InternalFailure"));
    response
}
