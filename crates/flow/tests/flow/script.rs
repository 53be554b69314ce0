//! The script of a case: how functions answer, who reports when, and who stops what.

use durastack_flow::{CallEnd, Failure, FunctionAnswer};
use serde_json::Value;
use std::collections::BTreeMap;

/// `functions.json` of a case; the README of the fixtures says what its members mean.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script {
    functions: BTreeMap<String, Vec<Value>>,
    /// How many answers without a condition each function has given.
    given: BTreeMap<String, usize>,
    pub(crate) reports: Vec<Report>,
    pub(crate) flows: BTreeMap<String, String>,
    pub(crate) stops: Vec<Stop>,
}

#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub(crate) function: String,
    /// Which call of the function, from 1.
    pub(crate) call: usize,
    pub(crate) after_s: u64,
    /// Before the function answers, instead of after.
    pub(crate) early: bool,
    pub(crate) outcome: Result<String, Failure>,
}

#[derive(Debug, Clone)]
pub(crate) struct Stop {
    /// The execution's name; the case's own if absent.
    pub(crate) execution: Option<String>,
    pub(crate) after_s: u64,
    pub(crate) failure: Option<Failure>,
}

#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) end: CallEnd,
    pub(crate) after_s: u64,
}

fn seconds(value: &Value) -> u64 {
    value["after_s"].as_u64().unwrap_or(0)
}

fn failure(value: &Value) -> Failure {
    let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    Failure::new(text("error"), text("cause"))
}

impl Script {
    pub(crate) fn read(json: &Value, file: impl Fn(&str) -> String) -> Self {
        let list = |name: &str| json[name].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let functions = json["functions"].as_object().cloned().unwrap_or_default();
        let flows = json["flows"].as_object().cloned().unwrap_or_default();
        Self {
            functions: functions
                .into_iter()
                .map(|(name, answers)| (name, answers.as_array().unwrap().clone()))
                .collect(),
            given: BTreeMap::new(),
            reports: list("reports")
                .iter()
                .map(|report| Report {
                    function: text(&report["function"]),
                    call: report["call"].as_u64().unwrap_or(1).try_into().unwrap(),
                    after_s: seconds(report),
                    early: report["early"].as_bool().unwrap_or(false),
                    outcome: match &report["succeeded"] {
                        Value::Null => Err(failure(&report["failed"])),
                        output => Ok(output.to_string()),
                    },
                })
                .collect(),
            flows: flows.into_iter().map(|(name, path)| (name, file(&text(&path)))).collect(),
            stops: list("stops")
                .iter()
                .map(|stop| Stop {
                    execution: stop["execution"].as_str().map(str::to_owned),
                    after_s: seconds(stop),
                    failure: stop.get("error").map(|_| failure(stop)),
                })
                .collect(),
        }
    }

    /// The answer to a call. An answer with a condition is for every call with that event; the others are given in
    /// order, the last one again and again.
    pub(crate) fn answer(&mut self, function: &str, event: &Value) -> Answer {
        let Some(answers) = self.functions.get(function) else {
            let refused = FunctionAnswer::Refused {
                status: 404,
                code: "FunctionNotFound",
                message: "function not found",
            };
            return Answer { end: CallEnd::Failed(refused.failure().unwrap()), after_s: 0 };
        };
        let conditional = answers.iter().find(|answer| answer.get("when") == Some(event));
        let answer = conditional.unwrap_or_else(|| {
            let in_order: Vec<_> = answers.iter().filter(|a| a.get("when").is_none()).collect();
            let given = self.given.entry(function.to_owned()).or_insert(0);
            *given += 1;
            assert!(!in_order.is_empty(), "no answer of '{function}' for {event}");
            in_order[(*given - 1).min(in_order.len() - 1)]
        });
        Answer { end: end(answer), after_s: seconds(answer) }
    }

    /// So many calls of the function ended before a crash.
    pub(crate) fn skip(&mut self, function: &str, event: &Value) {
        let _ = self.answer(function, event);
    }
}

fn end(answer: &Value) -> CallEnd {
    let text = |name: &str| answer[name].as_str().unwrap_or_default();
    let error;
    let answered = if let Some(result) = answer.get("result") {
        return CallEnd::Answered(result.to_string());
    } else if answer.get("text").is_some() {
        FunctionAnswer::Result(text("text"))
    } else if let Some(document) = answer.get("error") {
        error = document.to_string();
        FunctionAnswer::FunctionError(&error)
    } else if let Some(status) = answer["status"].as_u64() {
        FunctionAnswer::Refused {
            status: status.try_into().unwrap(),
            code: text("code"),
            message: text("message"),
        }
    } else {
        FunctionAnswer::Lost(text("lost"))
    };
    match answered.failure() {
        Some(failure) => CallEnd::Failed(failure),
        None => CallEnd::Answered(text("text").to_owned()),
    }
}
