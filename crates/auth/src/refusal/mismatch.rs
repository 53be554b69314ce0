//! A signature that does not fit: what the verifier read, and what may explain the difference.

use super::one_line;
use crate::Family;
use std::fmt;

/// A signature that does not fit.
pub struct Mismatch {
    /// Who is said to have signed.
    pub access_key_id: String,
    /// The canonical request as the verifier makes it. May hold a session token.
    pub canonical_request: String,
    /// The string to sign that follows from it.
    pub string_to_sign: String,
    /// What the verifier found out about the difference.
    pub clues: Vec<Clue>,
}

/// Something that may explain a signature that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clue {
    /// A header is listed as signed and absent.
    AbsentHeader(String),
    /// `x-amz-content-sha256` is not the hash of the body received.
    BodyDiffersFromHash,
    /// The signature fits if the path is encoded only once.
    PathEncodedOnce,
    /// The signature fits with, or without, a slash at the end of the path.
    TrailingSlash,
    /// The signature fits if the port is left out of `Host`.
    PortNotSigned,
    /// The signature fits the content hash that the header claims, but not the body received.
    BodyChanged,
    /// The signature fits an empty body.
    BodyNotSigned,
    /// The signature fits with this method.
    Method(&'static str),
}

/// Headers of which a log learns no more than that they were signed.
const SECRET_HEADERS: [&str; 3] = ["authorization", "cookie", "x-amz-security-token"];

impl fmt::Debug for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mismatch")
            .field("access_key_id", &self.access_key_id)
            .field("clues", &self.clues)
            .finish_non_exhaustive()
    }
}

impl Mismatch {
    pub(super) fn message(&self, family: Family) -> String {
        let short = "The request signature we calculated does not match the signature you \
                     provided. Check your AWS Secret Access Key and signing method. Consult the \
                     service documentation for details.";
        match family {
            Family::Query => short.to_owned(),
            Family::RestJson | Family::Json | Family::JsonForbidden => format!(
                "{short}\n\nThe Canonical String for this request should have been\n'{}'\n\n\
                 The String-to-Sign should have been\n'{}'\n",
                self.canonical_request, self.string_to_sign
            ),
        }
    }

    pub(super) fn explain(&self) -> String {
        let mut text =
            format!("the signature of the key '{}' does not fit", one_line(&self.access_key_id));
        if self.clues.is_empty() {
            text += ": is the secret the right one? The request as it was read here is";
        } else {
            for clue in &self.clues {
                text += &format!("; {clue}");
            }
            text += ". The request as it was read here is";
        }
        for line in self.canonical_request.lines() {
            text.push_str("\n  ");
            match line.split_once(':') {
                Some((name, _)) if SECRET_HEADERS.contains(&name) => {
                    text += &format!("{name}:(hidden)");
                }
                _ if line.contains("X-Amz-Security-Token=") => {
                    text += "(hidden: the query holds a session token)";
                }
                _ => text += &one_line(line),
            }
        }
        text
    }
}

impl fmt::Display for Clue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AbsentHeader(name) => {
                write!(f, "the header '{}' is listed as signed but did not arrive", one_line(name))
            }
            Self::BodyDiffersFromHash => {
                f.write_str("x-amz-content-sha256 is not the hash of the body that arrived")
            }
            Self::PathEncodedOnce => f.write_str(
                "it fits if the path is encoded once: a signer for this service encodes the path as sent once more",
            ),
            Self::TrailingSlash => f.write_str("it fits if the slash at the path's end is toggled"),
            Self::PortNotSigned => f.write_str(
                "it fits if the port is left out of Host: sign the Host header exactly as it is sent",
            ),
            Self::BodyChanged => f.write_str(
                "it fits the hash in x-amz-content-sha256: the body was changed, or not hashed at all",
            ),
            Self::BodyNotSigned => f.write_str("it fits an empty body: the body was not signed"),
            Self::Method(method) => write!(f, "it fits the method {method}"),
        }
    }
}
