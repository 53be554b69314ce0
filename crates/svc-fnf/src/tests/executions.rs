//! Starts, names, lists, long polls and stops.

use super::*;
use crate::FnfError;
use durastack_wire::{Call, rpc::FromParameters};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn a_start_answers_before_anything_has_happened() {
    let service = Service::start().await;
    service.create("order", GREET).await;
    let begun = service.begin("order", "one", r#"{ "who": "Ada" }"#).await;
    assert_eq!(
        (begun.text("Status"), begun.text("Output"), begun.text("StoppedTime")),
        ("", "", "")
    );
    assert_eq!(begun.text("Input"), r#"{ "who": "Ada" }"#);
    let found = service.about("DescribeExecution", "order", "one").await.succeeds();
    assert_eq!((found.text("Status"), found.text("Output")), ("Succeeded", r#"{"hello":"Ada"}"#));
}

#[tokio::test]
async fn an_input_that_no_execution_could_read_begins_none() {
    let service = Service::start().await;
    service.create("order", GREET).await;
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(500), "]".repeat(500));
    for input in [r#"{"n":1e400}"#, "[]", "{", &deep] {
        let start = [("FlowName", "order"), ("ExecutionName", "one"), ("Input", input)];
        service.call("StartExecution", &start).await.fails(400, "InvalidArgument");
    }
    service.about("DescribeExecution", "order", "one").await.fails(404, "ExecutionNotExists");
}

#[tokio::test]
async fn a_flow_has_a_description_which_may_be_empty() {
    let service = Service::start().await;
    let given = [("Name", "order"), ("Definition", GREET), ("Type", "FDL")];
    let refused = service.call("CreateFlow", &given).await;
    refused.fails(400, "MissingRequiredParams");
    assert_eq!(refused.text("Message"), "The HTTP query 'Description' must be specified.");
    assert_eq!(service.create("order", GREET).await.text("Description"), "");
}

#[tokio::test]
async fn the_clock_says_what_is_waited_for() {
    let service = Service::with_order().await;
    let next = service.clockwork.next().await.unwrap().unwrap();
    assert_eq!((next.dialect, &*next.name, &*next.purpose), ("flow", "one", "wait 'rest'"));
}

#[tokio::test]
async fn a_name_means_what_runs_and_is_never_free_again() {
    let service = Service::with_order().await;
    let again = service.begin("wait", "one", r#"{"other":1}"#).await;
    assert_eq!((again.text("Input"), again.text("Status")), ("{}", "Running"));
    service.about("StopExecution", "wait", "one").await.succeeds();
    let taken = service.about("StartExecution", "wait", "one").await;
    taken.fails(400, "ExecutionAlreadyExists");
}

#[tokio::test]
async fn a_name_stays_taken_over_a_restart() {
    let service = Service::with_order().await.restart().await;
    service.about("StartExecution", "order", "one").await.fails(400, "ExecutionAlreadyExists");
    let found = service.about("DescribeExecution", "wait", "one").await.succeeds();
    assert_eq!(found.text("Status"), "Running");
    service.clockwork.advance(Duration::from_secs(600)).await.unwrap();
    assert_eq!(service.ended("wait", "one").await.text("Status"), "Succeeded");
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let service = Service::start().await;
    service.create("wait", WAIT).await;
    for name in ["run-1", "run-2", "other", "run-3"] {
        service.begin("wait", name, "{}").await;
        service.clock.turn(Duration::from_secs(1));
    }
    service.about("StopExecution", "wait", "run-2").await.succeeds();
    let check = async |filter: &[(&str, &str)], limit: &str, expected: &[&str]| {
        let mut names = Vec::new();
        let mut token = String::new();
        loop {
            let page = [("FlowName", "wait"), ("Limit", limit), ("NextToken", &token)];
            let page = [&page, filter].concat();
            let answer = service.call("ListExecutions", &page).await.succeeds();
            let executions = answer.body["Executions"].as_array().unwrap();
            names.extend(executions.iter().map(|each| each["Name"].as_str().unwrap().to_owned()));
            match answer.body.get("NextToken") {
                Some(next) => token = next.as_str().unwrap().to_owned(),
                None => break,
            }
        }
        assert_eq!(names, expected, "{filter:?} {limit}");
    };
    for limit in ["1", "2", "60"] {
        check(&[], limit, &["run-3", "other", "run-2", "run-1"]).await;
        check(&[("Status", "Running")], limit, &["run-3", "other", "run-1"]).await;
        check(&[("ExecutionNamePrefix", "run-")], limit, &["run-3", "run-2", "run-1"]).await;
        let both = [("ExecutionNamePrefix", "run-"), ("Status", "Stopped")];
        check(&both, limit, &["run-2"]).await;
        let begin = ("StartedTimeBegin", "2026-01-02T03:04:06.678Z");
        check(&[begin], limit, &["run-3", "other", "run-2"]).await;
        let end = ("StartedTimeEnd", "2026-01-02T11:04:06.678+08:00");
        check(&[end], limit, &["run-2", "run-1"]).await;
        check(&[begin, end], limit, &["run-2"]).await;
    }
}

/// Executions that started in the same millisecond are told apart by their ids.
#[tokio::test]
async fn pages_split_a_millisecond() {
    let service = Service::start().await;
    service.create("order", GREET).await;
    for number in 0..5 {
        service.begin("order", &format!("run-{number}"), "{}").await;
    }
    let mut seen = std::collections::BTreeSet::new();
    let mut token = String::new();
    for _ in 0..5 {
        let page = [("FlowName", "order"), ("Limit", "1"), ("NextToken", &*token)];
        let answer = service.call("ListExecutions", &page).await.succeeds();
        assert!(seen.insert(answer.body["Executions"][0]["Name"].as_str().unwrap().to_owned()));
        token = answer.body["NextToken"].as_str().unwrap_or_default().to_owned();
    }
    assert!(token.is_empty());
}

/// Asks with a long poll of an hour's patience, as a client that may go away.
async fn poll(service: &Service, gone: &CancellationToken) -> Result<(), FnfError> {
    let query = "FlowName=wait&ExecutionName=one&WaitTimeSeconds=60";
    let parameters = Parameters::read(query, &HeaderMap::new(), b"").unwrap();
    let input = crate::executions::DescribeInput::from_parameters(&parameters).unwrap();
    let mut extensions = Extensions::new();
    extensions.insert(gone.clone());
    let call = Call { caller: service.caller.clone(), request_id: String::new(), extensions };
    crate::executions::describe(Arc::clone(&service.fnf), input, call).await.map(drop)
}

#[tokio::test]
async fn a_long_poll_ends_with_the_execution_or_with_its_client() {
    let service = Service::with_order().await;
    let gone = CancellationToken::new();
    let (answer, ()) = tokio::join!(poll(&service, &gone), async { gone.cancel() });
    assert!(matches!(answer, Err(FnfError::Gone)));

    let (answer, stopped) =
        tokio::join!(service.ended("wait", "one"), service.about("StopExecution", "wait", "one"));
    stopped.succeeds();
    assert_eq!(answer.text("Status"), "Stopped");
}

#[tokio::test]
async fn a_stop_says_running_and_the_next_look_stopped() {
    let service = Service::with_order().await;
    service.clock.turn(Duration::from_secs(2));
    let reason =
        [("FlowName", "wait"), ("ExecutionName", "one"), ("Error", "Enough"), ("Cause", "of this")];
    let answer = service.call("StopExecution", &reason).await.succeeds();
    let members: Vec<_> = answer.body.as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        members,
        [
            "FlowDefinition",
            "FlowName",
            "Input",
            "Name",
            "Output",
            "RequestId",
            "StartedTime",
            "Status",
            "StoppedTime",
        ]
    );
    assert_eq!((answer.text("Status"), answer.text("Output")), ("Running", ""));
    assert_eq!(answer.text("StoppedTime"), "2026-01-02T03:04:07.678Z");
    let found = service.about("DescribeExecution", "wait", "one").await.succeeds();
    assert_eq!(
        (found.text("Status"), found.text("StoppedTime"), found.text("Output")),
        ("Stopped", answer.text("StoppedTime"), "")
    );
    let (kind, detail) = service.history("wait", "one").await.pop().unwrap();
    assert_eq!(kind, "ExecutionStopped");
    assert_eq!(detail, serde_json::json!({"error": "Enough", "cause": "of this"}));
}

#[tokio::test]
async fn of_two_stops_at_once_one_succeeds() {
    let service = Service::with_order().await;
    let (one, other) = tokio::join!(
        service.about("StopExecution", "wait", "one"),
        service.about("StopExecution", "wait", "one")
    );
    let late = if one.status == 200 { other } else { one };
    late.fails(400, "ExecutionAlreadyCompleted");
}
