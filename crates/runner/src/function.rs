//! What is run, with what, and how it ended: the types that callers share with the runner.

use crate::contract::Contract;
use bytes::Bytes;
use durastack_clock::Timestamp;
use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

/// Which processes may serve an invocation: equal keys share warm environments.
///
/// Must differ whenever code, configuration or version differ.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EnvironmentKey(pub String);

/// Everything that a process of one function version needs.
#[derive(Debug, Clone)]
pub struct Function {
    /// See [`EnvironmentKey`].
    pub key: EnvironmentKey,
    /// By whose rules it is called, and who it is there.
    pub contract: Contract,
    /// As configured: `python3.13`, `nodejs22.x`, `provided.al2023`; for Function Compute `python3.10`, `nodejs20`.
    pub runtime: String,
    /// As configured; free text for `provided`.
    pub handler: String,
    /// The unpacked package: working directory, `LAMBDA_TASK_ROOT` and `FC_FUNC_CODE_PATH`. Absolute.
    pub code: PathBuf,
    /// Wall time that one invocation may take.
    pub timeout: Duration,
    /// Megabytes, as configured. Told to the function and reported; not enforced.
    pub memory_mb: u32,
    /// The user's variables. Reserved names are overridden or dropped, for Lambda also those that begin with `_`.
    pub environment: BTreeMap<String, String>,
    /// Lambda: `/aws/lambda/<name>` unless configured otherwise. For Function Compute any name.
    pub log_group: String,
    /// Shape of platform lines and, in the bootstraps, of records. Lambda's alone.
    pub log_format: LogFormat,
    /// `TRACE` … `FATAL`, if configured. Lambda's alone.
    pub log_level: Option<String>,
    /// What the function signs its own calls with.
    pub credentials: Credentials,
}

/// Key pair and token of a function's role. Function Compute's go by other names (`ALIBABA_CLOUD_ACCESS_KEY_ID` and so
/// on), and what is empty is absent there.
#[derive(Clone, Default)]
pub struct Credentials {
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: String,
    /// `AWS_SESSION_TOKEN`; empty: none is set.
    pub session_token: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// `LoggingConfig.LogFormat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One object per record.
    Json,
}

impl LogFormat {
    /// `Text` or `JSON`, as the API and `AWS_LAMBDA_LOG_FORMAT` write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "Text",
            Self::Json => "JSON",
        }
    }
}

/// One event for a function.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// A UUID in lower case.
    pub request_id: String,
    /// Handed to the function byte for byte.
    pub event: Bytes,
    /// The ARN as invoked, with the qualifier if one was given. Lambda functions are told it.
    pub invoked_arn: String,
    /// JSON text: the caller's header after base64.
    pub client_context: Option<String>,
    /// The caller's `X-Amz-Tenant-Id`.
    pub tenant_id: Option<String>,
    /// `Root=…;Parent=…;Sampled=…`.
    pub trace_id: Option<String>,
    /// The durable execution that this invocation serves: for log lines only.
    pub execution_arn: Option<String>,
    /// An ancestor of this invocation holds an environment and waits for it: it passes the cap on processes, since a
    /// queue would deadlock.
    pub nested: bool,
}

/// How an invocation went.
#[derive(Debug, Clone)]
pub struct Finished {
    /// What the caller gets.
    pub outcome: Outcome,
    /// The last 4,096 bytes of this invocation's platform and application lines, those of a cold start included. May
    /// begin inside a line or a character. Source: API reference, Invoke, `LogResult`.
    pub log_tail: Vec<u8>,
    /// From handing out the event to the next request for work; includes a second try at initialisation.
    pub duration: Duration,
}

/// What an invocation brought.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The function's answer, unchanged; need not be JSON.
    Response(Bytes),
    /// The function failed; for the caller this is a success with `X-Amz-Function-Error: Unhandled`, or with
    /// `X-Fc-Error-Type`.
    FunctionError {
        /// The payload: as posted, or made by the service.
        document: Bytes,
        /// `errorType` of the document; empty if it has none: from Function Compute that is a process that ended, an
        /// overrun time or an answer that is none.
        error_type: String,
        /// `errorMessage` of the document; empty if it has none.
        message: String,
    },
    /// It could not be tried.
    Refused(Refusal),
    /// durastack is stopping; nothing may be concluded about the function.
    Stopped,
}

/// Why a function cannot be run on this machine. The text says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No bootstrap for this runtime.
    #[error(
        "durastack cannot run '{0}' yet: it runs python3.*, nodejs*.x and provided.al2*; another language runs as a \
         custom runtime (provided.al2023 with a bootstrap in the package)"
    )]
    Runtime(String),
    /// No bootstrap for this runtime of Function Compute.
    #[error(
        "durastack cannot run '{0}' for Function Compute yet: it runs python3, python3.* and nodejs*; custom runtimes \
         and containers serve HTTP by themselves, which it does not call"
    )]
    FunctionComputeRuntime(String),
    /// No interpreter.
    #[error("no interpreter for '{runtime}' was found ({looked_at}): {advice}")]
    Interpreter {
        /// The function's runtime.
        runtime: String,
        /// Where it was looked for.
        looked_at: String,
        /// What to install or configure.
        advice: String,
    },
    /// The operating system refused.
    #[error("failed to start a process for the function: {0}")]
    System(String),
}

/// Takes log lines in the order in which they appear. Called from several tasks; must return quickly.
pub trait Logs: Send + Sync + 'static {
    /// One event: a line, or a record that may hold newlines.
    fn line(&self, line: LogLine<'_>);
}

/// One log event.
#[derive(Debug, Clone, Copy)]
pub struct LogLine<'a> {
    /// [`Contract::name`].
    pub function: &'a str,
    /// [`Contract::version`].
    pub version: &'a str,
    /// Log group.
    pub group: &'a str,
    /// Log stream: one per environment.
    pub stream: &'a str,
    /// The invocation in flight, or, during a cold start, the one that waits for it; none while idle.
    pub request_id: Option<&'a str>,
    /// Its durable execution.
    pub execution_arn: Option<&'a str>,
    /// Wall time of its arrival.
    pub at: Timestamp,
    /// Without the newline at its end; at most 256 KiB. Not necessarily UTF-8.
    pub text: &'a [u8],
    /// Whose line it is.
    pub kind: LineKind,
}

/// Whose line a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineKind {
    /// START, END, REPORT, `FC Invoke Start` and their like.
    Platform,
    /// The function's output.
    Application,
}

#[cfg(test)]
impl Function {
    /// A Lambda function that is nowhere.
    pub(crate) fn sample(runtime: &str) -> Self {
        use crate::contract::LambdaIdentity;
        use durastack_names::Version;
        Self {
            key: EnvironmentKey("k".into()),
            contract: Contract::Lambda(LambdaIdentity {
                arn: "arn:aws:lambda:eu-west-1:000000000000:function:f".parse().unwrap(),
                version: Version::Number(3),
            }),
            runtime: runtime.into(),
            handler: "app.handler".into(),
            code: "/code".into(),
            timeout: Duration::from_secs(3),
            memory_mb: 128,
            environment: BTreeMap::new(),
            log_group: "/aws/lambda/f".into(),
            log_format: LogFormat::Text,
            log_level: None,
            credentials: Credentials::default(),
        }
    }
}
