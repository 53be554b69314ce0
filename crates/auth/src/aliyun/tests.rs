//! Cases that no vector shows: the default keys, tokens, clues, what is missing, and what must not be printed.

use super::*;
use crate::{Key, Secret};
use durastack_names::Region;
use http::HeaderValue;
use std::collections::BTreeMap;

const TIME: &str = "2026-01-02T03:04:05Z";

fn now() -> Timestamp {
    Timestamp::parse_iso(TIME).unwrap()
}

fn keys() -> Keyring {
    let temporary = Key {
        id: "STS.1".into(),
        secret: Secret::new("s3"),
        token: Some(Secret::new("t0ken")),
        expires: Some(now()),
        account: "42".parse().unwrap(),
    };
    Keyring::new([3; 32], vec![temporary])
}

/// A request signed by parameters, in the making.
#[derive(Clone)]
struct Rpc {
    method: &'static str,
    secret: String,
    query: BTreeMap<String, String>,
    form: BTreeMap<String, String>,
    headers: HeaderMap,
}

impl Rpc {
    fn new() -> Self {
        let query = [
            ("Action", "ListFlows"),
            ("Version", "2019-03-15"),
            ("AccessKeyId", "test"),
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureVersion", "1.0"),
            ("SignatureNonce", "n-1"),
            ("Timestamp", TIME),
        ];
        let query = query.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let (form, headers) = (BTreeMap::new(), HeaderMap::new());
        Self { method: "GET", secret: "test&".to_owned(), query, form, headers }
    }

    fn set(mut self, name: &str, value: &str) -> Self {
        self.query.insert(name.to_owned(), value.to_owned());
        self
    }

    fn unset(mut self, name: &str) -> Self {
        self.query.remove(name);
        self
    }

    fn with<T>(&self, act: impl FnOnce(&Request<'_>) -> T) -> T {
        let place = |in_query| {
            move |(name, value): (&'_ String, &'_ String)| (name.clone(), value.clone(), in_query)
        };
        let mut all: Vec<_> = self.query.iter().map(place(true)).collect();
        all.extend(self.form.iter().map(place(false)));
        let parameters: Vec<_> = all
            .iter()
            .map(|(name, value, in_query)| Parameter { name, value, in_query: *in_query })
            .collect();
        let (method, headers) = (self.method, &self.headers);
        act(&Request { method, path: "/", headers, body: b"", parameters: &parameters })
    }

    fn sign(self) -> Self {
        let signature = self.with(|request| {
            rpc::keyed(
                self.secret.as_bytes(),
                &rpc::string_to_sign(request.method, &rpc::sorted(request)),
            )
        });
        self.set("Signature", &signature)
    }

    fn send(&self) -> Result<Verified, Refusal> {
        self.with(|request| verify(request, &keys(), None, now()))
    }

    fn refusal(&self) -> Refusal {
        self.send().expect_err("refused")
    }

    fn clues(&self) -> Vec<Clue> {
        match self.refusal() {
            Refusal::Mismatch(mismatch) => mismatch.clues,
            other => panic!("not a mismatch: {other:?}"),
        }
    }
}

/// A request signed by headers, in the making.
struct Acs3 {
    method: &'static str,
    secret: &'static str,
    headers: HeaderMap,
    body: &'static [u8],
}

impl Acs3 {
    fn new() -> Self {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "http://127.0.0.1:4566"),
            ("x-acs-action", "ListFlows"),
            ("x-acs-version", "2019-03-15"),
            ("x-acs-date", TIME),
            ("x-acs-signature-nonce", "n-1"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        Self { method: "POST", secret: "test", headers, body: b"" }
    }

    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    fn with<T>(&self, act: impl FnOnce(&Request<'_>) -> T) -> T {
        let (method, headers, body) = (self.method, &self.headers, self.body);
        act(&Request { method, path: "/", headers, body, parameters: &[] })
    }

    fn sign(self) -> Self {
        self.sign_as("test", None)
    }

    /// Signs all headers there are now but `unsigned`.
    fn sign_as(mut self, id: &str, unsigned: Option<&str>) -> Self {
        use sha2::{Digest, Sha256};
        let hash = crate::sigv4::encoding::hex(&Sha256::digest(self.body).into());
        self.headers.insert("x-acs-content-sha256", HeaderValue::from_bytes(&hash).unwrap());
        let mut names: Vec<_> = self.headers.keys().map(|name| name.as_str().to_owned()).collect();
        names.retain(|name| Some(name.as_str()) != unsigned);
        names.sort();
        let signed_headers = names.join(";");
        let signature = self.with(|request| {
            let parts = acs3::Parts { request, signed_headers: &signed_headers };
            let string = acs3::string_to_sign(&parts.canonical_request(&hash));
            acs3::signature_of(self.secret, &string)
        });
        let signature = std::str::from_utf8(&signature).unwrap();
        let value = format!(
            "ACS3-HMAC-SHA256 Credential={id},SignedHeaders={signed_headers},Signature={signature}"
        );
        self.header("authorization", &value)
    }

    fn send(&self) -> Result<Verified, Refusal> {
        self.with(|request| verify(request, &keys(), None, now()))
    }

    fn clues(&self) -> Vec<Clue> {
        match self.send() {
            Err(Refusal::Mismatch(mismatch)) => mismatch.clues,
            other => panic!("not a mismatch: {other:?}"),
        }
    }
}

fn check(refusal: &Refusal, service: (u16, &str), gateway: (u16, &str)) {
    let found = |vocabulary| (refusal.status(vocabulary).as_u16(), refusal.code(vocabulary));
    let (service_found, gateway_found) = (found(Vocabulary::Service), found(Vocabulary::Gateway));
    assert_eq!((service_found.0, &*service_found.1), service, "{refusal:?}");
    assert_eq!((gateway_found.0, &*gateway_found.1), gateway, "{refusal:?}");
    assert!(!refusal.explain().is_empty());
}

#[test]
fn the_default_keys_are_verified_here_too() {
    let found = Rpc::new().sign().send().unwrap();
    assert_eq!((found.access_key_id.as_str(), found.account), ("test", AccountId::local()));
    assert_eq!((found.action.as_str(), found.version.as_str()), ("ListFlows", "2019-03-15"));
    let found = Rpc::new().set("AccessKeyId", "123456789012").sign().send().unwrap();
    assert_eq!(found.account.as_str(), "123456789012");
    assert_eq!(Acs3::new().sign().send().unwrap().account, AccountId::local());
    let mut wrong = Rpc::new();
    wrong.secret = "Test&".into();
    assert_eq!(wrong.sign().clues(), []);
    let unknown = Rpc::new().set("AccessKeyId", "nobody").sign().refusal();
    check(&unknown, (403, "InvalidAccessKeyID"), (404, "InvalidAccessKeyId.NotFound"));
    let message = unknown.message(Vocabulary::Service);
    assert_eq!(message, "The AccessKey ID nobody is invalid.");
}

#[test]
fn a_function_signs_with_its_own_key() {
    let account = "123456789012".parse().unwrap();
    let key = keys().for_function(&account, &Region::us_east_1(), &"order".parse().unwrap());
    let mut client = Rpc::new()
        .set("AccessKeyId", &key.access_key_id)
        .set("SecurityToken", key.session_token.expose());
    client.secret = format!("{}&", key.secret.expose());
    let found = client.clone().sign().send().unwrap();
    assert_eq!((found.account, found.function), (account, Some("order".parse().unwrap())));
    let bare = client.unset("SecurityToken").sign().refusal();
    check(&bare, (403, "InvalidAccessKeyID"), (404, "InvalidAccessKeyId.NotFound"));
}

#[test]
fn a_token_goes_with_its_key() {
    let temporary = |token: &str| {
        let mut client = Rpc::new().set("AccessKeyId", "STS.1").set("SecurityToken", token);
        client.secret = "s3&".into();
        client.sign()
    };
    assert_eq!(temporary("t0ken").send().unwrap().account.as_str(), "42");
    let mismatch = (400, "InvalidSecurityToken.MismatchWithAccessKey");
    check(&temporary("other").refusal(), mismatch, mismatch);
    let missing = temporary("").refusal();
    check(&missing, (403, "InvalidAccessKeyID"), (404, "InvalidAccessKeyId.NotFound"));
    let left_over = Rpc::new().set("SecurityToken", "t0ken").sign().refusal();
    check(&left_over, mismatch, mismatch);
    assert!(Rpc::new().set("SecurityToken", "").sign().send().is_ok());
    let late = now().plus(Duration::from_secs(1));
    let late = temporary("t0ken").with(|request| verify(request, &keys(), None, late)).unwrap_err();
    let expired = (400, "InvalidSecurityToken.Expired");
    check(&late, expired, expired);
    let by_header = Acs3 { secret: "s3", ..Acs3::new() }.header("x-acs-security-token", "t0ken");
    assert!(by_header.sign_as("STS.1", None).send().is_ok());
}

#[test]
fn what_is_missing_is_named() {
    for (name, gateway) in [
        ("Signature", "IncompleteSignature"),
        ("AccessKeyId", "MissingAccessKeyId"),
        ("Timestamp", "MissingTimestamp"),
        ("SignatureNonce", "MissingSignatureNonce"),
        ("SignatureMethod", "MissingSignatureMethod"),
        ("SignatureVersion", "MissingSignatureVersion"),
    ] {
        for client in [Rpc::new().sign().unset(name), Rpc::new().sign().set(name, "")] {
            let refusal = client.refusal();
            check(&refusal, (400, "MissingRequiredParams"), (400, gateway));
            let text = format!("The HTTP query '{name}' must be specified.");
            assert_eq!(refusal.message(Vocabulary::Service), text);
        }
    }
    let unsigned = Rpc::new().refusal().message(Vocabulary::Gateway);
    let (text, string) = unsigned.split_once(" server string to sign is:").unwrap();
    assert_eq!(text, "The request signature does not conform to Aliyun standards.");
    assert!(string.starts_with("GET&%2F&AccessKeyId%3Dtest%26"), "{string}");
    for (name, gateway) in [
        ("authorization", "IncompleteSignature"),
        ("x-acs-action", "MissingAction"),
        ("x-acs-version", "MissingVersion"),
        ("x-acs-date", "MissingTimestamp"),
        ("x-acs-signature-nonce", "MissingSignatureNonce"),
        ("x-acs-content-sha256", "IncompleteSignature"),
    ] {
        let refusal = Acs3::new().sign().without(name).send().unwrap_err();
        check(&refusal, (400, "MissingRequiredHeader"), (400, gateway));
    }
}

#[test]
fn what_is_malformed_is_named_with_its_value() {
    let argument = (400, "InvalidArgument");
    for (name, value, gateway) in [
        ("Timestamp", "2026-01-02 03:04:05", "InvalidTimeStamp.Format"),
        ("Timestamp", "2026-01-02T03:04:05.000Z", "InvalidTimeStamp.Format"),
        ("Timestamp", "2026-13-02T03:04:05Z", "InvalidTimeStamp.Format"),
        ("SignatureMethod", "HMAC-SHA256", "InvalidSignatureMethod"),
        ("SignatureVersion", "2.0", "InvalidSignatureVersion"),
    ] {
        let refusal = Rpc::new().set(name, value).sign().refusal();
        check(&refusal, argument, (400, gateway));
        let message = refusal.message(Vocabulary::Service);
        assert!(message.contains(name) && message.contains(value), "{message}");
    }
    let sm3 = Acs3::new().sign().header("authorization", "ACS3-HMAC-SM3 Credential=a");
    check(&sm3.send().unwrap_err(), argument, (400, "InvalidSignatureMethod"));
    let roa = Acs3::new().sign().header("authorization", "acs test:c2ln");
    check(&roa.send().unwrap_err(), argument, (400, "InvalidSignatureMethod"));
    for broken in ["ACS3-HMAC-SHA256", "ACS3-HMAC-SHA256 Credential=test,Signature=0"] {
        let refusal = Acs3::new().sign().header("authorization", broken).send().unwrap_err();
        check(&refusal, argument, (400, "IncompleteSignature"));
    }
}

#[test]
fn a_header_that_decides_must_be_signed_and_single() {
    for name in ["host", "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce"] {
        let refusal = Acs3::new().sign_as("test", Some(name)).send().unwrap_err();
        check(&refusal, (400, "InvalidArgument"), (400, "IncompleteSignature"));
        let mut twice = Acs3::new().sign();
        twice.headers.append(name, HeaderValue::from_static("x"));
        let refusal = twice.send().unwrap_err();
        assert!(matches!(refusal, Refusal::Malformed(Malformed::RepeatedHeader(_))), "{name}");
    }
    let token = Acs3 { secret: "s3", ..Acs3::new() }.header("x-acs-security-token", "t0ken");
    let refusal = token.sign_as("STS.1", Some("x-acs-security-token")).send().unwrap_err();
    assert!(matches!(refusal, Refusal::Malformed(Malformed::NotSigned(_))), "{refusal:?}");
    let mut twice = Acs3::new().sign();
    let again = twice.headers["authorization"].clone();
    twice.headers.append("authorization", again);
    let refusal = twice.send().unwrap_err();
    assert!(matches!(refusal, Refusal::Malformed(Malformed::Repeated)), "{refusal:?}");
}

#[test]
fn a_repeated_parameter_is_refused_wherever_it_stands() {
    let mut client = Rpc::new();
    client.form.insert("Action".into(), "DeleteFlow".into());
    let refusal = client.sign().refusal();
    check(&refusal, (400, "InvalidArgument"), (400, "InvalidArgument"));
    assert!(refusal.message(Vocabulary::Service).contains("'Action'"));
}

#[test]
fn an_unsigned_header_has_no_say_over_a_request_signed_by_parameters() {
    let mut client = Rpc::new().sign();
    client.headers.insert("x-acs-action", HeaderValue::from_static("DeleteFlow"));
    assert_eq!(client.send().unwrap().action, "ListFlows");
    let mut client = Rpc::new().unset("Action").sign();
    client.headers.insert("x-acs-action", HeaderValue::from_static("DeleteFlow"));
    assert_eq!(client.send().unwrap().action, "");
    assert_eq!(client.with(|request| hint(request).action.to_owned()), "DeleteFlow");
}

#[test]
fn the_nonce_counts_from_the_first_good_signature_on() {
    let nonces = Nonces::new();
    let send = |client: &Rpc| client.with(|r| verify(r, &keys(), Some(&nonces), now()));
    let client = Rpc::new().sign();
    let tampered = client.clone().set("Limit", "1");
    assert!(send(&tampered).is_err() && send(&client).is_ok());
    let used = (400, "SignatureNonceUsed");
    check(&send(&client).unwrap_err(), used, used);
    // Another request with it is no better, unless it is another key's.
    check(&send(&tampered.clone().sign()).unwrap_err(), used, used);
    assert!(send(&tampered.set("AccessKeyId", "123456789012").sign()).is_ok());
    assert!(client.send().is_ok() && client.send().is_ok());
}

#[test]
fn clues_name_the_usual_mistakes() {
    let bare = Rpc { secret: "test".into(), ..Rpc::new() }.sign();
    assert_eq!(bare.clues(), [Clue::KeyWithoutAmpersand]);
    let method = Rpc { method: "POST", ..Rpc::new().sign() };
    assert_eq!(method.clues(), [Clue::Method("GET")]);
    let mut form = Rpc::new().sign();
    form.form.insert("Name".into(), "a".into());
    assert_eq!(form.clues(), [Clue::FormNotSigned]);
    let with_plus = (0..).map(|n| Rpc::new().set("SignatureNonce", &format!("{n}")).sign());
    let mut spaced = with_plus.filter(|c| c.query["Signature"].contains('+')).take(1);
    let client = spaced.next().unwrap();
    let signature = client.query["Signature"].replace('+', " ");
    assert_eq!(client.set("Signature", &signature).clues(), [Clue::SignatureNotEncoded]);

    let ampersand = Acs3 { secret: "test&", ..Acs3::new() }.sign();
    assert_eq!(ampersand.clues(), [Clue::KeyWithAmpersand]);
    let method = Acs3 { method: "GET", ..Acs3::new().sign() };
    assert_eq!(method.clues(), [Clue::Method("POST")]);
    let body = Acs3 { body: b"a=1", ..Acs3::new().sign() };
    assert_eq!(body.clues(), [Clue::BodyDiffersFromHash]);
    let absent = Acs3::new().header("accept", "").sign().without("accept");
    assert_eq!(absent.clues(), [Clue::AbsentHeader("accept".into())]);
}

/// Field case F25.
#[test]
fn empty_values_tildes_and_numbered_names_are_signed_as_the_sdks_do() {
    let client =
        Rpc::new().set("Description", "").set("V", "a~b !'()*").set("X.2", "b").set("X.10", "a");
    let string = client.with(|r| rpc::string_to_sign("GET", &rpc::sorted(r)));
    let string = String::from_utf8(string).unwrap();
    for part in [
        "%26Description%3D%26",
        "%26V%3Da~b%2520%2521%2527%2528%2529%252A%26",
        "%26X.10%3Da%26X.2%3Db",
    ] {
        assert!(string.contains(part), "{part} in {string}");
    }
    assert!(client.sign().send().is_ok());
}

#[test]
fn a_mismatch_ends_with_the_servers_string() {
    let refusal = Rpc::new().sign().set("Limit", "\u{FFFD}").refusal();
    let string = "GET&%2F&AccessKeyId%3Dtest%26Action%3DListFlows%26Limit%3D%25EF%25BF%25BD%26\
                  SignatureMethod%3DHMAC-SHA1%26SignatureNonce%3Dn-1%26SignatureVersion%3D1.0%26\
                  Timestamp%3D2026-01-02T03%253A04%253A05Z%26Version%3D2019-03-15";
    assert_eq!(
        refusal.message(Vocabulary::Service),
        format!(
            "The request signature we calculated does not match the signature you provided. Check your access \
             key and signing method. server string to sign is:{string}"
        )
    );
    assert_eq!(
        refusal.message(Vocabulary::Gateway),
        format!(
            "Specified signature is not matched with our calculation. server string to sign is:{string}"
        )
    );
    let skewed = Rpc::new().set("Timestamp", "2026-01-02T02:00:00Z").sign().refusal();
    assert_eq!(
        skewed.message(Vocabulary::Service),
        "The difference between the request time 2026-01-02T02:00:00Z and the current time \
         2026-01-02T03:04:05Z is too large."
    );
    check(&skewed, (403, "RequestTimeTooSkewed"), (400, "InvalidTimeStamp.Expired"));
}

#[test]
fn explanations_and_debug_hold_no_secrets_and_no_control_characters() {
    let tampered = Rpc::new().set("SecurityToken", "sesame").set("TaskToken", "sesame").sign();
    let tampered = tampered.set("Name\u{1B}", "\u{1B}\n[0m").set("Format", "\u{1B}");
    let bearer = Rpc::new().set("BearerToken", "sesame").set("SignatureType", "BEARERTOKEN");
    let temporary = Acs3::new().header("x-acs-security-token", "sesame").sign();
    let temporary = Acs3 { body: b"x", ..temporary };
    let mut loud = Acs3::new().header("x-acs-security-token", "sesame").sign();
    let value = loud.headers["authorization"]
        .to_str()
        .unwrap()
        .replace("SignedHeaders=", "SignedHeaders=X-ACS-SECURITY-TOKEN;");
    loud.headers.insert("authorization", value.parse().unwrap());
    let nobody = Rpc::new().set("AccessKeyId", "a\u{1B}\nb").sign();
    let refusals =
        [tampered.refusal(), bearer.refusal(), temporary.send().unwrap_err(), nobody.refusal()];
    for refusal in refusals {
        let said = format!("{} {refusal} {refusal:?}", refusal.explain());
        assert!(!said.contains("sesame"), "{said}");
        let explained = refusal.explain();
        assert!(!explained.lines().any(|l| l.contains(char::is_control)), "{explained}");
    }
    let hinted = tampered.with(|r| format!("{:?} {:?}", hint(r), r.parameters));
    assert!(!hinted.contains("sesame") && hinted.contains("SecurityToken"), "{hinted}");
}
