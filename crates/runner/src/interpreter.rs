//! Which interpreter runs a function: found where the user's project keeps it, asked once for its version.

use crate::{
    contract::Contract,
    function::{Function, Refusal},
};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// How long an interpreter may take to say its version.
const ASK_WAIT_MAX: Duration = Duration::from_secs(20);

/// How a function is started, by its runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Language {
    /// `python3.13`: the version.
    Python(String),
    /// `nodejs22.x`: the major version.
    Node(String),
    /// `provided.al2`, `provided.al2023`.
    Provided,
}

impl Language {
    /// Of a function, by its contract's runtimes.
    pub(crate) fn of_function(function: &Function) -> Result<Self, Refusal> {
        match function.contract {
            Contract::Lambda(_) => Self::of(&function.runtime),
            Contract::FunctionCompute(_) => Self::of_function_compute(&function.runtime),
        }
    }

    /// Reads the `runtime` of Function Compute: `python3`, which is some version 3, `python3.10`, `nodejs16`.
    fn of_function_compute(runtime: &str) -> Result<Self, Refusal> {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if let Some(version) = runtime.strip_prefix("python")
            && version.strip_prefix('3').is_some_and(|rest| {
                rest.is_empty() || rest.strip_prefix('.').is_some_and(is_number)
            })
        {
            Ok(Self::Python(version.to_owned()))
        } else if let Some(version) = runtime.strip_prefix("nodejs").filter(|v| is_number(v)) {
            Ok(Self::Node(version.to_owned()))
        } else {
            Err(Refusal::FunctionComputeRuntime(runtime.to_owned()))
        }
    }

    /// Reads Lambda's `Runtime`.
    pub(crate) fn of(runtime: &str) -> Result<Self, Refusal> {
        let version = |rest: &str| rest.trim_end_matches(".x").to_owned();
        if let Some(rest) = runtime.strip_prefix("python").filter(|r| r.starts_with('3')) {
            Ok(Self::Python(version(rest)))
        } else if let Some(rest) = runtime.strip_prefix("nodejs") {
            Ok(Self::Node(version(rest)))
        } else if runtime.starts_with("provided") {
            Ok(Self::Provided)
        } else {
            Err(Refusal::Runtime(runtime.to_owned()))
        }
    }
}

/// Whether functions of Function Compute with this runtime can run here. That the interpreter is on this machine shows
/// when one starts.
///
/// # Errors
///
/// [`Refusal::FunctionComputeRuntime`].
pub fn check_function_compute_runtime(runtime: &str) -> Result<(), Refusal> {
    Language::of_function_compute(runtime).map(|_| ())
}

/// A program that runs user code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interpreter {
    /// Absolute: behind the shims of version managers, which would need the user's variables.
    pub(crate) program: PathBuf,
    /// `3.11.7`.
    pub(crate) version: String,
}

impl Interpreter {
    /// Whether it has the version that the function's runtime names.
    pub(crate) fn suits(&self, language: &Language) -> bool {
        match language {
            Language::Python(wanted) | Language::Node(wanted) => self
                .version
                .strip_prefix(wanted.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.')),
            Language::Provided => true,
        }
    }
}

/// Finds interpreters, and remembers what they said.
#[derive(Debug)]
pub(crate) struct Interpreters {
    start_folder: PathBuf,
    python: Option<PathBuf>,
    node: Option<PathBuf>,
    known: Mutex<HashMap<PathBuf, Interpreter>>,
}

impl Interpreters {
    pub(crate) fn new(
        start_folder: PathBuf,
        python: Option<PathBuf>,
        node: Option<PathBuf>,
    ) -> Self {
        Self { start_folder, python, node, known: Mutex::default() }
    }

    /// The interpreter for a Python or Node runtime.
    pub(crate) async fn find(
        &self,
        runtime: &str,
        language: &Language,
    ) -> Result<Interpreter, Refusal> {
        let (places, question, advice) = match language {
            Language::Python(_) => (
                self.python_places(std::env::var_os("VIRTUAL_ENV").map(PathBuf::from)),
                "import sys; print(sys.executable); print('%d.%d.%d' % sys.version_info[:3])",
                "install Python 3, make a .venv in the folder where durastack is started, or configure the interpreter",
            ),
            Language::Node(_) => (
                self.node.clone().map_or_else(|| vec![PathBuf::from("node")], |p| vec![p]),
                "console.log(process.execPath + '\\n' + process.versions.node)",
                "install Node.js 20 or later, or configure the interpreter",
            ),
            Language::Provided => return Err(Refusal::Runtime(runtime.to_owned())),
        };
        let mut looked_at = Vec::new();
        for place in places {
            let name = place.display().to_string();
            match resolve(&self.start_folder, &place) {
                None => looked_at.push(name),
                Some(program) => match self.ask(&program, language, question).await {
                    Ok(found) => return Ok(found),
                    Err(why) => looked_at.push(format!("{name}: {why}")),
                },
            }
        }
        Err(Refusal::Interpreter {
            runtime: runtime.to_owned(),
            looked_at: looked_at.join(", "),
            advice: advice.to_owned(),
        })
    }

    /// Configured, else the active virtual environment, else that of the start folder, else `PATH`.
    fn python_places(&self, active: Option<PathBuf>) -> Vec<PathBuf> {
        if let Some(configured) = &self.python {
            return vec![configured.clone()];
        }
        let mut places: Vec<PathBuf> =
            active.into_iter().map(|folder| folder.join("bin/python")).collect();
        places.push(self.start_folder.join(".venv/bin/python"));
        places.push("python3".into());
        places
    }

    async fn ask(
        &self,
        program: &Path,
        language: &Language,
        question: &str,
    ) -> Result<Interpreter, String> {
        let known = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.get(program).cloned()
        };
        // Virtual environments come and go while durastack runs.
        if let Some(known) = known.filter(|k| k.program.is_file()) {
            return Ok(known);
        }
        let flag = if matches!(language, Language::Python(_)) { "-c" } else { "-e" };
        let run = tokio::process::Command::new(program)
            .args([flag, question])
            .current_dir(&self.start_folder)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(ASK_WAIT_MAX, run)
            .await
            .map_err(|_| "does not answer".to_owned())?
            .map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout);
        let mut lines = text.lines();
        let (Some(path), Some(version), true) =
            (lines.next(), lines.next(), output.status.success())
        else {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!(
                "does not run ({})",
                said.trim().lines().last().unwrap_or("silent")
            ));
        };
        let found = Interpreter { program: path.into(), version: version.to_owned() };
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(program.to_owned(), found.clone());
        Ok(found)
    }
}

/// A bare name is looked up on `PATH`; a path is taken from `base` if it is relative.
fn resolve(base: &Path, program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return Some(base.join(program)).filter(|p| p.is_file());
    }
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| base.join(folder).join(program))
        .find(|p| p.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtimes_name_their_language() {
        let check = |runtime, expected| assert_eq!(Language::of(runtime), expected);
        check("python3.13", Ok(Language::Python("3.13".into())));
        check("nodejs22.x", Ok(Language::Node("22".into())));
        check("provided.al2023", Ok(Language::Provided));
        check("java21", Err(Refusal::Runtime("java21".into())));
        check("python2.7", Err(Refusal::Runtime("python2.7".into())));
    }

    #[test]
    fn runtimes_of_function_compute_name_their_language() {
        let check = |runtime, expected| {
            assert_eq!(Language::of_function_compute(runtime).ok(), expected, "{runtime}");
        };
        check("python3", Some(Language::Python("3".into())));
        check("python3.10", Some(Language::Python("3.10".into())));
        check("nodejs16", Some(Language::Node("16".into())));
        for other in [
            "python2.7",
            "python3.",
            "python33",
            "nodejs",
            "nodejs18.x",
            "custom",
            "custom.debian10",
            "java11",
        ] {
            check(other, None);
        }
    }

    #[test]
    fn a_version_suits_whole_numbers_only() {
        let check = |version: &str, runtime, suits| {
            let interpreter = Interpreter { program: "x".into(), version: version.into() };
            assert_eq!(interpreter.suits(&Language::of(runtime).unwrap()), suits);
        };
        check("3.11.7", "python3.11", true);
        check("3.1.1", "python3.11", false);
        check("3.11.7", "python3.1", false);
        check("22.1.0", "nodejs22.x", true);
        check("20.20.2", "nodejs22.x", false);
    }

    #[test]
    fn python_is_looked_for_in_the_users_order() {
        let at = |python| Interpreters::new("/start".into(), python, None);
        assert_eq!(
            at(None).python_places(Some("/active".into())),
            ["/active/bin/python", "/start/.venv/bin/python", "python3"].map(PathBuf::from)
        );
        assert_eq!(
            at(Some("/my/python".into())).python_places(None),
            [PathBuf::from("/my/python")]
        );
    }

    #[tokio::test]
    async fn a_missing_interpreter_says_what_to_install() {
        let interpreters =
            Interpreters::new("/".into(), Some("/nowhere/python".into()), Some("/bin/sh".into()));
        let missing = interpreters
            .find("python3.13", &Language::Python("3.13".into()))
            .await
            .unwrap_err()
            .to_string();
        assert!(
            missing.contains("/nowhere/python") && missing.contains("install Python"),
            "{missing}"
        );
        let wrong = interpreters.find("nodejs22.x", &Language::Node("22".into())).await;
        assert!(wrong.unwrap_err().to_string().contains("does not run"));
    }
}
