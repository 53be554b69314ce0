//! A signature that does not fit: what the verifier read, and what may explain the difference.

use crate::refusal::one_line;
use std::fmt;

/// How much of a value a log shows, in characters: definitions and inputs may be long.
const SHOWN_CHARS_MAX: usize = 120;

/// Parameters and headers of which a log learns no more than that they were signed.
const SECRET: [&str; 6] = [
    "SecurityToken",
    "BearerToken",
    "x-acs-security-token",
    "x-acs-bearer-token",
    "authorization",
    "cookie",
];

/// A signature that does not fit.
pub struct Mismatch {
    /// Who is said to have signed.
    pub access_key_id: String,
    /// What was read: the parameters, or the lines of the canonical request, as names and values. May hold a session
    /// token.
    pub read: Vec<(String, String)>,
    /// The string to sign that follows from it. By the RPC protocol it holds all parameters, tokens included.
    pub string_to_sign: String,
    /// What the verifier found out about the difference.
    pub clues: Vec<Clue>,
}

/// Something that may explain a signature that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clue {
    /// The RPC signature fits if the key is the secret alone.
    KeyWithoutAmpersand,
    /// The ACS3 signature fits if the key is the secret and an `&`.
    KeyWithAmpersand,
    /// The signature fits if its spaces are plus signs.
    SignatureNotEncoded,
    /// The signature fits the parameters of the query alone.
    FormNotSigned,
    /// The signature fits with this method.
    Method(&'static str),
    /// A header is listed as signed and absent.
    AbsentHeader(String),
    /// `x-acs-content-sha256` is not the hash of the body received.
    BodyDiffersFromHash,
}

impl fmt::Debug for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mismatch")
            .field("access_key_id", &self.access_key_id)
            .field("clues", &self.clues)
            .finish_non_exhaustive()
    }
}

impl Mismatch {
    pub(super) fn explain(&self) -> String {
        let id = one_line(&self.access_key_id);
        let mut text = format!("the signature of the key '{id}' does not fit");
        for clue in &self.clues {
            text += &format!("; {clue}");
        }
        text += if self.clues.is_empty() {
            ": is the secret the right one? What was read here as signed is"
        } else {
            ". What was read here as signed is"
        };
        for (name, value) in &self.read {
            text.push_str("\n  ");
            // A line of a canonical request that is no header is its query, perhaps, and a query may hold a token.
            if SECRET.contains(&name.as_str()) || value.contains("SecurityToken=") {
                text += &format!("{}: (hidden)", one_line(name));
                continue;
            }
            if !name.is_empty() {
                text += &format!("{}: ", one_line(name));
            }
            text.extend(one_line(value).chars().take(SHOWN_CHARS_MAX));
            if value.chars().nth(SHOWN_CHARS_MAX).is_some() {
                text.push('…');
            }
        }
        text
    }
}

impl fmt::Display for Clue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyWithoutAmpersand => f.write_str(
                "it fits if the key is the bare secret: the RPC protocol's key is the secret followed by '&'",
            ),
            Self::KeyWithAmpersand => f.write_str(
                "it fits if '&' is appended to the secret: ACS3 takes the secret as it is",
            ),
            Self::SignatureNotEncoded => f.write_str(
                "it fits if its spaces are plus signs: encode the '+' in Signature as %2B",
            ),
            Self::FormNotSigned => f.write_str(
                "it fits the query alone: the parameters of the form must be signed too",
            ),
            Self::Method(method) => write!(f, "it fits the method {method}"),
            Self::AbsentHeader(name) => {
                write!(f, "the header '{}' is listed as signed but did not arrive", one_line(name))
            }
            Self::BodyDiffersFromHash => {
                f.write_str("x-acs-content-sha256 is not the hash of the body that arrived")
            }
        }
    }
}
