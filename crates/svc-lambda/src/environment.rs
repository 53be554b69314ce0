//! The environment variables that a function's owner may set.
//!
//! Source: Lambda developer guide, "Working with Lambda environment variables"; texts as the service sends them.

use durastack_wire::Constraints;
use std::collections::BTreeMap;

/// Variables that the service sets and nobody else may.
pub const RESERVED: [&str; 21] = [
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_LAMBDA_RUNTIME_API",
    "LAMBDA_TASK_ROOT",
    "LAMBDA_RUNTIME_DIR",
    "AWS_LAMBDA_MAX_CONCURRENCY",
    "AWS_LAMBDA_METADATA_API",
    "AWS_LAMBDA_METADATA_TOKEN",
];

/// How many bytes the variables may have as compact JSON.
const BYTES_MAX: usize = 4096;

const PREFIX: &str = "Lambda was unable to configure your environment variables because the environment variables you have provided";

/// Tells the constraints of names that break the pattern. The values are sensitive and are not repeated.
pub(crate) fn check(c: &mut Constraints, variables: &BTreeMap<String, String>) {
    if !variables.keys().all(|name| is_name(name)) {
        c.broken_sensitive(
            "Environment.Variables",
            "Map keys must satisfy constraint: [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+]",
        );
    }
}

/// # Errors
///
/// The text for the caller, when names are reserved or all is too large.
pub(crate) fn check_values(variables: &BTreeMap<String, String>) -> Result<(), String> {
    let reserved: Vec<_> =
        variables.keys().map(String::as_str).filter(|name| RESERVED.contains(name)).collect();
    if !reserved.is_empty() {
        return Err(format!(
            "{PREFIX} contains reserved keys that are currently not supported for modification. Reserved keys used in this request: {}",
            reserved.join(", ")
        ));
    }
    let measured = serde_json::to_string(variables).expect("a map of strings");
    if measured.len() > BYTES_MAX {
        return Err(format!("{PREFIX} exceeded the 4KB limit. String measured: {measured}"));
    }
    Ok(())
}

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() >= 2
        && bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
