//! The parts that every name of a cloud resource shares.

use crate::{BadName, text_name};
use std::str::FromStr;

/// A cloud account: twelve digits on AWS, sixteen on Alibaba Cloud; here always at least one digit, at most 20.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(String);

text_name!(AccountId);

impl AccountId {
    /// The account of the default keys.
    #[must_use]
    pub fn local() -> Self {
        Self("000000000000".to_owned())
    }
}

impl FromStr for AccountId {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        if (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadName::new("an account id", text, r"\d{12}"))
        }
    }
}

/// A region, such as `us-east-1`, `us-gov-west-1` or `cn-hangzhou`: at least two words joined by hyphens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region(String);

text_name!(Region);

impl Region {
    /// `us-east-1`.
    #[must_use]
    pub fn us_east_1() -> Self {
        Self("us-east-1".to_owned())
    }

    /// Whether AWS could have a region of this name: `xx-word-1` or `xx-gov-word-1` (also `-iso`, `-isob`).
    #[must_use]
    pub fn is_aws_shaped(&self) -> bool {
        let words: Vec<_> = self.0.split('-').collect();
        let lower = |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase());
        let number = |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_digit());
        match words.as_slice() {
            [country, place, n] => {
                country.len() == 2 && lower(country) && lower(place) && number(n)
            }
            [country, partition, place, n] => {
                country.len() == 2
                    && lower(country)
                    && lower(partition)
                    && lower(place)
                    && number(n)
            }
            _ => false,
        }
    }
}

impl FromStr for Region {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let word = |w: &str| {
            !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        if text.len() <= 32 && text.contains('-') && text.split('-').all(word) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadName::new("a region", text, "[a-z0-9]+(-[a-z0-9]+)+"))
        }
    }
}
