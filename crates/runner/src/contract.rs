//! Whose rules a function is run by, and who it is under them.

use durastack_names::{FunctionArn, Region, Version};
use std::{fmt, time::Duration};

/// By which cloud's rules a function is called, with the function's identity there: each cloud names functions in its
/// own way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contract {
    /// AWS Lambda's.
    Lambda(LambdaIdentity),
    /// Alibaba Cloud Function Compute's, for event functions.
    FunctionCompute(FcIdentity),
}

/// Who a Lambda function is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LambdaIdentity {
    /// Unqualified.
    pub arn: FunctionArn,
    /// Which version runs.
    pub version: Version,
}

/// Who a function of Function Compute is. Its names are taken as they are: who configures it checks them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FcIdentity {
    /// The owner; digits, of no fixed number.
    pub account: String,
    /// Where it lives.
    pub region: Region,
    /// The service that a function of FC 2.0 belongs to; none in FC 3.0.
    pub service: Option<String>,
    /// Its name, within its service if it has one.
    pub name: String,
    /// `LATEST`, or the version or alias that is invoked.
    pub qualifier: String,
    /// What is called once in each new environment, if anything.
    pub initializer: Option<Initializer>,
}

/// A function's initializer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Initializer {
    /// `index.initialize`.
    pub handler: String,
    /// Wall time that it may take, the start of the process included.
    pub timeout: Duration,
}

impl Contract {
    /// The function's short name for logs: its name, behind that of its service and a dot if it has one.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Lambda(identity) => identity.arn.name.to_string(),
            Self::FunctionCompute(FcIdentity { service: Some(service), name, .. }) => {
                format!("{service}.{name}")
            }
            Self::FunctionCompute(identity) => identity.name.clone(),
        }
    }

    /// Which version runs, for logs: `$LATEST`, `3`; for Function Compute the qualifier.
    #[must_use]
    pub fn version(&self) -> String {
        match self {
            Self::Lambda(identity) => identity.version.to_string(),
            Self::FunctionCompute(identity) => identity.qualifier.clone(),
        }
    }
}

/// The function's ARN.
impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lambda(identity) => identity.arn.fmt(f),
            Self::FunctionCompute(identity) => identity.fmt(f),
        }
    }
}

/// The ARN with the qualifier, in the form of FC 2.0 or of FC 3.0.
impl fmt::Display for FcIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, region, service, name, qualifier, .. } = self;
        match service {
            Some(service) => {
                write!(
                    f,
                    "acs:fc:{region}:{account}:services/{service}.{qualifier}/functions/{name}"
                )
            }
            None => write!(f, "acs:fc:{region}:{account}:functions/{name}/{qualifier}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_named_as_their_clouds_name_them() {
        let check = |service: Option<&str>, name, arn| {
            let contract = Contract::FunctionCompute(FcIdentity {
                account: "123".into(),
                region: "cn-hangzhou".parse().unwrap(),
                service: service.map(str::to_owned),
                name: "price".into(),
                qualifier: "LATEST".into(),
                initializer: None,
            });
            assert_eq!((contract.name().as_str(), contract.to_string().as_str()), (name, arn));
        };
        check(
            Some("demo"),
            "demo.price",
            "acs:fc:cn-hangzhou:123:services/demo.LATEST/functions/price",
        );
        check(None, "price", "acs:fc:cn-hangzhou:123:functions/price/LATEST");
    }
}
