//! Alibaba Cloud's door: requests that the official SDKs made, from `fixtures/aliyun`, and what becomes of them.

use super::*;
use durastack_auth::{Key, Secret};
use serde_json::Value;

/// What clients of the service's own door ask for.
const UNSIGNED: &str = "/?Action=ListFlows&Version=2019-03-15";

/// A recorded request, its time, and a key ring that knows its key.
struct Recorded {
    request: Request<Bytes>,
    at: Timestamp,
    keys: Arc<Keyring>,
}

fn recorded(id: &str) -> Recorded {
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("../../../../fixtures/aliyun/accepted.json")).unwrap();
    let case = cases.iter().find(|case| case["id"] == id).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let sent = &case["request"];
    let mut request = Request::builder().method(&*text(&sent["method"])).uri(text(&sent["target"]));
    for header in sent["headers"].as_array().unwrap() {
        request = request.header(text(&header[0]), text(&header[1]));
    }
    let key = Key {
        id: text(&case["access_key_id"]),
        secret: Secret::new(text(&case["access_key_secret"])),
        token: case["security_token"].as_str().map(Secret::new),
        expires: None,
        account: "1234567890123456".parse().unwrap(),
    };
    Recorded {
        request: request.body(text(&sent["body"]).into()).unwrap(),
        at: Timestamp::parse_iso(case["timestamp"].as_str().unwrap()).unwrap(),
        keys: Arc::new(Keyring::new([5; 32], vec![key])),
    }
}

impl Recorded {
    fn gate(&self, settings: Settings) -> Gate {
        Gate::new(settings, Arc::clone(&self.keys), Clock::manual(self.at)).unwrap()
    }

    fn strict(&self) -> Gate {
        self.gate(Settings::default())
    }
}

fn fnf(admitted: Admitted) -> rpc::Request {
    match admitted {
        Admitted::Fnf(request) => *request,
        other => panic!("another door: {other:?}"),
    }
}

#[test]
fn requests_of_every_sdk_arrive_with_their_parameters() {
    for (id, action, parameter, value) in [
        ("v1-tea-get-minimal", "ListFlows", "Limit", "10"),
        ("v1-tea-query-and-form", "ReportTaskSucceeded", "Output", "{\"k\": \"v\"}"),
        ("v1-tea-sts", "DescribeFlow", "Name", "flow-1"),
        ("v1-core-post-form", "StartExecution", "ExecutionName", "run-~*1"),
        ("v1-node-post-all-in-body", "StartExecution", "ExecutionName", "run 1"),
        ("v1-node-get-deleteflow", "DeleteFlow", "Name", "it's(a)*flow!~"),
        ("v1-node-tea-post", "StopExecution", "Cause", "it's (a) *stop*! 中"),
        ("v3-tea-get-minimal", "ListFlows", "Limit", "10"),
        ("v3-tea-sts-query-and-form", "ReportTaskFailed", "Cause", "c d"),
        ("v3-node-post-form", "StartExecution", "FlowName", "flow-1"),
    ] {
        let case = recorded(id);
        let request = fnf(admit(&case.strict(), &case.request).unwrap());
        assert_eq!((&*request.action, &*request.version), (action, "2019-03-15"), "{id}");
        assert_eq!(request.parameters.get(parameter), Some(value), "{id}");
        assert_eq!(request.caller.account.as_str(), "1234567890123456", "{id}");
        assert_eq!(request.caller.region.as_str(), "cn-hangzhou", "{id}");
        assert_eq!(request.caller.access_key_id, "testid", "{id}");
        let host = &*request.host;
        assert_eq!((host, &*request.request_id), ("127.0.0.1:18080", "ID-1"), "{id}");
    }
}

/// Some clients send their whole endpoint there.
#[test]
fn a_host_with_a_scheme_is_a_host() {
    let case = recorded("v1-tea-get-minimal");
    let request = with(case.request.clone(), "host", "http://127.0.0.1:18080");
    assert_eq!(fnf(admit(&case.strict(), &request).unwrap()).host, "127.0.0.1:18080");
}

#[test]
fn what_is_altered_is_refused_in_the_words_that_were_chosen() {
    let case = recorded("v1-tea-post-form-unicode");
    let altered = with(case.request.clone(), "content-type", "text/plain");
    let text = check_refused(&case.strict(), &altered, 403, "SignatureNotMatch");
    let body: Value = serde_json::from_str(&text).unwrap();
    let message = body["Message"].as_str().unwrap();
    assert!(message.contains("signing method. server string to sign is:POST&%2F&"), "{message}");
    assert_eq!((&body["HostId"], &body["RequestId"]), (&"127.0.0.1:18080".into(), &"ID-1".into()));
    let aliyun_errors = Vocabulary::Gateway;
    let gateway = case.gate(Settings { aliyun_errors, ..Settings::default() });
    check_refused(&gateway, &altered, 400, "SignatureDoesNotMatch");
    gateway.clock.turn(Duration::from_secs(901));
    check_refused(&gateway, &case.request, 400, "InvalidTimeStamp.Expired");
}

/// Field case F26.
#[test]
fn bytes_that_are_not_text_are_a_mismatch_and_no_crash() {
    let case = recorded("v1-node-post-all-in-body");
    let mut request = case.request.clone();
    *request.body_mut() = [request.body(), &b"&Extra=\xFF%FE"[..]].concat().into();
    let text = check_refused(&case.strict(), &request, 403, "SignatureNotMatch");
    assert!(text.contains("Extra%3D%25EF%25BF%25BD%25EF%25BF%25BD%26"), "{text}");
}

#[test]
fn a_request_that_comes_again_is_refused_unless_the_user_says_so() {
    let case = recorded("v1-core-get");
    let gate = case.strict();
    assert!(admit(&gate, &case.request).is_ok());
    check_refused(&gate, &case.request, 400, "SignatureNonceUsed");
    let gate = case.gate(Settings { aliyun_nonce: false, ..Settings::default() });
    assert!((0..3).all(|_| admit(&gate, &case.request).is_ok()));
}

#[test]
fn a_skipped_month_disturbs_no_signature_of_alibaba() {
    let case = recorded("v3-tea-get-minimal");
    let gate = case.strict();
    gate.clock.advance(Duration::from_secs(30 * 86_400));
    assert!(admit(&gate, &case.request).is_ok());
}

#[test]
fn what_is_not_signed_is_told_so() {
    let gate = strict();
    check_refused(&gate, &request("GET", UNSIGNED), 400, "MissingRequiredParams");
    let text = "/?Action=ListFlows&Version=2019-03-15&RequestId=mine";
    let response = admit(&gate, &request("GET", text)).unwrap_err();
    assert_eq!(response.headers()["x-acs-request-id"], "mine");
    let bearer = with(request("GET", "/?SignatureType=BEARERTOKEN"), "x-acs-action", "ListFlows");
    let bearer = with(bearer, "x-acs-bearer-token", "t");
    check_refused(&gate, &bearer, 403, "AccessDenied");
    let acs3 = with(request("POST", "/"), "authorization", "ACS3-HMAC-SHA256 Credential=x");
    check_refused(&gate, &acs3, 400, "InvalidArgument");
    let many = format!("{UNSIGNED}&{}", "a&".repeat(2000));
    check_refused(&gate, &request("GET", &many), 400, "InvalidArgument");
}

/// Some clients see an error only where `Code` begins with a capital letter.
#[test]
fn a_form_that_is_not_said_to_be_one_is_answered_as_alibabas_clients_read() {
    let asked = form(request("POST", "/"), "Action=ListFlows&Version=2019-03-15&Signature=x");
    let text = with(asked.clone(), "content-type", "text/plain");
    let text = check_refused(&strict(), &text, 404, "NotFound");
    let body: Value = serde_json::from_str(&text).unwrap();
    let message = body["Message"].as_str().unwrap();
    assert!(message.contains("AWS") && message.contains("Alibaba Cloud"), "{message}");
    assert_eq!((&body["HostId"], &body["RequestId"]), (&"localhost:4566".into(), &"ID-1".into()));
    let mut untold = asked;
    untold.headers_mut().remove("content-type");
    assert_eq!(fnf(admit(&off(), &untold).unwrap()).action, "ListFlows");
    for (name, value) in [("x-amz-date", "20260102T000000Z"), ("authorization", "AWS4-HMAC")] {
        let amazon = with(request("POST", "/"), name, value);
        let response = admit(&strict(), &amazon).unwrap_err();
        assert!(!response.headers().contains_key("x-acs-request-id"), "{name}");
    }
}

#[test]
fn a_region_that_can_be_none_is_refused_by_its_name() {
    for region in ["bogus!", "hangzhou", "%00"] {
        let request = request("GET", &format!("{UNSIGNED}&RegionId={region}"));
        let text = check_refused(&off(), &request, 400, "InvalidArgument");
        assert!(text.contains("RegionId"), "{text}");
    }
}

#[test]
fn a_method_other_than_get_and_post_does_nothing() {
    let case = recorded("v1-node-get-deleteflow");
    for method in ["OPTIONS", "HEAD", "PUT", "DELETE", "PATCH", "TRACE"] {
        let mut request = case.request.clone();
        *request.method_mut() = method.parse().unwrap();
        for auth in [Auth::Strict, Auth::Off] {
            let gate = case.gate(Settings { auth, ..Settings::default() });
            let text = check_refused(&gate, &request, 400, "UnsupportedHTTPMethod");
            assert!(text.contains("This http method is not supported."), "{text}");
        }
    }
}

#[test]
fn a_page_of_another_site_is_refused_even_with_a_good_signature() {
    for id in ["v1-tea-get-minimal", "v1-node-post-all-in-body"] {
        let case = recorded(id);
        for (name, value) in [("origin", "null"), ("sec-fetch-site", "cross-site")] {
            let request = with(case.request.clone(), name, value);
            for auth in [Auth::Strict, Auth::Off] {
                let gate = case.gate(Settings { auth, ..Settings::default() });
                check_refused(&gate, &request, 403, "OriginNotAllowed");
            }
        }
    }
    let case = recorded("v1-tea-get-minimal");
    let request = with(case.request.clone(), "host", "evil.test");
    check_refused(&case.strict(), &request, 403, "HostNotAllowed");
}

#[test]
fn with_authentication_off_claims_are_believed_here_too() {
    let unsigned = fnf(admit(&off(), &request("GET", UNSIGNED)).unwrap());
    assert_eq!((&*unsigned.action, &*unsigned.version), ("ListFlows", "2019-03-15"));
    assert_eq!(unsigned.caller.account, AccountId::local());
    let claimed = "AccessKeyId=123456789012&RegionId=cn-beijing&Signature=x";
    let form = form(request("POST", "/"), "Action=CreateFlow&Version=2019-03-15");
    let mut claim = form.clone();
    *claim.uri_mut() = format!("/?{claimed}").parse().unwrap();
    let claim = fnf(admit(&off(), &claim).unwrap());
    assert_eq!(claim.caller.account.as_str(), "123456789012");
    assert_eq!((claim.caller.region.as_str(), &*claim.action), ("cn-beijing", "CreateFlow"));
    let value = "ACS3-HMAC-SHA256 Credential=123456789012,SignedHeaders=host,Signature=0";
    let headers = with(request("POST", "/"), "authorization", value);
    let headers = fnf(admit(&off(), &with(headers, "x-acs-action", "ListFlows")).unwrap());
    assert_eq!((headers.caller.account.as_str(), &*headers.action), ("123456789012", "ListFlows"));
}

#[test]
fn bodies_are_as_long_as_the_service_allows() {
    let gate = strict();
    let form = "application/x-www-form-urlencoded";
    // The second one has everything in the form, which is not read then.
    for (name, value) in [("x-acs-action", "CreateFlow"), ("content-type", form)] {
        let head = with(request("POST", "/"), name, value).into_parts().0;
        assert_eq!(gate.body_bytes_max(&head, |_| None), 1024 * 1024);
        let response = gate.too_large(&head, HERE.parse().unwrap(), "id-1", None, |_| None);
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(body["Code"], "EntityTooLarge");
        let text = "The payload size exceeds maximum allowed size (1048576 bytes).";
        assert_eq!(body["Message"], text);
    }
}
