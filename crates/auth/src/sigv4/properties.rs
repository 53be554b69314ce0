//! Random requests: signed by aws-sigv4 as a second opinion, tampered with, and made of noise.

use super::*;
use crate::{Key, Secret};
use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, SignableBody, SignableRequest, SignatureLocation, SigningSettings,
        sign,
    },
    sign::v4,
};
use http::{HeaderName, HeaderValue, header};
use proptest::prelude::*;
use std::time::SystemTime;

const ID: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const TOKEN: &str = "FwoGZXIvYXdzEXAMPLETOKEN//////////wEaDEXAMPLE=";
const NOW_S: u64 = 1_767_323_045;

/// A request, then a signed one.
#[derive(Debug, Clone)]
struct Sample {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    token: bool,
    hash_header: bool,
    location: SignatureLocation,
}

fn now() -> Timestamp {
    Timestamp::from_millis(i64::try_from(NOW_S * 1000).unwrap())
}

fn keys(token: bool) -> Keyring {
    let key = Key {
        id: ID.into(),
        secret: Secret::new(SECRET),
        token: token.then(|| Secret::new(TOKEN)),
        expires: None,
        account: AccountId::local(),
    };
    Keyring::new([7; 32], vec![key])
}

fn escaped(text: &str) -> String {
    let mut out = Vec::new();
    text.bytes().for_each(|byte| encoding::push_encoded(&mut out, byte));
    String::from_utf8(out).unwrap()
}

fn samples() -> impl Strategy<Value = Sample> {
    let method = prop::sample::select(vec!["GET", "PUT", "POST", "DELETE", "PATCH"]);
    let segment = prop_oneof!["[a-zA-Z0-9:$._~-]{0,8}", "\\PC{0,4}", Just(String::from(".."))];
    let path = prop::collection::vec(segment, 0..5);
    let query = prop::collection::vec(("[a-zA-Z0-9-]{1,4}", "\\PC{0,6}"), 0..4);
    let headers = prop::collection::vec(
        ("x-[a-z]{1,3}(-[a-z]{1,2})?", " ?[!-~]{0,6}( {1,3}[!-~]{1,4})?"),
        0..4,
    );
    let body = prop::collection::vec(any::<u8>(), 0..64);
    let location =
        prop_oneof![Just(SignatureLocation::Headers), Just(SignatureLocation::QueryParams)];
    (method, path, query, headers, body, any::<(bool, bool)>(), location).prop_map(
        |(method, path, query, headers, body, (token, hash_header), location)| {
            let mut target = String::from("/");
            target += &path.iter().map(|s| escaped(s)).collect::<Vec<_>>().join("/");
            for (n, (name, value)) in query.iter().enumerate() {
                target += if n == 0 { "?" } else { "&" };
                target += &format!("{}={}", escaped(name), escaped(value));
            }
            let mut seen = std::collections::BTreeSet::from(["x-amz".to_owned()]);
            let headers = headers.into_iter().filter(|(name, _)| seen.insert(name.clone()));
            let (method, headers) = (method.to_owned(), headers.collect());
            Sample { method, target, headers, body, token, hash_header, location }
        },
    )
}

impl Sample {
    fn signed(&self) -> http::Request<Vec<u8>> {
        let token = self.token.then(|| TOKEN.to_owned());
        let identity = Credentials::from_keys(ID, SECRET, token).into();
        let mut settings = SigningSettings::default();
        settings.signature_location = self.location;
        if self.hash_header {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        if self.location == SignatureLocation::QueryParams {
            settings.expires_in = Some(Duration::from_secs(300));
        }
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region("eu-west-1")
            .name("lambda")
            .time(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW_S))
            .settings(settings)
            .build()
            .unwrap();
        let mut builder = http::Request::builder()
            .method(self.method.as_str())
            .uri(format!("http://localhost:4566{}", self.target));
        for (name, value) in &self.headers {
            builder = builder.header(name, value);
        }
        builder = builder.header(header::HOST, "localhost:4566");
        let mut request = builder.body(self.body.clone()).unwrap();
        let headers: Vec<_> =
            request.headers().iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
        let uri = request.uri().to_string();
        let signable = SignableRequest::new(
            &self.method,
            uri,
            headers.into_iter(),
            SignableBody::Bytes(&self.body),
        );
        let (instructions, _) = sign(signable.unwrap(), &params.into()).unwrap().into_parts();
        instructions.apply_to_request_http1x(&mut request);
        request
    }
}

fn check(request: &http::Request<Vec<u8>>, keys: &Keyring) -> Result<Verified, Refusal> {
    let target = request.uri().path_and_query().unwrap().as_str();
    check_target(request, target, keys)
}

fn check_target(
    request: &http::Request<Vec<u8>>,
    target: &str,
    keys: &Keyring,
) -> Result<Verified, Refusal> {
    let method = request.method().as_str();
    let request = Request { method, target, headers: request.headers(), body: request.body() };
    verify(&request, &Rules::of("lambda"), keys, now())
}

/// Changes one bit of one byte, or answers nothing when the result could not travel, or means the same.
fn flipped(text: &[u8], at: prop::sample::Index, bit: u8) -> Option<String> {
    let mut text = text.to_vec();
    let at = at.index(text.len());
    text[at] ^= 1 << bit;
    String::from_utf8(text).ok().filter(|text| text.bytes().all(|b| (b'!'..=b'~').contains(&b)))
}

proptest! {
    #[test]
    fn what_aws_sigv4_signs_is_verified(sample in samples()) {
        let request = sample.signed();
        let found = check(&request, &keys(sample.token));
        prop_assert!(found.is_ok(), "{}", found.unwrap_err().explain());
    }

    #[test]
    fn a_flipped_bit_is_refused(
        sample in samples(),
        place in 0..5,
        at: prop::sample::Index,
        bit in 0..7u8,
    ) {
        let mut request = sample.signed();
        let keys = keys(sample.token);
        match place {
            0 => {
                let method = flipped(request.method().as_str().as_bytes(), at, bit);
                let Some(method) = method.and_then(|m| m.parse().ok()) else { return Ok(()) };
                *request.method_mut() = method;
            }
            1 => {
                let target = request.uri().path_and_query().unwrap().as_str().to_owned();
                let Some(altered) = flipped(target.as_bytes(), at, bit) else { return Ok(()) };
                let parts = |target: &str| {
                    // What has the same canonical form is the same request, except that the claim is read from it too.
                    let headers = HeaderMap::new();
                    let parts = Parts {
                        method: "", location: Location::Query, target, headers: &headers,
                        signed_headers: "", payload: b"",
                    };
                    parts.canonical_request(PathRule::Generic, Reading::default())
                };
                let id = |target: &str| target.contains("X-Amz-Credential=AKIDEXAMPLE%2F");
                if !id(&altered) && id(&target)
                    || parts(&target) == parts(&altered) && !sample.is_signature(&altered, &target)
                {
                    return Ok(());
                }
                prop_assert!(check_target(&request, &altered, &keys).is_err(), "{altered}");
                return Ok(());
            }
            2 => {
                let names: Vec<_> = request.headers().keys().cloned().collect();
                let name = names[at.index(names.len())].clone();
                let value = request.headers()[&name].clone();
                if name == header::AUTHORIZATION || value.is_empty() { return Ok(()) }
                let Some(value) = flipped(value.as_bytes(), at, bit) else { return Ok(()) };
                let Ok(value) = HeaderValue::from_str(&value) else { return Ok(()) };
                request.headers_mut().insert(name, value);
            }
            3 => {
                if request.body().is_empty() { return Ok(()) }
                let at = at.index(request.body().len());
                request.body_mut()[at] ^= 1 << bit;
            }
            _ => {
                let Some(value) = request.headers().get(header::AUTHORIZATION).cloned() else {
                    return Ok(())
                };
                let text = value.to_str().unwrap();
                let id = text.find(ID).unwrap();
                let at = at.index(text.len());
                let separator = |b: u8| matches!(b, b',' | b' ');
                if (id..id + ID.len()).contains(&at) || separator(text.as_bytes()[at]) {
                    return Ok(());
                }
                let mut bytes = text.as_bytes().to_vec();
                bytes[at] ^= 1 << bit;
                let Ok(value) = HeaderValue::from_bytes(&bytes) else { return Ok(()) };
                request.headers_mut().insert(header::AUTHORIZATION, value);
            }
        }
        prop_assert!(check(&request, &keys).is_err());
    }

    #[test]
    fn noise_does_not_panic(
        target in "(/[!-~]{0,20})?(\\?([A-Z%a-z0-9=&+-]{0,20}|X-Amz-(Algorithm|Date|Credential|Signature|SignedHeaders|Expires)=[!-~]{0,20}&?){0,6})?",
        authorization in prop::option::of(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..80),
            "AWS4-HMAC-SHA256 (Credential=[a-z0-9/_]{0,30},? ?|Signature=[0-9a-fA-F]{0,64},? ?|SignedHeaders=[a-zA-Z;:-]{0,20},? ?){0,4}"
                .prop_map(String::into_bytes),
        ]),
        date in prop::option::of(prop::collection::vec(any::<u8>(), 0..24)),
        token in prop::option::of(prop::collection::vec(any::<u8>(), 0..24)),
        other in prop::collection::vec(("[a-z-]{1,6}", prop::collection::vec(any::<u8>(), 0..12)), 0..3),
        body in prop::collection::vec(any::<u8>(), 0..8),
    ) {
        let mut headers = HeaderMap::new();
        let named = [("authorization", authorization), ("x-amz-date", date), ("x-amz-security-token", token)];
        let named = named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        for (name, value) in named.chain(other) {
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_bytes(&value)) {
                headers.append(name, value);
            }
        }
        let request = Request { method: "GET", target: &target, headers: &headers, body: &body };
        let hint = scope_hint(&request);
        let refusal = verify(&request, &Rules::of("lambda"), &keys(false), now()).unwrap_err();
        for family in [crate::Family::RestJson, crate::Family::Json, crate::Family::Query] {
            let text = (refusal.status(family), refusal.code(family), refusal.message(family));
            prop_assert!(!text.2.is_empty() && !refusal.explain().is_empty(), "{text:?} {hint:?}");
        }
    }
}

impl Sample {
    /// Whether the two targets of one canonical form differ in the signature, which has no part in that form.
    fn is_signature(&self, altered: &str, target: &str) -> bool {
        let signature = |target: &str| {
            let query = target.split_once('?').map_or("", |(_, query)| query);
            encoding::first_parameter(query, "X-Amz-Signature").map(Cow::into_owned)
        };
        self.location == SignatureLocation::QueryParams && signature(altered) != signature(target)
    }
}
