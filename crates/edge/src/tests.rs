//! The server over real sockets on loopback.

use crate::{Context, Handler, Options, serve};
use bytes::Bytes;
use http::{Request, Response, StatusCode, request::Parts};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Longer than anything here takes; a test that reaches it has failed.
const PATIENCE: Duration = Duration::from_secs(10);

const LIMIT: usize = 10;

#[derive(Default)]
struct Echo {
    entered: Notify,
    released: Notify,
    hung_up: Notify,
    finished: AtomicUsize,
}

impl Handler for Echo {
    fn body_limit(&self, head: &Parts) -> usize {
        if head.uri.path() == "/large" { 1 << 20 } else { LIMIT }
    }

    fn too_large(&self, head: &Parts, context: &Context, length: Option<u64>) -> Response<Bytes> {
        assert_eq!(context.request_id.len(), 36);
        let text = format!("too large: {} {length:?}", head.uri.path());
        Response::builder().status(StatusCode::PAYLOAD_TOO_LARGE).body(text.into()).unwrap()
    }

    async fn call(
        self: Arc<Self>,
        request: Request<Bytes>,
        context: Context,
    ) -> Option<Response<Bytes>> {
        match request.uri().path() {
            "/panic" => panic!("on purpose"),
            "/none" => return None,
            "/own-id" => {
                let own = Response::builder().header("X-Amzn-RequestId", "own");
                return Some(own.body(Bytes::new()).unwrap());
            }
            "/other-id" => {
                let other = Response::builder().header("x-acs-request-id", "other");
                return Some(other.body(Bytes::new()).unwrap());
            }
            "/slow" => {
                self.entered.notify_one();
                self.released.notified().await;
                self.finished.fetch_add(1, Ordering::SeqCst);
            }
            "/wait" => {
                self.entered.notify_one();
                context.gone.cancelled().await;
                self.hung_up.notify_one();
                return None;
            }
            _ => {}
        }
        Some(Response::new(request.into_body()))
    }
}

struct Server {
    address: SocketAddr,
    echo: Arc<Echo>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Server {
    async fn start(options: Options) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, echo) = (listener.local_addr().unwrap(), Arc::new(Echo::default()));
        let stop = CancellationToken::new();
        let serving =
            TaskTracker::new().spawn(serve(listener, Arc::clone(&echo), options, stop.clone()));
        Self { address, echo, stop, serving }
    }

    async fn client(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

async fn send(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

/// Reads what the server sends until it closes.
async fn rest(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    let read = stream.read_to_end(&mut text);
    tokio::time::timeout(PATIENCE, read).await.expect("the server closes").unwrap();
    String::from_utf8(text).unwrap()
}

/// Reads until `end` has come.
async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    let read = async {
        while !text.ends_with(end) {
            text.push(char::from(stream.read_u8().await.unwrap()));
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("the server answers");
    text
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("happens soon")
}

/// The whole answer to one request on a connection of its own.
async fn exchange(server: &Server, request: &str) -> String {
    let mut client = server.client().await;
    send(&mut client, request).await;
    rest(client).await
}

#[tokio::test]
async fn answers_carry_a_date_and_an_id() {
    let server = Server::start(Options::default()).await;
    let ask = "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi";
    let (first, second) = (exchange(&server, ask).await, exchange(&server, ask).await);
    assert!(first.starts_with("HTTP/1.1 200 OK\r\n") && first.ends_with("\r\n\r\nhi"), "{first}");
    assert!(first.contains("\r\ndate: "), "{first}");
    let id = |answer: &str| {
        answer.lines().find_map(|l| l.strip_prefix("x-amzn-requestid: ").map(str::to_owned))
    };
    assert_eq!(id(&first).unwrap().len(), 36);
    assert_ne!(id(&first), id(&second));
    let own =
        exchange(&server, "GET /own-id HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert_eq!(id(&own).as_deref(), Some("own"));
    let other = "GET /other-id HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let other = exchange(&server, other).await;
    assert_eq!(id(&other), None);
    assert!(other.contains("\r\nx-acs-request-id: other\r\n"), "{other}");
}

#[tokio::test]
async fn a_body_has_its_limit_announced_or_not() {
    let server = Server::start(Options::default()).await;
    let announced =
        "POST /a HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 11\r\n\r\n12345678901";
    let answer = exchange(&server, announced).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.ends_with("too large: /a Some(11)"), "{answer}");

    let chunked = "POST /b HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n\
                   6\r\n123456\r\n5\r\n12345\r\n0\r\n\r\n";
    let answer = exchange(&server, chunked).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.ends_with("too large: /b None"), "{answer}");

    let just = "POST /b HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n\
                6\r\n123456\r\n4\r\n7890\r\n0\r\n\r\n";
    assert!(exchange(&server, just).await.ends_with("\r\n\r\n1234567890"));
}

#[tokio::test]
async fn a_client_that_asks_for_leave_sends_nothing_in_vain() {
    let server = Server::start(Options::default()).await;
    let mut client = server.client().await;
    let head = "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\nexpect: 100-continue\r\n";
    send(&mut client, &format!("{head}content-length: 3\r\n\r\n")).await;
    let leave = until(&mut client, "\r\n\r\n").await;
    assert!(leave.starts_with("HTTP/1.1 100 "), "{leave}");
    send(&mut client, "abc").await;
    assert!(rest(client).await.ends_with("\r\n\r\nabc"));

    let refused = exchange(&server, &format!("{head}content-length: 99\r\n\r\n")).await;
    assert!(refused.starts_with("HTTP/1.1 413 "), "{refused}");
}

#[tokio::test]
async fn one_connection_takes_many_requests_also_ahead_of_time() {
    let server = Server::start(Options::default()).await;
    let mut client = server.client().await;
    let ask = |n: u8| format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n#{n}");
    send(&mut client, &(ask(1) + &ask(2) + &ask(3))).await;
    for n in 1..=3 {
        until(&mut client, &format!("\r\n\r\n#{n}")).await;
    }
    send(&mut client, &ask(4)).await;
    until(&mut client, "#4").await;
}

#[tokio::test]
async fn a_large_body_arrives_whole() {
    let server = Server::start(Options::default()).await;
    let body = "0123456789abcdef".repeat(1 << 16);
    let head = "POST /large HTTP/1.1\r\nhost: x\r\nconnection: close\r\n";
    let whole =
        exchange(&server, &format!("{head}content-length: {}\r\n\r\n{body}", body.len())).await;
    assert!(whole.ends_with(&body));
}

#[tokio::test]
async fn a_panic_is_an_answer() {
    let server = Server::start(Options::default()).await;
    let mut client = server.client().await;
    send(&mut client, "GET /panic HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let answer = until(&mut client, r#"{"message":"Internal failure"}"#).await;
    assert!(answer.starts_with("HTTP/1.1 500 ") && answer.contains("x-amzn-requestid"), "{answer}");
    send(&mut client, "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nok").await;
    until(&mut client, "\r\n\r\nok").await;
}

#[tokio::test]
async fn no_answer_closes_the_connection() {
    let server = Server::start(Options::default()).await;
    assert_eq!(exchange(&server, "GET /none HTTP/1.1\r\nhost: x\r\n\r\n").await, "");
}

#[tokio::test]
async fn a_hang_up_is_noticed_and_cuts_nothing() {
    let server = Server::start(Options::default()).await;
    let mut client = server.client().await;
    send(&mut client, "GET /wait HTTP/1.1\r\nhost: x\r\n\r\n").await;
    soon(server.echo.entered.notified()).await;
    drop(client);
    soon(server.echo.hung_up.notified()).await;

    let mut client = server.client().await;
    send(&mut client, "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    soon(server.echo.entered.notified()).await;
    drop(client);
    server.echo.released.notify_one();
    server.stop.cancel();
    soon(server.serving).await.unwrap();
    assert_eq!(server.echo.finished.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_stop_finishes_what_is_in_flight_and_closes_what_is_idle() {
    let server = Server::start(Options::default()).await;
    let mut idle = server.client().await;
    send(&mut idle, "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\n!").await;
    until(&mut idle, "!").await;
    let mut waiter = server.client().await;
    send(&mut waiter, "GET /wait HTTP/1.1\r\nhost: x\r\n\r\n").await;
    soon(server.echo.entered.notified()).await;
    let mut busy = server.client().await;
    send(&mut busy, "POST /slow HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\ndone").await;
    soon(server.echo.entered.notified()).await;

    server.stop.cancel();
    assert_eq!(rest(idle).await, "");
    assert_eq!(rest(waiter).await, "");
    assert!(!server.serving.is_finished());
    server.echo.released.notify_one();
    assert!(rest(busy).await.ends_with("\r\n\r\ndone"));
    soon(server.serving).await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn grace_ends() {
    let options = Options { grace: Duration::from_millis(20), ..Options::default() };
    let server = Server::start(options).await;
    let mut busy = server.client().await;
    send(&mut busy, "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    soon(server.echo.entered.notified()).await;
    server.stop.cancel();
    soon(server.serving).await.unwrap();
    assert_eq!(rest(busy).await, "");
}

#[tokio::test]
async fn heads_have_a_limit_and_a_time() {
    let options = Options {
        header_bytes_max: 2_000_000,
        header_timeout: Some(Duration::from_millis(20)),
        ..Options::default()
    };
    let server = Server::start(options).await;
    let long = "a".repeat(1_500_000);
    let fits = format!("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\nlong: {long}\r\n\r\n");
    assert!(exchange(&server, &fits).await.starts_with("HTTP/1.1 200 "));
    let mut slow = server.client().await;
    send(&mut slow, "GET / HTTP/1.1\r\nhost").await;
    rest(slow).await;

    let server = Server::start(Options { header_bytes_max: 1000, ..Options::default() }).await;
    let long = "a".repeat(1000);
    let over = format!("GET / HTTP/1.1\r\nhost: x\r\nlong: {long}\r\n\r\n");
    assert!(exchange(&server, &over).await.starts_with("HTTP/1.1 431 "));
}

#[tokio::test]
async fn a_query_is_as_long_as_a_uri_can_be() {
    let server = Server::start(Options::default()).await;
    for (length, status) in [(65_000, 200), (100 * 1024, 414)] {
        let (query, more) = ("a".repeat(length), "b".repeat(20_000));
        let ask = format!(
            "GET /?{query} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nmore: {more}\r\n\r\n"
        );
        let answer = exchange(&server, &ask).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{length}: {answer}");
    }
}
