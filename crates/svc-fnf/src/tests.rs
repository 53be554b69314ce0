//! The service over a real store in a temporary folder, without sockets.

mod deletions;
mod errors;
mod executions;
mod golden;
mod tasks;

use crate::{Fnf, FunctionCredentials, LocalFunction, Parts, routes};
use bytes::Bytes;
use durastack_clock::{Clock, Entropy, Timestamp};
use durastack_driver::{Clockwork, Driver};
use durastack_engine::TokenKey;
use durastack_flow::Flow as Language;
use durastack_names::{AccountId, Region};
use durastack_runner::{Credentials, LogLine, Logs, Runner, Settings as RunnerSettings};
use durastack_store::Sqlite;
use durastack_wire::{
    Caller,
    rpc::{Parameters, Request, Routes},
};
use http::{Extensions, HeaderMap, Response};
use serde_json::Value;
use std::{path::Path, sync::Arc};

/// 2026-01-02T03:04:05.678Z.
const START: Timestamp = Timestamp::from_millis(1_767_323_045_678);
const GREET: &str = "version: v1\ntype: flow\nsteps:\n  - type: pass\n    name: greet\n    outputMappings:\n      - {target: hello, source: $input.who}\n";
const WAIT: &str =
    "version: v1\ntype: flow\nsteps:\n  - type: wait\n    name: rest\n    duration: 600\n";

/// A service that can be stopped and started again in its folder.
struct Service {
    routes: Routes<Fnf>,
    fnf: Arc<Fnf>,
    driver: Arc<Driver<Language>>,
    clockwork: Clockwork,
    store: Arc<Sqlite>,
    clock: Clock,
    folder: tempfile::TempDir,
    caller: Caller,
    functions: Vec<LocalFunction>,
    /// How often it was started: ids come from it, and must not come again.
    starts: u32,
}

/// Takes logs and gives keys; neither is looked at.
#[derive(Debug)]
struct Nowhere;

impl Logs for Nowhere {
    fn line(&self, _: LogLine<'_>) {}
}

impl FunctionCredentials for Nowhere {
    fn for_function(&self, _: &AccountId, _: &Region, _: &str) -> Credentials {
        Credentials::default()
    }
}

/// What came back.
struct Answer {
    status: u16,
    body: Value,
}

impl Answer {
    fn of(response: &Response<Bytes>) -> Self {
        Self {
            status: response.status().as_u16(),
            body: serde_json::from_slice(response.body()).unwrap(),
        }
    }

    fn text(&self, member: &str) -> &str {
        self.body[member].as_str().unwrap_or_else(|| panic!("no {member} in {}", self.body))
    }

    /// Panics unless it is a success.
    #[track_caller]
    fn succeeds(self) -> Self {
        assert_eq!(self.status, 200, "{}", self.body);
        self
    }

    /// Panics unless it is this error.
    #[track_caller]
    fn fails(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.text("Code")), (status, code), "{}", self.body);
    }
}

impl Service {
    async fn start() -> Self {
        Self::with_functions(Vec::new()).await
    }

    async fn with_functions(functions: Vec<LocalFunction>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::start_in(folder, Clock::manual(START), functions, 1).await
    }

    async fn start_in(
        folder: tempfile::TempDir,
        clock: Clock,
        functions: Vec<LocalFunction>,
        starts: u32,
    ) -> Self {
        let store = Arc::new(Sqlite::open(folder.path(), [7; 32]).unwrap());
        let driver: Arc<Driver<Language>> = Driver::new(store.clone(), clock.clone(), 1 << 20);
        let (here, run) = (folder.path().to_owned(), folder.path().join("run"));
        // Nothing here starts a process, so nothing is ever sent there.
        let settings = RunnerSettings::new("http://127.0.0.1:9".to_owned(), run, here);
        let runner = Runner::start(settings, clock.clone(), Arc::new(Nowhere)).await.unwrap();
        let fnf = Fnf::open(Parts {
            driver: Arc::clone(&driver),
            runner,
            functions: functions.clone(),
            credentials: Arc::new(Nowhere),
            tokens: TokenKey::new(&[7; 32]),
            clock: clock.clone(),
            entropy: Entropy::seeded(starts.into()),
        })
        .await
        .unwrap();
        driver.attach(Arc::clone(&fnf) as Arc<_>);
        driver.recover().await.unwrap();
        fnf.recover().await.unwrap();
        let caller = Caller {
            account: AccountId::local(),
            region: "cn-hangzhou".parse().unwrap(),
            access_key_id: "test".to_owned(),
            function: None,
        };
        let clockwork = Clockwork::new(clock.clone(), store.clone(), vec![driver.clone()]);
        let routes = routes();
        Self { routes, fnf, driver, clockwork, store, clock, folder, caller, functions, starts }
    }

    /// Ends the service and starts it again with what it has kept.
    async fn restart(self) -> Self {
        self.driver.detach();
        self.fnf.stop().await;
        self.driver.finish().await;
        self.store.close().await;
        Self::start_in(self.folder, self.clock, self.functions, self.starts + 1).await
    }

    async fn send(&self, request: Request) -> Response<Bytes> {
        self.routes.call(&self.fnf, request, Extensions::new()).await.expect("an answer")
    }

    fn request(&self, query: &str, headers: &HeaderMap, body: &[u8]) -> Request {
        let parameters = Parameters::read(query, headers, body).unwrap();
        let text = |name| parameters.text(name).unwrap_or_default().to_owned();
        Request {
            action: text("Action"),
            version: text("Version"),
            caller: self.caller.clone(),
            request_id: durastack_testkit::golden::REQUEST_ID.to_owned(),
            host: "localhost:4566".to_owned(),
            parameters,
        }
    }

    /// Calls an operation with these parameters.
    async fn call(&self, action: &str, parameters: &[(&str, &str)]) -> Answer {
        let mut query = format!("Action={action}&Version={}", crate::VERSION);
        for (name, value) in parameters {
            let value: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
            query.push_str(&format!("&{name}={value}"));
        }
        Answer::of(&self.send(self.request(&query, &HeaderMap::new(), b"")).await)
    }

    async fn create(&self, name: &str, definition: &str) -> Answer {
        let given = [("Name", name), ("Definition", definition), ("Description", "")];
        let parameters = [given[0], given[1], given[2], ("Type", "FDL")];
        self.call("CreateFlow", &parameters).await.succeeds()
    }

    async fn begin(&self, flow: &str, name: &str, input: &str) -> Answer {
        let parameters = [("FlowName", flow), ("ExecutionName", name), ("Input", input)];
        self.call("StartExecution", &parameters).await.succeeds()
    }

    async fn about(&self, action: &str, flow: &str, execution: &str) -> Answer {
        self.call(action, &[("FlowName", flow), ("ExecutionName", execution)]).await
    }

    /// The execution at its end.
    async fn ended(&self, flow: &str, execution: &str) -> Answer {
        let wait = [("FlowName", flow), ("ExecutionName", execution), ("WaitTimeSeconds", "60")];
        self.call("DescribeExecution", &wait).await.succeeds()
    }

    /// The types and details of its events.
    async fn history(&self, flow: &str, execution: &str) -> Vec<(String, Value)> {
        let answer = self.about("GetExecutionHistory", flow, execution).await.succeeds();
        let event = |event: &Value| {
            let detail = event["EventDetail"].as_str().unwrap();
            (event["Type"].as_str().unwrap().to_owned(), serde_json::from_str(detail).unwrap())
        };
        answer.body["Events"].as_array().unwrap().iter().map(event).collect()
    }

    /// The service with a flow that has ended, one that waits, and an execution `one` of each.
    async fn with_order() -> Self {
        let service = Self::start().await;
        service.create("order", GREET).await;
        service.create("wait", WAIT).await;
        service.begin("order", "one", r#"{"who":"Ada"}"#).await;
        service.begin("wait", "one", "{}").await;
        service
    }
}

#[test]
fn the_table_is_whole() {
    let routes = routes();
    assert_eq!(routes.ops().count(), 29);
    let built = routes.ops().filter(|op| op.coverage != durastack_wire::Coverage::None);
    let names: Vec<_> = built.map(|op| op.name).collect();
    assert_eq!(
        names,
        [
            "CreateFlow",
            "DeleteFlow",
            "DescribeExecution",
            "DescribeFlow",
            "GetExecutionHistory",
            "ListExecutions",
            "ListFlows",
            "ReportTaskFailed",
            "ReportTaskSucceeded",
            "StartExecution",
            "StopExecution",
            "UpdateFlow",
        ]
    );
}
