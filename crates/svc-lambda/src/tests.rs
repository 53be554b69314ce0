//! The service over a real store in a temporary folder, without sockets.

mod aliases;
mod errors;
mod events;
mod functions;
mod golden;
mod versions;

use crate::{Catalog, FunctionCredentials, Lambda, Parts, routes};
use bytes::Bytes;
use durastack_clock::{Clock, Entropy, Timestamp};
use durastack_driver::Driver;
use durastack_durable::RetryPolicy;
use durastack_engine::TokenKey;
use durastack_names::FunctionArn;
use durastack_runner::{Credentials, LogLine, Logs, Runner, Settings as RunnerSettings};
use durastack_store::Sqlite;
use durastack_wire::{Caller, Routes};
use http::{Method, Request, Response};
use serde_json::{Value, json};
use std::{path::Path, sync::Arc, time::Duration};

/// 2026-01-02T03:04:05.678Z.
const START: Timestamp = Timestamp::from_millis(1_767_323_045_678);
const WINDOW: Duration = Duration::from_millis(40);
const ACCOUNT: &str = "000000000000";
const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:order";
const ROLE: &str = "arn:aws:iam::000000000000:role/order";

/// `index.py` with a handler that returns 1, or 2.
const ZIP_1: &str = "UEsDBBQAAAAAAIMYIlwk0obxKgAAACoAAAAIAAAAaW5kZXgucHlkZWYgaGFuZGxlcihldmVudCwgY29udGV4dCk6CiAgICByZXR1cm4gMQpQSwECFAMUAAAAAACDGCJcJNKG8SoAAAAqAAAACAAAAAAAAAAAAAAApAEAAAAAaW5kZXgucHlQSwUGAAAAAAEAAQA2AAAAUAAAAAAA";
const ZIP_2: &str = "UEsDBBQAAAAAAIMYIlzngavaKgAAACoAAAAIAAAAaW5kZXgucHlkZWYgaGFuZGxlcihldmVudCwgY29udGV4dCk6CiAgICByZXR1cm4gMgpQSwECFAMUAAAAAACDGCJc54Gr2ioAAAAqAAAACAAAAAAAAAAAAAAApAEAAAAAaW5kZXgucHlQSwUGAAAAAAEAAQA2AAAAUAAAAAAA";

/// A service that can be stopped and started again in its folder.
struct Service {
    routes: Routes<Lambda>,
    lambda: Arc<Lambda>,
    store: Arc<Sqlite>,
    clock: Clock,
    folder: tempfile::TempDir,
    caller: Caller,
}

/// Takes logs and gives keys; neither is looked at.
#[derive(Debug)]
struct Nowhere;

impl Logs for Nowhere {
    fn line(&self, _: LogLine<'_>) {}
}

impl FunctionCredentials for Nowhere {
    fn for_function(&self, _: &FunctionArn) -> Credentials {
        Credentials::default()
    }
}

/// What came back.
struct Answer {
    status: u16,
    code: String,
    body: Value,
}

impl Answer {
    fn of(response: &Response<Bytes>) -> Self {
        let code = response.headers().get("x-amzn-errortype");
        Self {
            status: response.status().as_u16(),
            code: code.map_or_else(String::new, |c| c.to_str().unwrap().to_owned()),
            body: serde_json::from_slice(response.body()).unwrap_or(Value::Null),
        }
    }

    fn text(&self, member: &str) -> &str {
        self.body[member].as_str().unwrap_or_else(|| panic!("no {member} in {}", self.body))
    }

    fn message(&self) -> &str {
        let member = if self.body["message"].is_string() { "message" } else { "Message" };
        self.text(member)
    }

    /// Panics unless it is this success.
    #[track_caller]
    fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{} {}", self.code, self.body);
        self
    }

    /// Panics unless it is this error.
    #[track_caller]
    fn fails(&self, status: u16, code: &str, message: &str) {
        assert_eq!((self.status, &*self.code), (status, code), "{}", self.body);
        assert_eq!(self.message(), message);
    }
}

impl Service {
    async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), Clock::manual(START)).await
    }

    async fn start_in(folder: tempfile::TempDir, clock: Clock) -> Self {
        let store = Arc::new(Sqlite::open(folder.path(), [7; 32]).unwrap());
        let code = folder.path().join("code");
        let (shared, entropy) = (Arc::clone(&store), Entropy::seeded(1));
        let catalog = Catalog::open(shared, code, clock.clone(), entropy, WINDOW).await.unwrap();
        let (here, run) = (folder.path().to_owned(), folder.path().join("run"));
        // Nothing here starts a process, so nothing is ever sent there.
        let settings = RunnerSettings::new("http://127.0.0.1:9".to_owned(), run, here);
        let runner = Runner::start(settings, clock.clone(), Arc::new(Nowhere)).await.unwrap();
        let lambda = Lambda::new(Parts {
            catalog,
            driver: Driver::new(store.clone(), clock.clone(), 1 << 20),
            runner,
            credentials: Arc::new(Nowhere),
            tokens: TokenKey::new(&[7; 32]),
            clock: clock.clone(),
            retries: RetryPolicy::default(),
        });
        let caller = Caller {
            account: ACCOUNT.parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
            access_key_id: "test".to_owned(),
            function: None,
        };
        Self { routes: routes(), lambda, store, clock, folder, caller }
    }

    async fn restart(self) -> Self {
        self.store.close().await;
        Self::start_in(self.folder, self.clock).await
    }

    async fn send(&self, request: Request<Bytes>) -> Response<Bytes> {
        let found = self.routes.find(request.method(), request.uri()).expect("an operation");
        let id = durastack_testkit::golden::REQUEST_ID.to_owned();
        self.routes
            .call(&self.lambda, found, request, self.caller.clone(), id)
            .await
            .expect("an answer")
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> Answer {
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let request = Request::builder().method(method).uri(format!("/2015-03-31/functions{path}"));
        Answer::of(&self.send(request.body(body).unwrap()).await)
    }

    async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, Value::Null).await
    }

    async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PUT, path, body).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, body).await
    }

    async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, Value::Null).await
    }

    /// Creates a function with these members beside those that must be there.
    async fn create(&self, name: &str, members: Value) -> Answer {
        self.post("", new(name, members)).await
    }

    /// The service with the function `order`, whose creation is over.
    async fn with_order() -> Self {
        let service = Self::start().await;
        service.create("order", Value::Null).await.is(201);
        service.settle();
        service
    }

    /// Ends the window of the last change.
    fn settle(&self) {
        self.clock.turn(WINDOW);
    }
}

/// The body that creates a function.
fn new(name: &str, members: Value) -> Value {
    let mut body = json!({
        "FunctionName": name,
        "Role": ROLE,
        "Runtime": "python3.13",
        "Handler": "index.handler",
        "Code": {"ZipFile": ZIP_1},
    });
    if let Value::Object(members) = members {
        for (member, value) in members {
            body[member] = value;
        }
    }
    body
}

#[test]
fn the_table_is_whole() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/lambda/operations.txt");
    let expected = std::fs::read_to_string(path).unwrap();
    let routes = routes();
    let mut lines: Vec<_> = routes
        .ops()
        .map(|op| {
            let path = op.path.replace("+}", "}");
            // The model says 200 and lets the answer say 204, which is what the service has always sent.
            let status = if op.name == "DeleteFunction" { 200 } else { op.success.as_u16() };
            format!("{} {} {path} {status}", op.name, op.method)
        })
        .collect();
    lines.sort();
    assert_eq!(lines, expected.lines().collect::<Vec<_>>());
    for op in routes.ops() {
        let path = op.path.replace(['{', '}'], "");
        let found = routes.find(&op.method, &path.parse().unwrap());
        assert_eq!(found.map(|f| f.op.name), Some(op.name));
    }
}
