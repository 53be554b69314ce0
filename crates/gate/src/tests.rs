//! The gate as a whole: requests as clients send them, and what becomes of them.

mod aliyun;

use super::*;
use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign},
    sign::v4,
};
use durastack_wire::Op;
use http::{HeaderValue, StatusCode, header};
use std::time::{Duration, SystemTime};

const NOW_S: u64 = 1_767_323_045;
const HERE: &str = "127.0.0.1:50000";
const AFAR: &str = "192.168.1.9:50000";
const FUNCTIONS: &str = "/2015-03-31/functions/";

fn keys() -> Arc<Keyring> {
    Arc::new(Keyring::new([5; 32], vec![]))
}

fn gate(settings: Settings) -> Gate {
    let clock = Clock::manual(Timestamp::from_millis(i64::try_from(NOW_S * 1000).unwrap()));
    Gate::new(settings, keys(), clock).unwrap()
}

fn strict() -> Gate {
    gate(Settings::default())
}

fn off() -> Gate {
    gate(Settings { auth: Auth::Off, ..Settings::default() })
}

/// An unsigned request to `localhost:4566`.
fn request(method: &str, target: &str) -> Request<Bytes> {
    Request::builder()
        .method(method)
        .uri(target)
        .header(header::HOST, "localhost:4566")
        .body(Bytes::new())
        .unwrap()
}

fn with(mut request: Request<Bytes>, name: &'static str, value: &str) -> Request<Bytes> {
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

fn form(mut request: Request<Bytes>, body: &'static str) -> Request<Bytes> {
    *request.body_mut() = Bytes::from_static(body.as_bytes());
    with(request, "content-type", "application/x-www-form-urlencoded")
}

/// Signs for a service with a key and a secret of `test`, in a header or in the query.
fn signed(request: Request<Bytes>, service: &str, location: SignatureLocation) -> Request<Bytes> {
    signed_by(request, service, location, Credentials::from_keys("test", "test", None))
}

fn signed_by(
    mut request: Request<Bytes>,
    service: &str,
    location: SignatureLocation,
    credentials: Credentials,
) -> Request<Bytes> {
    let identity = credentials.into();
    let mut settings = SigningSettings::default();
    settings.signature_location = location;
    if location == SignatureLocation::QueryParams {
        settings.expires_in = Some(Duration::from_secs(60));
    }
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("eu-west-1")
        .name(service)
        .time(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW_S))
        .settings(settings)
        .build()
        .unwrap();
    let method = request.method().to_string();
    let target = request.uri().to_string();
    *request.uri_mut() = format!("http://localhost:4566{target}").parse().unwrap();
    let pairs: Vec<_> =
        request.headers().iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
    let uri = request.uri().to_string();
    let body = SignableBody::Bytes(request.body());
    let signable = SignableRequest::new(&method, uri, pairs.into_iter(), body).unwrap();
    let (instructions, _) = sign(signable, &params.into()).unwrap().into_parts();
    instructions.apply_to_request_http1x(&mut request);
    // A server sees path and query alone.
    let target = request.uri().path_and_query().unwrap().as_str().parse().unwrap();
    *request.uri_mut() = target;
    request
}

fn lambda_signed() -> Request<Bytes> {
    signed(request("GET", FUNCTIONS), "lambda", SignatureLocation::Headers)
}

fn admit(gate: &Gate, request: &Request<Bytes>) -> Result<Admitted, Box<Response<Bytes>>> {
    gate.admit(request, HERE.parse().unwrap(), "id-1")
}

/// Status, code and text of a refusal, wherever its frame puts them.
fn refused(gate: &Gate, request: &Request<Bytes>) -> (u16, String, String) {
    let response = admit(gate, request).expect_err("refused");
    let status = response.status().as_u16();
    let text = String::from_utf8(response.body().to_vec()).unwrap();
    match response.headers().get("x-acs-request-id") {
        Some(id) => assert_eq!(id, "ID-1", "{text}"),
        None => assert_eq!(response.headers()["x-amzn-requestid"], "id-1", "{text}"),
    }
    if let Some(code) = response.headers().get("x-amzn-errortype") {
        return (status, code.to_str().unwrap().to_owned(), text);
    }
    if let Some((_, rest)) = text.split_once("<Code>") {
        return (status, rest.split('<').next().unwrap().to_owned(), text);
    }
    let body: serde_json::Value = serde_json::from_str(&text).unwrap();
    let code = ["code", "__type", "Code"].iter().find_map(|name| body[name].as_str());
    (status, code.unwrap().to_owned(), text)
}

fn check_refused(gate: &Gate, request: &Request<Bytes>, status: u16, code: &str) -> String {
    let (found, found_code, text) = refused(gate, request);
    assert_eq!((found, &*found_code), (status, code), "{text}");
    text
}

fn caller(admitted: Admitted) -> Caller {
    match admitted {
        Admitted::Service { caller, .. } => caller,
        other => panic!("no service of AWS: {other:?}"),
    }
}

#[test]
fn a_signed_request_reaches_its_service() {
    let admitted = admit(&strict(), &lambda_signed()).unwrap();
    let Admitted::Service { service: Service::Lambda, caller } = admitted else {
        panic!("{admitted:?}")
    };
    assert_eq!(caller.account, AccountId::local());
    assert_eq!(caller.region.as_str(), "eu-west-1");
    assert_eq!(caller.access_key_id, "test");
    let identity = form(request("POST", "/"), "Action=GetCallerIdentity&Version=2011-06-15");
    let identity = signed(identity, "sts", SignatureLocation::Headers);
    let admitted = admit(&strict(), &identity).unwrap();
    assert!(matches!(admitted, Admitted::Service { service: Service::Sts, .. }));
}

#[test]
fn a_function_is_known_by_its_key() {
    let (account, function) = ("123456789012".parse().unwrap(), "order".parse().unwrap());
    let key = keys().for_function(&account, &Region::us_east_1(), &function);
    let token = Some(key.session_token.expose().to_owned());
    let credentials = Credentials::from_keys(&key.access_key_id, key.secret.expose(), token);
    let request = request("GET", FUNCTIONS);
    let request = signed_by(request, "lambda", SignatureLocation::Headers, credentials);
    for gate in [strict(), off()] {
        let caller = caller(admit(&gate, &request).unwrap());
        assert_eq!((&caller.account, &caller.function), (&account, &Some(function.clone())));
    }
}

#[test]
fn a_foreign_host_is_refused_whatever_else_is_right() {
    for target in [FUNCTIONS, "/_durastack/clock", "/_localstack/health", "/"] {
        let request = with(request("GET", target), "host", "evil.test:4566");
        let text = check_refused(&strict(), &request, 403, "HostNotAllowed");
        assert!(text.contains("--allow-host") && text.contains("evil.test"), "{text}");
    }
    let allowing = Settings { allowed_hosts: vec!["evil.test".into()], ..Settings::default() };
    let request = with(request("GET", "/_localstack/health"), "host", "evil.test:4566");
    assert_eq!(admit(&gate(allowing), &request).unwrap(), Admitted::Admin);
    let mut nameless = lambda_signed();
    nameless.headers_mut().remove(header::HOST);
    check_refused(&strict(), &nameless, 403, "HostNotAllowed");
}

#[test]
fn a_page_of_another_site_is_refused_even_with_the_default_keys_in_its_url() {
    let presigned = || signed(request("GET", FUNCTIONS), "lambda", SignatureLocation::QueryParams);
    assert!(admit(&strict(), &presigned()).is_ok());
    let request = with(presigned(), "origin", "http://evil.test");
    let text = check_refused(&strict(), &request, 403, "OriginNotAllowed");
    assert!(text.contains("--allow-origin"), "{text}");
    // An image or a script tag names no origin.
    for site in ["cross-site", "same-site"] {
        let request = with(presigned(), "sec-fetch-site", site);
        check_refused(&strict(), &request, 403, "OriginNotAllowed");
        check_refused(&off(), &request, 403, "OriginNotAllowed");
    }
    let allowed_origins = vec!["http://evil.test".into()];
    let allowing = gate(Settings { allowed_origins, ..Settings::default() });
    assert!(admit(&allowing, &with(presigned(), "origin", "http://evil.test")).is_ok());
    assert!(admit(&strict(), &with(presigned(), "origin", "http://localhost:4566")).is_ok());
}

#[test]
fn a_form_of_another_site_is_refused_on_every_path() {
    for target in ["/", "/_durastack/clock/advance", FUNCTIONS] {
        let request =
            form(request("POST", target), "Action=CreateFlow&Version=2019-03-15&Signature=x");
        let request = with(request, "origin", "null");
        check_refused(&strict(), &request, 403, "OriginNotAllowed");
    }
}

#[test]
fn admin_calls_that_change_something_come_from_this_machine() {
    let send = |method, peer: &str| {
        let request = request(method, "/_durastack/clock");
        strict().admit(&request, peer.parse().unwrap(), "id-1")
    };
    for method in ["GET", "HEAD", "POST", "DELETE", "OPTIONS"] {
        assert_eq!(send(method, HERE).unwrap(), Admitted::Admin);
        assert_eq!(send(method, "[::1]:1").unwrap(), Admitted::Admin);
        assert_eq!(send(method, "[::ffff:127.0.0.1]:1").unwrap(), Admitted::Admin);
        let reads = matches!(method, "GET" | "HEAD");
        assert_eq!(send(method, AFAR).is_ok(), reads, "{method}");
    }
    assert_eq!(send("POST", AFAR).unwrap_err().status(), StatusCode::FORBIDDEN);
}

#[test]
fn lambda_refuses_in_its_own_words() {
    let text = check_refused(
        &strict(),
        &request("GET", FUNCTIONS),
        403,
        "MissingAuthenticationTokenException",
    );
    assert_eq!(text, r#"{"message":"Missing Authentication Token"}"#);
    let bearer = with(request("GET", FUNCTIONS), "authorization", "Bearer x");
    check_refused(&strict(), &bearer, 403, "IncompleteSignatureException");
    let mut tampered = lambda_signed();
    *tampered.body_mut() = Bytes::from_static(b"{}");
    let text = check_refused(&strict(), &tampered, 403, "InvalidSignatureException");
    assert!(text.contains("The Canonical String for this request should have been"), "{text}");
    let late = strict();
    late.clock.turn(Duration::from_secs(301));
    let text = check_refused(&late, &lambda_signed(), 403, "InvalidSignatureException");
    assert!(text.contains("Signature expired"), "{text}");
}

#[test]
fn a_skipped_month_disturbs_no_signature() {
    let gate = strict();
    gate.clock.advance(Duration::from_secs(30 * 86_400));
    assert!(admit(&gate, &lambda_signed()).is_ok());
}

#[test]
fn sts_refuses_in_xml_and_has_a_longer_window() {
    let identity = || form(request("POST", "/"), "Action=GetCallerIdentity&Version=2011-06-15");
    let text = check_refused(&strict(), &identity(), 403, "MissingAuthenticationToken");
    assert!(text.contains("Request is missing Authentication Token"), "{text}");
    let gate = strict();
    let request = signed(identity(), "sts", SignatureLocation::Headers);
    gate.clock.turn(Duration::from_secs(900));
    assert!(admit(&gate, &request).is_ok());
    gate.clock.turn(Duration::from_secs(1));
    check_refused(&gate, &request, 403, "SignatureDoesNotMatch");
    let broken = "AWS4-HMAC-SHA256 Credential=k/d/r/sts/t";
    check_refused(
        &strict(),
        &with(identity(), "authorization", broken),
        400,
        "IncompleteSignature",
    );
}

#[test]
fn a_service_that_is_not_built_says_so_after_the_signature() {
    let start = with(request("POST", "/"), "x-amz-target", "AWSStepFunctions.StartExecution");
    let start = with(start, "content-type", "application/x-amz-json-1.0");
    let start = signed(start, "states", SignatureLocation::Headers);
    let code = "com.amazon.coral.service#NotImplemented";
    let text = check_refused(&strict(), &start, 501, code);
    assert!(text.contains("states") && text.contains("StartExecution"), "{text}");
    let mut tampered = start;
    *tampered.body_mut() = Bytes::from_static(b"{}");
    let code = "com.amazon.coral.service#InvalidSignatureException";
    check_refused(&strict(), &tampered, 400, code);
    check_refused(&off(), &tampered, 501, "com.amazon.coral.service#NotImplemented");

    let users = form(request("POST", "/"), "Action=ListUsers&Version=2010-05-08");
    let users = signed(users, "iam", SignatureLocation::Headers);
    let text = check_refused(&strict(), &users, 501, "NotImplemented");
    assert!(text.starts_with("<ErrorResponse") && text.contains("ListUsers"), "{text}");

    let rest = signed(request("GET", "/restapis"), "apigateway", SignatureLocation::Headers);
    let text = check_refused(&strict(), &rest, 501, "NotImplemented");
    assert!(text.contains("GET /restapis"), "{text}");

    // S3's own signature rules are not verified: honest before the signature.
    let mut put = signed(request("PUT", "/bucket/a%20b"), "s3", SignatureLocation::Headers);
    *put.body_mut() = Bytes::from_static(b"x");
    check_refused(&strict(), &put, 501, "NotImplemented");
}

#[test]
fn what_leads_nowhere_is_not_found() {
    for target in ["/", "/favicon.ico", "/_localstack/info"] {
        check_refused(&strict(), &request("GET", target), 404, "NotFound");
        check_refused(&off(), &request("GET", target), 404, "NotFound");
    }
}

#[test]
fn with_authentication_off_claims_are_believed() {
    let found = |request: &Request<Bytes>| {
        let caller = caller(admit(&off(), request).unwrap());
        (caller.account.to_string(), caller.region.to_string())
    };
    let unsigned = request("GET", FUNCTIONS);
    assert_eq!(found(&unsigned), ("000000000000".into(), "us-east-1".into()));
    let claim = |id: &str, region: &str| {
        let value = format!(
            "AWS4-HMAC-SHA256 Credential={id}/20200101/{region}/lambda/aws4_request, Signature=0"
        );
        with(request("GET", FUNCTIONS), "authorization", &value)
    };
    assert_eq!(
        found(&claim("123456789012", "eu-west-1")),
        ("123456789012".into(), "eu-west-1".into())
    );
    assert_eq!(
        found(&claim("AKIDEXAMPLE", "nowhere")),
        ("000000000000".into(), "us-east-1".into())
    );
}

#[test]
fn bodies_are_read_as_far_as_their_operation_allows() {
    let code = Op::post("CreateFunction", "/2015-03-31/functions").body_bytes_max(70_000_000);
    let gate = strict();
    let limit = |request: Request<Bytes>| {
        gate.body_bytes_max(&request.into_parts().0, |service| {
            (service == Service::Lambda).then_some(&code)
        })
    };
    assert_eq!(limit(request("POST", FUNCTIONS)), 70_000_000);
    assert_eq!(limit(with(request("POST", FUNCTIONS), "origin", "http://evil.test")), 0);
    assert_eq!(limit(request("POST", "/_durastack/clock")), 1024 * 1024);

    let answer = |request: Request<Bytes>| {
        let (head, _) = request.into_parts();
        let response =
            gate.too_large(&head, HERE.parse().unwrap(), "id-1", Some(9), |_| Some(&code));
        let code = response.headers().get("x-amzn-errortype").cloned();
        (response.status().as_u16(), code)
    };
    let code_header = HeaderValue::from_static("RequestEntityTooLargeException");
    assert_eq!(answer(request("POST", FUNCTIONS)), (413, Some(code_header)));
    let evil = with(request("POST", FUNCTIONS), "host", "evil.test");
    assert_eq!(answer(evil), (403, None));
    assert_eq!(answer(request("POST", "/_durastack/clock")), (413, None));
}
