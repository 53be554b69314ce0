//! AWS Security Token Service: `GetCallerIdentity`, and a clear refusal of the rest.

use bytes::Bytes;
use durastack_wire::{
    Caller, Op, WireError,
    query::{Form, Xml, failure, success},
};
use http::{Request, Response, StatusCode};

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

const GET_CALLER_IDENTITY: &str = "GetCallerIdentity";

/// The unique id of the role whose sessions the keys of functions are.
const FUNCTION_ROLE_ID: &str = "AROADURASTACKFUNCTION";

/// The role's name.
const FUNCTION_ROLE: &str = "durastack-function";

/// The operations that STS has and that are not built.
/// Source: API reference of version 2011-06-15.
const UNBUILT: [&str; 10] = [
    "AssumeRole",
    "AssumeRoleWithSAML",
    "AssumeRoleWithWebIdentity",
    "AssumeRoot",
    "DecodeAuthorizationMessage",
    "GetAccessKeyInfo",
    "GetDelegatedAccessToken",
    "GetFederationToken",
    "GetSessionToken",
    "GetWebIdentityToken",
];

/// All operations of STS and how much of each is built. Each is told by its action, not its path.
#[must_use]
pub fn ops() -> Vec<Op> {
    let unbuilt = UNBUILT.map(|name| Op::post(name, "/").unbuilt());
    std::iter::once(Op::post(GET_CALLER_IDENTITY, "/")).chain(unbuilt).collect()
}

/// Answers a request whose caller is established.
#[must_use]
pub fn answer(request: &Request<Bytes>, caller: &Caller, request_id: &str) -> Response<Bytes> {
    let form = Form::read(request);
    match form.action() {
        Some(GET_CALLER_IDENTITY) => {
            success(GET_CALLER_IDENTITY, NAMESPACE, &identity(caller), request_id)
        }
        Some(action) => {
            let known = ops().into_iter().find(|op| op.name == action);
            let refusal = known.map_or_else(|| invalid_action(&form), |op| op.not_built());
            failure(NAMESPACE, &refusal, request_id)
        }
        None => failure(NAMESPACE, &missing_action(), request_id),
    }
}

/// Keys of a user are those of the account's root; keys of a function are a session of its role, as in the cloud.
/// Source: API reference, `GetCallerIdentity`.
fn identity(caller: &Caller) -> Xml {
    let Caller { account, region, access_key_id: _, function } = caller;
    let partition = match region.as_str() {
        r if r.starts_with("cn-") => "aws-cn",
        r if r.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    };
    let (arn, user_id) = match function {
        None => (format!("arn:{partition}:iam::{account}:root"), account.to_string()),
        Some(function) => (
            format!("arn:{partition}:sts::{account}:assumed-role/{FUNCTION_ROLE}/{function}"),
            format!("{FUNCTION_ROLE_ID}:{function}"),
        ),
    };
    Xml::default().text("Arn", &arn).text("UserId", &user_id).text("Account", account.as_str())
}

/// Source: the common errors of query services.
fn invalid_action(form: &Form) -> WireError {
    let action = form.action().unwrap_or_default();
    let version = form.get("Version").unwrap_or_default();
    let text = format!("Could not find operation {action} for version {version}");
    WireError::client(StatusCode::BAD_REQUEST, "InvalidAction", text)
}

fn missing_action() -> WireError {
    WireError::client(
        StatusCode::BAD_REQUEST,
        "MissingAction",
        "The request is missing an action or a required parameter.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use durastack_testkit::golden;
    use std::path::Path;

    #[test]
    fn golden_pairs() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/wire/sts");
        let pairs = golden::pairs(&folder);
        assert!(!pairs.is_empty());
        for pair in pairs {
            let request = pair.request();
            let header = |name: &str| request.headers().get(name).map(|v| v.to_str().unwrap());
            let caller = Caller {
                account: header("test-account").unwrap_or("000000000000").parse().unwrap(),
                region: header("test-region").unwrap_or("us-east-1").parse().unwrap(),
                access_key_id: "test".to_owned(),
                function: header("test-function").map(|f| f.parse().unwrap()),
            };
            pair.check(&answer(&request, &caller, golden::REQUEST_ID));
        }
    }
}
