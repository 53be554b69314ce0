//! Failures that are the function's, and the documents that say so, in the words of each contract.
//!
//! Function Compute gives no `errorType` where its runtime could not say anything itself: when the process has ended,
//! or the time was up. Callers tell by that. Sources: help pages of Function Compute, "Error handling" for Python and
//! Node.js; answers of the real service, for timeouts.

use crate::{
    contract::{Contract, FcIdentity},
    function::Outcome,
    platform::{Status, log_error_type},
    process::exit_words,
    runtime_api::{Invalid, Posted, RESPONSE_BYTES_MAX},
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::{process::ExitStatus, time::Duration};

/// With this error type a bootstrap for Function Compute says that the function itself told of the error.
const HANDLED: &str = "HandledInvocationError";

/// A failure that is the function's, with the document that its caller gets.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) document: Bytes,
    pub(crate) status: Status,
}

/// A document as Lambda makes it; the order of its members is Lambda's.
#[derive(Serialize)]
struct Made<'a> {
    #[serde(rename = "errorType")]
    error_type: &'a str,
    #[serde(rename = "errorMessage")]
    message: &'a str,
}

/// A document as Function Compute makes it.
#[derive(Serialize)]
struct FcMade<'a> {
    #[serde(rename = "errorMessage")]
    message: &'a str,
}

/// What is read of a posted document; anything else in it is nobody's business here.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Read {
    #[serde(rename = "errorType")]
    error_type: Option<String>,
    #[serde(rename = "errorMessage")]
    message: Option<String>,
}

/// The failures of one invocation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failures<'a> {
    pub(crate) contract: &'a Contract,
    pub(crate) request_id: &'a str,
}

impl Failures<'_> {
    /// Posted by a bootstrap, instead of a start or of an answer.
    pub(crate) fn posted(self, posted: Posted) -> Failure {
        let Posted { document, header_type } = posted;
        let words = match self.contract {
            Contract::Lambda(_) => log_error_type(header_type.as_deref()),
            Contract::FunctionCompute(_) if header_type.as_deref() == Some(HANDLED) => {
                "Handled function error".to_owned()
            }
            Contract::FunctionCompute(_) => "Unhandled function error".to_owned(),
        };
        Failure { document, status: Status::Error(words) }
    }

    /// The process has ended without an answer, `took` after the start of the invocation or of itself.
    pub(crate) fn exit(self, status: std::io::Result<ExitStatus>, took: Duration) -> Failure {
        match self.contract {
            Contract::Lambda(_) => {
                let words = match status {
                    Ok(status) => exit_words(status),
                    Err(error) => format!("Runtime exited with error: {error}"),
                };
                self.runtime("Runtime.ExitError", &words)
            }
            // Its memory went with it.
            Contract::FunctionCompute(_) => Failure::fc(format!(
                "Process exited unexpectedly before completing request (duration: {}ms, maxMemoryUsage: 0.00MB)",
                took.as_millis()
            )),
        }
    }

    /// The invocation overran its time.
    pub(crate) fn timeout(self, limit: Duration, memory_kb: Option<u64>) -> Failure {
        match self.contract {
            Contract::Lambda(_) => {
                let words = format!("Task timed out after {:.2} seconds", limit.as_secs_f64());
                let message = format!("RequestId: {} Error: {words}", self.request_id);
                Failure::made("Sandbox.Timedout", &message, Status::Timeout(words))
            }
            Contract::FunctionCompute(_) => Failure::fc_timeout("Function", limit, memory_kb),
        }
    }

    /// The start overran its time.
    ///
    /// Differs: what Function Compute says of a slow initializer is not published.
    pub(crate) fn init_timeout(self, limit: Duration, memory_kb: Option<u64>) -> Failure {
        match self.contract {
            Contract::FunctionCompute(FcIdentity { initializer: Some(_), .. }) => {
                Failure::fc_timeout("Function initializer", limit, memory_kb)
            }
            _ => self.timeout(limit, memory_kb),
        }
    }

    /// What it posted is no valid answer.
    pub(crate) fn invalid(self, invalid: Invalid) -> Failure {
        let too_large = format!(
            "Response payload size exceeded maximum allowed payload size ({RESPONSE_BYTES_MAX} bytes)."
        );
        if matches!(self.contract, Contract::FunctionCompute(_)) {
            // Differs: the words are Lambda's; those of Function Compute are not published.
            return Failure::fc(match invalid {
                Invalid::TooLarge => too_large,
                Invalid::Truncated => "HTTP request detected as truncated".to_owned(),
                Invalid::Mode => "Invalid function response mode".to_owned(),
            });
        }
        match invalid {
            Invalid::TooLarge => {
                let kind = "Function.ResponseSizeTooLarge";
                Failure::made(kind, &too_large, Status::Error(kind.to_owned()))
            }
            Invalid::Truncated => {
                self.runtime("Runtime.TruncatedResponse", "HTTP request detected as truncated")
            }
            Invalid::Mode => {
                self.runtime("Runtime.InvalidResponseModeHeader", "Invalid function response mode")
            }
        }
    }

    /// Lambda's runtime failed.
    pub(crate) fn runtime(self, error_type: &str, words: &str) -> Failure {
        let message = format!("RequestId: {} Error: {words}", self.request_id);
        Failure::made(error_type, &message, Status::Error(error_type.to_owned()))
    }
}

impl Failure {
    fn made(error_type: &str, message: &str, status: Status) -> Self {
        let document = serde_json::to_vec(&Made { error_type, message }).unwrap_or_default();
        Self { document: document.into(), status }
    }

    fn fc(message: String) -> Self {
        let document = serde_json::to_vec(&FcMade { message: &message }).unwrap_or_default();
        Self { document: document.into(), status: Status::Error(message) }
    }

    fn fc_timeout(what: &str, limit: Duration, memory_kb: Option<u64>) -> Self {
        let words = format!(
            "{what} timed out after {} seconds (maxMemoryUsage: {}MB)",
            limit.as_secs_f64(),
            megabytes(memory_kb.unwrap_or_default())
        );
        Self { status: Status::Timeout(words.clone()), ..Self::fc(words) }
    }

    pub(crate) fn outcome(self) -> Outcome {
        function_error(self.document)
    }
}

/// Megabytes as Function Compute writes them: `47.28`.
pub(crate) fn megabytes(kilobytes: u64) -> String {
    format!("{}.{:02}", kilobytes / 1024, kilobytes % 1024 * 100 / 1024)
}

pub(crate) fn function_error(document: Bytes) -> Outcome {
    let read: Read = serde_json::from_slice(&document).unwrap_or_default();
    Outcome::FunctionError {
        document,
        error_type: read.error_type.unwrap_or_default(),
        message: read.message.unwrap_or_default(),
    }
}
