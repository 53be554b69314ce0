//! The recorded vectors of `fixtures/sigv4`, step by step, so that a failure shows which text differs.

use super::canonical::{Tab, push_value};
use super::*;
use crate::{Family, Key, Secret};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderName, HeaderValue};
use serde::Deserialize;

#[derive(Deserialize)]
struct Accepted {
    id: String,
    profile: String,
    region: String,
    service: String,
    date: String,
    credentials: Credentials,
    wire_legal: bool,
    request: Sent,
    expected: Steps,
    alternative_signature: Option<String>,
}

#[derive(Deserialize)]
struct Credentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    expires: Option<String>,
}

#[derive(Deserialize)]
struct Sent {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    #[serde(default)]
    body_base64: String,
}

#[derive(Deserialize)]
struct Steps {
    canonical_request: String,
    payload_hash: String,
    string_to_sign: String,
    signing_key_hex: String,
    signature: String,
}

#[derive(Deserialize)]
struct Refused {
    id: String,
    server: Server,
    request: Sent,
    expected: Answer,
}

#[derive(Deserialize)]
struct Edge {
    id: String,
    based_on: String,
    server: Server,
}

#[derive(Deserialize)]
struct Server {
    family: String,
    region: String,
    service: String,
    clock: String,
    skew_window_minutes: u64,
    known_credentials: Vec<Credentials>,
}

#[derive(Deserialize)]
struct Answer {
    http_status: u16,
    code: String,
    message: String,
}

macro_rules! fixture {
    ($name:literal) => {
        serde_json::from_str(include_str!(concat!("../../../../fixtures/sigv4/", $name))).unwrap()
    };
}

fn accepted() -> Vec<Accepted> {
    let mut all: Vec<Accepted> = fixture!("accepted-suite.json");
    all.extend::<Vec<_>>(fixture!("accepted-services.json"));
    all.extend::<Vec<_>>(fixture!("accepted-s3.json"));
    all.extend::<Vec<_>>(fixture!("accepted-corners.json"));
    all
}

fn instant(text: &str) -> Timestamp {
    Timestamp::parse_iso(text).unwrap()
}

fn keyring(credentials: &[Credentials]) -> Keyring {
    let key = |c: &Credentials| Key {
        id: c.access_key_id.clone(),
        secret: Secret::new(c.secret_access_key.as_str()),
        token: c.session_token.as_deref().map(Secret::new),
        expires: c.expires.as_deref().map(instant),
        account: "123456789012".parse().unwrap(),
    };
    Keyring::new([0; 32], credentials.iter().map(key).collect())
}

impl Sent {
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            // A folded value cannot stand in a header map: it is unfolded by the canonicaliser's own hand.
            let mut bytes = value.as_bytes().to_vec();
            if value.contains('\n') {
                bytes.clear();
                push_value(&mut bytes, value.as_bytes(), Tab::Kept);
            }
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_bytes(&bytes).unwrap(),
            );
        }
        headers
    }

    fn body(&self) -> Vec<u8> {
        STANDARD.decode(&self.body_base64).unwrap()
    }
}

impl Server {
    fn verify(&self, sent: &Sent) -> Result<Verified, Refusal> {
        let region = self.region.parse().unwrap();
        let window = Duration::from_secs(60 * self.skew_window_minutes);
        let rules = Rules { service: &self.service, window, region: Some(&region) };
        let (headers, body) = (sent.headers(), sent.body());
        let request =
            Request { method: &sent.method, target: &sent.target, headers: &headers, body: &body };
        verify(&request, &rules, &keyring(&self.known_credentials), instant(&self.clock))
    }
}

#[test]
fn every_step_of_an_accepted_request() {
    let cases = accepted();
    assert_eq!(cases.len(), 92);
    for case in &cases {
        let (headers, body) = (case.request.headers(), case.request.body());
        let (method, target) = (case.request.method.as_str(), case.request.target.as_str());
        let request = Request { method, target, headers: &headers, body: &body };
        let claim = authorization::read(&request).unwrap();
        let scope = Scope::read(&claim.credential).unwrap();
        let rule = match case.profile.as_str() {
            "generic" => PathRule::Generic,
            "generic-no-normalize" => PathRule::Unnormalized,
            "s3" => PathRule::S3,
            other => panic!("no such profile: {other}"),
        };
        let parts = Parts {
            method,
            location: claim.location,
            target,
            headers: &headers,
            signed_headers: &claim.signed_headers,
            payload: case.expected.payload_hash.as_bytes(),
        };
        let id = &case.id;
        let canonical = parts.canonical_request(rule, Reading::default());
        let text = String::from_utf8_lossy(&canonical);
        assert_eq!(text, case.expected.canonical_request, "canonical request of {id}");
        let to_sign = string_to_sign(&canonical, &claim.basic_date, scope.text);
        assert_eq!(to_sign, case.expected.string_to_sign, "string to sign of {id}");
        let secret = &case.credentials.secret_access_key;
        let key = derive(secret, scope.date, scope.region, scope.service);
        let key_hex = String::from_utf8(encoding::hex(&key).to_vec()).unwrap();
        assert_eq!(key_hex, case.expected.signing_key_hex, "signing key of {id}");
        assert_eq!(claim.signature, case.expected.signature, "signature sent by {id}");
        let attempt = Attempt { claim: &claim, scope: scope.text, key: &keyed(&key) };
        assert!(attempt.fits(&parts, rule, Reading::default()), "signature of {id}");
    }
}

#[test]
fn accepted_requests_are_verified_whole() {
    let mut verified = 0;
    for case in accepted().iter().filter(|case| case.profile == "generic" && case.wire_legal) {
        let (body, keys) = (case.request.body(), keyring(std::slice::from_ref(&case.credentials)));
        let rules = Rules::of(&case.service);
        let second = case.alternative_signature.as_ref();
        for signature in [Some(&case.expected.signature), second].into_iter().flatten() {
            let headers = resigned(case, signature);
            let request = Request {
                method: &case.request.method,
                target: &case.request.target,
                headers: &headers,
                body: &body,
            };
            // Twice: the second time with the key that the first one left behind.
            for _ in 0..2 {
                let found = verify(&request, &rules, &keys, instant(&case.date));
                let found = found.unwrap_or_else(|e| panic!("{}: {}", case.id, e.explain()));
                assert_eq!(found.access_key_id, case.credentials.access_key_id);
                assert_eq!(found.region.as_str(), case.region);
            }
            let hint = scope_hint(&request).unwrap();
            assert_eq!((&*hint.service, &*hint.region), (&*case.service, &*case.region));
            verified += 1;
        }
    }
    assert_eq!(verified, 65);
}

fn resigned(case: &Accepted, signature: &str) -> HeaderMap {
    let mut headers = case.request.headers();
    if let Some(value) = headers.get_mut(http::header::AUTHORIZATION) {
        let text = value.to_str().unwrap().replace(&case.expected.signature, signature);
        *value = text.parse().unwrap();
    }
    headers
}

#[test]
fn refused_requests_have_status_code_and_text() {
    let cases: Vec<Refused> = fixture!("refused.json");
    assert_eq!(cases.len(), 43);
    for case in &cases {
        let family = match case.server.family.as_str() {
            "rest-json" => Family::RestJson,
            "json" => Family::Json,
            "json-403" => Family::JsonForbidden,
            "query" => Family::Query,
            other => panic!("no such family: {other}"),
        };
        let refusal = case.server.verify(&case.request).expect_err(&case.id);
        assert_eq!(refusal.message(family), case.expected.message, "text of {}", case.id);
        assert_eq!(refusal.code(family), case.expected.code, "code of {}", case.id);
        assert_eq!(refusal.status(family), case.expected.http_status, "status of {}", case.id);
    }
}

#[test]
fn the_clocks_last_moments_count() {
    let (edges, cases): (Vec<Edge>, _) = (fixture!("clock-edges.json"), accepted());
    assert_eq!(edges.len(), 3);
    for edge in &edges {
        let base = cases.iter().find(|case| case.id == edge.based_on).unwrap();
        let found = edge.server.verify(&base.request);
        assert!(found.is_ok(), "{}: {found:?}", edge.id);
    }
}
