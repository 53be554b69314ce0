//! A signature that does not fit: what the verifier read, and what may explain the difference.

use crate::refusal::one_line;
use std::fmt;

/// Headers of which a log learns no more than that they were signed.
const SECRET_HEADERS: [&str; 4] =
    ["x-acs-security-token", "x-acs-bearer-token", "authorization", "cookie"];

/// Parameters that a log may show: those of the protocol itself, without its tokens. All others are the operation's, and
/// may be task tokens, payloads or whole definitions.
const SHOWN_PARAMETERS: [&str; 10] = [
    "AccessKeyId",
    "Action",
    "Format",
    "RegionId",
    "SignatureMethod",
    "SignatureNonce",
    "SignatureType",
    "SignatureVersion",
    "Timestamp",
    "Version",
];

/// How much of a text a log shows, in characters.
const SHOWN_CHARS_MAX: usize = 200;

/// A signature that does not fit.
pub struct Mismatch {
    /// Who is said to have signed.
    pub access_key_id: String,
    /// What was read, in the order in which it is signed. May hold session tokens and payloads.
    pub read: Vec<Line>,
    /// The string to sign that follows from it. By the RPC protocol it holds all parameters, tokens included.
    pub string_to_sign: String,
    /// What the verifier found out about the difference.
    pub clues: Vec<Clue>,
}

/// A piece of what is signed.
#[derive(Clone, PartialEq, Eq)]
pub enum Line {
    /// A method, a path, a list of names, a hash.
    Text(String),
    /// A parameter: name and value, decoded.
    Parameter(String, String),
    /// A header: name and value.
    Header(String, String),
}

/// Values may be secrets: a log sees what [`Mismatch`] explains.
impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(&shown(text)),
            Self::Parameter(name, value) if SHOWN_PARAMETERS.contains(&name.as_str()) => {
                write!(f, "{name}={}", shown(value))
            }
            Self::Parameter(name, value) => {
                write!(f, "{}=({} bytes, hidden)", shown(name), value.len())
            }
            Self::Header(name, _) if SECRET_HEADERS.contains(&name.as_str()) => {
                write!(f, "{name}:(hidden)")
            }
            Self::Header(name, value) => write!(f, "{}:{}", shown(name), shown(value)),
        }
    }
}

/// A text from outside, short and on one line.
fn shown(text: &str) -> String {
    let mut shown: String = one_line(text).chars().take(SHOWN_CHARS_MAX).collect();
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
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
        for line in &self.read {
            text += &format!("\n  {line}");
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
