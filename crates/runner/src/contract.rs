//! Whose rules a function is run by, and who it is under them.

use durastack_names::{FunctionArn, Version};
use std::fmt;

/// By which cloud's rules a function is called, with the function's identity there: each cloud names functions in its
/// own way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contract {
    /// AWS Lambda's.
    Lambda(LambdaIdentity),
}

/// Who a Lambda function is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LambdaIdentity {
    /// Unqualified.
    pub arn: FunctionArn,
    /// Which version runs.
    pub version: Version,
}

impl Contract {
    /// The function's short name for logs: its name.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Lambda(identity) => identity.arn.name.to_string(),
        }
    }

    /// Which version runs, for logs: `$LATEST`, `3`.
    #[must_use]
    pub fn version(&self) -> String {
        match self {
            Self::Lambda(identity) => identity.version.to_string(),
        }
    }
}

/// The function's ARN.
impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lambda(identity) => identity.arn.fmt(f),
        }
    }
}
