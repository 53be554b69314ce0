//! What a durable execution pins when it starts.

use durastack_names::{FunctionArn, Version};
use serde::{Deserialize, Serialize};

/// What runs, and under which settings: those in force when the execution started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// The function, unqualified.
    pub function: FunctionArn,
    /// The version, never an alias: later invocations run the same.
    pub version: Version,
    /// Execution timeout in seconds, 1 to 31,622,400.
    pub execution_timeout_s: u64,
    /// Days that the execution is kept after its end, 1 to 90.
    pub retention_days: u64,
    /// Stored and echoed; nothing is encrypted with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key_arn: Option<String>,
    /// Started by an Event invoke or a chained invoke: the result may have 1 MiB instead of 6.
    pub asynchronous: bool,
    /// For functions with tenant isolation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// The trace header that the execution started with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_header: Option<String>,
    /// How failed invocations are repeated.
    pub retries: RetryPolicy,
}

/// How failed invocations of the handler are repeated.
///
/// Differs: the service's schedule is not published; these numbers are ours, and configurable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// How many failures of the runtime itself (`Runtime.*`, `Sandbox.*` but not timeouts, `Extension.*`) are
    /// repeated at once.
    pub immediate_max: u32,
    /// The first pause, in milliseconds; it doubles.
    pub first_delay_ms: u64,
    /// The longest pause, in milliseconds.
    pub delay_ms_max: u64,
    /// How many failures in a row fail the execution.
    pub attempts_max: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { immediate_max: 3, first_delay_ms: 1_000, delay_ms_max: 3_600_000, attempts_max: 9 }
    }
}

/// The function that a chained invoke calls, as resolved when the operation started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The function, unqualified.
    pub function: FunctionArn,
    /// Its incarnation.
    pub scope: String,
    /// The version that the caller's qualifier resolved to.
    pub version: Version,
    /// Whether it is called once, or runs an execution of its own.
    pub kind: TargetKind,
}

/// How a target is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TargetKind {
    /// One synchronous invoke.
    Plain,
    /// A child execution.
    Durable {
        /// The child's execution timeout in seconds.
        execution_timeout_s: u64,
        /// Days that the child is kept after its end.
        retention_days: u64,
        /// The child function's own key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kms_key_arn: Option<String>,
    },
}
