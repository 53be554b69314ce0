//! Durable executions.

use crate::{
    AccountId, BadName, FunctionArn, FunctionName, Qualifier, Region, Version, is_word,
    serde_as_text, text_name,
};
use std::{fmt, str::FromStr};

/// The name of a durable execution: 1 to 64 of `[a-zA-Z0-9-_]`.
///
/// Source: botocore's lambda model, shape `DurableExecutionName`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExecutionName(String);

text_name!(ExecutionName);

impl FromStr for ExecutionName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = BadName::new("an execution name", text, "[a-zA-Z0-9-_]+");
        match is_word(text) {
            true if text.len() <= 64 => Ok(Self(text.to_owned())),
            true => Err(bad.too_long(64)),
            false => Err(bad),
        }
    }
}

/// What identifies an execution for ever, in either cloud: a UUID, kept as its sixteen bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExecutionId([u8; 16]);

serde_as_text!(ExecutionId);

impl ExecutionId {
    /// From its sixteen bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its sixteen bytes.
    #[must_use]
    pub const fn bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            let hyphen = if matches!(i, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{hyphen}{byte:02x}")?;
        }
        Ok(())
    }
}

impl FromStr for ExecutionId {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad =
            || BadName::new("an execution id", text, "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}");
        let hex: Vec<u8> = text.bytes().filter(|b| *b != b'-').collect();
        let mut bytes = [0; 16];
        if hex.len() != 32 {
            return Err(bad());
        }
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| bad())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| bad())?;
        }
        let id = Self(bytes);
        if id.to_string() == text { Ok(id) } else { Err(bad()) }
    }
}

/// `arn:aws:lambda:REGION:ACCOUNT:function:NAME:VERSION/durable-execution/EXECUTION_NAME/EXECUTION_ID`.
///
/// The last part is kept as text: an ARN of the right form that is not one of ours is unknown, not malformed.
/// Source: botocore's lambda model, shape `DurableExecutionArn`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ExecutionArn {
    /// Where.
    pub region: Region,
    /// Whose.
    pub account: AccountId,
    /// The function that runs.
    pub function: FunctionName,
    /// The version that is pinned; never an alias.
    pub version: Version,
    /// The execution's name, given or made.
    pub name: ExecutionName,
    id: String,
}

serde_as_text!(ExecutionArn);

impl ExecutionArn {
    /// The ARN of the execution `id`.
    #[must_use]
    pub fn new(
        function: &FunctionArn,
        version: Version,
        name: ExecutionName,
        id: ExecutionId,
    ) -> Self {
        Self {
            region: function.region.clone(),
            account: function.account.clone(),
            function: function.name.clone(),
            version,
            name,
            id: id.to_string(),
        }
    }

    /// The execution's id, if the last part can be one of ours.
    #[must_use]
    pub fn id(&self) -> Option<ExecutionId> {
        self.id.parse().ok()
    }

    /// The function's ARN, qualified with the pinned version.
    #[must_use]
    pub fn function_arn(&self) -> FunctionArn {
        FunctionArn {
            region: self.region.clone(),
            account: self.account.clone(),
            name: self.function.clone(),
            qualifier: Some(Qualifier::Version(self.version)),
        }
    }
}

impl fmt::Display for ExecutionArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/durable-execution/{}/{}", self.function_arn(), self.name, self.id)
    }
}

impl FromStr for ExecutionArn {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = || {
            BadName::new(
                "a durable execution ARN",
                text,
                r"arn:([a-zA-Z0-9-]+):lambda:([a-zA-Z0-9-]+):(\d{12}):function:([a-zA-Z0-9_-]+):(\$LATEST(?:\.PUBLISHED)?|[0-9]+)/durable-execution/([a-zA-Z0-9_-]+)/([a-zA-Z0-9_-]+)",
            )
        };
        let (function, rest) = text.split_once("/durable-execution/").ok_or_else(bad)?;
        let (name, id) = rest.split_once('/').ok_or_else(bad)?;
        let function: FunctionArn = function.parse().map_err(|_| bad())?;
        let Some(Qualifier::Version(version)) = function.qualifier else { return Err(bad()) };
        if !is_word(id) {
            return Err(bad());
        }
        Ok(Self {
            region: function.region,
            account: function.account,
            function: function.name,
            version,
            name: name.parse().map_err(|_| bad())?,
            id: id.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:order:$LATEST/durable-execution/first/01234567-89ab-7cde-8f01-23456789abcd";

    #[test]
    fn an_execution_arn_reads_and_prints() {
        let arn: ExecutionArn = ARN.parse().unwrap();
        assert_eq!(arn.to_string(), ARN);
        assert_eq!(arn.id().unwrap().to_string(), "01234567-89ab-7cde-8f01-23456789abcd");
    }

    #[test]
    fn a_foreign_id_is_unknown_not_malformed() {
        let arn: ExecutionArn = ARN.replace("01234567", "x").parse().unwrap();
        assert_eq!(arn.id(), None);
        assert!(ARN.replace("$LATEST", "live").parse::<ExecutionArn>().is_err());
        assert!(ARN.replace("/first/", "/").parse::<ExecutionArn>().is_err());
    }
}
