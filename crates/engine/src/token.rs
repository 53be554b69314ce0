//! Tokens that callers bring back: verified, not looked up.

use base64::{Engine, engine::general_purpose::STANDARD};
use durastack_names::ExecutionId;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// The right to write the next checkpoint of an invocation.
    Checkpoint,
    /// The right to answer an operation of a durable function from outside.
    Callback,
    /// The right to report a task of a flow.
    Task,
}

impl TokenKind {
    const fn byte(self) -> u8 {
        match self {
            Self::Checkpoint => 1,
            Self::Callback => 2,
            Self::Task => 3,
        }
    }
}

/// What a token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// What it is good for.
    pub kind: TokenKind,
    /// The execution it belongs to.
    pub execution: ExecutionId,
    /// The number of the invocation or operation.
    pub number: u64,
    /// Counts what may be used once.
    pub counter: u64,
}

/// A text that is no token of ours, or one of another kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a token of this data folder")]
pub struct BadToken;

/// The key under which tokens are made; one per data folder.
#[derive(Clone)]
pub struct TokenKey(Hmac<Sha256>);

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenKey(hidden)")
    }
}

const VERSION: u8 = 1;
const BODY_BYTES: usize = 2 + 16 + 8 + 8;
const MAC_BYTES: usize = 16;

impl TokenKey {
    /// From the folder's secret.
    ///
    /// # Panics
    ///
    /// Never: HMAC takes keys of any length.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(Hmac::new_from_slice(secret).expect("HMAC takes keys of any length"))
    }

    /// The token as callers see it: standard base64, 68 characters.
    #[must_use]
    pub fn seal(&self, token: &Token) -> String {
        let mut bytes = [0; BODY_BYTES + MAC_BYTES];
        bytes[..BODY_BYTES].copy_from_slice(&body(token));
        let mac = self.mac(&bytes[..BODY_BYTES]);
        bytes[BODY_BYTES..].copy_from_slice(&mac);
        STANDARD.encode(bytes)
    }

    /// Reads a token that this key made.
    ///
    /// # Errors
    ///
    /// [`BadToken`] for anything else.
    ///
    /// # Panics
    ///
    /// Never: the ranges it cuts lie within the checked length.
    pub fn open(&self, kind: TokenKind, text: &str) -> Result<Token, BadToken> {
        let bytes = STANDARD.decode(text).map_err(|_| BadToken)?;
        let (body, mac) = bytes.split_at_checked(BODY_BYTES).ok_or(BadToken)?;
        if !bool::from(self.mac(body).as_slice().ct_eq(mac)) || body[..2] != [VERSION, kind.byte()]
        {
            return Err(BadToken);
        }
        let number = |range: std::ops::Range<usize>| {
            u64::from_be_bytes(body[range].try_into().expect("the range has eight bytes"))
        };
        Ok(Token {
            kind,
            execution: ExecutionId::from_bytes(
                body[2..18].try_into().expect("the range has sixteen bytes"),
            ),
            number: number(18..26),
            counter: number(26..34),
        })
    }

    fn mac(&self, body: &[u8]) -> [u8; MAC_BYTES] {
        let full = self.0.clone().chain_update(body).finalize().into_bytes();
        full[..MAC_BYTES].try_into().expect("SHA-256 is longer")
    }
}

fn body(token: &Token) -> [u8; BODY_BYTES] {
    let mut body = [0; BODY_BYTES];
    body[0] = VERSION;
    body[1] = token.kind.byte();
    body[2..18].copy_from_slice(&token.execution.bytes());
    body[18..26].copy_from_slice(&token.number.to_be_bytes());
    body[26..34].copy_from_slice(&token.counter.to_be_bytes());
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_with_its_key_and_kind_alone() {
        let key = TokenKey::new(&[7; 32]);
        let token = Token {
            kind: TokenKind::Checkpoint,
            execution: ExecutionId::from_bytes([9; 16]),
            number: 3,
            counter: 41,
        };
        let text = key.seal(&token);
        assert_eq!(text.len(), 68);
        assert_eq!(key.open(TokenKind::Checkpoint, &text), Ok(token));
        assert_eq!(key.open(TokenKind::Callback, &text), Err(BadToken));
        assert_eq!(TokenKey::new(&[8; 32]).open(TokenKind::Checkpoint, &text), Err(BadToken));
        assert_eq!(key.open(TokenKind::Checkpoint, "AA=="), Err(BadToken));
        assert_eq!(key.open(TokenKind::Checkpoint, "***"), Err(BadToken));
    }
}
