//! Lambda functions, their versions and aliases.

use crate::{AccountId, BadName, Region, is_word, serde_as_text, text_name};
use std::{fmt, str::FromStr};

/// The bare name of a function: 1 to 64 of `[a-zA-Z0-9-_]`.
///
/// Source: botocore's lambda model, shape `FunctionName` (its length limit of 140 is that of an ARN; the name alone
/// has 64, developer guide, "Lambda quotas").
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionName(String);

text_name!(FunctionName);

impl FromStr for FunctionName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = BadName::new("a function name", text, "[a-zA-Z0-9-_]+");
        match is_word(text) {
            true if text.len() <= 64 => Ok(Self(text.to_owned())),
            true => Err(bad.too_long(64)),
            false => Err(bad),
        }
    }
}

/// The name of an alias: 1 to 128 of `[a-zA-Z0-9-_]`, not a number.
///
/// Source: botocore's lambda model, shape `Alias`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AliasName(String);

text_name!(AliasName);

impl FromStr for AliasName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = BadName::new("an alias", text, "(?!^[0-9]+$)([a-zA-Z0-9-_]+)");
        match is_word(text) && !text.bytes().all(|b| b.is_ascii_digit()) {
            true if text.len() <= 128 => Ok(Self(text.to_owned())),
            true => Err(bad.too_long(128)),
            false => Err(bad),
        }
    }
}

/// What runs: the unpublished code, or a published version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// `$LATEST`.
    Latest,
    /// A published version, from 1.
    Number(u64),
}

serde_as_text!(Version);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("$LATEST"),
            Self::Number(n) => write!(f, "{n}"),
        }
    }
}

impl FromStr for Version {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = || BadName::new("a version", text, r"(\$LATEST|[0-9]+)");
        if text == "$LATEST" {
            return Ok(Self::Latest);
        }
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        text.parse().map(Self::Number).map_err(|_| bad())
    }
}

/// A version or an alias, as callers write it behind a function's name or in `Qualifier`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Qualifier {
    /// `$LATEST` or a number.
    Version(Version),
    /// A name that points at a version.
    Alias(AliasName),
}

serde_as_text!(Qualifier);

impl fmt::Display for Qualifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => version.fmt(f),
            Self::Alias(alias) => alias.fmt(f),
        }
    }
}

impl FromStr for Qualifier {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        text.parse().map(Self::Version).or_else(|_| text.parse().map(Self::Alias)).map_err(
            |alias: BadName| {
                let bad = BadName::new("a qualifier", text, r"(|[a-zA-Z0-9$_-]+)");
                alias.length_max.map_or(bad.clone(), |length_max| bad.too_long(length_max))
            },
        )
    }
}

/// The ARN of a function, with a qualifier or without.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionArn {
    /// Where.
    pub region: Region,
    /// Whose.
    pub account: AccountId,
    /// Which.
    pub name: FunctionName,
    /// Which version or alias; absent in an unqualified ARN.
    pub qualifier: Option<Qualifier>,
}

serde_as_text!(FunctionArn);

impl FunctionArn {
    /// The same function under another qualifier.
    #[must_use]
    pub fn qualified(&self, qualifier: Option<Qualifier>) -> Self {
        Self { qualifier, ..self.clone() }
    }
}

impl fmt::Display for FunctionArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let partition = partition(&self.region);
        write!(
            f,
            "arn:{partition}:lambda:{}:{}:function:{}",
            self.region, self.account, self.name
        )?;
        match &self.qualifier {
            Some(qualifier) => write!(f, ":{qualifier}"),
            None => Ok(()),
        }
    }
}

impl FromStr for FunctionArn {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let reference: FunctionRef = text.parse()?;
        match (text.starts_with("arn:"), reference.region, reference.account) {
            (true, Some(region), Some(account)) => {
                Ok(Self { region, account, name: reference.name, qualifier: reference.qualifier })
            }
            _ => Err(BadName::new("a function ARN", text, FUNCTION_REF_RULE)),
        }
    }
}

pub(crate) fn partition(region: &Region) -> &'static str {
    match region.as_str() {
        r if r.starts_with("cn-") => "aws-cn",
        r if r.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

const FUNCTION_REF_RULE: &str = r"(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_\.]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?";

/// A function as callers name it: `name`, `name:qualifier`, `account:function:name`, `function:name`, or a full ARN,
/// each with a qualifier or without.
///
/// Source: botocore's lambda model, shape `NamespacedFunctionName`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionRef {
    /// Given by a full ARN, or by a prefix.
    pub region: Option<Region>,
    /// Given by a full or partial ARN.
    pub account: Option<AccountId>,
    /// The bare name.
    pub name: FunctionName,
    /// Behind the last colon, if any.
    pub qualifier: Option<Qualifier>,
}

impl FromStr for FunctionRef {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = || BadName::new("a function name or ARN", text, FUNCTION_REF_RULE);
        let mut parts = text.split(':').peekable();
        let (mut region, mut account) = (None, None);
        if parts.next_if_eq(&"arn").is_some() {
            let partition = parts.next().ok_or_else(bad)?;
            if !(partition.starts_with("aws") && is_word(partition))
                || parts.next() != Some("lambda")
            {
                return Err(bad());
            }
        }
        if let Some(r) = parts.next_if(|p| p.parse::<Region>().is_ok_and(|r| r.is_aws_shaped())) {
            // A lone word of this shape is a function's name, not a region without a function behind it.
            if parts.peek().is_none() {
                return Ok(Self {
                    region: None,
                    account: None,
                    name: r.parse().map_err(|_| bad())?,
                    qualifier: None,
                });
            }
            region = Some(r.parse().map_err(|_| bad())?);
        }
        if let Some(a) = parts.next_if(|p| p.len() == 12 && p.bytes().all(|b| b.is_ascii_digit())) {
            if parts.peek().is_none() {
                return Ok(Self {
                    region,
                    account: None,
                    name: a.parse().map_err(|_| bad())?,
                    qualifier: None,
                });
            }
            account = Some(a.parse().map_err(|_| bad())?);
        }
        if parts.peek() == Some(&"function") {
            parts.next();
            if parts.peek().is_none() {
                return Ok(Self {
                    region,
                    account,
                    name: "function".parse().map_err(|_| bad())?,
                    qualifier: None,
                });
            }
        }
        let name = parts.next().and_then(|n| n.parse().ok()).ok_or_else(bad)?;
        let qualifier = match parts.next() {
            None => None,
            Some(q) => Some(q.parse().map_err(|_| bad())?),
        };
        if parts.next().is_some() {
            return Err(bad());
        }
        Ok(Self { region, account, name, qualifier })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        text: &str,
        region: Option<&str>,
        account: Option<&str>,
        name: &str,
        qualifier: Option<&str>,
    ) {
        let found: FunctionRef = text.parse().unwrap();
        assert_eq!(found.region.as_ref().map(Region::as_str), region, "{text}");
        assert_eq!(found.account.as_ref().map(AccountId::as_str), account, "{text}");
        assert_eq!(found.name.as_str(), name, "{text}");
        assert_eq!(found.qualifier.map(|q| q.to_string()).as_deref(), qualifier, "{text}");
    }

    #[test]
    fn a_function_has_many_names() {
        check("order", None, None, "order", None);
        check("order:7", None, None, "order", Some("7"));
        check("order:$LATEST", None, None, "order", Some("$LATEST"));
        check("order:live", None, None, "order", Some("live"));
        check("123456789012:function:order:1", None, Some("123456789012"), "order", Some("1"));
        check("123456789012:order", None, Some("123456789012"), "order", None);
        check("function:order", None, None, "order", None);
        let arn = "arn:aws:lambda:eu-west-1:123456789012:function:order:live";
        check(arn, Some("eu-west-1"), Some("123456789012"), "order", Some("live"));
        assert_eq!(arn.parse::<FunctionArn>().unwrap().to_string(), arn);
    }

    #[test]
    fn what_is_no_function_name() {
        let long = "a".repeat(65);
        for text in [
            "",
            ":",
            "a b",
            "a:b:c",
            "arn:aws:s3:::bucket",
            "order:",
            "a/b",
            &long,
            "arn:aws:lambda",
        ] {
            assert!(text.parse::<FunctionRef>().is_err(), "{text}");
        }
        assert!("order".parse::<FunctionArn>().is_err());
    }

    #[test]
    fn an_alias_is_no_number() {
        assert!("12".parse::<AliasName>().is_err());
        assert_eq!("12".parse(), Ok(Qualifier::Version(Version::Number(12))));
        assert!("99999999999999999999999".parse::<Version>().is_err());
    }
}
