//! Why a request is not let in, in either of the two vocabularies that Alibaba Cloud's clients meet.

use super::{Mismatch, seconds};
use crate::refusal::one_line;
use durastack_clock::Timestamp;
use http::StatusCode;
use std::borrow::Cow;

/// What stands before the server's string to sign. SDKs look for it, and one fails on a text without its colon.
const SERVER_STRING: &str = " server string to sign is:";

/// How much of what the client sent is repeated to it, in characters.
const ECHO_MAX: usize = 200;

/// In whose words a refusal is told. In production a shared gateway stands before the service; both publish codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Vocabulary {
    /// The service's own, which is the published contract of its API: `SignatureNotMatch`, `RequestTimeTooSkewed`. Where
    /// it publishes none, the gateway's.
    #[default]
    Service,
    /// The gateway's: `SignatureDoesNotMatch`, `InvalidTimeStamp.Expired`.
    Gateway,
}

/// The step at which a request failed, about in the order in which the steps are taken.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.explain())]
pub enum Refusal {
    /// A parameter came more than once.
    RepeatedParameter {
        /// Which.
        name: String,
    },
    /// A bearer or identity token instead of a signature.
    Bearer,
    /// Another `SignatureMethod`, or another scheme in `Authorization`.
    UnsupportedMethod {
        /// As sent.
        method: String,
    },
    /// Another `SignatureVersion` than `1.0`.
    UnsupportedVersion {
        /// As sent.
        version: String,
    },
    /// Neither `Signature` nor an `Authorization` header.
    MissingSignature {
        /// What should have been signed.
        string_to_sign: String,
    },
    /// A parameter that every signed request has is not there, or empty.
    MissingParameter(&'static str),
    /// A header that every request signed in headers has is not there, or empty.
    MissingHeader(&'static str),
    /// The `Authorization` header has not its form, or signs too little.
    Malformed(Malformed),
    /// The time is not `yyyy-MM-ddTHH:mm:ssZ`.
    BadTime {
        /// The parameter or header.
        name: &'static str,
        /// As sent.
        text: String,
    },
    /// The time is too far from ours.
    Skewed {
        /// The request's.
        sent: Timestamp,
        /// Ours, on the wall.
        now: Timestamp,
    },
    /// Nobody holds the key.
    UnknownKey {
        /// Which key.
        access_key_id: String,
    },
    /// The signature is of another secret or another request.
    Mismatch(Box<Mismatch>),
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
    /// The nonce came before.
    NonceUsed {
        /// Which.
        nonce: String,
    },
}

/// What is wrong with an `Authorization` header, or with what it signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It came twice, or one of its parts did.
    #[error("it is given more than once")]
    Repeated,
    /// A part is not there.
    #[error("it has no '{0}'")]
    MissingPart(&'static str),
    /// A header that decides what the request means is not signed.
    #[error("its SignedHeaders do not list '{0}'")]
    NotSigned(&'static str),
    /// A header that decides came more than once.
    #[error("the header '{0}' that it signs is given more than once")]
    RepeatedHeader(&'static str),
}

impl Refusal {
    /// The HTTP status.
    #[must_use]
    pub fn status(&self, vocabulary: Vocabulary) -> StatusCode {
        self.answer(vocabulary).0
    }

    /// The name of the error.
    #[must_use]
    pub fn code(&self, vocabulary: Vocabulary) -> Cow<'static, str> {
        self.answer(vocabulary).1
    }

    /// The text for the client. May repeat what the client itself sent, tokens included, so it belongs in the answer and
    /// in no log.
    #[must_use]
    pub fn message(&self, vocabulary: Vocabulary) -> String {
        self.answer(vocabulary).2
    }

    /// Source: the error tables of the service and of the shared gateway. Codes and texts that neither publishes say so.
    fn answer(&self, vocabulary: Vocabulary) -> (StatusCode, Cow<'static, str>, String) {
        let (status, code, message): (_, Cow<'static, str>, _) = match vocabulary {
            Vocabulary::Service => self.service(),
            Vocabulary::Gateway => self.gateway(),
        };
        (StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN), code, message)
    }

    fn service(&self) -> (u16, Cow<'static, str>, String) {
        match self {
            Self::UnsupportedMethod { method } => bad_argument(format!(
                "The parameter 'SignatureMethod' with the value '{}' is not supported.",
                echo(method)
            )),
            Self::UnsupportedVersion { version } => bad_argument(format!(
                "The parameter 'SignatureVersion' with the value '{}' is not supported.",
                echo(version)
            )),
            Self::MissingSignature { .. } => missing_parameter("Signature"),
            Self::MissingParameter(name) => missing_parameter(name),
            Self::MissingHeader(name) => (
                400,
                "MissingRequiredHeader".into(),
                format!("The HTTP header '{name}' must be specified."),
            ),
            Self::Malformed(what) => {
                bad_argument(format!("The HTTP header 'Authorization' is malformed: {what}."))
            }
            Self::BadTime { name, text } => bad_argument(format!(
                "The parameter '{name}' with the value '{}' is not a time of the form yyyy-MM-ddTHH:mm:ssZ.",
                echo(text)
            )),
            Self::Skewed { sent, now } => (
                403,
                "RequestTimeTooSkewed".into(),
                format!(
                    "The difference between the request time {} and the current time {} is too large.",
                    seconds(*sent),
                    seconds(*now)
                ),
            ),
            Self::UnknownKey { access_key_id } | Self::MissingToken { access_key_id } => (
                403,
                "InvalidAccessKeyID".into(),
                format!("The AccessKey ID {} is invalid.", echo(access_key_id)),
            ),
            Self::Mismatch(mismatch) => (
                403,
                "SignatureNotMatch".into(),
                format!(
                    "The request signature we calculated does not match the signature you provided. Check your \
                     access key and signing method.{SERVER_STRING}{}",
                    mismatch.string_to_sign
                ),
            ),
            Self::RepeatedParameter { .. }
            | Self::Bearer
            | Self::ForeignToken { .. }
            | Self::ExpiredToken { .. }
            | Self::NonceUsed { .. } => self.gateway(),
        }
    }

    fn gateway(&self) -> (u16, Cow<'static, str>, String) {
        match self {
            // Differs: neither layer says what it makes of these.
            Self::RepeatedParameter { name } => bad_argument(format!(
                "The parameter '{}' is given more than once.",
                echo(name)
            )),
            // Differs: the real gateway takes bearer tokens that it gave out itself.
            Self::Bearer => (
                403,
                "AccessDenied".into(),
                "Bearer and identity tokens are not supported locally. Sign with an AccessKey pair.".into(),
            ),
            Self::UnsupportedMethod { .. } => (
                400,
                "InvalidSignatureMethod".into(),
                "Specified signature method is not valid.".into(),
            ),
            Self::UnsupportedVersion { .. } => (
                400,
                "InvalidSignatureVersion".into(),
                "Specified signature version is not valid.".into(),
            ),
            Self::MissingSignature { string_to_sign } => incomplete(string_to_sign),
            Self::MissingHeader("Authorization" | "x-acs-content-sha256") | Self::Malformed(_) => {
                incomplete("")
            }
            Self::MissingParameter(name) => mandatory(name),
            Self::MissingHeader(name) => mandatory(match *name {
                "x-acs-action" => "Action",
                "x-acs-version" => "Version",
                "x-acs-date" => "Timestamp",
                "x-acs-signature-nonce" => "SignatureNonce",
                other => other,
            }),
            Self::BadTime { .. } => (
                400,
                "InvalidTimeStamp.Format".into(),
                "Specified time stamp or date value is not well formatted.".into(),
            ),
            Self::Skewed { .. } => (
                400,
                "InvalidTimeStamp.Expired".into(),
                "Specified time stamp or date value is expired.".into(),
            ),
            // A temporary key is not known without its token.
            Self::UnknownKey { .. } | Self::MissingToken { .. } => (
                404,
                "InvalidAccessKeyId.NotFound".into(),
                "Specified access key is not found.".into(),
            ),
            Self::Mismatch(mismatch) => (
                400,
                "SignatureDoesNotMatch".into(),
                format!(
                    "Specified signature is not matched with our calculation.{SERVER_STRING}{}",
                    mismatch.string_to_sign
                ),
            ),
            Self::ForeignToken { .. } => (
                400,
                "InvalidSecurityToken.MismatchWithAccessKey".into(),
                "Specified SecurityToken mismatch with the AccessKey.".into(),
            ),
            Self::ExpiredToken { .. } => (
                400,
                "InvalidSecurityToken.Expired".into(),
                "Specified SecurityToken is expired.".into(),
            ),
            Self::NonceUsed { .. } => (
                400,
                "SignatureNonceUsed".into(),
                "Specified signature nonce was used already.".into(),
            ),
        }
    }

    /// What happened and what to do, for the developer's log: one or more lines, free of secrets, tokens and signatures.
    #[must_use]
    pub fn explain(&self) -> String {
        match self {
            Self::Mismatch(mismatch) => mismatch.explain(),
            other => one_line(&other.explanation()),
        }
    }

    fn explanation(&self) -> String {
        match self {
            Self::RepeatedParameter { name } => format!(
                "the parameter '{}' came more than once, in query and form together: one of them could be read and \
                 the other one signed",
                echo(name)
            ),
            Self::Bearer => "the request carries a bearer or identity token, which nobody here could have issued; sign \
                 with the access key id 'test' and the secret 'test'"
                .into(),
            Self::UnsupportedMethod { method } => format!(
                "the request is signed with '{}'; HMAC-SHA1 by parameters and ACS3-HMAC-SHA256 by headers are \
                 verified here",
                echo(method)
            ),
            Self::UnsupportedVersion { version } => {
                format!("the signature is of version '{}', and not 1.0", echo(version))
            }
            Self::MissingSignature { .. } => "the request is not signed: it has neither an ACS3 Authorization header nor \
                 the parameter Signature; the access key id 'test' with the secret 'test' works"
                .into(),
            Self::MissingParameter(name) => format!("the signed request lacks the parameter {name}"),
            Self::MissingHeader(name) => format!("the request lacks the header {name}"),
            Self::Malformed(what) => format!("the Authorization header does not do: {what}"),
            Self::BadTime { name, text } => {
                format!("{name} is '{}'; it should look like 2026-01-02T03:04:05Z", echo(text))
            }
            Self::Skewed { sent, now } => {
                let (late, early) = (now.since(*sent).as_secs(), sent.since(*now).as_secs());
                let side = if late > 0 { "before" } else { "after" };
                format!(
                    "signed {} s {side} the time here ({now}), more than 900 s: is the client's clock right, or was \
                     the request sent again?",
                    late.max(early)
                )
            }
            Self::UnknownKey { access_key_id } => format!(
                "no key '{}' is known: use 'test', or an account number of 12 digits, both with the secret 'test', or \
                 name the key as [[keys]] in the configuration",
                echo(access_key_id)
            ),
            Self::Mismatch(mismatch) => mismatch.explain(),
            Self::MissingToken { access_key_id } => format!(
                "the key '{}' is temporary, but no SecurityToken came: is ALIBABA_CLOUD_SECURITY_TOKEN set?",
                echo(access_key_id)
            ),
            Self::ForeignToken { access_key_id } => format!(
                "the SecurityToken is not that of the key '{}': is ALIBABA_CLOUD_SECURITY_TOKEN left over from other \
                 credentials?",
                echo(access_key_id)
            ),
            Self::ExpiredToken { access_key_id, expired } => {
                format!("the SecurityToken of the key '{}' expired at {expired}", echo(access_key_id))
            }
            Self::NonceUsed { nonce } => format!(
                "the SignatureNonce '{}' came before: a request that is sent again needs a new nonce and a new \
                 signature; --aliyun-nonce off is for tools that record and replay",
                echo(nonce)
            ),
        }
    }
}

fn bad_argument(message: String) -> (u16, Cow<'static, str>, String) {
    (400, "InvalidArgument".into(), message)
}

fn missing_parameter(name: &str) -> (u16, Cow<'static, str>, String) {
    (400, "MissingRequiredParams".into(), format!("The HTTP query '{name}' must be specified."))
}

fn mandatory(name: &str) -> (u16, Cow<'static, str>, String) {
    (400, format!("Missing{name}").into(), format!("{name} is mandatory for this action."))
}

fn incomplete(string_to_sign: &str) -> (u16, Cow<'static, str>, String) {
    let text = "The request signature does not conform to Aliyun standards.";
    (400, "IncompleteSignature".into(), format!("{text}{SERVER_STRING}{string_to_sign}"))
}

/// What a stranger sent, short and on one line.
fn echo(text: &str) -> String {
    one_line(text).chars().take(ECHO_MAX).collect()
}
