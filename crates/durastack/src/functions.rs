//! `[fc.functions.NAME]` in `durastack.toml`: the functions of Function Compute that flows may call.

use anyhow::{Context, Result, bail};
use durastack_runner::check_function_compute_runtime as check_runtime;
use durastack_svc_fnf::{Code, LocalFunction, Made, Reply};
use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

/// The table `fc`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FileFc {
    functions: BTreeMap<String, FileFunction>,
}

/// A function: code in a folder, or replies.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileFunction {
    runtime: Option<String>,
    handler: Option<String>,
    /// Relative to the file.
    code: Option<PathBuf>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    /// In seconds.
    timeout: Option<u64>,
    /// In megabytes.
    memory: Option<u32>,
    replies: Option<Vec<FileReply>>,
}

/// One reply: a result, a function's error, or a refusal of the service.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileReply {
    /// 200 if absent.
    status: Option<u16>,
    /// Of a refusal, `AccessDenied`.
    code: Option<String>,
    /// Of a refusal.
    message: Option<String>,
    /// The answer's body, as text.
    body: Option<String>,
    /// The answer's body, as a value that becomes JSON.
    result: Option<Value>,
    /// The document of a function's error, `{ errorType = "…", errorMessage = "…" }`.
    error: Option<Value>,
}

const DEFAULT_HANDLER: &str = "index.handler";
/// Longer than the cloud's: functions here start on a machine that does other things too.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest timeout in seconds. Source: Function Compute's page on limits: 24 hours.
const TIMEOUT_SECONDS_MAX: u64 = 86_400;
const DEFAULT_MEMORY_MB: u32 = 512;

impl FileFc {
    /// The functions, with the paths of their code made absolute from `base`.
    pub(crate) fn functions(self, base: &Path) -> Result<Vec<LocalFunction>> {
        let function = |(name, function): (String, FileFunction)| {
            let entry = || format!("fc.functions.{name}");
            if !LocalFunction::is_name(&name) {
                bail!(
                    "{}: an ARN holds no such name: it has no '/' and no ':', and is not empty",
                    entry()
                );
            }
            let made = function.made(base).with_context(entry)?;
            Ok(LocalFunction { name, made })
        };
        self.functions.into_iter().map(function).collect()
    }
}

impl FileFunction {
    fn made(self, base: &Path) -> Result<Made> {
        match (self.replies, self.runtime, self.code) {
            (Some(replies), None, None) => {
                if replies.is_empty() {
                    bail!("'replies' has none");
                }
                let replies: Result<_> = replies.into_iter().map(FileReply::reply).collect();
                Ok(Made::OfReplies(replies?))
            }
            (None, Some(runtime), Some(code)) => {
                check_runtime(&runtime)?;
                let handler = self.handler.unwrap_or_else(|| DEFAULT_HANDLER.to_owned());
                if !handler
                    .rsplit_once('.')
                    .is_some_and(|(file, name)| !file.is_empty() && !name.is_empty())
                {
                    bail!("the handler '{handler}' is not of the form 'file.function'");
                }
                let folder = base.join(code);
                let folder = folder
                    .canonicalize()
                    .with_context(|| format!("failed to find the code in {}", folder.display()))?;
                if !folder.is_dir() {
                    bail!("the code {} is no folder", folder.display());
                }
                let timeout = self.timeout.map_or(DEFAULT_TIMEOUT, Duration::from_secs);
                if timeout.is_zero() || timeout.as_secs() > TIMEOUT_SECONDS_MAX {
                    bail!("'timeout' must be from 1 to {TIMEOUT_SECONDS_MAX} seconds");
                }
                Ok(Made::OfCode(Code {
                    runtime,
                    handler,
                    folder,
                    environment: self.environment,
                    timeout,
                    memory_mb: self.memory.unwrap_or(DEFAULT_MEMORY_MB),
                }))
            }
            _ => bail!("either 'runtime' and 'code', or 'replies', must be given"),
        }
    }
}

impl FileReply {
    fn reply(self) -> Result<Reply> {
        let status = self.status.unwrap_or(200);
        match (status, self.result, self.error, self.body) {
            (400..=599, None, None, body) => Ok(Reply::Refused {
                status,
                code: self.code.unwrap_or_default(),
                message: self.message.or(body).unwrap_or_default(),
            }),
            (200, Some(result), None, None) => Ok(Reply::Result(result.to_string())),
            (200, None, Some(error), None) => Ok(Reply::FunctionError(error.to_string())),
            (200, None, None, body) => Ok(Reply::Result(body.unwrap_or_else(|| "{}".to_owned()))),
            (200, ..) => bail!("a reply has one of 'body', 'result' and 'error'"),
            (400..=599, ..) => {
                bail!("a reply of status {status} has 'code' and 'message', no result or error")
            }
            (other, ..) => bail!("a reply's status is 200, or from 400 to 599, not {other}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<LocalFunction>> {
        let file: FileFc = toml::from_str(text)?;
        file.functions(Path::new(env!("CARGO_MANIFEST_DIR")))
    }

    #[test]
    fn functions_are_code_or_replies() {
        let functions = read(
            "[functions.a]\nruntime = 'python3.10'\ncode = 'src'\nenvironment = { K = 'V' }\n\
             [[functions.b.replies]]\nstatus = 429\nbody = 'busy'\n\
             [[functions.b.replies]]\nresult = { n = 1 }\n\
             [[functions.b.replies]]\nerror = { errorType = 'E' }\n\
             [[functions.b.replies]]\nbody = '{ }'",
        )
        .unwrap();
        let Made::OfCode(code) = &functions[0].made else { panic!("no code") };
        assert!(code.folder.is_absolute() && code.folder.ends_with("src"));
        assert_eq!((&*code.handler, code.timeout.as_secs()), ("index.handler", 60));
        let Made::OfReplies(replies) = &functions[1].made else { panic!("no replies") };
        let refused =
            Reply::Refused { status: 429, code: String::new(), message: "busy".to_owned() };
        assert_eq!(
            *replies,
            [
                refused,
                Reply::Result(r#"{"n":1}"#.to_owned()),
                Reply::FunctionError(r#"{"errorType":"E"}"#.to_owned()),
                Reply::Result("{ }".to_owned()),
            ]
        );
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for text in [
            "[functions.bad]",
            "[functions.bad]\nruntime = 'python3.10'",
            "[functions.bad]\nruntime = 'python3.10'\ncode = 'nowhere'",
            "[functions.bad]\nruntime = 'python3.10'\ncode = 'src'\ntimeout = 0",
            "[functions.bad]\nruntime = 'python2.7'\ncode = 'src'",
            "[functions.bad]\nruntime = 'python3.10'\ncode = 'src'\nhandler = 'handler'",
            "[functions.bad]\nruntime = 'python3.10'\ncode = 'src'\nhandler = ''",
            "[functions.bad]\nruntime = 'python3.10'\ncode = 'src'\nhandler = 'index.'",
            "[functions.bad]\nreplies = []",
            "[[functions.bad.replies]]\nstatus = 302",
            "[[functions.bad.replies]]\nbody = ''\nresult = 1",
            "[[functions.bad.replies]]\nstatus = 500\nresult = 1",
        ] {
            let error = format!("{:#}", read(text).unwrap_err());
            assert!(error.starts_with("fc.functions.bad: "), "{error}");
        }
        assert!(read("[functions.bad]\nreply = 1").is_err());
        let runtime = read("[functions.f]\nruntime = 'java11'\ncode = 'src'").unwrap_err();
        assert!(format!("{runtime:#}").contains("cannot run 'java11' for Function Compute"));
        for name in ["", "a/b", "a:b"] {
            let error = read(&format!("[functions.'{name}']\nreplies = [{{}}]")).unwrap_err();
            assert!(error.to_string().starts_with(&format!("fc.functions.{name}: ")), "{error}");
        }
    }
}
