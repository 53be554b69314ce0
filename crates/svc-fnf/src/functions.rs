//! The functions of Function Compute that tasks may call: declared in the configuration, each as code in a folder or as
//! replies that are given in turn.

use durastack_flow::{Failure, FunctionAnswer, is_function_name};
use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

/// A function.
#[derive(Debug, Clone)]
pub struct LocalFunction {
    /// Answers every ARN that ends in `functions/NAME`, of either generation and with any qualifier.
    pub name: String,
    /// What answers.
    pub made: Made,
}

impl LocalFunction {
    /// Whether an ARN in a flow can name a function so.
    #[must_use]
    pub fn is_name(text: &str) -> bool {
        is_function_name(text)
    }
}

/// What answers for a function.
#[derive(Debug, Clone)]
pub enum Made {
    /// Code that runs here.
    OfCode(Code),
    /// Used in turn, the last again and again; at least one. Who is next is in memory alone.
    OfReplies(Vec<Reply>),
}

/// Code in a folder.
#[derive(Debug, Clone)]
pub struct Code {
    /// `python3.10`, `nodejs20`.
    pub runtime: String,
    /// `index.handler`.
    pub handler: String,
    /// The folder. Absolute.
    pub folder: PathBuf,
    /// The user's variables.
    pub environment: BTreeMap<String, String>,
    /// Wall time that one invocation may take.
    pub timeout: Duration,
    /// Megabytes; told to the function, not enforced.
    pub memory_mb: u32,
}

/// What a function is said to have answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Its result, as text.
    Result(String),
    /// 200 with an error: the document, `{"errorMessage": …, "errorType": …}`.
    FunctionError(String),
    /// A status of 4xx or 5xx: the service did not run the function.
    Refused {
        /// The HTTP status.
        status: u16,
        /// `AccessDenied`; may be empty.
        code: String,
        /// May be empty.
        message: String,
    },
}

impl Reply {
    pub(crate) fn answer(&self) -> FunctionAnswer<'_> {
        match self {
            Self::Result(text) => FunctionAnswer::Result(text),
            Self::FunctionError(document) => FunctionAnswer::FunctionError(document),
            Self::Refused { status, code, message } => {
                FunctionAnswer::Refused { status: *status, code, message }
            }
        }
    }
}

/// The functions that are declared.
#[derive(Debug)]
pub(crate) struct Functions(HashMap<String, Declared>);

#[derive(Debug)]
pub(crate) struct Declared {
    made: Made,
    replied: AtomicUsize,
}

/// What is to be done for a call.
pub(crate) enum Way<'a> {
    Run(&'a Code),
    Reply(&'a Reply),
}

impl Functions {
    pub(crate) fn new(functions: Vec<LocalFunction>) -> Self {
        let declared = |function: LocalFunction| {
            (function.name, Declared { made: function.made, replied: AtomicUsize::new(0) })
        };
        Self(functions.into_iter().map(declared).collect())
    }

    /// What answers for a function of this name; the failure if there is none.
    ///
    /// Differs: an ARN of the older generation names a service too. Any service is taken to be there, since functions are
    /// declared by their own name alone.
    pub(crate) fn find(&self, name: &str) -> Result<Way<'_>, Failure> {
        let way = self.0.get(name).and_then(|declared| match &declared.made {
            Made::OfCode(code) => Some(Way::Run(code)),
            Made::OfReplies(replies) => {
                let turn = declared.replied.fetch_add(1, Ordering::Relaxed);
                replies.get(turn).or_else(|| replies.last()).map(Way::Reply)
            }
        });
        way.ok_or_else(|| {
            Failure::new(
                "FC.FunctionNotFound",
                format!("function '{name}' does not exist; declare it as [fc.functions.{name}] in durastack.toml"),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_take_turns_and_the_last_one_stays() {
        let reply = |text: &str| Reply::Result(text.to_owned());
        let functions = Functions::new(vec![LocalFunction {
            name: "f".to_owned(),
            made: Made::OfReplies(vec![reply("1"), reply("2")]),
        }]);
        for expected in ["1", "2", "2", "2"] {
            let Ok(Way::Reply(found)) = functions.find("f") else { panic!("no reply") };
            assert_eq!(*found, reply(expected));
        }
        let Err(failure) = functions.find("g") else { panic!("found") };
        assert_eq!(failure.error, "FC.FunctionNotFound");
    }
}
