//! ReportTaskSucceeded and ReportTaskFailed: what a worker says of the task whose token it was given.

use crate::{
    error::FnfError,
    fnf::Fnf,
    parameters::{object, reason},
};
use durastack_driver::{Ask, DriveError};
use durastack_engine::{Command as Asked, Stash};
use durastack_flow::{Command, Failure, Rejection, TaskToken};
use durastack_wire::{
    Call,
    rpc::{BadParameter, FromParameters, Parameters},
};
use serde::Serialize;
use std::sync::Arc;

/// A success.
pub(crate) struct SucceededInput {
    token: String,
    output: String,
}

impl FromParameters for SucceededInput {
    fn from_parameters(parameters: &Parameters) -> Result<Self, BadParameter> {
        let token = parameters.required("TaskToken")?.to_owned();
        let output = parameters.required("Output")?.to_owned();
        object("Output", &output)?;
        Ok(Self { token, output })
    }
}

/// A failure.
pub(crate) struct FailedInput {
    token: String,
    error: String,
    cause: String,
}

impl FromParameters for FailedInput {
    fn from_parameters(parameters: &Parameters) -> Result<Self, BadParameter> {
        let token = parameters.required("TaskToken")?.to_owned();
        parameters.required("Error")?;
        let (error, cause) = reason(parameters)?;
        Ok(Self { token, error: error.unwrap_or_default(), cause: cause.unwrap_or_default() })
    }
}

/// What both answer.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Reported {
    /// The event that the report has become.
    event_id: u64,
}

pub(crate) async fn succeeded(
    fnf: Arc<Fnf>,
    input: SucceededInput,
    call: Call,
) -> Result<Reported, FnfError> {
    let SucceededInput { token, output } = input;
    report(&fnf, &call, token, |token| Command::ReportSucceeded { token, output }).await
}

pub(crate) async fn failed(
    fnf: Arc<Fnf>,
    input: FailedInput,
    call: Call,
) -> Result<Reported, FnfError> {
    let FailedInput { token, error, cause } = input;
    let failure = Failure::new(error, cause);
    report(&fnf, &call, token, |token| Command::ReportFailed { token, failure }).await
}

async fn report(
    fnf: &Arc<Fnf>,
    call: &Call,
    text: String,
    command: impl FnOnce(TaskToken) -> Command,
) -> Result<Reported, FnfError> {
    let (execution, token) =
        TaskToken::open(&fnf.tokens, &text).map_err(|bad| unfit(&text, bad))?;
    let over = || FnfError::TaskAlreadyCompleted(text.clone());
    // What is gone went with its flow.
    let flow = fnf.flow_of(&call.caller, execution).await?.ok_or_else(over)?;
    let command = command(token);
    let reported = fnf
        .driver
        .act(
            execution,
            Stash::default(),
            |_| Ask::Decide(Asked::Work(command)),
            |_, records| records.first().and_then(|record| record.event_id),
        )
        .await;
    match reported {
        Ok(event_id) => Ok(Reported { event_id: event_id.unwrap_or_default() }),
        Err(DriveError::Rejected(rejection)) => Err(match rejection {
            Rejection::TokenUnknown => unfit(&text, rejection),
            Rejection::TaskCompleted => over(),
            Rejection::TaskNotWaiting => FnfError::TaskInvalidState,
            Rejection::OutputNotAnObject => {
                BadParameter::invalid("Output", "", "it must be a JSON object").into()
            }
        }),
        Err(DriveError::Unknown) => Err(over()),
        Err(error) => Err(FnfError::of_driver(error, flow.name(), "")),
    }
}

fn unfit(token: &str, problem: impl std::fmt::Display) -> FnfError {
    BadParameter::invalid("TaskToken", token, format!("it is no token of a task ({problem})"))
        .into()
}
