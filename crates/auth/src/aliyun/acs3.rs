//! ACS3-HMAC-SHA256: a canonical request of method, path, query, signed headers and the hash of the body.

use super::{
    Claim, Clue, Line, Malformed, Mismatch, Nonces, Parameter, Refusal, Request, Verified,
    authorizations, check_time,
};
use crate::{
    Keyring,
    sigv4::encoding::{hex, push_encoded},
};
use durastack_clock::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The first word of the `Authorization` header.
pub const ALGORITHM: &str = "ACS3-HMAC-SHA256";

/// The headers that decide what a request means. Unsigned, they could be swapped on the way.
const DECIDING: [&str; 6] = [
    "host",
    "x-acs-action",
    "x-acs-version",
    "x-acs-date",
    "x-acs-signature-nonce",
    "x-acs-content-sha256",
];

const TOKEN: &str = "x-acs-security-token";

/// The parts of the `Authorization` header.
struct Authorization<'a> {
    credential: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

pub(super) fn verify(
    request: &Request<'_>,
    keys: &Keyring,
    nonces: Option<&Nonces>,
    wall: Timestamp,
) -> Result<Verified, Refusal> {
    if authorizations(request.headers) > 1 {
        return Err(Refusal::Malformed(Malformed::Repeated));
    }
    let header = request.header("authorization").unwrap_or_default();
    let authorization = Authorization::read(header).map_err(Refusal::Malformed)?;
    let required = |name| request.header(name).ok_or(Refusal::MissingHeader(name));
    let action = required("x-acs-action")?;
    let version = required("x-acs-version")?;
    let date = required("x-acs-date")?;
    let nonce = required("x-acs-signature-nonce")?;
    let claimed_hash = required("x-acs-content-sha256")?;
    let token = request.header(TOKEN);
    let deciding = DECIDING.into_iter().chain(token.is_some().then_some(TOKEN));
    for name in deciding {
        // Several values could be one to the signature and another to us.
        if request.headers.get_all(name).iter().count() > 1 {
            return Err(Refusal::Malformed(Malformed::RepeatedHeader(name)));
        }
        if !authorization.signed_headers.split(';').any(|signed| signed == name) {
            return Err(Refusal::Malformed(Malformed::NotSigned(name)));
        }
    }
    check_time("x-acs-date", date, wall)?;
    let claim = Claim { access_key_id: authorization.credential, token, nonce };
    let holder = claim.holder(keys)?;
    let secret = keys.secret_of(&holder);
    let payload = hex(&Sha256::digest(request.body).into());
    let parts = Parts { request, signed_headers: authorization.signed_headers };
    let canonical = parts.canonical_request(&payload);
    let string = string_to_sign(&canonical);
    let absent = parts.absent_headers();
    let hash_fits = claimed_hash.as_bytes() == payload;
    let signature = authorization.signature;
    if !(fits(&signature_of(&secret, &string), signature) && hash_fits && absent.is_empty()) {
        let attempt = Attempt { parts: &parts, secret: &secret, signature };
        let mut clues: Vec<_> = absent.into_iter().map(Clue::AbsentHeader).collect();
        if !hash_fits {
            clues.push(Clue::BodyDiffersFromHash);
        }
        attempt.add_clues(&mut clues, &payload, &string);
        return Err(Refusal::Mismatch(Box::new(Mismatch {
            access_key_id: authorization.credential.to_owned(),
            read: parts.lines(&payload),
            string_to_sign: string,
            clues,
        })));
    }
    claim.finish(keys, nonces, wall)?;
    Ok(Verified {
        access_key_id: authorization.credential.to_owned(),
        account: holder.account,
        function: holder.function,
        action: action.to_owned(),
        version: version.to_owned(),
    })
}

/// The first word of an `Authorization` header.
pub(super) fn algorithm(header: &str) -> &str {
    header.split_once(' ').map_or(header, |(algorithm, _)| algorithm)
}

/// The key id in an `Authorization` header of this scheme, however broken the rest may be.
pub(super) fn credential(header: &str) -> Option<&str> {
    let (algorithm, parts) = header.split_once(' ')?;
    if !algorithm.starts_with("ACS3-") {
        return None;
    }
    pieces(parts).find_map(|piece| piece.strip_prefix("Credential="))
}

fn pieces(parts: &str) -> impl Iterator<Item = &str> {
    parts.split(',').map(str::trim_ascii)
}

impl<'a> Authorization<'a> {
    fn read(header: &'a str) -> Result<Self, Malformed> {
        let (_, parts) = header.split_once(' ').unwrap_or((header, ""));
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for piece in pieces(parts) {
            let place = match piece.split_once('=') {
                Some(("Credential", value)) => (&mut credential, value),
                Some(("SignedHeaders", value)) => (&mut signed_headers, value),
                Some(("Signature", value)) => (&mut signature, value),
                _ => continue,
            };
            if place.0.replace(place.1).is_some() {
                return Err(Malformed::Repeated);
            }
        }
        let part = |value: Option<&'a str>, name| {
            value.filter(|value| !value.is_empty()).ok_or(Malformed::MissingPart(name))
        };
        Ok(Self {
            credential: part(credential, "Credential")?,
            signed_headers: part(signed_headers, "SignedHeaders")?,
            signature: part(signature, "Signature")?,
        })
    }
}

/// What a canonical request is made of, besides the hash of its body.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// The request. Of its parameters, those in the query take part.
    pub request: &'a Request<'a>,
    /// The names that were signed, joined by semicolons, as the signer lists them.
    pub signed_headers: &'a str,
}

impl Parts<'_> {
    /// Writes the canonical request. `payload` is the hash of the body in hexadecimal. Bytes, since headers need not be
    /// UTF-8.
    #[must_use]
    pub fn canonical_request(&self, payload: &[u8]) -> Vec<u8> {
        self.canonical_request_of(self.request.method, payload)
    }

    fn canonical_request_of(&self, method: &str, payload: &[u8]) -> Vec<u8> {
        let Request { path, headers, parameters, .. } = self.request;
        let mut out = Vec::with_capacity(512 + self.signed_headers.len());
        out.extend_from_slice(method.as_bytes());
        out.push(b'\n');
        out.extend_from_slice(if path.is_empty() { b"/" } else { path.as_bytes() });
        out.push(b'\n');
        push_query(&mut out, parameters);
        out.push(b'\n');
        for name in self.names() {
            out.extend(name.bytes().map(|byte| byte.to_ascii_lowercase()));
            out.push(b':');
            out.extend_from_slice(&value(headers, name));
            out.push(b'\n');
        }
        out.push(b'\n');
        out.extend_from_slice(self.signed_headers.as_bytes());
        out.push(b'\n');
        out.extend_from_slice(payload);
        out
    }

    /// The signed names in their order. A repeated one counts once, or a short list could name one long value a thousand
    /// times.
    fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.signed_headers.split(';').collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The canonical request in pieces that a log can tell apart.
    fn lines(&self, payload: &[u8]) -> Vec<Line> {
        let Request { method, path, headers, parameters, .. } = self.request;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut lines = vec![Line::Text((*method).to_owned()), Line::Text((*path).to_owned())];
        lines.extend(parameters.iter().filter(|p| p.in_query).map(Parameter::line));
        let header =
            |name: &str| Line::Header(name.to_ascii_lowercase(), text(&value(headers, name)));
        lines.extend(self.names().into_iter().map(header));
        lines.push(Line::Text(self.signed_headers.to_owned()));
        lines.push(Line::Text(text(payload)));
        lines
    }

    /// The signed names that no header of the request has.
    fn absent_headers(&self) -> Vec<String> {
        let absent = |name: &&str| !self.request.headers.contains_key(*name);
        self.signed_headers.split(';').filter(absent).map(str::to_owned).collect()
    }
}

fn push_query(out: &mut Vec<u8>, parameters: &[Parameter<'_>]) {
    let mut query: Vec<_> = parameters.iter().filter(|p| p.in_query).collect();
    if !query.is_sorted_by(|a, b| a.name <= b.name) {
        query.sort_by(|a, b| a.name.cmp(b.name));
    }
    for (n, parameter) in query.into_iter().enumerate() {
        if n > 0 {
            out.push(b'&');
        }
        parameter.name.bytes().for_each(|byte| push_encoded(out, byte));
        out.push(b'=');
        parameter.value.bytes().for_each(|byte| push_encoded(out, byte));
    }
}

/// The value of a header as it is signed: trimmed, several of one name sorted and joined.
fn value(headers: &HeaderMap, name: &str) -> Vec<u8> {
    let mut values: Vec<_> =
        headers.get_all(name).iter().map(|value| value.as_bytes().trim_ascii()).collect();
    values.sort_unstable();
    values.join(&b',')
}

/// The text that is signed in the end.
#[must_use]
pub fn string_to_sign(canonical_request: &[u8]) -> String {
    let hash = hex(&Sha256::digest(canonical_request).into());
    let mut text = String::with_capacity(ALGORITHM.len() + 65);
    text.push_str(ALGORITHM);
    text.push('\n');
    text.extend(hash.map(char::from));
    text
}

pub(super) fn signature_of(secret: &str, string: &str) -> [u8; 64] {
    let key = secret.as_bytes();
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
    mac.update(string.as_bytes());
    hex(&mac.finalize().into_bytes().into())
}

fn fits(expected: &[u8; 64], given: &str) -> bool {
    expected.ct_eq(given.as_bytes()).into()
}

/// A signature that does not fit, and all that is needed to see whether it fits something else.
struct Attempt<'a> {
    parts: &'a Parts<'a>,
    secret: &'a str,
    signature: &'a str,
}

impl Attempt<'_> {
    fn add_clues(&self, clues: &mut Vec<Clue>, payload: &[u8], string: &str) {
        if fits(&signature_of(&format!("{}&", self.secret), string), self.signature) {
            clues.push(Clue::KeyWithAmpersand);
        }
        for method in ["GET", "POST"] {
            let canonical = self.parts.canonical_request_of(method, payload);
            if method != self.parts.request.method
                && fits(&signature_of(self.secret, &string_to_sign(&canonical)), self.signature)
            {
                clues.push(Clue::Method(method));
            }
        }
    }
}
