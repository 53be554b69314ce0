//! Alibaba Cloud's signatures, from the verifying side: by parameters (version 1.0 of the RPC protocol, HMAC-SHA1) and by
//! headers (ACS3-HMAC-SHA256), for a complete request whose parameters are decoded already.
//!
//! In this order: the scheme, what must be there, the time, the key, the signature, the session token, the nonce. A nonce
//! counts as used only after a signature that holds, so a stranger can neither use one up nor fill the memory.

pub mod acs3;
mod mismatch;
mod nonces;
#[cfg(test)]
mod properties;
mod refusal;
pub mod rpc;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

pub use mismatch::{Clue, Line, Mismatch};
pub use nonces::Nonces;
pub use refusal::{Malformed, Refusal, Vocabulary};

use crate::{
    Keyring,
    keyring::{BadToken, Holder},
};
use durastack_clock::Timestamp;
use durastack_names::{AccountId, FunctionName};
use http::{HeaderMap, header};
use std::time::Duration;

/// How far the time of a request may lie from the wall time, either way; exactly as far still counts.
/// Source: "Common parameters" of the RPC protocol, `Timestamp`; error code `InvalidTimeStamp.Expired`.
pub const WINDOW: Duration = Duration::from_secs(15 * 60);

/// A request as it came over the wire.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// As sent.
    pub method: &'a str,
    /// The path as sent, without query.
    pub path: &'a str,
    /// All headers; `host` among them.
    pub headers: &'a HeaderMap,
    /// The whole body.
    pub body: &'a [u8],
    /// The parameters of query and form, decoded, sorted by name.
    pub parameters: &'a [Parameter<'a>],
}

/// One parameter, decoded.
#[derive(Clone, Copy)]
pub struct Parameter<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value.
    pub value: &'a str,
    /// Whether it stood in the query; else it stood in the form.
    pub in_query: bool,
}

/// The value may be a secret: a log sees the name alone.
impl std::fmt::Debug for Parameter<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Parameter<'_> {
    fn line(&self) -> Line {
        Line::Parameter(self.name.to_owned(), self.value.to_owned())
    }
}

/// Who sent a request that is intact, and what its signed part asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The id of the key that signed.
    pub access_key_id: String,
    /// Whose resources the key reaches.
    pub account: AccountId,
    /// The function whose process signed, if it was one.
    pub function: Option<FunctionName>,
    /// The operation, from where the scheme signs it: a parameter or a header. Empty if there is none.
    pub action: String,
    /// The API's version, likewise.
    pub version: String,
}

/// What a request says of itself. Nothing of it is verified, or even well-formed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hint<'a> {
    /// The id of the key, empty if none is named.
    pub access_key_id: &'a str,
    /// The session token.
    pub token: Option<&'a str>,
    /// The operation, empty if none is named.
    pub action: &'a str,
    /// The API's version, empty if none is named.
    pub version: &'a str,
}

impl std::fmt::Debug for Hint<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { access_key_id, action, version, token: _ } = self;
        f.debug_tuple("Hint").field(access_key_id).field(action).field(version).finish()
    }
}

/// Reads what a request says, for a server that verifies nothing, and for logs.
#[must_use]
pub fn hint<'a>(request: &Request<'a>) -> Hint<'a> {
    let either =
        |parameter, header| request.parameter(parameter).or_else(|| request.header(header));
    let credential = || acs3::credential(request.header("authorization")?);
    Hint {
        access_key_id: credential()
            .or_else(|| either("AccessKeyId", "x-acs-accesskey-id"))
            .unwrap_or_default(),
        token: either("SecurityToken", "x-acs-security-token"),
        action: either("Action", "x-acs-action").unwrap_or_default(),
        version: either("Version", "x-acs-version").unwrap_or_default(),
    }
}

/// Verifies that a request was signed, by a key of `keys`, as it arrived, about now, and for the first time. `wall` is the
/// wall time: a skipped month on the virtual clock must disturb no client. Without `nonces`, a request may come again.
///
/// # Errors
///
/// The first step that fails, as [`Refusal`].
pub fn verify(
    request: &Request<'_>,
    keys: &Keyring,
    nonces: Option<&Nonces>,
    wall: Timestamp,
) -> Result<Verified, Refusal> {
    // Such a request could mean one thing to the signature and another to the service.
    if let Some(name) = request.repeated() {
        return Err(Refusal::RepeatedParameter { name: name.to_owned() });
    }
    match Scheme::of(request)? {
        Scheme::Rpc => rpc::verify(request, keys, nonces, wall),
        Scheme::Acs3 => acs3::verify(request, keys, nonces, wall),
    }
}

enum Scheme {
    Rpc,
    Acs3,
}

impl Scheme {
    /// By the `Authorization` header if it is one of these schemes, else by the parameters.
    fn of(request: &Request<'_>) -> Result<Self, Refusal> {
        let is_bearer = |kind: &str| kind.eq_ignore_ascii_case("BEARERTOKEN");
        if request.parameter("SignatureType").is_some_and(is_bearer)
            || ["x-acs-bearer-token", "x-acs-zero-trust-idtoken"]
                .iter()
                .any(|name| request.headers.contains_key(*name))
        {
            return Err(Refusal::Bearer);
        }
        match request.header("authorization").map(acs3::algorithm) {
            Some(acs3::ALGORITHM) => return Ok(Self::Acs3),
            // These are the names of schemes, so no secret is repeated.
            Some(other) if other.starts_with("ACS3-") || matches!(other, "acs" | "FC") => {
                return Err(Refusal::UnsupportedMethod { method: other.to_owned() });
            }
            _ => {}
        }
        let has_date = request.headers.contains_key("x-acs-date");
        if has_date && request.parameter("Signature").is_none() {
            // All the rest of the other scheme came: the header alone is missing.
            return Err(Refusal::MissingHeader("Authorization"));
        }
        Ok(Self::Rpc)
    }
}

impl<'a> Request<'a> {
    /// The value of a parameter; an empty one is as good as none.
    fn parameter(&self, name: &str) -> Option<&'a str> {
        let mut found = self.parameters.iter().filter(|parameter| parameter.name == name);
        found.next().map(|parameter| parameter.value).filter(|value| !value.is_empty())
    }

    /// The text of a header; an empty one is as good as none.
    fn header(&self, name: &str) -> Option<&'a str> {
        let value = self.headers.get(name)?;
        std::str::from_utf8(value.as_bytes()).ok().map(str::trim_ascii).filter(|v| !v.is_empty())
    }

    fn repeated(&self) -> Option<&'a str> {
        let mut pairs = self.parameters.windows(2);
        if self.parameters.is_sorted_by(|a, b| a.name <= b.name) {
            return pairs.find(|pair| pair[0].name == pair[1].name).map(|pair| pair[0].name);
        }
        let mut names: Vec<_> = self.parameters.iter().map(|parameter| parameter.name).collect();
        names.sort_unstable();
        names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
    }
}

/// What both schemes know of a request before its signature is looked at.
struct Claim<'a> {
    access_key_id: &'a str,
    token: Option<&'a str>,
    nonce: &'a str,
}

impl<'a> Claim<'a> {
    /// Takes the steps between what must be there and the signature: finds the key.
    fn holder<'k>(&self, keys: &'k Keyring) -> Result<Holder<'k>, Refusal> {
        keys.find(self.access_key_id, self.token_bytes())
            .ok_or_else(|| Refusal::UnknownKey { access_key_id: self.access_key_id.to_owned() })
    }

    /// Takes the steps behind the signature: the token, then the nonce.
    fn finish(
        &self,
        keys: &Keyring,
        nonces: Option<&Nonces>,
        wall: Timestamp,
    ) -> Result<(), Refusal> {
        let access_key_id = || self.access_key_id.to_owned();
        keys.check_token(self.access_key_id, self.token_bytes(), wall).map_err(
            |bad| match bad {
                BadToken::Missing => Refusal::MissingToken { access_key_id: access_key_id() },
                BadToken::Foreign => Refusal::ForeignToken { access_key_id: access_key_id() },
                BadToken::Expired(expired) => {
                    Refusal::ExpiredToken { access_key_id: access_key_id(), expired }
                }
            },
        )?;
        match nonces {
            Some(nonces) if !nonces.first_use(self.access_key_id, self.nonce, wall) => {
                Err(Refusal::NonceUsed { nonce: self.nonce.to_owned() })
            }
            _ => Ok(()),
        }
    }

    fn token_bytes(&self) -> Option<&'a [u8]> {
        self.token.map(str::as_bytes)
    }
}

/// Reads `yyyy-MM-ddTHH:mm:ssZ` and nothing else, as the gateway does, and compares it with the wall time. `name` is that
/// of the parameter or header.
fn check_time(name: &'static str, text: &str, wall: Timestamp) -> Result<(), Refusal> {
    let shape = |(at, byte): (usize, u8)| match at {
        4 | 7 => byte == b'-',
        10 => byte == b'T',
        13 | 16 => byte == b':',
        19 => byte == b'Z',
        _ => byte.is_ascii_digit(),
    };
    let shaped = text.len() == 20 && text.bytes().enumerate().all(shape);
    let Some(sent) = shaped.then(|| Timestamp::parse_iso(text).ok()).flatten() else {
        return Err(Refusal::BadTime { name, text: text.to_owned() });
    };
    // Times have whole seconds, so the time here is taken as such too: else half a second would decide at the edge.
    let ms = wall.millis();
    let now = Timestamp::from_millis(ms.saturating_sub(ms.rem_euclid(1000)));
    if now.since(sent) > WINDOW || sent.since(now) > WINDOW {
        return Err(Refusal::Skewed { sent, now });
    }
    Ok(())
}

/// `2026-01-02T03:04:05Z`.
fn seconds(at: Timestamp) -> String {
    let mut text = at.iso();
    if let Some(dot) = text.rfind('.') {
        text.truncate(dot);
        text.push('Z');
    }
    text
}

fn authorizations(headers: &HeaderMap) -> usize {
    headers.get_all(header::AUTHORIZATION).iter().count()
}
