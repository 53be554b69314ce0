//! Routing, reading and rendering, without a service.

use crate::*;
use bytes::Bytes;
use durastack_clock::Timestamp;
use durastack_names::{FunctionName, FunctionRef};
use http::{Method, Response, StatusCode, Uri};
use serde::Deserialize;
use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:f:1/durable-execution/n/i";
const ENCODED: &str =
    "arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af%3A1%2Fdurable-execution%2Fn%2Fi";

fn caller() -> Caller {
    Caller {
        account: "000000000000".parse().unwrap(),
        region: "us-east-1".parse().unwrap(),
        access_key_id: "test".to_owned(),
        function: None,
    }
}

fn routes() -> Routes<()> {
    Routes::new()
        .unbuilt(Op::get("ListFunctions", "/2015-03-31/functions"))
        .unbuilt(Op::post("CreateFunction", "/2015-03-31/functions"))
        .unbuilt(Op::get("GetFunction", "/2015-03-31/functions/{FunctionName}"))
        .unbuilt(Op::get("GetAlias", "/2015-03-31/functions/{FunctionName}/aliases/{Name}"))
        .unbuilt(Op::get("ListLayers", "/2018-10-31/layers"))
        .unbuilt(Op::get("GetLayerVersionByArn", "/2018-10-31/layers?find=LayerVersion"))
        .unbuilt(Op::get("Get", "/2025-12-01/durable-executions/{Arn+}"))
        .unbuilt(Op::delete("Delete", "/2025-12-01/durable-executions/{Arn+}"))
        .unbuilt(Op::get("GetState", "/2025-12-01/durable-executions/{Arn+}/state"))
        .unbuilt(Op::post("Stop", "/2025-12-01/durable-executions/{Arn+}/stop"))
        .unbuilt(Op::post(
            "Succeed",
            "/2025-12-01/durable-execution-callbacks/{CallbackId+}/succeed",
        ))
}

/// `found` is the operation's name and its labels; empty for none.
fn check_route(method: Method, uri: &str, found: &[&str]) {
    let routes = routes();
    let uri: Uri = uri.parse().unwrap();
    let actual = routes.find(&method, &uri);
    let actual: Vec<_> =
        actual.iter().flat_map(|f| std::iter::once(f.op.name).chain(f.label_texts())).collect();
    assert_eq!(actual, found, "{method} {uri}");
}

#[test]
fn a_path_leads_to_its_operation() {
    check_route(Method::GET, "/2015-03-31/functions", &["ListFunctions"]);
    check_route(Method::GET, "/2015-03-31/functions/", &["ListFunctions"]);
    check_route(Method::POST, "/2015-03-31/functions/?x=y", &["CreateFunction"]);
    check_route(Method::GET, "/2015-03-31/functions/f:1", &["GetFunction", "f:1"]);
    check_route(Method::GET, "/2015-03-31/functions/f%3A%241/", &["GetFunction", "f:$1"]);
    check_route(Method::GET, "/2015-03-31/functions/a+b", &["GetFunction", "a+b"]);
    check_route(Method::GET, "/2015-03-31/functions/f/aliases/live", &["GetAlias", "f", "live"]);
    check_route(Method::GET, "/2018-10-31/layers?MaxItems=1", &["ListLayers"]);
    check_route(Method::GET, "/2018-10-31/layers?find=LayerVersion", &["GetLayerVersionByArn"]);
}

#[test]
fn what_no_operation_has() {
    check_route(Method::PUT, "/2015-03-31/functions", &[]);
    check_route(Method::GET, "/2015-03-31/functions//aliases/x", &[]);
    check_route(Method::GET, "/2015-03-31/functions/f/aliases/a/b", &[]);
    check_route(Method::GET, "/", &[]);
}

#[test]
fn an_execution_arn_comes_encoded_or_raw() {
    let base = "/2025-12-01/durable-executions";
    for arn in [ENCODED, ARN] {
        check_route(Method::GET, &format!("{base}/{arn}"), &["Get", ARN]);
        check_route(Method::DELETE, &format!("{base}/{arn}/"), &["Delete", ARN]);
        check_route(Method::GET, &format!("{base}/{arn}/state?MaxItems=3"), &["GetState", ARN]);
        check_route(Method::POST, &format!("{base}/{arn}/stop"), &["Stop", ARN]);
        check_route(Method::POST, &format!("{base}/{arn}/state"), &[]);
    }
    let callbacks = "/2025-12-01/durable-execution-callbacks";
    check_route(Method::POST, &format!("{callbacks}/a%2Bb%2Fc%3D/succeed"), &["Succeed", "a+b/c="]);
    check_route(Method::POST, &format!("{callbacks}/a+b/c=/succeed"), &["Succeed", "a+b/c="]);
}

/// Answers without a runtime: nothing here waits.
fn answer(routes: &Routes<()>, method: Method, uri: &str, body: &str) -> Option<Response<Bytes>> {
    let request = http::Request::builder()
        .method(method)
        .uri(uri)
        .body(Bytes::from(body.to_owned()))
        .unwrap();
    let found = routes.find(request.method(), request.uri()).unwrap();
    let answering = routes.call(&Arc::new(()), found, request, caller(), "id-1".to_owned());
    match pin!(answering).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("it waits"),
    }
}

fn text(response: &Response<Bytes>) -> &str {
    std::str::from_utf8(response.body()).unwrap()
}

#[test]
fn an_unbuilt_operation_says_its_name() {
    let response = answer(&routes(), Method::GET, "/2018-10-31/layers", "").unwrap();
    assert_eq!(response.status(), StatusCode::NOT_IMPLEMENTED);
    assert_eq!(response.headers()["x-amzn-errortype"], "NotImplemented");
    assert_eq!(response.headers()["x-amzn-requestid"], "id-1");
    assert!(text(&response).contains("ListLayers"), "{}", text(&response));
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Body {
    size: Option<u32>,
    tags: std::collections::BTreeMap<String, String>,
}

struct Input {
    name: FunctionRef,
    body: Body,
}

impl FromRequest for Input {
    fn from_request(r: &Request) -> Result<Self, BadShape> {
        let mut c = Constraints::default();
        let name = c.take(r.label("FunctionName"));
        let body: Body = r.json_or_empty()?;
        c.range("Size", body.size, 1..=9);
        c.length("Tags.Key", body.tags.keys().next().map(String::as_str), 2..);
        c.finish()?;
        Ok(Self { name: name.expect("checked by finish"), body })
    }
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("no such thing")]
    Missing,
    #[error("stopped")]
    Stopped,
}

impl IntoWire for Failure {
    fn wire(&self) -> WireError {
        match self {
            Self::Missing => {
                WireError::client(StatusCode::NOT_FOUND, "ResourceNotFoundException", self)
                    .capital()
                    .member("Reason", "Gone")
            }
            Self::Stopped => WireError::hang_up(),
        }
    }
}

async fn operate(_: Arc<()>, input: Input, call: Call) -> Result<Json<serde_json::Value>, Failure> {
    match input.name.name.as_str() {
        "missing" => Err(Failure::Missing),
        "stopped" => Err(Failure::Stopped),
        name => Ok(Json(serde_json::json!({
            "Name": name,
            "Size": input.body.size,
            "Account": call.caller.account,
            "At": EpochSeconds(Timestamp::from_millis(1_500)),
            "Then": EpochSeconds(Timestamp::from_millis(2_000)),
        }))),
    }
}

/// Status, code (or `-`) and body of what an operation answers.
fn check_answer(name: &str, body: &str, status: u16, code: &str, expected: &str) {
    let routes = Routes::new()
        .op(Op::put("Operate", "/f/{FunctionName}").answers(StatusCode::ACCEPTED), operate);
    let response = answer(&routes, Method::PUT, &format!("/f/{name}"), body).unwrap();
    let found = response.headers().get("x-amzn-errortype").map_or("-", |c| c.to_str().unwrap());
    assert_eq!((response.status().as_u16(), found), (status, code));
    assert_eq!(text(&response), expected);
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["x-amzn-requestid"], "id-1");
}

#[test]
fn an_operation_answers_in_the_frame_of_rest_json() {
    check_answer(
        "f:1",
        r#"{"Size":3,"Unknown":[]}"#,
        202,
        "-",
        r#"{"Account":"000000000000","At":1.5,"Name":"f","Size":3,"Then":2}"#,
    );
    check_answer(
        "missing",
        "",
        404,
        "ResourceNotFoundException",
        r#"{"Message":"no such thing","Reason":"Gone","Type":"User"}"#,
    );
    let routes = Routes::new().op(Op::put("Operate", "/f/{FunctionName}"), operate);
    assert!(answer(&routes, Method::PUT, "/f/stopped", "").is_none());
}

#[test]
fn bad_shapes_have_their_codes() {
    check_answer(
        "f",
        "{\"Size\":",
        400,
        "InvalidRequestContentException",
        r#"{"Type":"User","message":"Could not parse request body into json: EOF while parsing a value at line 1 column 8"}"#,
    );
    check_answer(
        "f",
        r#"{"Tags":{"a":1}}"#,
        400,
        "SerializationException",
        r#"{"Type":"User","message":"Tags.a: invalid type: integer `1`, expected a string at line 1 column 14"}"#,
    );
    check_answer(
        "f",
        r#"{"Size":10}"#,
        400,
        "ValidationException",
        r#"{"message":"1 validation error detected: Value '10' at 'size' failed to satisfy constraint: Member must have value less than or equal to 9"}"#,
    );
    check_answer(
        "f:g:h",
        r#"{"Size":0,"Tags":{"a":"b"}}"#,
        400,
        "ValidationException",
        concat!(
            r#"{"message":"3 validation errors detected: Value 'f:g:h' at 'functionName' failed to satisfy constraint: "#,
            r#"Member must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?([a-zA-Z0-9-_\\.]+)(:(\\$LATEST|[a-zA-Z0-9-_]+))?; "#,
            r#"Value '0' at 'size' failed to satisfy constraint: Member must have value greater than or equal to 1; "#,
            r#"Value 'a' at 'tags.key' failed to satisfy constraint: Member must have length greater than or equal to 2"}"#
        ),
    );
}

#[test]
fn constraints_have_their_texts() {
    fn check(break_it: impl Fn(&mut Constraints), expected: &str) {
        let mut c = Constraints::default();
        break_it(&mut c);
        let text = c.finish().unwrap_err().to_string();
        assert_eq!(text.strip_prefix("1 validation error detected: Value "), Some(expected));
    }
    check(
        |c| c.length("FunctionName", Some("abc"), ..=2),
        "'abc' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to 2",
    );
    check(
        |c| assert_eq!(c.required::<u8>("Role", None), None),
        "null at 'role' failed to satisfy constraint: Member must not be null",
    );
    check(
        |c| c.one_of("Runtime", Some("cobol"), &["a", "b"]),
        "'cobol' at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [a, b]",
    );
    check(
        |c| c.pattern("VpcConfig.Ids", Some("!"), "[a-z]", |_| false),
        "'!' at 'vpcConfig.ids' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-z]",
    );
    check(
        |c| c.items("Layers", Some(&["a", "b"]), ..2),
        "'[a, b]' at 'layers' failed to satisfy constraint: Member must have length less than 2",
    );
    check(
        |c| c.broken_sensitive("Environment.Variables", "Map keys must satisfy constraint: []"),
        "at 'environment.variables' failed to satisfy constraint: Map keys must satisfy constraint: []",
    );
    let mut fine = Constraints::default();
    fine.length("A", None, 1..);
    fine.length("A", Some("é"), ..=1);
    fine.range("B", Some(5), 5..6);
    assert_eq!(fine.finish(), Ok(()));
}

/// A request with this query and these headers.
fn request(query: &str) -> Request {
    Request {
        operation: "Test",
        uri: format!("/?{query}").parse().unwrap(),
        headers: http::HeaderMap::new(),
        body: Bytes::new(),
        call: Call {
            caller: caller(),
            request_id: "id".to_owned(),
            extensions: http::Extensions::new(),
        },
        labels: Vec::new(),
    }
}

#[test]
fn absent_and_empty_are_two_things() {
    let r =
        request("a=&b=1&b=2&c=true&t=2026-01-02T03:04:05Z&u=1970-01-01T01:00:00%2B01:00&s=x%20y+z");
    assert_eq!(r.query::<String>("a"), Ok(Some(String::new())));
    assert_eq!(r.query::<String>("z"), Ok(None));
    assert_eq!(r.query::<u32>("b"), Ok(Some(1)));
    assert_eq!(r.query_list::<u32>("b"), Ok(vec![1, 2]));
    assert_eq!(r.query::<bool>("c"), Ok(Some(true)));
    assert_eq!(r.query_time("t"), Ok(Some(Timestamp::from_millis(1_767_323_045_000))));
    assert_eq!(r.query_time("u"), Ok(Some(Timestamp::from_millis(0))));
    assert_eq!(r.query::<String>("s"), Ok(Some("x y z".to_owned())));
    let wrong = r.query::<u32>("c").unwrap_err();
    assert_eq!(wrong.to_string(), "c: 'true' can not be converted to an Integer");
    assert!(r.query::<FunctionName>("a").is_err());
    assert!(matches!(r.json::<Body>(), Err(BadShape::Malformed(_))));
    assert!(r.json_or_empty::<Body>().is_ok());
}

#[test]
fn bytes_travel_as_base64() {
    let blob: Blob = serde_json::from_str(r#""aGk=""#).unwrap();
    assert_eq!(&blob.0[..], b"hi");
    assert_eq!(serde_json::to_string(&blob).unwrap(), r#""aGk=""#);
    assert!(serde_json::from_str::<Blob>(r#""?""#).is_err());
    let at: EpochSeconds = serde_json::from_str("1767323045.678").unwrap();
    assert_eq!(at.0, Timestamp::from_millis(1_767_323_045_678));
    assert!(serde_json::from_str::<EpochSeconds>("1e300").is_err());
}

#[test]
fn too_large_names_the_operation() {
    let op = Op::put("UpdateFunctionCode", "/x").body_bytes_max(69_905_067);
    let error = op.too_large();
    assert_eq!((error.status.as_u16(), &*error.code), (413, "RequestEntityTooLargeException"));
    assert_eq!(
        error.message,
        "Request must be smaller than 69905067 bytes for the UpdateFunctionCode operation"
    );
}

#[test]
fn coverage_is_a_table() {
    let routes = Routes::new()
        .op(Op::put("Beta", "/f/{FunctionName}").partial("colours"), operate)
        .unbuilt(Op::get("Gamma", "/g"))
        .op(Op::put("Alpha", "/a/{FunctionName}"), operate);
    assert_eq!(
        coverage_markdown("Greek", routes.ops()),
        "## Greek\n\n2 of 3 operations.\n\n| Operation | Coverage | Missing |\n| --- | --- | --- |\n\
         | Alpha | exact |  |\n| Beta | partial | colours |\n| Gamma | none |  |\n"
    );
}

#[test]
fn forms_and_xml() {
    let request = http::Request::builder()
        .uri("/?Version=2011-06-15")
        .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
        .body(Bytes::from_static(b"Action=Do%26Die&Text=a+b&Action=Other"))
        .unwrap();
    let form = query::Form::read(&request);
    assert_eq!(form.action(), Some("Do&Die"));
    assert_eq!(form.get("Text"), Some("a b"));
    assert_eq!(form.get("Version"), Some("2011-06-15"));
    let result = query::Xml::default().text("A", "<&>\u{1}");
    let response = query::success("Do", "urn:x", &result, "id");
    assert_eq!(
        text(&response),
        "<DoResponse xmlns=\"urn:x\"><DoResult><A>&lt;&amp;&gt;\u{FFFD}</A></DoResult>\
         <ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></DoResponse>"
    );
    let error = WireError::client(StatusCode::FORBIDDEN, "AccessDenied", "no");
    assert_eq!(
        text(&query::failure("urn:x", &error, "id")),
        "<ErrorResponse xmlns=\"urn:x\"><Error><Type>Sender</Type><Code>AccessDenied</Code>\
         <Message>no</Message></Error><RequestId>id</RequestId></ErrorResponse>"
    );
}
