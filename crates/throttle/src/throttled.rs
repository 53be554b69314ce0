//! What each cloud answers to a call that comes too early.

use std::time::Duration;

/// A call that may not pass now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .answer.message)]
pub struct Throttled {
    /// What the cloud says.
    pub answer: &'static Answer,
    /// How long until the next call would pass, if nobody else calls before.
    pub wait: Duration,
    /// The header `Retry-After` in whole seconds, rounded up; absent unless the profile asks for it.
    /// Source: Lambda's API model has it; no record of an answer shows it.
    pub retry_after_s: Option<u64>,
}

/// The cloud's words.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The error's code.
    pub code: &'static str,
    /// The text.
    pub message: &'static str,
    /// The member `Reason`, where the service has one.
    pub reason: Option<&'static str>,
}

/// Source: answers of Lambda to bursts of control plane calls, as users quote them.
static LAMBDA: Answer = Answer {
    status: 429,
    code: "TooManyRequestsException",
    message: "Rate exceeded",
    reason: Some("CallerRateLimitExceeded"),
};

/// Source: Lambda's API model for the reason. That the text is that of a used-up concurrency is inferred.
static LAMBDA_INVOKE: Answer = Answer {
    status: 429,
    code: "TooManyRequestsException",
    message: "Rate Exceeded.",
    reason: Some("FunctionInvocationRateLimitExceeded"),
};

/// Source: Serverless Workflow (CloudFlow), "Error codes". Differs: what the gateway before the service limits (400
/// `Throttling.User`) is not known in figures; all throttling is the service's.
static FLOW: Answer = Answer {
    status: 429,
    code: "ResourceThrottled",
    message: "The request is throttled. Please try again later.",
    reason: None,
};

impl Answer {
    pub(crate) fn of(service: &str, operation: &str) -> &'static Self {
        match (service, operation) {
            ("fnf", _) => &FLOW,
            (_, "Invoke" | "InvokeWithResponseStream") => &LAMBDA_INVOKE,
            _ => &LAMBDA,
        }
    }
}

impl Throttled {
    pub(crate) fn new(answer: &'static Answer, wait: Duration, say_when: bool) -> Self {
        let whole_s = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self { answer, wait, retry_after_s: say_when.then_some(whole_s) }
    }
}
