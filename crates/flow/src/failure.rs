//! Errors as flows know them: a name that `retry` and `catch` list, and a cause for people.

use crate::token::foreign_text;
use durastack_engine::{Outcome, Payload};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Matches every error where a definition lists errors.
pub const ALL: &str = "FnF.ALL";
/// A step's time was up.
pub const TASK_TIMEOUT: &str = "FnF.TaskTimeout";
/// A result that is no JSON object.
pub const INVALID_LOCAL: &str = "FnF.InvalidLocal";
/// The engine could not go on: a mapping leads nowhere, values have no order, data is too large.
pub const RUNTIME_ERROR: &str = "FnF.RuntimeError";
/// A stop that names no error; not published.
pub const EXECUTION_STOPPED: &str = "FnF.ExecutionStopped";
/// A sub-flow's time was up; not published.
pub const EXECUTION_TIMED_OUT: &str = "FnF.ExecutionTimedOut";

/// The longest name of an error in characters. Source: the API's limit for `Error`.
const ERROR_CHARACTERS_MAX: usize = 128;
/// The longest cause in characters. Source: the API's limit for `Cause`.
const CAUSE_CHARACTERS_MAX: usize = 4096;

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The name, at most 128 characters; empty if a `fail` step gives none.
    pub error: String,
    /// For people, at most 4,096 characters; may be empty.
    pub cause: String,
}

impl Failure {
    /// A failure; what is too long is cut, since functions report errors of any length.
    #[must_use]
    pub fn new(error: impl Into<String>, cause: impl Into<String>) -> Self {
        Self {
            error: foreign_text(cut(error.into(), ERROR_CHARACTERS_MAX)),
            cause: foreign_text(cut(cause.into(), CAUSE_CHARACTERS_MAX)),
        }
    }

    pub(crate) fn runtime(cause: impl Into<String>) -> Self {
        Self::new(RUNTIME_ERROR, cause)
    }

    /// The flow to start does not exist. The name is not published; it follows the published ones.
    #[must_use]
    pub fn flow_not_exists(flow: &str) -> Self {
        Self::new("fnf.FlowNotExists", format!("Flow '{flow}' does not exist."))
    }

    /// An execution to start has the name of one that has ended (or, for `sync`, of any other).
    #[must_use]
    pub fn execution_already_exists(flow: &str, execution: &str) -> Self {
        let cause = format!("Execution '{execution}' for flow '{flow}' already exists.");
        Self::new("fnf.ExecutionAlreadyExists", cause)
    }

    /// A start was refused because there are too many.
    #[must_use]
    pub fn start_throttled() -> Self {
        Self::new("fnf.ResourceThrottled", "The request is throttled. Please try again later.")
    }

    /// An argument of a start is unfit. The name is not published; it follows the published ones.
    #[must_use]
    pub fn start_invalid(cause: impl Into<String>) -> Self {
        Self::new("fnf.InvalidArgument", cause)
    }

    /// The failure as the engine keeps it: `{"error": …, "cause": …}`.
    ///
    /// # Panics
    ///
    /// Never: two texts serialize to JSON.
    #[must_use]
    pub fn payload(&self) -> Payload {
        Payload::Inline(serde_json::to_string(self).expect("two texts serialize to JSON"))
    }

    /// Reads what [`Failure::payload`] wrote; anything else becomes the cause.
    #[must_use]
    pub fn read(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_else(|_| Self::new("", text))
    }

    /// The failure that an execution ended with; nothing if it succeeded.
    #[must_use]
    pub fn of_outcome(outcome: &Outcome) -> Option<Self> {
        let default = match outcome {
            Outcome::Succeeded(_) => return None,
            Outcome::Failed(_) => RUNTIME_ERROR,
            Outcome::TimedOut(_) => EXECUTION_TIMED_OUT,
            Outcome::Stopped(_) => EXECUTION_STOPPED,
        };
        let written = outcome.payload().and_then(Payload::inline).map(Self::read);
        Some(written.unwrap_or_else(|| Self::new(default, "")))
    }

    /// Whether a definition's list of errors names this one.
    pub(crate) fn is_among(&self, errors: &[String]) -> bool {
        errors.iter().any(|error| error == ALL || *error == self.error)
    }
}

fn cut(text: String, characters_max: usize) -> String {
    match text.char_indices().nth(characters_max) {
        Some((at, _)) => text[..at].to_owned(),
        None => text,
    }
}

/// What Function Compute answered to an invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FunctionAnswer<'a> {
    /// 200 without an error header: the function's result.
    Result(&'a str),
    /// 200 with `X-Fc-Error-Type`: the body is the function's error document, `{"errorMessage", "errorType", …}`.
    FunctionError(&'a str),
    /// A status of 4xx or 5xx: the service did not run the function.
    Refused {
        /// The HTTP status.
        status: u16,
        /// `Code` (FC 3) or `ErrorCode` (FC 2) of the body; may be empty.
        code: &'a str,
        /// `Message` or `ErrorMessage` of the body; may be empty.
        message: &'a str,
    },
    /// Nobody knows whether the function ran: the connection broke, or its process died without a word.
    Lost(&'a str),
}

impl FunctionAnswer<'_> {
    /// The failure that a flow sees; nothing for a result.
    ///
    /// Source: the vendor's page on errors of Function Compute tasks, and Function Compute's API reference. The choice of
    /// the cause is not published.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        Some(match *self {
            Self::Result(_) => return None,
            Self::FunctionError(document) => function_error(document),
            Self::Refused { status: 429, message, .. } => {
                Failure::new("FC.ResourceExhausted", message)
            }
            Self::Refused { status: 503, message, .. } => {
                Failure::new("FC.ResourceThrottled", message)
            }
            Self::Refused { status: 400..=499, code, message } if !code.is_empty() => {
                Failure::new(format!("FC.{code}"), message)
            }
            Self::Refused { status: 500.., message, .. } => {
                Failure::new("FC.InternalServerError", message)
            }
            Self::Refused { message, .. } | Self::Lost(message) => {
                Failure::new("FC.Unknown", message)
            }
        })
    }
}

fn function_error(document: &str) -> Failure {
    let parsed: Value = serde_json::from_str(document).unwrap_or_default();
    let member = |name: &str| parsed.get(name).and_then(Value::as_str);
    let name = member("errorType").filter(|name| !name.is_empty()).unwrap_or("FC.Unknown");
    Failure::new(name, member("errorMessage").unwrap_or(document))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(answer: FunctionAnswer<'_>, error: &str, cause: &str) {
        assert_eq!(answer.failure(), Some(Failure::new(error, cause)), "{answer:?}");
    }

    #[test]
    fn function_compute_answers_become_errors_of_flows() {
        let refused = |status, code| FunctionAnswer::Refused { status, code, message: "m" };
        check(refused(429, "ResourceExhausted"), "FC.ResourceExhausted", "m");
        check(refused(503, "ResourceThrottled"), "FC.ResourceThrottled", "m");
        check(refused(500, "InternalServerError"), "FC.InternalServerError", "m");
        check(refused(404, "FunctionNotFound"), "FC.FunctionNotFound", "m");
        check(refused(403, "AccessDenied"), "FC.AccessDenied", "m");
        check(refused(400, ""), "FC.Unknown", "m");
        check(refused(502, ""), "FC.InternalServerError", "m");
        check(refused(302, ""), "FC.Unknown", "m");
        check(FunctionAnswer::Lost("gone"), "FC.Unknown", "gone");
        let error = FunctionAnswer::FunctionError;
        check(
            error(r#"{"errorMessage":"no funds","errorType":"CardDeclined"}"#),
            "CardDeclined",
            "no funds",
        );
        check(error(r#"{"errorMessage":"exited"}"#), "FC.Unknown", "exited");
        check(error("not json"), "FC.Unknown", "not json");
        assert_eq!(FunctionAnswer::Result("{}").failure(), None);
    }

    #[test]
    fn long_errors_are_cut_between_characters() {
        let failure = Failure::new("é".repeat(200), "x");
        assert_eq!(failure.error.chars().count(), ERROR_CHARACTERS_MAX);
        let Payload::Inline(text) = failure.payload() else { panic!("short") };
        assert_eq!(Failure::read(&text), failure);
        assert_eq!(Failure::read("plain"), Failure::new("", "plain"));
    }
}
