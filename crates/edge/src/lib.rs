//! Sockets: reads requests, keeps their limits, runs each as a task, and writes the answers.
//!
//! The only crate that sees a body arriving; everybody else is handed it whole. It knows no service and no protocol
//! above HTTP/1.1.

mod body;
mod connection;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use durastack_clock::Entropy;
use http::{Request, Response, request::Parts};
use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

/// What is known of a request besides the request itself.
#[derive(Debug, Clone)]
pub struct Context {
    /// A UUID of its own, lower case with hyphens; the answer carries it as `x-amzn-RequestId`, unless it names its
    /// request in `x-acs-request-id`.
    pub request_id: String,
    /// Where the connection comes from.
    pub peer: SocketAddr,
    /// Cancelled when the client hangs up, when the server stops, and (harmlessly) after the answer.
    ///
    /// Whoever waits for something outside waits for this as well. Work that must not stop half-way ignores it.
    pub gone: CancellationToken,
}

/// What a server serves.
pub trait Handler: Send + Sync + 'static {
    /// How many bytes of body this request may have; decided from the head alone, and read only that far. Not asked
    /// when there is no body.
    fn body_limit(&self, head: &Parts) -> usize;

    /// The answer to a body that is longer than its limit. `length` is what `Content-Length` announced; absent when
    /// the body came in chunks, whose sum is not known.
    fn too_large(&self, head: &Parts, context: &Context, length: Option<u64>) -> Response<Bytes>;

    /// Answers a request. It runs to its end even if the client hangs up.
    ///
    /// `None` closes the connection without an answer: a waiter whose server stops must not get a made-up one.
    fn call(
        self: Arc<Self>,
        request: Request<Bytes>,
        context: Context,
    ) -> impl Future<Output = Option<Response<Bytes>>> + Send;
}

/// The limits of a server.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many bytes the request line and the headers may have together; beyond that the answer is 431.
    ///
    /// By default 128 KiB: as much for headers as for the longest target that the `http` crate's `Uri` holds, 65,534
    /// bytes. A longer target gets 414.
    ///
    /// Differs: the longest target that a client sends by right is an execution's input in the query, whose 32 KiB of
    /// JSON become three times as long if each byte is written as `%XX`. One that long must come as a form.
    /// Source: limits page of Serverless Workflow, data of a step.
    pub header_bytes_max: usize,
    /// How long a client may take to send a request's head, and how long a connection may lie idle between two
    /// requests. `None`: for ever, for clients that are known to us and keep one connection through long work.
    pub header_timeout: Option<Duration>,
    /// How long a client may pause within a body before the connection is closed.
    pub body_pause_max: Duration,
    /// How much of a body that is too long is read and thrown away, so that a client which first sends everything
    /// gets to read its answer instead of a broken connection.
    pub discard_bytes_max: usize,
    /// How long requests in flight may take to finish once the server stops.
    pub grace: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            header_bytes_max: 128 * 1024,
            header_timeout: Some(Duration::from_secs(75)),
            body_pause_max: Duration::from_secs(60),
            discard_bytes_max: 16 * 1024 * 1024,
            grace: Duration::from_secs(5),
        }
    }
}

/// How long accepting rests after it failed for want of file descriptors or memory.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// Serves until `stop` is cancelled and what was in flight is finished, or [`Options::grace`] is over.
///
/// Idle connections are closed at the stop. A request that is still running after the grace keeps running, but its
/// connection is closed.
pub async fn serve<H: Handler>(
    listener: TcpListener,
    handler: Arc<H>,
    options: Options,
    stop: CancellationToken,
) {
    let connections = TaskTracker::new();
    let operations = TaskTracker::new();
    let abort = CancellationToken::new();
    let grace = options.grace;
    let server = Arc::new(connection::Server {
        handler,
        options,
        operations: operations.clone(),
        stop: stop.clone(),
        abort: abort.clone(),
    });
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let server = Arc::clone(&server);
                connections.spawn(server.connection(stream, peer, Entropy::system()));
            }
            Err(error) if concerns_one_connection(&error) => {
                debug!(%error, "a connection was gone before it was accepted");
            }
            Err(error) => {
                warn!(%error, "failed to accept a connection");
                tokio::time::sleep(ACCEPT_REST).await;
            }
        }
    }
    drop(listener);
    connections.close();
    operations.close();
    let drained = async {
        connections.wait().await;
        operations.wait().await;
    };
    if tokio::time::timeout(grace, drained).await.is_err() {
        warn!(unfinished = operations.len(), "closed connections of requests that did not finish");
        abort.cancel();
        connections.wait().await;
    }
}

fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
