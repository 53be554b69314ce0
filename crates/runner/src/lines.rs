//! The lines that the platform writes around an invocation, by contract: Lambda's are made in [`crate::platform`],
//! Function Compute's here.
//!
//! Sources for the latter: help pages of Function Compute, "Log" for Go and "Specification details" of custom
//! runtimes, and log results that its command line tools show.

use crate::{
    contract::FcIdentity,
    failure::megabytes,
    function::Function,
    platform::{Platform, Status},
};
use std::time::Duration;

/// Writes the lines of one environment.
#[derive(Debug)]
pub(crate) enum Lines<'a> {
    Lambda(Platform<'a>),
    FunctionCompute(&'a Function, &'a FcIdentity),
}

impl Lines<'_> {
    /// Before a process starts for the first time.
    pub(crate) fn init_start(&self, request_id: &str) -> Option<String> {
        match self {
            Self::Lambda(platform) => Some(platform.init_start()),
            Self::FunctionCompute(_, identity) => identity
                .initializer
                .is_some()
                .then(|| format!("FC Initialize Start RequestId: {request_id}")),
        }
    }

    /// After a good start.
    pub(crate) fn init_end(&self, request_id: &str) -> Option<String> {
        match self {
            Self::Lambda(_) => None,
            Self::FunctionCompute(_, identity) => identity
                .initializer
                .is_some()
                .then(|| format!("FC Initialize End RequestId: {request_id}")),
        }
    }

    /// After a failed start.
    pub(crate) fn init_report(
        &self,
        request_id: &str,
        took: Duration,
        phase: &str,
        status: &Status,
    ) -> Option<String> {
        match self {
            Self::Lambda(platform) => Some(platform.init_report(took, phase, status)),
            Self::FunctionCompute(..) => {
                self.init_end(request_id).map(|line| line + &error_words(status))
            }
        }
    }

    /// Whether a failed start is told as one of the invocation too. Function Compute has told it by the end of the
    /// initializer.
    pub(crate) fn failed_start_is_an_invocation(&self) -> bool {
        match self {
            Self::Lambda(_) => true,
            Self::FunctionCompute(_, identity) => identity.initializer.is_none(),
        }
    }

    pub(crate) fn start(&self, request_id: &str, tenant_id: Option<&str>) -> String {
        match self {
            Self::Lambda(platform) => platform.start(request_id, tenant_id),
            Self::FunctionCompute(..) => format!("FC Invoke Start RequestId: {request_id}"),
        }
    }

    pub(crate) fn end(&self, request_id: &str, status: &Status) -> Option<String> {
        match self {
            Self::Lambda(platform) => platform.end(request_id),
            Self::FunctionCompute(..) => {
                Some(format!("FC Invoke End RequestId: {request_id}{}", error_words(status)))
            }
        }
    }

    /// `init` is that of a good cold start. `memory_kb` is the most that the process used, if known.
    ///
    /// Differs: the empty line that Function Compute puts before its own is not there.
    pub(crate) fn report(
        &self,
        request_id: &str,
        took: Duration,
        init: Option<Duration>,
        memory_kb: Option<u64>,
        status: &Status,
    ) -> String {
        match self {
            Self::Lambda(platform) => {
                let memory_mb = memory_kb.map(|kilobytes| kilobytes.div_ceil(1024));
                platform.report(request_id, took, init, memory_mb, status)
            }
            Self::FunctionCompute(function, _) => format!(
                "Duration: {:.2} ms, Billed Duration: {} ms, Memory Size: {} MB, Max Memory Used: {} MB",
                took.as_secs_f64() * 1000.0,
                took.as_micros().div_ceil(1000),
                function.memory_mb,
                megabytes(memory_kb.unwrap_or_default())
            ),
        }
    }
}

fn error_words(status: &Status) -> String {
    match status {
        Status::Success => String::new(),
        Status::Timeout(words) | Status::Error(words) => format!(", Error: {words}"),
    }
}
