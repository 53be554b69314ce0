//! Tasks: functions with scripted replies, tokens and who may use them, flows that start flows.

use super::*;
use crate::{Made, Reply};
use durastack_runner::FcIdentity;
use serde_json::json;
use std::time::Duration;

const CALL: &str = "version: v1\ntype: flow\nsteps:\n  - type: task\n    name: call\n    resourceArn: acs:fc:::services/any.prod/functions/f\n";
const ASK: &str = "version: v1\ntype: flow\nsteps:\n  - type: task\n    name: ask\n    resourceArn: acs:fc:::functions/f/LATEST\n    pattern: waitForCallback\n    inputMappings:\n      - {target: token, source: $context.task.token}\n";
const PARENT: &str = "version: v1\ntype: flow\nsteps:\n  - type: task\n    name: sub\n    resourceArn: acs:fnf:::flow/order\n    pattern: sync\n    serviceParams:\n      Input: $\n      ExecutionName: $.run\n";

fn replies(replies: &[Reply]) -> Vec<LocalFunction> {
    vec![LocalFunction { name: "f".to_owned(), made: Made::OfReplies(replies.to_vec()) }]
}

fn result(text: &str) -> Reply {
    Reply::Result(text.to_owned())
}

/// A service with a flow that waits for a report, an execution `one` of it, and the token.
async fn asked() -> (Service, String) {
    let service = Service::with_functions(replies(&[result("{}")])).await;
    service.create("ask", ASK).await;
    service.begin("ask", "one", "{}").await;
    service.clockwork.advance(Duration::ZERO).await.unwrap();
    let history = service.history("ask", "one").await;
    assert_eq!(history.last().unwrap().0, "TaskSubmitted");
    let token = history[2].1["input"]["token"].as_str().unwrap().to_owned();
    (service, token)
}

async fn report(service: &Service, token: &str) -> Answer {
    let parameters = [("TaskToken", token), ("Output", r#"{"ok":true}"#)];
    service.call("ReportTaskSucceeded", &parameters).await
}

#[tokio::test]
async fn functions_answer_or_fail_by_name() {
    let check = async |reply: Reply, expected: Value| {
        let service = Service::with_functions(replies(&[reply])).await;
        service.create("call", CALL).await;
        service.begin("call", "one", "{}").await;
        service.ended("call", "one").await;
        assert_eq!(service.history("call", "one").await.pop().unwrap().1, expected);
    };
    check(result(r#"{"n":1}"#), json!({"output": {"n": 1}})).await;
    let refused = Reply::Refused { status: 429, code: String::new(), message: "busy".to_owned() };
    check(refused, json!({"error": "FC.ResourceExhausted", "cause": "busy"})).await;
    let document = json!({"errorType": "Declined", "errorMessage": "no funds"}).to_string();
    let failed = json!({"error": "Declined", "cause": "no funds"});
    check(Reply::FunctionError(document), failed).await;
}

#[tokio::test]
async fn a_function_that_is_not_declared_is_not_found() {
    let service = Service::start().await;
    service.create("call", CALL).await;
    service.begin("call", "one", "{}").await;
    assert_eq!(service.ended("call", "one").await.text("Status"), "Failed");
    let (_, detail) = service.history("call", "one").await.pop().unwrap();
    assert_eq!(detail["error"], "FC.FunctionNotFound");
}

#[tokio::test]
async fn a_report_is_an_event_and_comes_once() {
    let (service, token) = asked().await;
    let answer = report(&service, &token).await.succeeds();
    assert_eq!(answer.body["EventId"], 6);
    report(&service, &token).await.fails(400, "TaskAlreadyCompleted");
    let found = service.ended("ask", "one").await;
    assert_eq!(found.text("Output"), r#"{"ok":true}"#);
}

#[tokio::test]
async fn a_token_is_its_accounts_and_holds_over_a_restart() {
    let (service, token) = asked().await;
    let mut service = service.restart().await;
    let own = service.caller.clone();
    service.caller.account = "123456789012".parse().unwrap();
    report(&service, &token).await.fails(403, "AccessDenied");
    service.create("order", GREET).await;
    let callback = [("FlowName", "order"), ("CallbackFnFTaskToken", &*token)];
    service.call("StartExecution", &callback).await.fails(403, "AccessDenied");
    service.caller = own;
    report(&service, "AA==").await.fails(400, "InvalidArgument");
    report(&service, &token).await.succeeds();
}

/// A token of a task that waits for a flow, and for nobody's word.
#[tokio::test]
async fn a_task_that_waits_for_no_report_is_in_an_invalid_state() {
    let service = Service::start().await;
    let definition = format!(
        "{PARENT}    inputMappings:\n      - {{target: run, source: child}}\n      - {{target: token, source: $context.task.token}}\n"
    );
    service.create("parent", &definition).await;
    service.create("order", WAIT).await;
    service.begin("parent", "one", "{}").await;
    let history = service.history("parent", "one").await;
    let token = history[2].1["input"]["token"].as_str().unwrap();
    report(&service, token).await.fails(409, "TaskInvalidState");
}

#[tokio::test]
async fn reports_go_with_their_flow() {
    let (service, token) = asked().await;
    service.call("DeleteFlow", &[("Name", "ask")]).await.succeeds();
    report(&service, &token).await.fails(400, "TaskAlreadyCompleted");
}

#[tokio::test]
async fn an_execution_reports_its_own_end_to_a_token() {
    let (service, token) = asked().await;
    service.create("order", GREET).await;
    let parameters =
        [("FlowName", "order"), ("Input", r#"{"who":"Ada"}"#), ("CallbackFnFTaskToken", &*token)];
    service.call("StartExecution", &parameters).await.succeeds();
    let found = service.ended("ask", "one").await;
    assert_eq!(found.text("Output"), r#"{"hello":"Ada"}"#);
    let parameters = [("FlowName", "order"), ("CallbackFnFTaskToken", "AA==")];
    service.call("StartExecution", &parameters).await.fails(400, "InvalidArgument");
}

#[tokio::test]
async fn a_flow_waits_for_another_one() {
    let service = Service::start().await;
    service.create("parent", PARENT).await;
    let input = r#"{"who":"Ada","run":"child"}"#;
    service.begin("parent", "early", input).await;
    service.ended("parent", "early").await;
    let (_, detail) = service.history("parent", "early").await.pop().unwrap();
    assert_eq!(detail["error"], "fnf.FlowNotExists");

    service.create("order", GREET).await;
    service.begin("parent", "one", input).await;
    assert_eq!(service.ended("parent", "one").await.text("Output"), r#"{"hello":"Ada"}"#);
    assert_eq!(service.ended("order", "child").await.text("Status"), "Succeeded");

    service.begin("parent", "two", input).await;
    service.ended("parent", "two").await;
    let (_, detail) = service.history("parent", "two").await.pop().unwrap();
    assert_eq!(detail["error"], "fnf.ExecutionAlreadyExists");
}

#[tokio::test]
async fn code_that_is_edited_gets_environments_of_its_own() {
    let service = Service::start().await;
    let folder = tempfile::tempdir().unwrap();
    let identity = |name: &str| FcIdentity {
        account: "1".to_owned(),
        region: "cn-hangzhou".parse().unwrap(),
        service: None,
        name: name.to_owned(),
        qualifier: "LATEST".to_owned(),
        initializer: None,
    };
    let key = async |name| service.fnf.environment_key(&identity(name), folder.path()).await;
    let first = key("f").await.unwrap();
    assert_eq!(key("f").await.as_ref(), Some(&first));
    assert_ne!(key("g").await.as_ref(), Some(&first));
    std::fs::write(folder.path().join("index.py"), "1").unwrap();
    service.clock.turn(Duration::from_secs(1));
    assert_ne!(key("f").await.unwrap(), first);
}
