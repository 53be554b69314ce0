//! Version 1.0 of the RPC protocol's signature: HMAC-SHA1 over the parameters of query and form. Host, path and headers
//! have no part in it.

use super::{
    Claim, Clue, Line, Mismatch, Nonces, Parameter, Refusal, Request, Verified, check_time,
};
use crate::{Keyring, sigv4::encoding::push_encoded};
use base64::{Engine, engine::general_purpose::STANDARD};
use durastack_clock::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use subtle::ConstantTimeEq;

const METHOD: &str = "HMAC-SHA1";
const VERSION: &str = "1.0";

pub(super) fn verify(
    request: &Request<'_>,
    keys: &Keyring,
    nonces: Option<&Nonces>,
    wall: Timestamp,
) -> Result<Verified, Refusal> {
    let required = |name| request.parameter(name).ok_or(Refusal::MissingParameter(name));
    let sorted = sorted(request);
    let Some(signature) = request.parameter("Signature") else {
        let string_to_sign = string_to_sign(request.method, &sorted);
        return Err(Refusal::MissingSignature { string_to_sign: text(&string_to_sign) });
    };
    let access_key_id = required("AccessKeyId")?;
    let timestamp = required("Timestamp")?;
    let nonce = required("SignatureNonce")?;
    let method = required("SignatureMethod")?;
    let version = required("SignatureVersion")?;
    if method != METHOD {
        return Err(Refusal::UnsupportedMethod { method: method.to_owned() });
    }
    if version != VERSION {
        return Err(Refusal::UnsupportedVersion { version: version.to_owned() });
    }
    check_time("Timestamp", timestamp, wall)?;
    let claim = Claim { access_key_id, token: request.parameter("SecurityToken"), nonce };
    let holder = claim.holder(keys)?;
    let secret = keys.secret_of(&holder);
    let string = string_to_sign(request.method, &sorted);
    if !fits(&signature_of(&secret, &string), signature) {
        let attempt = Attempt { request, sorted: &sorted, secret: &secret, signature };
        return Err(Refusal::Mismatch(Box::new(Mismatch {
            access_key_id: access_key_id.to_owned(),
            read: std::iter::once(Line::Text(request.method.to_owned()))
                .chain(sorted.iter().map(Parameter::line))
                .collect(),
            string_to_sign: text(&string),
            clues: attempt.clues(&string),
        })));
    }
    claim.finish(keys, nonces, wall)?;
    Ok(Verified {
        access_key_id: access_key_id.to_owned(),
        account: holder.account,
        function: holder.function,
        action: request.parameter("Action").unwrap_or_default().to_owned(),
        version: request.parameter("Version").unwrap_or_default().to_owned(),
    })
}

/// All parameters that are signed, sorted by name.
pub(super) fn sorted<'a>(request: &Request<'a>) -> Vec<Parameter<'a>> {
    let mut sorted: Vec<_> =
        request.parameters.iter().copied().filter(|p| p.name != "Signature").collect();
    if !sorted.is_sorted_by(|a, b| a.name <= b.name) {
        sorted.sort_by(|a, b| a.name.cmp(b.name));
    }
    sorted
}

/// The text that is signed: the method, the path (always `/`), and the sorted `parameters`, each name and value encoded,
/// joined, and encoded once more.
#[must_use]
pub fn string_to_sign(method: &str, parameters: &[Parameter<'_>]) -> Vec<u8> {
    let bytes: usize = parameters.iter().map(|p| p.name.len() + p.value.len() + 6).sum();
    let mut out = Vec::with_capacity(method.len() + 5 + bytes + bytes / 2);
    out.extend_from_slice(method.as_bytes());
    out.extend_from_slice(b"&%2F&");
    for (n, parameter) in parameters.iter().enumerate() {
        if n > 0 {
            out.extend_from_slice(b"%26");
        }
        push_encoded_twice(&mut out, parameter.name);
        out.extend_from_slice(b"%3D");
        push_encoded_twice(&mut out, parameter.value);
    }
    out
}

/// What encoding left bare stays so the second time; of what became `%XX`, only the percent sign changes.
fn push_encoded_twice(out: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        let start = out.len();
        push_encoded(out, byte);
        if out.len() > start + 1 {
            out.extend_from_within(start + 1..start + 3);
            out[start + 1..start + 3].copy_from_slice(b"25");
        }
    }
}

pub(super) fn signature_of(secret: &str, string: &[u8]) -> String {
    keyed(&[secret.as_bytes(), b"&"].concat(), string)
}

pub(super) fn keyed(key: &[u8], string: &[u8]) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes keys of every length");
    mac.update(string);
    STANDARD.encode(mac.finalize().into_bytes())
}

fn fits(expected: &str, given: &str) -> bool {
    expected.as_bytes().ct_eq(given.as_bytes()).into()
}

/// The text consists of ASCII, whatever was sent.
fn text(string: &[u8]) -> String {
    String::from_utf8_lossy(string).into_owned()
}

/// A signature that does not fit, and all that is needed to see whether it fits something else.
struct Attempt<'a> {
    request: &'a Request<'a>,
    sorted: &'a [Parameter<'a>],
    secret: &'a str,
    signature: &'a str,
}

impl Attempt<'_> {
    fn clues(&self, string: &[u8]) -> Vec<Clue> {
        let mut clues = Vec::new();
        if fits(&keyed(self.secret.as_bytes(), string), self.signature) {
            clues.push(Clue::KeyWithoutAmpersand);
        }
        if fits(&signature_of(self.secret, string), &self.signature.replace(' ', "+")) {
            clues.push(Clue::SignatureNotEncoded);
        }
        let other = |method, parameters: &[Parameter<'_>]| {
            let string = string_to_sign(method, parameters);
            fits(&signature_of(self.secret, &string), self.signature)
        };
        for method in ["GET", "POST"] {
            if method != self.request.method && other(method, self.sorted) {
                clues.push(Clue::Method(method));
            }
        }
        let query: Vec<_> = self.sorted.iter().copied().filter(|p| p.in_query).collect();
        if query.len() < self.sorted.len() && other(self.request.method, &query) {
            clues.push(Clue::FormNotSigned);
        }
        clues
    }
}
