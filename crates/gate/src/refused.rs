//! Why a request does not pass: our own texts, each naming the flag that helps, and where those of the clouds are.

use durastack_auth::aliyun::{self, Vocabulary};
use durastack_wire::rpc;
use http::StatusCode;
use std::{borrow::Cow, net::IpAddr};

/// How much of what the client sent is repeated to it, in characters.
const ECHO_MAX: usize = 200;

/// A request that does not pass. The text is for the log; it holds no secrets.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the Host header names '{}', which is none of this server's names", echo(host))]
    Host { host: String },
    #[error("the request comes from a web page of '{}'", echo(origin))]
    Origin { origin: String },
    #[error("a browser sent the request for a web page of another site")]
    CrossSite,
    #[error("a changing admin call came from {peer}, which is not this machine")]
    AdminFromAfar { peer: IpAddr },
    #[error("nothing is served at this path for an unsigned request")]
    Nowhere,
    #[error("{} is not built, so neither is its operation {}", echo(service), echo(operation))]
    NotBuilt { service: String, operation: String },
    #[error("the body is longer than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the body is longer than {limit} bytes")]
    EntityTooLarge { limit: usize },
    #[error(transparent)]
    TooManyParameters(rpc::TooMany),
    #[error(transparent)]
    Region(rpc::BadParameter),
    #[error("the RPC protocol has no method {}", echo(method))]
    RpcMethod { method: String },
    #[error(transparent)]
    Signature(durastack_auth::Refusal),
    #[error("{refusal}")]
    Aliyun { refusal: aliyun::Refusal, vocabulary: Vocabulary },
}

/// A refusal that is no service's, as JSON of our own has it.
pub(crate) struct Own {
    pub(crate) status: StatusCode,
    pub(crate) code: Cow<'static, str>,
    pub(crate) message: String,
}

impl Refused {
    /// The answer where no cloud has one; a signature's refusal is always told by the service.
    pub(crate) fn own(&self) -> Own {
        let (status, code, message): (_, Cow<'static, str>, _) = match self {
            Self::Host { host } => (
                StatusCode::FORBIDDEN,
                "HostNotAllowed".into(),
                format!(
                    "The Host header names '{}', which is not one of this server's names. Start durastack with \
                     --allow-host NAME if it is called by that name.",
                    echo(host)
                ),
            ),
            Self::Origin { origin } => (
                StatusCode::FORBIDDEN,
                "OriginNotAllowed".into(),
                format!(
                    "Web pages of '{}' may not call this server. Start durastack with --allow-origin ORIGIN if \
                     you trust all of that site's pages.",
                    echo(origin)
                ),
            ),
            Self::CrossSite => (
                StatusCode::FORBIDDEN,
                "OriginNotAllowed".into(),
                "Web pages of other sites may not call this server. Start durastack with --allow-origin ORIGIN \
                 if you trust all pages of the site that did."
                    .to_owned(),
            ),
            Self::AdminFromAfar { .. } => (
                StatusCode::FORBIDDEN,
                "PeerNotAllowed".into(),
                "Admin calls that change something are accepted from the machine that durastack runs on only."
                    .to_owned(),
            ),
            Self::Nowhere => (
                StatusCode::NOT_FOUND,
                "NotFound".into(),
                "Nothing is served at this path for a request that is neither signed for AWS nor has a Signature or \
                 Version of Alibaba Cloud; parameters in a body count if its content type is \
                 application/x-www-form-urlencoded."
                    .to_owned(),
            ),
            Self::NotBuilt { service, operation } => (
                StatusCode::NOT_IMPLEMENTED,
                "NotImplemented".into(),
                format!(
                    "durastack does not build the service {} yet, so it cannot answer {}",
                    echo(service),
                    echo(operation)
                ),
            ),
            Self::TooLarge { limit } => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "RequestEntityTooLargeException".into(),
                format!("Request must be smaller than {limit} bytes"),
            ),
            // Source: error table of the API, `EntityTooLarge` and `InvalidArgument`.
            Self::EntityTooLarge { limit } => (
                StatusCode::BAD_REQUEST,
                "EntityTooLarge".into(),
                format!("The payload size exceeds maximum allowed size ({limit} bytes)."),
            ),
            Self::TooManyParameters(too_many) => {
                (StatusCode::BAD_REQUEST, "InvalidArgument".into(), too_many.to_string())
            }
            Self::Region(bad) => (StatusCode::BAD_REQUEST, "InvalidArgument".into(), bad.to_string()),
            // The service's own table has no such code, so it is the gateway's in both vocabularies.
            // Source: error table of the OpenAPI gateway.
            Self::RpcMethod { .. } => (
                StatusCode::BAD_REQUEST,
                "UnsupportedHTTPMethod".into(),
                "This http method is not supported.".to_owned(),
            ),
            Self::Aliyun { refusal, vocabulary } => (
                refusal.status(*vocabulary),
                refusal.code(*vocabulary),
                refusal.message(*vocabulary),
            ),
            Self::Signature(refusal) => (
                refusal.status(durastack_auth::Family::RestJson),
                refusal.code(durastack_auth::Family::RestJson).into(),
                refusal.message(durastack_auth::Family::RestJson),
            ),
        };
        Own { status, code, message }
    }
}

/// What a stranger sent, short and on one line.
fn echo(text: &str) -> String {
    text.chars().take(ECHO_MAX).map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect()
}
