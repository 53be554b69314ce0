//! Why a request is not let in: for the client in the cloud's own words, for the developer in ours.

mod mismatch;

pub use mismatch::{Clue, Mismatch};

use crate::Secret;
use durastack_clock::Timestamp;
use std::time::Duration;

/// In whose terms a refusal is told. It decides status, code, and the length of the text, not only the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Lambda and other rest-json services: 403, the code in `x-amzn-ErrorType`.
    RestJson,
    /// Services over JSON 1.0 and 1.1 (Step Functions, Logs, DynamoDB): 400, the code in `__type`.
    Json,
    /// SQS over JSON: as JSON, but 403.
    JsonForbidden,
    /// Services over the query protocol (STS, IAM, CloudFormation): 403 or 400, XML, codes without `Exception`.
    Query,
}

/// The step at which a request failed, in the order in which the steps are taken.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.explain())]
pub enum Refusal {
    /// An escape in the query is not `%` and two hexadecimal digits.
    MalformedQuery,
    /// More than one `Authorization` header.
    RepeatedAuthorization,
    /// Neither an `Authorization` header nor `X-Amz-Algorithm` in the query.
    MissingAuthentication,
    /// Both of them.
    BothWays,
    /// Not `AWS4-HMAC-SHA256`.
    UnsupportedAlgorithm {
        /// As sent; of another scheme, it may be a secret.
        algorithm: Secret,
    },
    /// Something in the header is no `key=value`.
    MissingEqualSign {
        /// What it is.
        token: Secret,
        /// The whole header.
        header: Secret,
    },
    /// One or more of the parts are missing.
    MissingParts(MissingParts),
    /// `host` is not among the signed headers.
    HostNotSigned,
    /// The date cannot be read.
    BadDate {
        /// As sent.
        text: String,
    },
    /// Signed too long ago.
    Expired {
        /// When.
        signed: Timestamp,
        /// The wall time here.
        now: Timestamp,
        /// How old it might be.
        window: Duration,
    },
    /// Signed in the future.
    NotYetCurrent {
        /// When.
        signed: Timestamp,
        /// The wall time here.
        now: Timestamp,
        /// How early it might be.
        window: Duration,
    },
    /// The credential has not five parts.
    BadCredential {
        /// As sent.
        credential: String,
    },
    /// The credential is for another place, service or day.
    BadScope(ScopeFaults),
    /// The key is temporary and its session token did not come.
    MissingToken {
        /// Which key.
        access_key_id: String,
    },
    /// The session token is not that of the key.
    ForeignToken {
        /// Which key.
        access_key_id: String,
    },
    /// The session token is of the past.
    ExpiredToken {
        /// Which key.
        access_key_id: String,
        /// Its last moment.
        expired: Timestamp,
    },
    /// Nobody holds the key.
    UnknownKey {
        /// Which key.
        access_key_id: String,
    },
    /// The signature is of another secret or another request.
    Mismatch(Box<Mismatch>),
}

/// The parts of an authentication that are missing.
#[derive(Debug)]
pub struct MissingParts {
    /// `Credential` or `X-Amz-Credential`.
    pub credential: bool,
    /// `Signature` or `X-Amz-Signature`.
    pub signature: bool,
    /// `SignedHeaders` or `X-Amz-SignedHeaders`.
    pub signed_headers: bool,
    /// A header `X-Amz-Date` or `Date`, or the parameter `X-Amz-Date`.
    pub date: bool,
    /// The whole `Authorization` header; absent when the request is signed in its query.
    pub header: Option<Secret>,
}

/// What is wrong with the scope of a credential; at least one is present.
#[derive(Debug, Default)]
pub struct ScopeFaults {
    /// The region given, which is none, or not the one of a service that has only one.
    pub region: Option<String>,
    /// The service expected, when another is given.
    pub service: Option<String>,
    /// The terminator given instead of `aws4_request`.
    pub terminator: Option<String>,
    /// The date given, and the instant of the request (basic ISO form) whose day it is not.
    pub date: Option<(String, String)>,
}

impl Refusal {
    /// The HTTP status.
    #[must_use]
    pub fn status(&self, family: Family) -> http::StatusCode {
        let bad_request = match family {
            Family::Json => true,
            Family::RestJson | Family::JsonForbidden => {
                matches!(self, Self::MalformedQuery)
            }
            Family::Query => {
                matches!(self.kind(), Kind::MalformedQuery | Kind::Incomplete)
            }
        };
        if bad_request { http::StatusCode::BAD_REQUEST } else { http::StatusCode::FORBIDDEN }
    }

    /// The name of the error, as the clients of `family` know it.
    #[must_use]
    pub fn code(&self, family: Family) -> &'static str {
        let query = family == Family::Query;
        match self.kind() {
            Kind::MalformedQuery => "MalformedQueryString",
            Kind::Missing if query => "MissingAuthenticationToken",
            Kind::Missing => "MissingAuthenticationTokenException",
            Kind::Incomplete if query => "IncompleteSignature",
            Kind::Incomplete => "IncompleteSignatureException",
            Kind::Invalid if query => "SignatureDoesNotMatch",
            Kind::Invalid => "InvalidSignatureException",
            Kind::Unknown if query => "InvalidClientTokenId",
            Kind::Unknown => "UnrecognizedClientException",
            Kind::Expired if query => "ExpiredToken",
            Kind::Expired => "ExpiredTokenException",
        }
    }

    /// The text for the client, word for word as the real front door puts it. May repeat what the client itself sent,
    /// its `Authorization` header included, so it belongs in the answer and in no log.
    #[must_use]
    pub fn message(&self, family: Family) -> String {
        match self {
            Self::MalformedQuery => "The query string contains a syntax error.".into(),
            // Differs: no record shows what the real service says here.
            Self::RepeatedAuthorization => {
                "Request contains more than one 'Authorization' HTTP header.".into()
            }
            Self::MissingAuthentication if family == Family::Query => {
                "Request is missing Authentication Token".into()
            }
            Self::MissingAuthentication => "Missing Authentication Token".into(),
            Self::BothWays => "Found both 'X-Amz-Algorithm' as a query-string param and \
                               'Authorization' as HTTP header."
                .into(),
            Self::UnsupportedAlgorithm { algorithm } => {
                format!("Unsupported AWS 'algorithm': '{}'.", algorithm.expose())
            }
            Self::MissingEqualSign { token, header } => format!(
                "'{}' not a valid key=value pair (missing equal-sign) in Authorization header: '{}'.",
                token.expose(),
                header.expose()
            ),
            Self::MissingParts(parts) => parts.message(),
            Self::HostNotSigned => {
                "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.".into()
            }
            Self::BadDate { text } => format!(
                "Date must be in ISO-8601 'basic format'. Got '{text}'. \
                 See http://en.wikipedia.org/wiki/ISO_8601"
            ),
            Self::Expired { signed, now, window } => format!(
                "Signature expired: {} is now earlier than {} ({} - {})",
                signed.iso_basic(),
                minus(*now, *window).iso_basic(),
                now.iso_basic(),
                minutes(*window)
            ),
            Self::NotYetCurrent { signed, now, window } => format!(
                "Signature not yet current: {} is still later than {} ({} + {})",
                signed.iso_basic(),
                now.plus(*window).iso_basic(),
                now.iso_basic(),
                minutes(*window)
            ),
            Self::BadCredential { credential } => format!(
                "Credential must have exactly 5 slash-delimited elements, \
                 e.g. keyid/date/region/service/term, got '{credential}'"
            ),
            Self::BadScope(faults) => faults.message(),
            Self::MissingToken { .. } | Self::UnknownKey { .. } => {
                "The security token included in the request is invalid.".into()
            }
            // Without the period: that is how the real service tells the two apart.
            Self::ForeignToken { .. } => {
                "The security token included in the request is invalid".into()
            }
            Self::ExpiredToken { .. } => {
                "The security token included in the request is expired".into()
            }
            Self::Mismatch(mismatch) => mismatch.message(family),
        }
    }

    /// What happened and what to do, for the developer's log: one or more lines, free of secrets, tokens, signatures
    /// and `Authorization` headers.
    #[must_use]
    pub fn explain(&self) -> String {
        match self {
            Self::Mismatch(mismatch) => mismatch.explain(),
            other => one_line(&other.explanation()),
        }
    }

    fn explanation(&self) -> String {
        match self {
            Self::MalformedQuery => {
                "the query holds a '%' that is not followed by two hexadecimal digits".into()
            }
            Self::RepeatedAuthorization => "the request has several Authorization headers".into(),
            Self::MissingAuthentication => "the request is not signed: it has neither an Authorization header nor \
                 X-Amz-Algorithm in its query; the access key id 'test' with the secret 'test' works"
                .into(),
            Self::BothWays => "the request is signed twice: by an Authorization header and in its query".into(),
            Self::UnsupportedAlgorithm { .. } => {
                "the request is not signed with AWS4-HMAC-SHA256, the only algorithm that is verified here".into()
            }
            Self::MissingEqualSign { .. } => "a piece of the Authorization header has no equal sign: \
                 is there a space within the credential, or is it a bearer token?"
                .into(),
            Self::MissingParts(parts) => {
                format!("the authentication lacks {}", parts.names().join(", "))
            }
            Self::HostNotSigned => "SignedHeaders does not list 'host'".into(),
            Self::BadDate { .. } => "the date of the request cannot be read; it should look like 20260102T030405Z".into(),
            Self::Expired { signed, now, window } => format!(
                "signed {} s before the time here ({now}), more than {} s: is the client's clock slow, \
                 or was the request sent again?",
                now.since(*signed).as_secs(),
                window.as_secs()
            ),
            Self::NotYetCurrent { signed, now, window } => format!(
                "signed {} s after the time here ({now}), more than {} s: the client's clock is fast",
                signed.since(*now).as_secs(),
                window.as_secs()
            ),
            Self::BadCredential { .. } => {
                "the credential is not id/date/region/service/aws4_request".into()
            }
            Self::BadScope(faults) => {
                format!("the credential's scope does not fit: {}", faults.message().trim_end())
            }
            Self::MissingToken { access_key_id } => format!(
                "the key '{access_key_id}' is temporary, but no session token came: is AWS_SESSION_TOKEN set?"
            ),
            Self::ForeignToken { access_key_id } => format!(
                "the session token is not that of the key '{access_key_id}': is AWS_SESSION_TOKEN left over from \
                 other credentials, or from another data folder?"
            ),
            Self::ExpiredToken { access_key_id, expired } => {
                format!("the session token of the key '{access_key_id}' expired at {expired}")
            }
            Self::UnknownKey { access_key_id } => format!(
                "no key '{access_key_id}' is known: use 'test', or an account number of 12 digits, both with the \
                 secret 'test', or name the key as [[keys]] in the configuration"
            ),
            Self::Mismatch(mismatch) => mismatch.explain(),
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::MalformedQuery => Kind::MalformedQuery,
            Self::MissingAuthentication => Kind::Missing,
            Self::RepeatedAuthorization
            | Self::UnsupportedAlgorithm { .. }
            | Self::MissingEqualSign { .. }
            | Self::MissingParts(_)
            | Self::BadDate { .. }
            | Self::BadCredential { .. } => Kind::Incomplete,
            Self::BothWays
            | Self::HostNotSigned
            | Self::Expired { .. }
            | Self::NotYetCurrent { .. }
            | Self::BadScope(_)
            | Self::Mismatch(_) => Kind::Invalid,
            Self::MissingToken { .. } | Self::ForeignToken { .. } | Self::UnknownKey { .. } => {
                Kind::Unknown
            }
            Self::ExpiredToken { .. } => Kind::Expired,
        }
    }
}

/// What a stranger sent may hold line breaks, or escapes that a terminal would obey.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect()
}

/// Refusals that share a code.
enum Kind {
    MalformedQuery,
    Missing,
    Incomplete,
    Invalid,
    Unknown,
    Expired,
}

impl MissingParts {
    fn names(&self) -> Vec<&'static str> {
        let parts = [
            (self.credential, "Credential"),
            (self.signature, "Signature"),
            (self.signed_headers, "SignedHeaders"),
            (self.date, "Date"),
        ];
        parts.into_iter().filter_map(|(missing, name)| missing.then_some(name)).collect()
    }

    fn message(&self) -> String {
        let sentence = |name: &&str| match (&self.header, *name) {
            (None, name) => {
                format!("AWS query-string parameters must include 'X-Amz-{name}'.")
            }
            (Some(_), "Date") => {
                "Authorization header requires existence of either a 'X-Amz-Date' \
                                  or a 'Date' header."
                    .to_owned()
            }
            (Some(_), name) => format!("Authorization header requires '{name}' parameter."),
        };
        let mut text = self.names().iter().map(sentence).collect::<Vec<_>>().join(" ");
        match &self.header {
            Some(header) => {
                text.push_str(" Authorization=");
                text.push_str(header.expose());
            }
            None => text.push_str(" Re-examine the query-string parameters."),
        }
        text
    }
}

impl ScopeFaults {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.region.is_none()
            && self.service.is_none()
            && self.terminator.is_none()
            && self.date.is_none()
    }

    fn message(&self) -> String {
        let mut text = String::new();
        if let Some(region) = &self.region {
            text += &format!("Credential should be scoped to a valid region, not '{region}'. ");
        }
        if let Some(service) = &self.service {
            text += &format!("Credential should be scoped to correct service: '{service}'. ");
        }
        if let Some(terminator) = &self.terminator {
            text += &format!(
                "Credential should be scoped with a valid terminator: 'aws4_request', \
                 not '{terminator}'. "
            );
        }
        if let Some((date, instant)) = &self.date {
            text += &format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date \
                 from HTTP: '{date}' != '{}', from '{instant}'.",
                instant.get(..8).unwrap_or(instant)
            );
        }
        text
    }
}

fn minus(at: Timestamp, duration: Duration) -> Timestamp {
    let ms = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(at.millis().saturating_sub(ms))
}

/// `5 min.`; a presigned request may have a lifetime of its own, which need not be whole minutes.
fn minutes(window: Duration) -> String {
    let seconds = window.as_secs();
    if seconds.is_multiple_of(60) {
        format!("{} min.", seconds / 60)
    } else {
        format!("{seconds} sec.")
    }
}
