//! The recorded vectors of `fixtures/aliyun`, step by step, so that a failure shows which text differs.

use super::*;
use crate::{Key, Secret};
use durastack_wire::rpc::Parameters;
use http::{HeaderName, HeaderValue};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Accepted {
    id: String,
    version: String,
    #[serde(flatten)]
    known: Known,
    request: Sent,
    timestamp: String,
    #[serde(default)]
    signed_parameters: BTreeMap<String, String>,
    canonical_query: String,
    #[serde(default)]
    canonical_request: String,
    #[serde(default)]
    payload_sha256: String,
    #[serde(default)]
    signed_headers: String,
    string_to_sign: String,
    signature: String,
}

#[derive(Deserialize)]
struct Known {
    access_key_id: String,
    access_key_secret: String,
    security_token: Option<String>,
    known_access_key_ids: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Sent {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: String,
}

#[derive(Deserialize)]
struct Bearer {
    id: String,
    request: Sent,
}

#[derive(Deserialize)]
struct Refused {
    id: String,
    #[serde(flatten)]
    known: Known,
    clock: String,
    request: Sent,
    expected: Expected,
}

#[derive(Deserialize)]
struct Expected {
    service: Answer,
    gateway: Answer,
}

#[derive(Deserialize)]
struct Answer {
    status: u16,
    code: String,
}

macro_rules! fixture {
    ($name:literal) => {
        serde_json::from_str(include_str!(concat!("../../../../fixtures/aliyun/", $name))).unwrap()
    };
}

impl Known {
    fn keyring(&self) -> Keyring {
        let key = Key {
            id: self.access_key_id.clone(),
            secret: Secret::new(self.access_key_secret.as_str()),
            token: self.security_token.as_deref().map(Secret::new),
            expires: None,
            account: "1234567890123456".parse().unwrap(),
        };
        let known = self.known_access_key_ids.as_ref();
        let is_known = |key: &Key| known.is_none_or(|known| known.contains(&key.id));
        Keyring::new([0; 32], Some(key).into_iter().filter(is_known).collect())
    }
}

impl Sent {
    /// Hands the request on as the gate does.
    fn with<T>(&self, act: impl FnOnce(&Request<'_>) -> T) -> T {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let body = self.body.as_bytes();
        let parameters = Parameters::read(query, &headers, body).unwrap();
        let parameters: Vec<_> = parameters
            .iter()
            .map(|p| Parameter { name: &p.name, value: &p.value, in_query: p.in_query })
            .collect();
        let (method, headers) = (self.method.as_str(), &headers);
        act(&Request { method, path, headers, body, parameters: &parameters })
    }

    fn verify(&self, keys: &Keyring, nonces: &Nonces, clock: &str) -> Result<Verified, Refusal> {
        let wall = Timestamp::parse_iso(clock).unwrap();
        self.with(|request| verify(request, keys, Some(nonces), wall))
    }
}

#[test]
fn every_step_of_accepted_requests() {
    let cases: Vec<Accepted> = fixture!("accepted.json");
    assert_eq!(cases.len(), 27);
    for case in &cases {
        let (id, secret) = (&case.id, &case.known.access_key_secret);
        case.request.with(|request| match case.version.as_str() {
            "V1" => {
                let sorted = rpc::sorted(request);
                let found: BTreeMap<_, _> =
                    sorted.iter().map(|p| (p.name.to_owned(), p.value.to_owned())).collect();
                assert_eq!(found, case.signed_parameters, "parameters of {id}");
                let string = rpc::string_to_sign(request.method, &sorted);
                let text = String::from_utf8(string.clone()).unwrap();
                assert_eq!(text, case.string_to_sign, "string to sign of {id}");
                assert_eq!(rpc::signature_of(secret, &string), case.signature, "{id}");
            }
            "V3" => {
                let parts = acs3::Parts { request, signed_headers: &case.signed_headers };
                let canonical = parts.canonical_request(case.payload_sha256.as_bytes());
                let text = String::from_utf8(canonical.clone()).unwrap();
                assert_eq!(text.lines().nth(2), Some(&*case.canonical_query), "query of {id}");
                assert_eq!(text, case.canonical_request, "canonical request of {id}");
                let string = acs3::string_to_sign(&canonical);
                assert_eq!(string, case.string_to_sign, "string to sign of {id}");
                let signature = acs3::signature_of(secret, &string);
                assert_eq!(&signature[..], case.signature.as_bytes(), "{id}");
            }
            other => panic!("no such version: {other}"),
        });
    }
}

#[test]
fn accepted_requests_are_verified_whole() {
    let cases: Vec<Accepted> = fixture!("accepted.json");
    for case in &cases {
        let found = case.request.verify(&case.known.keyring(), &Nonces::new(), &case.timestamp);
        let found = found.unwrap_or_else(|e| panic!("{}: {}", case.id, e.explain()));
        assert_eq!(found.access_key_id, case.known.access_key_id);
        assert_eq!(found.account.as_str(), "1234567890123456");
        let hint = case.request.with(|request| {
            let hint = hint(request);
            (hint.access_key_id.to_owned(), hint.action.to_owned(), hint.version.to_owned())
        });
        assert_eq!(hint, (found.access_key_id, found.action, found.version), "{}", case.id);
        assert!(!hint.1.is_empty() && !hint.2.is_empty(), "{}", case.id);
    }
}

#[test]
fn bearer_tokens_are_refused_clearly() {
    let cases: Vec<Bearer> = fixture!("bearer.json");
    assert_eq!(cases.len(), 2);
    for case in &cases {
        let keys = Keyring::new([0; 32], vec![]);
        let found = case.request.verify(&keys, &Nonces::new(), "2026-01-15T08:30:00Z");
        let refusal = found.expect_err(&case.id);
        for vocabulary in [Vocabulary::Service, Vocabulary::Gateway] {
            let (status, code) = (refusal.status(vocabulary), refusal.code(vocabulary));
            assert_eq!((status.as_u16(), &*code), (403, "AccessDenied"), "{}", case.id);
            let message = refusal.message(vocabulary);
            assert!(message.contains("not supported locally"), "{message}");
        }
    }
}

#[test]
fn refused_requests_have_status_and_code_in_both_vocabularies() {
    let cases: Vec<Refused> = fixture!("refused.json");
    assert_eq!(cases.len(), 13);
    for case in &cases {
        let (keys, nonces) = (case.known.keyring(), Nonces::new());
        if case.expected.service.code == "SignatureNonceUsed" {
            case.request.verify(&keys, &nonces, &case.clock).expect("the first time");
        }
        let found = case.request.verify(&keys, &nonces, &case.clock);
        let refusal = found.expect_err(&case.id);
        for (vocabulary, expected) in [
            (Vocabulary::Service, &case.expected.service),
            (Vocabulary::Gateway, &case.expected.gateway),
        ] {
            assert_eq!(refusal.code(vocabulary), expected.code, "{}", case.id);
            assert_eq!(refusal.status(vocabulary), expected.status, "{}", case.id);
            let mismatch = matches!(refusal, Refusal::Mismatch(_));
            let shown = refusal.message(vocabulary).contains(" server string to sign is:");
            assert_eq!(shown, mismatch, "{}", case.id);
        }
    }
}

#[test]
fn the_windows_last_seconds_count() {
    let cases: Vec<Accepted> = fixture!("accepted.json");
    let case = &cases[0];
    for (clock, passes) in [
        ("2026-01-15T08:14:59.999Z", false),
        ("2026-01-15T08:15:00Z", true),
        ("2026-01-15T08:45:00.999Z", true),
        ("2026-01-15T08:45:01Z", false),
    ] {
        let found = case.request.verify(&case.known.keyring(), &Nonces::new(), clock);
        assert_eq!(found.is_ok(), passes, "{clock}");
    }
}
