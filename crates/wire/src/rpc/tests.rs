//! Parameters as clients send them, the frame that SDKs read, and the way from `Action` to an answer.

use super::*;
use crate::{Call, Coverage, IntoWire, WireError};
use bytes::Bytes;
use http::{Extensions, HeaderMap, Response, header};
use serde::Serialize;
use serde_json::{Value, json};
use std::{sync::Arc, task::Poll};

fn read(query: &str, content_type: Option<&str>, body: &[u8]) -> Parameters {
    let mut headers = HeaderMap::new();
    if let Some(content_type) = content_type {
        headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
    }
    Parameters::read(query, &headers, body).unwrap()
}

fn query(query: &str) -> Parameters {
    read(query, None, b"")
}

#[test]
fn query_and_form_are_read_together() {
    let form = Some("application/x-www-form-urlencoded; charset=UTF-8");
    let found = read("TaskToken=a%2Bb&Action=X", form, b"Output=%7B+%7D&Empty=");
    assert_eq!(found.get("TaskToken"), Some("a+b"));
    assert_eq!(found.get("Output"), Some("{ }"));
    assert_eq!((found.get("Empty"), found.text("Empty")), (Some(""), None));
    assert_eq!((found.get("Absent"), found.get("output")), (None, None));
    let places: Vec<_> = found.iter().map(|p| (p.name.as_str(), p.in_query)).collect();
    assert_eq!(
        places,
        [("Action", true), ("Empty", false), ("Output", false), ("TaskToken", true)]
    );
}

#[test]
fn a_body_counts_if_it_is_a_form_or_of_no_stated_type() {
    assert_eq!(read("", None, b"a=1").get("a"), Some("1"));
    assert_eq!(read("", Some("APPLICATION/x-www-form-URLENCODED"), b"a=1").get("a"), Some("1"));
    for other in ["application/json", "text/plain", "application/x-www-form"] {
        assert_eq!(read("", Some(other), b"a=1").get("a"), None, "{other}");
    }
}

#[test]
fn bytes_that_are_not_utf8_are_replaced() {
    assert_eq!(query("a=%FF%FEb").get("a"), Some("\u{FFFD}\u{FFFD}b"));
    assert_eq!(read("", None, b"a=\xC3(&b=%E6%B5%81").get("a"), Some("\u{FFFD}("));
    assert_eq!(query("a=%zz%4&%").get("a"), Some("%zz%4"));
}

#[test]
fn names_sort_bytewise_and_the_first_of_repeated_ones_counts() {
    let found = query("X.2=b&a&X.10=c&X.2=d&&=e");
    let names: Vec<_> = found.iter().map(|p| format!("{}={}", p.name, p.value)).collect();
    assert_eq!(names, ["=e", "X.10=c", "X.2=b", "X.2=d", "a="]);
    assert_eq!(found.get("X.2"), Some("b"));
}

#[test]
fn parameters_are_counted() {
    let most = vec!["a"; PARAMETERS_MAX].join("&");
    assert_eq!(query(&most).iter().len(), PARAMETERS_MAX);
    let headers = HeaderMap::new();
    assert_eq!(Parameters::read(&most, &headers, b"a=1"), Err(TooMany));
}

#[test]
fn a_log_sees_names_alone() {
    assert_eq!(format!("{:?}", query("SecurityToken=sesame")), "[SecurityToken]");
}

#[test]
fn typed_values() {
    let found = query("N=12&E=&T=True&F=false&W=yes&J=%7B%22a%22:1%7D&S=3");
    assert_eq!(found.parse::<u32>("N"), Ok(Some(12)));
    assert_eq!((found.parse::<u32>("E"), found.parse::<u32>("Absent")), (Ok(None), Ok(None)));
    assert_eq!((found.boolean("T"), found.boolean("F")), (Ok(Some(true)), Ok(Some(false))));
    assert_eq!(found.json::<Value>("J"), Ok(Some(json!({ "a": 1 }))));
    assert_eq!(found.required("N"), Ok("12"));
    let check = |bad: BadParameter, code: &str, message: &str| {
        let wire = bad.wire();
        assert_eq!((wire.status.as_u16(), &*wire.code, &*wire.message), (400, code, message));
    };
    let missing = "The HTTP query 'E' must be specified.";
    check(found.required("E").unwrap_err(), "MissingRequiredParams", missing);
    check(
        found.boolean("W").unwrap_err(),
        "InvalidArgument",
        "The parameter 'W' with the value 'yes' is invalid: it is neither true nor false.",
    );
    assert!(found.parse::<u32>("W").is_err() && found.json::<Vec<u8>>("S").is_err());
}

#[test]
fn the_callers_request_id_is_taken_if_a_header_can_carry_it() {
    let id = |text: &str| request_id(Some(&query(text)), "ab-1");
    assert_eq!(id("RequestId=mine"), "mine");
    for text in ["", "RequestId=", "RequestId=a%0Ab", "RequestId=%C3%A9"] {
        assert_eq!(id(text), "AB-1", "{text}");
    }
    assert_eq!(id(&format!("RequestId={}", "x".repeat(257))), "AB-1");
    assert_eq!(request_id(None, "ab-1"), "AB-1");
}

fn request(action: &str, version: &str, parameters: &str) -> Request {
    Request {
        action: action.to_owned(),
        version: version.to_owned(),
        parameters: query(parameters),
        caller: Caller {
            account: durastack_names::AccountId::local(),
            region: "cn-hangzhou".parse().unwrap(),
            access_key_id: "test".to_owned(),
            function: None,
        },
        request_id: "ID-1".to_owned(),
        host: "localhost:4566".to_owned(),
    }
}

struct Describe(String);

impl FromParameters for Describe {
    fn from_parameters(parameters: &Parameters) -> Result<Self, BadParameter> {
        parameters.required("Name").map(|name| Self(name.to_owned()))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    name: String,
    region: String,
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("Flow '{0}' does not exist.")]
    NotThere(String),
    #[error("stopping")]
    Stopping,
}

impl IntoWire for Failed {
    fn wire(&self) -> WireError {
        match self {
            Self::NotThere(_) => {
                WireError::client(http::StatusCode::NOT_FOUND, "FlowNotExists", self)
            }
            Self::Stopping => WireError::hang_up(),
        }
    }
}

fn routes() -> Routes<()> {
    async fn describe(_: Arc<()>, input: Describe, call: Call) -> Result<Described, Failed> {
        match input.0.as_str() {
            "absent" => Err(Failed::NotThere(input.0)),
            "stop" => Err(Failed::Stopping),
            _ => Ok(Described { name: input.0, region: call.caller.region.to_string() }),
        }
    }
    async fn ping(_: Arc<()>, (): (), _: Call) -> Result<(), Failed> {
        Ok(())
    }
    Routes::new("2019-03-15")
        .op(Op::new("DescribeFlow"), describe)
        .op(Op::new("Ping").partial("pong"), ping)
        .unbuilt(Op::new("CreateFlow"))
}

/// What the service answers; nothing here waits.
fn answer(request: Request) -> Option<Response<Bytes>> {
    let mut answering = routes().call(&Arc::new(()), request, Extensions::new());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match answering.as_mut().poll(&mut context) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("nothing here waits"),
    }
}

fn check(request: Request, status: u16, body: Value) {
    let response = answer(request).unwrap();
    assert_eq!(response.status().as_u16(), status);
    assert_eq!(response.headers()["x-acs-request-id"], "ID-1");
    assert_eq!(response.headers()["content-type"], "application/json;charset=utf-8");
    assert_eq!(serde_json::from_slice::<Value>(response.body()).unwrap(), body);
}

fn failure(code: &str, message: &str) -> Value {
    json!({
        "RequestId": "ID-1",
        "HostId": "localhost:4566",
        "Code": code,
        "Message": message,
        "Recommend": format!("https://api.aliyun.com/troubleshoot?q={code}&product=fnf&requestId=ID-1"),
    })
}

#[test]
fn an_operation_is_told_by_its_action() {
    let described = json!({ "RequestId": "ID-1", "Name": "a", "Region": "cn-hangzhou" });
    check(request("DescribeFlow", "2019-03-15", "Name=a"), 200, described);
    check(request("Ping", "2019-03-15", ""), 200, json!({ "RequestId": "ID-1" }));
    let absent = failure("FlowNotExists", "Flow 'absent' does not exist.");
    check(request("DescribeFlow", "2019-03-15", "Name=absent"), 404, absent);
    let missing = failure("MissingRequiredParams", "The HTTP query 'Name' must be specified.");
    check(request("DescribeFlow", "2019-03-15", "Name="), 400, missing);
    assert!(answer(request("DescribeFlow", "2019-03-15", "Name=stop")).is_none());
}

#[test]
fn what_there_is_not_has_a_name() {
    let unbuilt = "durastack does not build the API operation 'CreateFlow' yet.";
    let unbuilt = failure("ActionNotSupported", unbuilt);
    check(request("CreateFlow", "2019-03-15", ""), 400, unbuilt);
    let unknown = "The requested API operation 'Fly' is incorrect. Please check.";
    check(request("Fly", "2019-03-15", ""), 400, failure("ActionNotSupported", unknown));
    let version = "The requested API version '2014-05-26' is not supported yet. Please check.";
    let version = failure("APIVersionNotSupported", version);
    check(request("CreateFlow", "2014-05-26", ""), 400, version);
    let missing = |name| {
        failure("MissingRequiredParams", &format!("The HTTP query '{name}' must be specified."))
    };
    check(request("", "2019-03-15", ""), 400, missing("Action"));
    check(request("CreateFlow", "", ""), 400, missing("Version"));
}

#[test]
fn the_table_says_what_is_built() {
    let routes = routes();
    let found = routes.find(&request("Ping", "2019-03-15", "")).unwrap();
    assert_eq!(found.coverage, Coverage::Partial("pong"));
    assert_eq!(
        coverage_markdown("CloudFlow", routes.ops()),
        "## CloudFlow\n\n2 of 3 operations.\n\n| Operation | Coverage | Missing |\n| --- | --- | --- |\n\
         | CreateFlow | none |  |\n| DescribeFlow | exact |  |\n| Ping | partial | pong |\n"
    );
}
