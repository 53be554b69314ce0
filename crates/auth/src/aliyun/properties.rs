//! Random requests: signed, tampered with, and made of noise. What is signed here is decoded by `durastack_wire` as the
//! gate has it, so that bytes on the wire are what is altered.

use super::*;
use durastack_wire::rpc::Parameters;
use http::{HeaderName, HeaderValue};
use proptest::{prelude::*, sample::Index};

const TIME: &str = "2026-01-02T03:04:05Z";
const FORM: &str = "application/x-www-form-urlencoded";

fn keys() -> Keyring {
    Keyring::new([7; 32], vec![])
}

/// A request as bytes on the wire.
#[derive(Debug, Clone)]
struct Wire {
    method: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Wire {
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            if let (Ok(name), Ok(value)) =
                (name.parse::<HeaderName>(), HeaderValue::from_bytes(value))
            {
                headers.append(name, value);
            }
        }
        headers
    }

    fn parameters(&self) -> Parameters {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        Parameters::read(query, &self.headers(), &self.body).unwrap()
    }

    fn with<T>(&self, act: impl FnOnce(&Request<'_>) -> T) -> T {
        let (headers, parameters) = (self.headers(), self.parameters());
        let parameters: Vec<_> = parameters
            .iter()
            .map(|p| Parameter { name: &p.name, value: &p.value, in_query: p.in_query })
            .collect();
        let path = self.target.split_once('?').map_or(&*self.target, |(path, _)| path);
        let (method, body) = (self.method.as_str(), self.body.as_slice());
        act(&Request { method, path, headers: &headers, body, parameters: &parameters })
    }

    fn check(&self) -> Result<Verified, Refusal> {
        self.with(|request| verify(request, &keys(), None, Timestamp::parse_iso(TIME).unwrap()))
    }
}

fn encoded(text: &str) -> String {
    let mut out = Vec::new();
    text.bytes().for_each(|byte| crate::sigv4::encoding::push_encoded(&mut out, byte));
    String::from_utf8(out).unwrap()
}

fn joined(pairs: &[(String, String)]) -> String {
    let pairs: Vec<_> =
        pairs.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    pairs.join("&")
}

/// Business parameters of distinct names, for the query and for the form.
fn pairs(prefix: &'static str) -> impl Strategy<Value = Vec<(String, String)>> {
    prop::collection::btree_map("[a-zA-Z0-9.]{0,4}", "\\PC{0,6}", 0..4).prop_map(move |map| {
        map.into_iter().map(|(name, value)| (format!("{prefix}{name}"), value)).collect()
    })
}

fn method() -> impl Strategy<Value = String> {
    prop_oneof![Just("GET".to_owned()), Just("POST".to_owned())]
}

fn by_parameters() -> impl Strategy<Value = Wire> {
    (method(), pairs("q"), pairs("f"), any::<bool>()).prop_map(
        |(method, mut query, mut form, all_in_form)| {
            let common = [
                ("Action", "ListFlows"),
                ("Version", "2019-03-15"),
                ("AccessKeyId", "test"),
                ("SignatureMethod", "HMAC-SHA1"),
                ("SignatureVersion", "1.0"),
                ("SignatureNonce", "n"),
                ("Timestamp", TIME),
            ];
            let common = common.map(|(name, value)| (name.to_owned(), value.to_owned()));
            if all_in_form {
                form.extend(common)
            } else {
                query.extend(common)
            }
            let wire = |query: &[_], form: &[_]| Wire {
                method: method.clone(),
                target: format!("/?{}", joined(query)),
                headers: vec![("content-type".into(), FORM.into())],
                body: joined(form).into_bytes(),
            };
            let signature = wire(&query, &form).with(|request| {
                rpc::signature_of(
                    "test",
                    &rpc::string_to_sign(request.method, &rpc::sorted(request)),
                )
            });
            let place = if all_in_form { &mut form } else { &mut query };
            place.push(("Signature".into(), signature));
            wire(&query, &form)
        },
    )
}

fn by_headers() -> impl Strategy<Value = Wire> {
    let headers = prop::collection::btree_map("x-[b-z]{1,3}", "[!-~]{1,6}", 0..3);
    (method(), pairs("q"), headers, prop::collection::vec(any::<u8>(), 0..40)).prop_map(
        |(method, query, extra, body)| {
            use sha2::{Digest, Sha256};
            let hash = crate::sigv4::encoding::hex(&Sha256::digest(&body).into());
            let mut headers: Vec<(String, Vec<u8>)> = [
                ("content-type", "application/octet-stream"), ("host", "localhost:4566"),
                ("x-acs-action", "ListFlows"), ("x-acs-version", "2019-03-15"),
                ("x-acs-date", TIME), ("x-acs-signature-nonce", "n"),
            ].into_iter().map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).collect();
            headers.push(("x-acs-content-sha256".into(), hash.to_vec()));
            headers.extend(extra.into_iter().map(|(name, value)| (name, value.into_bytes())));
            let mut names: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
            names.sort_unstable();
            let signed_headers = names.join(";");
            let target = format!("/?{}", joined(&query));
            let mut wire = Wire { method, target, headers, body };
            let signature = wire.with(|request| {
                let parts = acs3::Parts { request, signed_headers: &signed_headers };
                acs3::signature_of("test", &acs3::string_to_sign(&parts.canonical_request(&hash)))
            });
            let signature = String::from_utf8(signature.to_vec()).unwrap();
            let value = format!(
                "ACS3-HMAC-SHA256 Credential=test,SignedHeaders={signed_headers},Signature={signature}"
            );
            wire.headers.push(("authorization".into(), value.into_bytes()));
            wire
        },
    )
}

/// Changes one bit of one byte of a request line's part, or answers nothing when the result could not travel.
fn flipped(text: &str, at: Index, bit: u8) -> Option<String> {
    let mut text = text.as_bytes().to_vec();
    let at = at.index(text.len());
    text[at] ^= 1 << bit;
    String::from_utf8(text).ok().filter(|t| t.bytes().all(|b| (b'!'..=b'~').contains(&b)))
}

proptest! {
    #[test]
    fn what_is_signed_is_verified(wire in prop_oneof![by_parameters(), by_headers()]) {
        let found = wire.check();
        prop_assert!(found.is_ok(), "{}", found.unwrap_err().explain());
    }

    #[test]
    fn a_flipped_bit_of_parameters_is_refused(
        wire in by_parameters(), place in 0..3, at: Index, bit in 0..8u8,
    ) {
        let mut altered = wire.clone();
        match place {
            0 => {
                let Some(method) = flipped(&wire.method, at, bit) else { return Ok(()) };
                altered.method = method;
            }
            1 => {
                let Some(target) = flipped(&wire.target, at, bit) else { return Ok(()) };
                altered.target = target;
            }
            _ => {
                if wire.body.is_empty() { return Ok(()) }
                let at = at.index(wire.body.len());
                altered.body[at] ^= 1 << bit;
            }
        }
        // Other bytes may stand for the same parameters (`%2b` and `%2B`), which are the request.
        let same = altered.method == wire.method && altered.parameters() == wire.parameters();
        prop_assert_eq!(altered.check().is_ok(), same);
    }

    #[test]
    fn a_flipped_bit_of_headers_is_refused(
        wire in by_headers(), place in 0..4, at: Index, which: Index, bit in 0..8u8,
    ) {
        let mut altered = wire.clone();
        match place {
            0 => {
                let Some(method) = flipped(&wire.method, at, bit) else { return Ok(()) };
                altered.method = method;
            }
            1 => {
                let Some(target) = flipped(&wire.target, at, bit) else { return Ok(()) };
                let path = |target: &str| target.split('?').next().map(str::to_owned);
                altered.target = target;
                if path(&altered.target) == path(&wire.target)
                    && altered.parameters() == wire.parameters() { return Ok(()) }
            }
            2 => {
                if wire.body.is_empty() { return Ok(()) }
                let at = at.index(wire.body.len());
                altered.body[at] ^= 1 << bit;
            }
            _ => {
                let which = which.index(wire.headers.len());
                let (name, value) = &mut altered.headers[which];
                let at = at.index(value.len());
                let text = String::from_utf8(value.clone()).unwrap();
                // The key's id is not part of what is signed: two ids with one secret verify alike.
                let id = text.find("Credential=").map_or(0..0, |start| start + 11..start + 15);
                if name == "authorization" && id.contains(&at) { return Ok(()) }
                value[at] ^= 1 << bit;
                let blank = value[at].is_ascii_whitespace();
                if blank || HeaderValue::from_bytes(value).is_err() { return Ok(()) }
            }
        }
        prop_assert!(altered.check().is_err());
    }

    #[test]
    fn noise_does_not_panic(
        method in "[A-Z]{1,5}",
        query in "((Signature|AccessKeyId|Timestamp|SignatureMethod|SignatureVersion|SignatureNonce|SecurityToken|SignatureType)=[!-~]{0,12}&?){0,8}",
        authorization in prop::option::of(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..80),
            "ACS3-HMAC-SHA256 (Credential=[a-z]{0,6},? ?|Signature=[0-9a-f]{0,64},? ?|SignedHeaders=[a-zA-Z;:-]{0,20},? ?){0,4}"
                .prop_map(String::into_bytes),
        ]),
        dates in prop::collection::vec(("x-acs-(date|action|version|signature-nonce|content-sha256|security-token)", prop::collection::vec(any::<u8>(), 0..24)), 0..6),
        body in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let authorization = authorization.map(|value| ("authorization".to_owned(), value));
        let headers = dates.into_iter().chain(authorization).collect();
        let wire = Wire { method, target: format!("/?{query}"), headers, body };
        let refusal = wire.check().unwrap_err();
        for vocabulary in [Vocabulary::Service, Vocabulary::Gateway] {
            let code = refusal.code(vocabulary);
            prop_assert!(!code.is_empty() && !refusal.message(vocabulary).is_empty());
            prop_assert!(refusal.status(vocabulary).is_client_error() && !refusal.explain().is_empty());
        }
        let _ = wire.with(|request| hint(request).access_key_id.len());
    }
}
