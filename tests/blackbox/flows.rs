//! Flows, as a client of Alibaba Cloud's sends its requests: signed by the first version of its signatures, parameters in
//! the query or in a form. The real SDKs, in the folder beside this one, say more.

use crate::process::Server;
use base64::{Engine, engine::general_purpose::STANDARD};
use durastack_clock::Clock;
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use sha1::Sha1;
use std::{
    collections::BTreeMap,
    fs,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

const UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const FLOW: &str = "version: v1
type: flow
steps:
  - type: task
    name: price
    resourceArn: acs:fc:::services/shop.prod/functions/price
    retry:
      - {errors: [FC.ResourceExhausted], intervalSeconds: 30}
  - {type: wait, name: think, duration: 86400}
  - type: pass
    name: tell
    outputMappings:
      - {target: order, source: $input.order}
";
const FUNCTIONS: &str = "
[[fc.functions.price.replies]]
status = 429
message = 'busy'
[[fc.functions.price.replies]]
result = { price = 7 }
";

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, &UNRESERVED).to_string()
}

/// The parameters with a signature of the key `test` with this secret.
fn signed(method: &str, action: &str, parameters: &[(&str, &str)], secret: &str) -> String {
    static NONCE: AtomicU64 = AtomicU64::new(0);
    let nonce = NONCE.fetch_add(1, Ordering::Relaxed).to_string();
    let now = Clock::system(Duration::ZERO).wall().iso();
    let timestamp = format!("{}Z", &now[..19]);
    let common = [
        ("AccessKeyId", "test"),
        ("Action", action),
        ("Format", "JSON"),
        ("SignatureMethod", "HMAC-SHA1"),
        ("SignatureNonce", &nonce),
        ("SignatureVersion", "1.0"),
        ("Timestamp", &timestamp),
        ("Version", "2019-03-15"),
    ];
    let all: BTreeMap<_, _> = common.iter().chain(parameters).copied().collect();
    let pairs: Vec<_> =
        all.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    let pairs = pairs.join("&");
    let text = format!("{method}&%2F&{}", encoded(&pairs));
    let mut mac = Hmac::<Sha1>::new_from_slice(format!("{secret}&").as_bytes()).unwrap();
    mac.update(text.as_bytes());
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    format!("{pairs}&Signature={}", encoded(&signature))
}

/// Calls an operation, with everything in a form.
fn call(server: &Server, action: &str, parameters: &[(&str, &str)]) -> (u16, Value) {
    let form = signed("POST", action, parameters, "test");
    let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
    let (status, body) = server.call("POST", "/", kind, &form);
    (status, serde_json::from_str(&body).unwrap())
}

#[track_caller]
fn answer(server: &Server, action: &str, parameters: &[(&str, &str)]) -> Value {
    let (status, body) = call(server, action, parameters);
    assert_eq!(status, 200, "{action}: {body}");
    body
}

#[test]
fn a_flow_runs_and_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("durastack.toml");
    fs::write(&config, FUNCTIONS).unwrap();
    let data = folder.path().join("data");
    let flags = ["--config", config.to_str().unwrap()];
    let server = Server::start(&data, &flags);
    let made = [("Name", "shop"), ("Definition", FLOW), ("Description", "é +&"), ("Type", "FDL")];
    assert_eq!(answer(&server, "CreateFlow", &made)["Definition"], FLOW);
    let one = [("FlowName", "shop"), ("ExecutionName", "one")];
    let input = [one[0], one[1], ("Input", r#"{"order":"o-1"}"#)];
    assert_eq!(answer(&server, "StartExecution", &input)["Status"], "");
    let two = [("FlowName", "shop"), ("ExecutionName", "two")];
    answer(&server, "StartExecution", &two);
    assert_eq!(answer(&server, "StopExecution", &two)["Status"], "Running");

    server.signal("KILL");
    let mut server = server;
    server.ended();
    let server = Server::start(&data, &flags);
    assert_eq!(answer(&server, "DescribeExecution", &two)["Status"], "Stopped");
    let (status, _) = server.call("POST", "/_durastack/clock/advance", "", r#"{"by":"25h"}"#);
    assert_eq!(status, 200);
    let found = answer(&server, "DescribeExecution", &[one[0], one[1], ("WaitTimeSeconds", "20")]);
    assert_eq!((&found["Status"], &found["StoppedTime"] == ""), (&json!("Succeeded"), false));
    let output: Value = serde_json::from_str(found["Output"].as_str().unwrap()).unwrap();
    assert_eq!(output, json!({"price": 7, "order": "o-1"}));
    let history = answer(&server, "GetExecutionHistory", &one);
    let types = |kind| {
        let events = history["Events"].as_array().unwrap();
        events.iter().filter(|event| event["Type"] == kind).count()
    };
    // The scripted refusal may have been spent before the kill, or be given again after it.
    assert!(types("TaskFailed") <= 2 && types("TaskSucceeded") == 1, "{history}");
    assert_eq!(types("ExecutionSucceeded"), 1);
}

#[test]
fn requests_are_refused_in_the_services_own_words() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), &[]);
    let refused = |answer: (u16, String)| {
        let body: Value = serde_json::from_str(&answer.1).unwrap();
        (answer.0, body["Code"].as_str().unwrap().to_owned())
    };
    let get = |action, secret| {
        let query = signed("GET", action, &[], secret);
        server.call("GET", &format!("/?{query}"), "", "")
    };
    assert_eq!(get("ListFlows", "test").0, 200);
    assert_eq!(refused(get("ListFlows", "wrong")), (403, "SignatureNotMatch".to_owned()));
    assert_eq!(refused(get("ListSchedules", "test")), (400, "ActionNotSupported".to_owned()));
    assert_eq!(refused(get("StopExecution", "test")), (400, "MissingRequiredParams".to_owned()));
    let query = signed("POST", "StopExecution", &[], "test");
    let plain = server.call("POST", &format!("/?{query}"), "Content-Type: text/plain\r\n", "x");
    assert_eq!(refused(plain), (415, "UnsupportedMediaType".to_owned()));
}

/// The rows of StopExecution's published error table that are answered before the operation is asked.
#[test]
fn the_door_has_its_rows_of_the_error_table() {
    let folder = tempfile::tempdir().unwrap();
    let quotas = folder.path().join("quotas.toml");
    let bucket = "[[bucket]]\nservice = \"fnf\"\noperations = [\"StopExecution\"]\nrate = 0.001\nburst = 2\n";
    fs::write(&quotas, bucket).unwrap();
    let flags = ["--throttle", quotas.to_str().unwrap()];
    let server = Server::start(&folder.path().join("data"), &flags);
    let execution = [("FlowName", "shop"), ("ExecutionName", "one")];
    let refused = |method: &str, path: &str, headers: &str, body: &str, expected: (u16, &str)| {
        let (status, body) = server.call(method, path, headers, body);
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, body["Code"].as_str().unwrap()), expected, "{body}");
    };
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let with = |more: &[(&str, &str)], secret: &str, action: &str, expected| {
        let parameters = [&execution, more].concat();
        refused("POST", "/", form, &signed("POST", action, &parameters, secret), expected);
    };
    let stop = |more: &[(&str, &str)], expected| with(more, "test", "StopExecution", expected);
    with(&[], "wrong", "StopExecution", (403, "SignatureNotMatch"));
    with(&[], "test", "StopExecutions", (400, "ActionNotSupported"));
    stop(&[("AccessKeyId", "nobody")], (403, "InvalidAccessKeyID"));
    stop(&[("Timestamp", "2020-01-01T00:00:00Z")], (403, "RequestTimeTooSkewed"));
    stop(&[("Version", "2016-01-01")], (400, "APIVersionNotSupported"));
    stop(&[("Cause", &"x".repeat(1_100_000))], (400, "EntityTooLarge"));
    let bearer =
        "/?Action=StopExecution&Version=2019-03-15&SignatureType=BEARERTOKEN&BearerToken=x";
    refused("GET", bearer, "", "", (403, "AccessDenied"));
    let undated =
        "Authorization: ACS3-HMAC-SHA256 Credential=test,SignedHeaders=host,Signature=00\r\n";
    refused("POST", "/", undated, "", (400, "MissingRequiredHeader"));
    // None of these has taken anything of the quota.
    stop(&[], (404, "FlowNotExists"));
    stop(&[("Cause", &"x".repeat(4097))], (400, "InvalidArgument"));
    stop(&[], (429, "ResourceThrottled"));
}

#[test]
fn a_function_that_cannot_be_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("durastack.toml");
    fs::write(&config, "[fc.functions.price]\nruntime = 'python3.10'\ncode = 'nowhere'\n").unwrap();
    let mut command = crate::process::durastack();
    command.args(["start", "--port", "0", "--ephemeral", "--config"]).arg(&config);
    let refused = crate::process::output(command);
    assert!(!refused.status.success());
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(text.contains("fc.functions.price") && text.contains("nowhere"), "{text}");
}
