//! How parameters that several operations have are read. Whatever must be there is looked for before anything is parsed,
//! so that what is missing is told first.

use durastack_clock::Timestamp;
use durastack_flow::{check_object, is_name};
use durastack_wire::rpc::{BadParameter, Parameters};
use std::ops::RangeInclusive;

/// The longest `Cause` in characters. Source: API reference, StopExecution and ReportTaskFailed.
const CAUSE_CHARACTERS_MAX: usize = 4096;
/// The longest `Error` in characters. Source: the same pages.
const ERROR_CHARACTERS_MAX: usize = 128;
/// How many items a page has unless the caller says otherwise. Source: API reference, `Limit`.
const LIMIT: usize = 60;

/// The name of a flow or execution that must be there.
pub(crate) fn name(parameters: &Parameters, member: &'static str) -> Result<String, BadParameter> {
    let text = parameters.required(member)?;
    valid_name(member, text)?;
    Ok(text.to_owned())
}

/// The name of a flow or execution that may be there.
pub(crate) fn optional_name(
    parameters: &Parameters,
    member: &'static str,
) -> Result<Option<String>, BadParameter> {
    let text = parameters.text(member);
    if let Some(text) = text {
        valid_name(member, text)?;
    }
    Ok(text.map(str::to_owned))
}

fn valid_name(member: &'static str, text: &str) -> Result<(), BadParameter> {
    if is_name(text) {
        return Ok(());
    }
    Err(BadParameter::invalid(
        member,
        text,
        "it must have 1 to 128 letters, digits, underscores and hyphens, the first a letter or an underscore",
    ))
}

/// The names of the flow and of its execution, both of which must be there. That of the execution is looked for as it is:
/// a generated one is a UUID and may begin with a digit, which a given one may not.
pub(crate) fn execution(parameters: &Parameters) -> Result<(String, String), BadParameter> {
    parameters.required("FlowName")?;
    let execution = parameters.required("ExecutionName")?;
    Ok((name(parameters, "FlowName")?, execution.to_owned()))
}

/// The length of a page.
pub(crate) fn limit(
    parameters: &Parameters,
    possible: RangeInclusive<usize>,
) -> Result<usize, BadParameter> {
    Ok(number(parameters, "Limit", possible)?.unwrap_or(LIMIT))
}

/// A whole number within bounds.
pub(crate) fn number(
    parameters: &Parameters,
    member: &'static str,
    possible: RangeInclusive<usize>,
) -> Result<Option<usize>, BadParameter> {
    let Some(text) = parameters.text(member) else { return Ok(None) };
    match text.parse() {
        Ok(number) if possible.contains(&number) => Ok(Some(number)),
        _ => {
            let (first, last) = possible.into_inner();
            let problem = format!("it must be a whole number from {first} to {last}");
            Err(BadParameter::invalid(member, text, problem))
        }
    }
}

/// The text of a JSON object, which an execution will read; the text itself is kept.
pub(crate) fn object(member: &'static str, text: &str) -> Result<(), BadParameter> {
    check_object(text).map_err(|problem| BadParameter::invalid(member, text, problem))
}

/// `Error` and `Cause`.
pub(crate) fn reason(
    parameters: &Parameters,
) -> Result<(Option<String>, Option<String>), BadParameter> {
    let error = short(parameters, "Error", ERROR_CHARACTERS_MAX)?;
    Ok((error, short(parameters, "Cause", CAUSE_CHARACTERS_MAX)?))
}

fn short(
    parameters: &Parameters,
    member: &'static str,
    characters_max: usize,
) -> Result<Option<String>, BadParameter> {
    let Some(text) = parameters.text(member) else { return Ok(None) };
    if text.chars().count() > characters_max {
        let problem = format!("it must have 1 to {characters_max} characters");
        return Err(BadParameter::invalid(member, text, problem));
    }
    Ok(Some(text.to_owned()))
}

/// An instant of RFC 3339.
pub(crate) fn instant(
    parameters: &Parameters,
    member: &'static str,
) -> Result<Option<Timestamp>, BadParameter> {
    let Some(text) = parameters.text(member) else { return Ok(None) };
    // A raw `+` before an offset has become a space.
    let read = Timestamp::parse_iso(&text.replace(' ', "+"));
    read.map(Some).map_err(|_| {
        BadParameter::invalid(member, text, "it must be a time such as 2019-01-01T01:01:01.001Z")
    })
}

/// One of some words.
pub(crate) fn one_of(
    member: &'static str,
    text: &str,
    words: &[&'static str],
) -> Result<&'static str, BadParameter> {
    words.iter().find(|word| **word == text).copied().ok_or_else(|| {
        BadParameter::invalid(member, text, format!("it must be one of {}", words.join(", ")))
    })
}

/// Refuses a parameter that selects what is not built: to ignore it would be to answer another question.
pub(crate) fn not_built(parameters: &Parameters, member: &'static str) -> Result<(), BadParameter> {
    match parameters.text(member) {
        None => Ok(()),
        Some(text) => {
            Err(BadParameter::invalid(member, text, "durastack does not build this parameter yet"))
        }
    }
}
