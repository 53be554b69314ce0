//! StopExecution: the end of an execution by somebody's wish.

use crate::{
    error::FnfError,
    executions::{Facts, Shown},
    fnf::Fnf,
    parameters::{self, reason},
};
use durastack_driver::Ask;
use durastack_engine::{Command, Stash};
use durastack_flow::{EXECUTION_STOPPED, Failure};
use durastack_wire::{
    Call,
    rpc::{BadParameter, FromParameters, Parameters},
};
use std::sync::Arc;

/// A stop, with the error that a waiting parent is told.
pub(crate) struct StopInput {
    flow: String,
    execution: String,
    error: Option<String>,
    cause: Option<String>,
}

impl FromParameters for StopInput {
    fn from_parameters(parameters: &Parameters) -> Result<Self, BadParameter> {
        let (flow, execution) = parameters::execution(parameters)?;
        let (error, cause) = reason(parameters)?;
        Ok(Self { flow, execution, error, cause })
    }
}

pub(crate) async fn stop(fnf: Arc<Fnf>, input: StopInput, call: Call) -> Result<Shown, FnfError> {
    let StopInput { flow, execution, error, cause } = input;
    let id = fnf.execution(&call.caller, &flow, &execution).await?;
    let error = error.unwrap_or_else(|| EXECUTION_STOPPED.to_owned());
    let failure = Failure::new(error, cause.unwrap_or_default());
    // Nothing comes between the look and the stop: of two stops at once the second finds an end.
    let stopped = fnf
        .driver
        .act(
            id,
            Stash::default(),
            move |execution| match execution.life.is_open() {
                true => Ask::Decide(Command::Stop(Some(failure.payload()))),
                false => Ask::Answer(None),
            },
            |execution, _| Some(Facts::of(execution)),
        )
        .await
        .map_err(|error| FnfError::of_driver(error, &flow, &execution))?;
    match stopped {
        Some(facts) => {
            let at = facts.end.as_ref().map_or(facts.started, |(at, _)| *at);
            Shown::stopping(&fnf, &facts, at).await
        }
        None => Err(FnfError::ExecutionAlreadyCompleted { flow, execution }),
    }
}
