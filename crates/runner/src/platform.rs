//! The lines that Lambda itself writes into a function's log: INIT_START, START, END, REPORT and their like.
//!
//! Sources: developer guide, "Working with Lambda function logs", and lines seen on the real service.

use crate::{
    contract::LambdaIdentity,
    function::{Function, LogFormat},
};
use durastack_clock::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

/// Megabytes that REPORT names where the system cannot be asked.
const MEMORY_UNKNOWN_MB: u64 = 64;

/// How an invocation or an initialisation went, for its report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Status {
    /// Also when the handler raised: that is the function's own business.
    Success,
    /// It overran its time. In these words its caller is told.
    Timeout(String),
    /// The runtime failed, with this error type; under Function Compute's contract anything failed, and these are the
    /// words for it.
    Error(String),
}

/// Writes the lines of one environment.
#[derive(Debug)]
pub(crate) struct Platform<'a> {
    pub(crate) function: &'a Function,
    pub(crate) identity: &'a LambdaIdentity,
    pub(crate) stream: &'a str,
    pub(crate) now: Timestamp,
}

impl Platform<'_> {
    /// Before a process starts for the first time.
    ///
    /// Differs: the runtime's version and ARN say that durastack ran it; the real ones change weekly.
    pub(crate) fn init_start(&self) -> String {
        let runtime = &self.function.runtime;
        let split = runtime.find(|c: char| c.is_ascii_digit()).unwrap_or(runtime.len());
        let (language, version) = runtime.split_at(split);
        let version = match language {
            "provided.al" => format!("provided:al{version}.durastack"),
            _ => format!("{language}:{}.durastack", version.trim_end_matches(".x")),
        };
        let arn =
            format!("arn:aws:lambda:{}::runtime:{}", self.identity.arn.region, "0".repeat(64));
        match self.function.log_format {
            LogFormat::Text => {
                format!("INIT_START Runtime Version: {version}\tRuntime Version ARN: {arn}")
            }
            LogFormat::Json => self.event(
                "platform.initStart",
                &json!({
                    "initializationType": "on-demand",
                    "phase": "init",
                    "runtimeVersion": version,
                    "runtimeVersionArn": arn,
                    "functionName": self.identity.arn.name.as_str(),
                    "functionVersion": self.identity.version.to_string(),
                    "instanceId": self.stream,
                    "instanceMaxMemory": u64::from(self.function.memory_mb) * 1024 * 1024,
                }),
            ),
        }
    }

    /// After a failed initialisation; a good one is told by REPORT.
    pub(crate) fn init_report(&self, took: Duration, phase: &str, status: &Status) -> String {
        match self.function.log_format {
            LogFormat::Text => {
                let words = status_words(status);
                format!("INIT_REPORT Init Duration: {} ms\tPhase: {phase}{words}", millis(took))
            }
            LogFormat::Json => {
                let mut record = json!({
                    "initializationType": "on-demand",
                    "phase": phase,
                    "metrics": { "durationMs": number(took) },
                });
                put_status(&mut record, status);
                self.event("platform.initReport", &record)
            }
        }
    }

    pub(crate) fn start(&self, request_id: &str, tenant_id: Option<&str>) -> String {
        let version = self.identity.version;
        match self.function.log_format {
            LogFormat::Text => format!("START RequestId: {request_id} Version: {version}"),
            LogFormat::Json => {
                let mut record = json!({ "requestId": request_id, "version": version.to_string() });
                if let Some(tenant) = tenant_id {
                    record["tenantId"] = tenant.into();
                }
                self.event("platform.start", &record)
            }
        }
    }

    /// None in JSON: log streams of the real service show no such event.
    pub(crate) fn end(&self, request_id: &str) -> Option<String> {
        (self.function.log_format == LogFormat::Text)
            .then(|| format!("END RequestId: {request_id}"))
    }

    /// `init` is that of a good cold start. `memory_mb` is the most that the process used, if known.
    pub(crate) fn report(
        &self,
        request_id: &str,
        took: Duration,
        init: Option<Duration>,
        memory_mb: Option<u64>,
        status: &Status,
    ) -> String {
        let size = u64::from(self.function.memory_mb);
        // Memory is not enforced, so more may have been used than there is; nobody reads that with profit.
        let used = memory_mb.unwrap_or(MEMORY_UNKNOWN_MB).min(size);
        let billed = billed_ms(took + init.unwrap_or_default());
        match self.function.log_format {
            LogFormat::Text => {
                let init =
                    init.map_or_else(String::new, |i| format!("\tInit Duration: {} ms", millis(i)));
                let end = match status {
                    Status::Success => "\t".to_owned(),
                    _ => status_words(status),
                };
                format!(
                    "REPORT RequestId: {request_id}\tDuration: {} ms\tBilled Duration: {billed} ms\tMemory Size: {size} MB\tMax Memory Used: {used} MB{init}{end}",
                    millis(took)
                )
            }
            LogFormat::Json => {
                let mut metrics = json!({
                    "durationMs": number(took),
                    "billedDurationMs": billed,
                    "memorySizeMB": size,
                    "maxMemoryUsedMB": used,
                });
                if let Some(init) = init {
                    metrics["initDurationMs"] = number(init);
                }
                let mut record = json!({ "requestId": request_id, "metrics": metrics });
                put_status(&mut record, status);
                self.event("platform.report", &record)
            }
        }
    }

    /// Written by hand around the record, for the order of its members.
    fn event(&self, kind: &str, record: &Value) -> String {
        let time = self.now.iso();
        format!("{{\"time\":\"{time}\",\"type\":\"{kind}\",\"record\":{record}}}")
    }
}

fn status_words(status: &Status) -> String {
    match status {
        Status::Success => String::new(),
        Status::Timeout(_) => "\tStatus: timeout".to_owned(),
        Status::Error(kind) => format!("\tStatus: error\tError Type: {kind}"),
    }
}

fn put_status(record: &mut Value, status: &Status) {
    let word = match status {
        Status::Success => "success",
        Status::Timeout(_) => "timeout",
        Status::Error(kind) => {
            record["errorType"] = kind.as_str().into();
            if kind.starts_with("Sandbox.") { "failure" } else { "error" }
        }
    };
    record["status"] = word.into();
}

fn millis(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64() * 1000.0)
}

/// Milliseconds with three decimals at most.
fn number(duration: Duration) -> Value {
    json!((duration.as_secs_f64() * 1_000_000.0).round() / 1000.0)
}

fn billed_ms(duration: Duration) -> u128 {
    duration.as_micros().div_ceil(1000)
}

/// What a posted error type becomes in logs. Source: AWS's emulator.
pub(crate) fn log_error_type(header: Option<&str>) -> String {
    let header = header.unwrap_or_default();
    let known = header.split_once('.').is_some_and(|(category, reason)| {
        matches!(category, "Runtime" | "Function")
            && reason.len() > 1
            && reason.starts_with(|c: char| c.is_ascii_uppercase())
            && reason.bytes().all(|b| b.is_ascii_alphabetic())
    });
    match header {
        _ if known => header.to_owned(),
        _ if header.starts_with("Function.") => "Function.Unknown".to_owned(),
        _ => "Runtime.Unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Contract;

    fn platform<T>(log_format: LogFormat, check: impl FnOnce(&Platform<'_>) -> T) -> T {
        let function = Function { log_format, ..Function::sample("python3.12") };
        let Contract::Lambda(identity) = &function.contract else { panic!() };
        let now = Timestamp::from_millis(1_767_323_045_678);
        check(&Platform { function: &function, identity, stream: "s", now })
    }

    fn check(format: LogFormat, line: impl Fn(&Platform<'_>) -> String, expected: &str) {
        assert_eq!(platform(format, line), expected);
    }

    #[test]
    fn text_lines() {
        let took = Duration::from_micros(15_740);
        let init = Some(Duration::from_micros(130_490));
        let text = LogFormat::Text;
        check(text, |p| p.start("i", None), "START RequestId: i Version: 3");
        check(text, |p| p.end("i").unwrap(), "END RequestId: i");
        check(
            text,
            |p| p.report("i", took, init, Some(56), &Status::Success),
            "REPORT RequestId: i\tDuration: 15.74 ms\tBilled Duration: 147 ms\tMemory Size: 128 MB\tMax Memory Used: 56 MB\tInit Duration: 130.49 ms\t",
        );
        check(
            text,
            |p| {
                p.report(
                    "i",
                    Duration::from_secs(3),
                    None,
                    Some(500),
                    &Status::Timeout(String::new()),
                )
            },
            "REPORT RequestId: i\tDuration: 3000.00 ms\tBilled Duration: 3000 ms\tMemory Size: 128 MB\tMax Memory Used: 128 MB\tStatus: timeout",
        );
        check(
            text,
            |p| p.init_report(took, "invoke", &Status::Error("Runtime.ExitError".into())),
            "INIT_REPORT Init Duration: 15.74 ms\tPhase: invoke\tStatus: error\tError Type: Runtime.ExitError",
        );
    }

    #[test]
    fn json_lines() {
        let check = |line: &dyn Fn(&Platform<'_>) -> String, kind, record: Value| {
            let line = platform(LogFormat::Json, line);
            let begin =
                format!(r#"{{"time":"2026-01-02T03:04:05.678Z","type":"{kind}","record":{{"#);
            assert!(line.starts_with(&begin), "{line}");
            assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["record"], record);
        };
        check(
            &|p| p.start("i", Some("t")),
            "platform.start",
            json!({ "requestId": "i", "version": "3", "tenantId": "t" }),
        );
        let took = Duration::from_micros(1500);
        check(
            &|p| p.report("i", took, None, Some(5), &Status::Success),
            "platform.report",
            json!({
                "requestId": "i",
                "status": "success",
                "metrics": {
                    "durationMs": 1.5, "billedDurationMs": 2, "memorySizeMB": 128, "maxMemoryUsedMB": 5,
                },
            }),
        );
    }

    #[test]
    fn error_types_in_logs_have_a_form() {
        let check = |header, logged| assert_eq!(log_error_type(header), logged);
        check(Some("Runtime.ImportModuleError"), "Runtime.ImportModuleError");
        check(Some("Function.x"), "Function.Unknown");
        check(Some("ValueError"), "Runtime.Unknown");
        check(None, "Runtime.Unknown");
    }
}
