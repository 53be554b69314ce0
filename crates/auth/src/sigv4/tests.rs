//! Cases that no vector shows: the default keys, functions' keys, clues, and what must not be printed.

use super::*;
use crate::{Clue, Family, MissingParts};
use http::{HeaderValue, header};

const DATE: &str = "20260102T030405Z";
const DATE_TEXT: &str = "Fri, 02 Jan 2026 03:04:05 GMT";

fn now() -> Timestamp {
    Timestamp::parse_iso(DATE).unwrap()
}

fn keys() -> Keyring {
    Keyring::new([3; 32], vec![])
}

/// A request in the making: what is signed, and what is sent instead.
struct Client {
    id: String,
    secret: String,
    method: &'static str,
    target: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Client {
    fn new(target: &str) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("localhost:4566"));
        headers.insert("x-amz-date", HeaderValue::from_static(DATE));
        let (id, secret) = ("test".to_owned(), "test".to_owned());
        Self { id, secret, method: "GET", target: target.to_owned(), headers, body: vec![] }
    }

    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    /// Signs all headers there are now, under `rule`.
    fn sign_as(mut self, rule: PathRule) -> Self {
        let mut names: Vec<_> = self.headers.keys().map(|name| name.as_str().to_owned()).collect();
        names.sort();
        let signed_headers = names.join(";");
        let parts = Parts {
            method: self.method,
            location: Location::Header,
            target: &self.target,
            headers: &self.headers,
            signed_headers: &signed_headers,
            payload: &payload_hash(&self.body),
        };
        let canonical = parts.canonical_request(rule, Reading::default());
        let scope = "20260102/us-east-1/lambda/aws4_request";
        let mut mac = keyed(&derive(&self.secret, "20260102", "us-east-1", "lambda"));
        mac.update(string_to_sign(&canonical, DATE, scope).as_bytes());
        let signature = encoding::hex(&mac.finalize().into_bytes().into());
        let signature = String::from_utf8(signature.to_vec()).unwrap();
        let id = &self.id;
        let value = format!(
            "{ALGORITHM} Credential={id}/{scope}, SignedHeaders={signed_headers}, Signature={signature}"
        );
        self.headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        self
    }

    fn sign(self) -> Self {
        self.sign_as(PathRule::Generic)
    }

    fn send(&self) -> Result<Verified, Refusal> {
        self.send_at(now())
    }

    fn send_at(&self, wall: Timestamp) -> Result<Verified, Refusal> {
        let request = Request {
            method: self.method,
            target: &self.target,
            headers: &self.headers,
            body: &self.body,
        };
        verify(&request, &Rules::of("lambda"), &keys(), wall)
    }

    fn clues(&self) -> Vec<Clue> {
        match self.send() {
            Err(Refusal::Mismatch(mismatch)) => mismatch.clues,
            other => panic!("not a mismatch: {other:?}"),
        }
    }
}

#[test]
fn the_default_key_is_verified() {
    let client = Client::new("/2015-03-31/functions/").sign();
    let verified = client.send().unwrap();
    assert_eq!(verified.account, AccountId::local());
    assert_eq!(verified.region, Region::us_east_1());
    assert_eq!(verified.function, None);

    let mut client = Client::new("/2015-03-31/functions/");
    client.secret = "Test".into();
    assert!(matches!(client.sign().send(), Err(Refusal::Mismatch(_))));
}

#[test]
fn a_function_signs_with_its_own_key() {
    let account = "123456789012".parse().unwrap();
    let key = keys().for_function(&account, &Region::us_east_1(), &"order".parse().unwrap());
    let token = key.session_token.expose();
    let mut client = Client::new("/").header("x-amz-security-token", token);
    client.id = key.access_key_id.clone();
    client.secret = key.secret.expose().to_owned();
    let client = client.sign();
    let verified = client.send().unwrap();
    assert_eq!(verified.account, account);
    assert_eq!(verified.function, Some("order".parse().unwrap()));

    let client = client.header("x-amz-security-token", "other");
    assert!(matches!(client.send(), Err(Refusal::ForeignToken { .. })));
}

#[test]
fn a_token_beside_a_long_term_key_is_refused_though_unsigned() {
    let client = Client::new("/").sign().header("x-amz-security-token", "left over");
    assert!(matches!(client.send(), Err(Refusal::ForeignToken { .. })));
}

#[test]
fn clues_name_the_usual_mistakes() {
    let once = Client::new("/2015-03-31/functions/a%3Ab").sign_as(PathRule::S3);
    assert_eq!(once.clues(), [Clue::PathEncodedOnce]);

    let mut slash = Client::new("/2015-03-31/functions/").sign();
    slash.target = "/2015-03-31/functions".into();
    assert_eq!(slash.clues(), [Clue::TrailingSlash]);

    let port = Client::new("/").header("host", "localhost").sign().header("host", "localhost:4566");
    assert_eq!(port.clues(), [Clue::PortNotSigned]);

    let mut body = Client::new("/").sign();
    body.body = b"{}".to_vec();
    assert_eq!(body.clues(), [Clue::BodyNotSigned]);

    let mut absent = Client::new("/").header("x-test", "").sign();
    absent.headers.remove("x-test");
    assert_eq!(absent.clues(), [Clue::AbsentHeader("x-test".into())]);
    assert!(absent.send().unwrap_err().explain().contains("'x-test'"));
}

#[test]
fn a_hash_header_that_lies_is_refused_even_unsigned() {
    let client = Client::new("/").sign().header("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
    assert_eq!(client.clues(), [Clue::BodyDiffersFromHash]);
    let hash = std::str::from_utf8(EMPTY_SHA256).unwrap();
    assert!(Client::new("/").sign().header("x-amz-content-sha256", hash).send().is_ok());
}

#[test]
fn the_window_is_measured_in_whole_seconds() {
    let client = Client::new("/").sign();
    let window = Duration::from_secs(300);
    assert!(client.send_at(now().plus(window + Duration::from_millis(999))).is_ok());
    let late = client.send_at(now().plus(window + Duration::from_secs(1))).unwrap_err();
    assert_eq!(
        late.message(Family::RestJson),
        "Signature expired: 20260102T030405Z is now earlier than 20260102T030406Z \
         (20260102T030906Z - 5 min.)"
    );
    for end in [i64::MIN, i64::MAX] {
        assert!(client.send_at(Timestamp::from_millis(end)).is_err());
    }
}

#[test]
fn dates_may_be_extended_or_in_the_date_header() {
    let extended = Client::new("/").header("x-amz-date", "2026-01-02T03:04:05Z").sign();
    assert!(extended.send().is_ok());
    let mut plain = Client::new("/").header("date", DATE_TEXT);
    plain.headers.remove("x-amz-date");
    assert!(plain.sign().send().is_ok());
    for bad in ["2026", "", DATE_TEXT, "20260102T030405", "2026-01-02T03:04:05+01:00"] {
        let refusal = Client::new("/").header("x-amz-date", bad).sign().send().unwrap_err();
        assert!(matches!(refusal, Refusal::BadDate { .. }), "{bad}: {refusal:?}");
    }
}

#[test]
fn the_first_failing_step_is_reported() {
    let check = |target: &str, authorization: Option<&str>, code: &str| {
        let mut client = Client::new(target);
        if let Some(value) = authorization {
            client = client.header("authorization", value);
        }
        let refusal = client.send().unwrap_err();
        assert_eq!(refusal.code(Family::RestJson), code, "{target} {authorization:?}");
        refusal
    };
    check("/?a=%zz", None, "MalformedQueryString");
    check("/", None, "MissingAuthenticationTokenException");
    check("/?X-Amz-Algorithm=a", Some("AWS4-HMAC-SHA256"), "InvalidSignatureException");
    check("/?X-Amz-Algorithm=a", None, "IncompleteSignatureException");
    check("/", Some("AWS key:signature"), "IncompleteSignatureException");
    let refusal = check("/", Some(ALGORITHM), "IncompleteSignatureException");
    let Refusal::MissingParts(MissingParts { credential, signature, signed_headers, date, .. }) =
        refusal
    else {
        panic!("{refusal:?}")
    };
    assert!(credential && signature && signed_headers && !date);
    let six = "AWS4-HMAC-SHA256 Credential=a/b/c/d/e/f,SignedHeaders=host,Signature=0";
    check("/", Some(six), "IncompleteSignatureException");
    let unknown_and_foreign = "AWS4-HMAC-SHA256 Credential=nobody/20260102/local/lambda/aws4_request,\
                               SignedHeaders=host,Signature=0";
    let refusal = check("/", Some(unknown_and_foreign), "InvalidSignatureException");
    assert_eq!(
        refusal.message(Family::RestJson),
        "Credential should be scoped to a valid region, not 'local'. "
    );
}

#[test]
fn two_authorization_headers_are_refused() {
    let mut client = Client::new("/").sign();
    let value = client.headers[header::AUTHORIZATION].clone();
    client.headers.append(header::AUTHORIZATION, value);
    let refusal = client.send().unwrap_err();
    assert_eq!(refusal.code(Family::RestJson), "IncompleteSignatureException");
    assert_eq!(refusal.status(Family::RestJson), 403);
    assert_eq!(refusal.status(Family::Query), 400);
}

#[test]
fn a_signature_parameter_is_part_of_a_query_signed_by_header() {
    let mut client = Client::new("/?a=1").sign();
    client.target = "/?a=1&X-Amz-Signature=0".into();
    assert!(client.send().is_err());
    assert!(Client::new("/?X-Amz-Signature=0").sign().send().is_ok());
}

#[test]
fn explanations_and_debug_hold_no_secrets() {
    let mut tampered = Client::new("/").sign();
    tampered.method = "POST";
    let bearer = Client::new("/").header("authorization", "Bearer sesame");
    let other = Client::new("/").header("authorization", "sesame");
    let token = Client::new("/").header("authorization", "Bearer a=sesame");
    let with_token = {
        let account = AccountId::local();
        let key = keys().for_function(&account, &Region::us_east_1(), &"order".parse().unwrap());
        let mut client =
            Client::new("/").header("x-amz-security-token", key.session_token.expose());
        client.id = key.access_key_id;
        (client.sign(), key.session_token)
    };
    for client in [&tampered, &bearer, &other, &token, &with_token.0] {
        let refusal = client.send().unwrap_err();
        let said = format!("{} {refusal} {refusal:?}", refusal.explain());
        for secret in ["sesame", "Signature=", with_token.1.expose()] {
            assert!(!said.contains(secret), "{said}");
        }
    }
    assert!(!format!("{:?}", keys()).contains("3, 3"));
}

#[test]
fn explanations_pass_on_no_control_characters() {
    let scope = "nobody%1B%0A%2F20260102%2Fus-east-1%2Flambda%2Faws4_request";
    let date = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20260102T030405Z&X-Amz-Signature=0";
    let mut client = Client::new("");
    client.target = format!("/?{date}&X-Amz-Credential={scope}&X-Amz-SignedHeaders=host");
    let unknown = client.send().unwrap_err();
    assert!(matches!(unknown, Refusal::UnknownKey { .. }), "{unknown:?}");
    let scope = scope.replace("nobody%1B%0A", "test");
    client.target = format!("/?{date}&X-Amz-Credential={scope}&X-Amz-SignedHeaders=host%3B%1Bx");
    let mismatch = client.send().unwrap_err();
    assert!(matches!(mismatch, Refusal::Mismatch(_)), "{mismatch:?}");
    for refusal in [unknown, mismatch] {
        let said = refusal.explain();
        assert!(!said.lines().any(|line| line.contains(char::is_control)), "{said}");
    }
}
