//! Why a request does not pass, besides its signature: our own texts, each naming the flag that helps.

use http::StatusCode;
use std::net::IpAddr;

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
    #[error("Alibaba Cloud's APIs are not built, so neither is {}", echo(action))]
    AlibabaNotBuilt { action: String },
    #[error("the body is longer than {limit} bytes")]
    TooLarge { limit: usize },
    #[error(transparent)]
    Signature(durastack_auth::Refusal),
}

/// A refusal that is no service's, as JSON of our own has it.
pub(crate) struct Own {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl Refused {
    /// The answer where no cloud has one; a signature's refusal is always told by the service.
    pub(crate) fn own(&self) -> Own {
        let (status, code, message) = match self {
            Self::Host { host } => (
                StatusCode::FORBIDDEN,
                "HostNotAllowed",
                format!(
                    "The Host header names '{}', which is not one of this server's names. Start durastack with \
                     --allow-host NAME if it is called by that name.",
                    echo(host)
                ),
            ),
            Self::Origin { origin } => (
                StatusCode::FORBIDDEN,
                "OriginNotAllowed",
                format!(
                    "Web pages of '{}' may not call this server. Start durastack with --allow-origin ORIGIN if \
                     you trust all of that site's pages.",
                    echo(origin)
                ),
            ),
            Self::CrossSite => (
                StatusCode::FORBIDDEN,
                "OriginNotAllowed",
                "Web pages of other sites may not call this server. Start durastack with --allow-origin ORIGIN \
                 if you trust all pages of the site that did."
                    .to_owned(),
            ),
            Self::AdminFromAfar { .. } => (
                StatusCode::FORBIDDEN,
                "PeerNotAllowed",
                "Admin calls that change something are accepted from the machine that durastack runs on only."
                    .to_owned(),
            ),
            Self::Nowhere => (
                StatusCode::NOT_FOUND,
                "NotFound",
                "Nothing is served at this path for a request without an AWS signature.".to_owned(),
            ),
            Self::NotBuilt { service, operation } => (
                StatusCode::NOT_IMPLEMENTED,
                "NotImplemented",
                format!(
                    "durastack does not build the service {} yet, so it cannot answer {}",
                    echo(service),
                    echo(operation)
                ),
            ),
            Self::AlibabaNotBuilt { action } => (
                StatusCode::NOT_IMPLEMENTED,
                "ActionNotSupported",
                format!("durastack does not build Alibaba Cloud's APIs yet, so it cannot answer {}", echo(action)),
            ),
            Self::TooLarge { limit } => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "RequestEntityTooLargeException",
                format!("Request must be smaller than {limit} bytes"),
            ),
            Self::Signature(refusal) => (
                refusal.status(durastack_auth::Family::RestJson),
                refusal.code(durastack_auth::Family::RestJson),
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
