//! To whom a request goes, read from its head (and its form, for clients that put everything there). Nothing is verified
//! yet: a door is where the caller says it wants to go.

use durastack_auth::{ScopeHint, sigv4};
use http::{HeaderMap, Method, Uri, header};
use std::borrow::Cow;

/// What a request shows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    /// Empty while only the head has been read.
    pub(crate) body: &'a [u8],
}

/// A service that is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Lambda, durable functions included.
    Lambda,
    /// The Security Token Service.
    Sts,
}

/// Where a request wants to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Door<'a> {
    /// The admin API, and the health check that scripts for LocalStack ask for.
    Admin,
    /// A service that is built.
    Service(Service),
    /// A service that is not, by the signing name in the credential's scope.
    Unbuilt(Cow<'a, str>),
    /// Alibaba Cloud: whatever is asked of it, CloudFlow answers.
    Fnf,
    /// Nobody here. At `/`, without a word of AWS, Alibaba's clients are the likely ones.
    Nowhere,
}

/// Headers that Alibaba's clients send beside a signature in the parameters, and instead of one with a bearer token.
const RPC_HEADERS: [&str; 2] = ["x-acs-action", "x-acs-version"];

/// How long a form may be to be searched for parameters: those that decide are short, and a form that is longer is not
/// one of a client that is meant here.
const FORM_BYTES_MAX: usize = 1024 * 1024;

impl Service {
    /// The name in a credential's scope.
    #[must_use]
    pub const fn signing_name(self) -> &'static str {
        match self {
            Self::Lambda => "lambda",
            Self::Sts => "sts",
        }
    }
}

impl<'a> Door<'a> {
    pub(crate) fn of(seen: &Seen<'a>) -> Self {
        let path = seen.uri.path();
        if path == "/_durastack"
            || path.starts_with("/_durastack/")
            || path == "/_localstack/health"
        {
            return Self::Admin;
        }
        if authorization(seen).is_some_and(|value| value.starts_with(b"ACS3-")) {
            return Self::Fnf;
        }
        if let Some(ScopeHint { service, .. }) = sigv4::scope_hint(&seen.signed()) {
            return match &*service {
                "lambda" => Self::Service(Service::Lambda),
                "sts" => Self::Service(Service::Sts),
                _ => Self::Unbuilt(service),
            };
        }
        // A broken signature has no scope: on these paths it is still Lambda that says what is wrong with it.
        if is_lambda_path(path) {
            return Self::Service(Service::Lambda);
        }
        if RPC_HEADERS.iter().any(|name| seen.headers.contains_key(*name)) {
            return Self::Fnf;
        }
        match parameter(seen, "Version").as_deref() {
            Some("2019-03-15") => Self::Fnf,
            Some("2011-06-15") => Self::Service(Service::Sts),
            _ if parameter(seen, "Signature").is_some() => Self::Fnf,
            _ => Self::Nowhere,
        }
    }
}

/// Lambda's paths begin with the date of the API version that brought them, from 2014-11-13 to today.
fn is_lambda_path(path: &str) -> bool {
    let Some((date, _)) = path.strip_prefix('/').and_then(|rest| rest.split_once('/')) else {
        return false;
    };
    let shape = |(at, byte): (usize, u8)| match at {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    };
    date.len() == 10 && date.bytes().enumerate().all(shape)
}

/// The operation as the request names it: by target, by action, else its method and path.
pub(crate) fn operation(seen: &Seen<'_>) -> String {
    if let Some(target) = seen.headers.get("x-amz-target").and_then(|value| value.to_str().ok()) {
        return target.rsplit('.').next().unwrap_or(target).to_owned();
    }
    if let Some(action) = parameter(seen, "Action").filter(|action| !action.is_empty()) {
        return action.into_owned();
    }
    format!("{} {}", seen.method, seen.uri.path())
}

/// A parameter of the query, or of the form in the body.
pub(crate) fn parameter<'a>(seen: &Seen<'a>, name: &str) -> Option<Cow<'a, str>> {
    find(seen.uri.query().unwrap_or_default().as_bytes(), name).or_else(|| find(form(seen)?, name))
}

/// Whether the body is said to be a form.
pub(crate) fn has_form(seen: &Seen<'_>) -> bool {
    form(seen).is_some()
}

/// A body of no stated type is a form too, as it is when its parameters are read.
fn form<'a>(seen: &Seen<'a>) -> Option<&'a [u8]> {
    let is_form = seen.headers.get(header::CONTENT_TYPE).is_none_or(|content_type| {
        let start = content_type.as_bytes().get(..FORM.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(FORM.as_bytes()))
    });
    is_form.then(|| &seen.body[..seen.body.len().min(FORM_BYTES_MAX)])
}

/// Whether a request that leads nowhere was meant for Alibaba Cloud: that cloud has one path, and nothing in the head
/// speaks of the other one.
pub(crate) fn is_likely_rpc(seen: &Seen<'_>) -> bool {
    let amazon =
        |text: &[u8]| text.get(..6).is_some_and(|start| start.eq_ignore_ascii_case(b"x-amz-"));
    let query = seen.uri.query().unwrap_or_default().as_bytes();
    seen.uri.path() == "/"
        && !seen.headers.keys().any(|name| amazon(name.as_str().as_bytes()))
        && !query.split(|byte| *byte == b'&').any(amazon)
        && !authorization(seen).is_some_and(|value| value.starts_with(b"AWS"))
}

const FORM: &str = "application/x-www-form-urlencoded";

/// The parameters that decide hold letters, digits and hyphens: what is written otherwise is another one. The rest of a
/// form need not even be text.
fn find<'a>(pairs: &'a [u8], name: &str) -> Option<Cow<'a, str>> {
    pairs.split(|byte| *byte == b'&').find_map(|pair| {
        let rest = pair.strip_prefix(name.as_bytes())?;
        let value = if rest.is_empty() { rest } else { rest.strip_prefix(b"=")? };
        Some(String::from_utf8_lossy(value))
    })
}

fn authorization<'a>(seen: &Seen<'a>) -> Option<&'a [u8]> {
    seen.headers.get(header::AUTHORIZATION).map(http::HeaderValue::as_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: Method, uri: &str, authorization: &str, form: &str, expected: Door<'_>) {
        let uri: Uri = uri.parse().unwrap();
        let mut headers = HeaderMap::new();
        if !authorization.is_empty() {
            headers.insert(header::AUTHORIZATION, authorization.parse().unwrap());
        }
        if !form.is_empty() {
            let content_type = "application/x-www-form-urlencoded; charset=utf-8";
            headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        }
        let body = form.as_bytes();
        let seen = Seen { method: &method, uri: &uri, headers: &headers, body };
        assert_eq!(Door::of(&seen), expected, "{uri} {authorization} {form}");
    }

    fn scoped(service: &str) -> String {
        format!("AWS4-HMAC-SHA256 Credential=k/20260102/us-east-1/{service}/aws4_request")
    }

    #[test]
    fn the_admin_door_is_a_path() {
        for uri in ["/_durastack", "/_durastack/clock?x", "/_localstack/health"] {
            check(Method::GET, uri, &scoped("lambda"), "", Door::Admin);
        }
        for uri in ["/_durastackx", "/_localstack", "/_localstack/health/x", "//_durastack/", "/"] {
            check(Method::GET, uri, "", "", Door::Nowhere);
        }
    }

    #[test]
    fn a_scope_names_its_service() {
        let lambda = || Door::Service(Service::Lambda);
        let unbuilt = |service: &'static str| Door::Unbuilt(service.into());
        check(Method::GET, "/anything", &scoped("lambda"), "", lambda());
        check(Method::POST, "/", &scoped("sts"), "Version=2011-06-15", Door::Service(Service::Sts));
        check(Method::POST, "/2015-03-31/functions", &scoped("states"), "", unbuilt("states"));
        check(Method::POST, "/", &scoped("sqs"), "Signature=a&Version=2019-03-15", unbuilt("sqs"));
        check(Method::GET, "/?X-Amz-Credential=k%2Fd%2Fr%2Flambda%2Ft", "", "", lambda());
    }

    #[test]
    fn lambda_is_told_by_its_paths() {
        let lambda = || Door::Service(Service::Lambda);
        for uri in
            ["/2015-03-31/functions/", "/2025-12-01/durable-executions/x", "/2018-10-31/layers"]
        {
            check(Method::GET, uri, "", "", lambda());
            check(Method::GET, uri, "Bearer x", "", lambda());
        }
        check(Method::POST, "/2015-03-31/functions", "", "Signature=a", lambda());
        for uri in ["/2015-03-31", "/2015-3-31/functions", "/20150331xx/functions"] {
            check(Method::GET, uri, "", "", Door::Nowhere);
        }
    }

    #[test]
    fn alibaba_is_told_by_its_parameters() {
        check(Method::POST, "/", "ACS3-HMAC-SHA256 Credential=k", "", Door::Fnf);
        check(Method::GET, "/?Action=ListFlows&Version=2019-03-15", "", "", Door::Fnf);
        check(Method::GET, "/?Signature=x", "", "", Door::Fnf);
        check(Method::POST, "/", "", "Action=CreateFlow&Version=2019-03-15", Door::Fnf);
        check(Method::POST, "/", "", "Signature=x", Door::Fnf);
        check(Method::GET, "/?signature=x&Version=2019-03-16", "", "", Door::Nowhere);
        check(Method::GET, "/?Signatures=x&Versio=2019-03-15", "", "", Door::Nowhere);
    }

    #[test]
    fn alibaba_is_told_by_its_headers_and_by_forms_that_are_not_text() {
        let uri = Uri::from_static("/?SignatureType=BEARERTOKEN");
        for name in ["x-acs-action", "x-acs-version"] {
            let mut headers = HeaderMap::new();
            headers.insert(name, "ListFlows".parse().unwrap());
            let seen = Seen { method: &Method::GET, uri: &uri, headers: &headers, body: &[] };
            assert_eq!(Door::of(&seen), Door::Fnf);
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, FORM.parse().unwrap());
        let (method, uri, body) = (Method::POST, Uri::from_static("/"), b"a=\xFF&Signature=x");
        let seen = Seen { method: &method, uri: &uri, headers: &headers, body };
        assert_eq!(Door::of(&seen), Door::Fnf);
    }

    #[test]
    fn an_operation_has_a_name() {
        let (method, uri) = (Method::POST, Uri::from_static("/a?Action=Do"));
        let mut headers = HeaderMap::new();
        let named = |headers: &HeaderMap, uri: &Uri| {
            operation(&Seen { method: &method, uri, headers, body: &[] })
        };
        assert_eq!(named(&headers, &uri), "Do");
        assert_eq!(named(&headers, &Uri::from_static("/a")), "POST /a");
        headers.insert("x-amz-target", "AWSStepFunctions.StartExecution".parse().unwrap());
        assert_eq!(named(&headers, &uri), "StartExecution");
    }
}
