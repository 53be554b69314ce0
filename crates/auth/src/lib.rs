//! Who sent this request, and is it intact: AWS Signature Version 4, in a header or in the query, and Alibaba Cloud's
//! signatures by parameters and by headers.
//!
//! Pure: the time is an argument, keys are given at start, and nothing here reads a socket or a file. What a caller may
//! *do* is no question of this crate, nor is the frame in which a refusal is rendered: [`Refusal`] gives the status, the
//! code and the text of each protocol family, the caller writes the document.

pub mod aliyun;
mod keyring;
mod refusal;
mod secret;
pub mod sigv4;

pub use keyring::{FunctionKey, Key, Keyring};
pub use refusal::{Clue, Family, Mismatch, MissingParts, Refusal, ScopeFaults};
pub use secret::Secret;
pub use sigv4::{Request, Rules, ScopeHint, Verified, scope_hint, verify};
