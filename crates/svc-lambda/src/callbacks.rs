//! Answers to callbacks, from outside.

use crate::{durable_error::DurableError, lambda::Lambda, shapes::is_base64};
use bytes::Bytes;
use durastack_driver::{Ask, DriveError};
use durastack_durable::{Answer, Command, Durable, ErrorObject, PAYLOAD_BYTES_MAX, Rejection};
use durastack_engine::{Command as Asked, Execution, Stash, TokenKind};
use durastack_wire::{BadShape, Call, Constraints, Empty, FromRequest, Request};
use std::sync::Arc;

/// How much of a body is read: what is longer than a callback's result may be is refused with the service's text.
pub(crate) const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;

fn callback_id(request: &Request) -> Result<String, BadShape> {
    let id: String = request.label("CallbackId")?;
    let mut c = Constraints::default();
    c.length("CallbackId", Some(&id), 1..=1024);
    c.pattern("CallbackId", Some(&id), "[A-Za-z0-9+/]+={0,2}", is_base64);
    c.finish()?;
    Ok(id)
}

/// The callback has an answer.
pub(crate) struct SucceedInput {
    id: String,
    result: Bytes,
}

impl FromRequest for SucceedInput {
    fn from_request(request: &Request) -> Result<Self, BadShape> {
        Ok(Self { id: callback_id(request)?, result: request.body.clone() })
    }
}

/// The callback has failed.
pub(crate) struct FailInput {
    id: String,
    error: Option<ErrorObject>,
}

impl FromRequest for FailInput {
    fn from_request(request: &Request) -> Result<Self, BadShape> {
        let id = callback_id(request)?;
        Ok(Self { id, error: Some(request.json_or_empty()?) })
    }
}

/// Whoever answers the callback is still at it.
pub(crate) struct HeartbeatInput {
    id: String,
}

impl FromRequest for HeartbeatInput {
    fn from_request(request: &Request) -> Result<Self, BadShape> {
        Ok(Self { id: callback_id(request)? })
    }
}

pub(crate) async fn succeed(
    lambda: Arc<Lambda>,
    input: SucceedInput,
    call: Call,
) -> Result<Empty, DurableError> {
    if input.result.len() as u64 > PAYLOAD_BYTES_MAX {
        let text = format!(
            "Callback result size must be less than or equal to {PAYLOAD_BYTES_MAX} bytes."
        );
        return Err(DurableError::invalid(text));
    }
    let text = String::from_utf8(input.result.to_vec())
        .map_err(|_| DurableError::invalid("The callback result could not be decoded as UTF-8."))?;
    let mut stash = Stash::default();
    let result = (!text.is_empty()).then(|| stash.put(text));
    answer(&lambda, &call, &input.id, Answer::Success(result), stash).await
}

pub(crate) async fn fail(
    lambda: Arc<Lambda>,
    input: FailInput,
    call: Call,
) -> Result<Empty, DurableError> {
    let mut stash = Stash::default();
    let error = input.error.map(|error| error.stash(&mut stash));
    if error.as_ref().is_some_and(|error| error.length() > PAYLOAD_BYTES_MAX) {
        return Err(DurableError::invalid(format!(
            "Error object size must be less than {PAYLOAD_BYTES_MAX} bytes."
        )));
    }
    answer(&lambda, &call, &input.id, Answer::Failure(error), stash).await
}

pub(crate) async fn heartbeat(
    lambda: Arc<Lambda>,
    input: HeartbeatInput,
    call: Call,
) -> Result<Empty, DurableError> {
    answer(&lambda, &call, &input.id, Answer::Heartbeat, Stash::default()).await
}

async fn answer(
    lambda: &Lambda,
    call: &Call,
    id: &str,
    answer: Answer,
    stash: Stash,
) -> Result<Empty, DurableError> {
    let token = lambda
        .tokens
        .open(TokenKind::Callback, id)
        .map_err(|_| DurableError::invalid(format!("Invalid callback id: {id}")))?;
    let (account, region) = (call.caller.account.clone(), call.caller.region.clone());
    let ask = move |execution: &mut Execution<Durable>| {
        let function = &execution.work.definition.function;
        if function.account != account || function.region != region {
            return Ask::Answer(Err(Rejection::CallbackUnknown));
        }
        Ask::Decide(Asked::Work(Command::Callback { number: token.number, answer }))
    };
    match lambda.driver.act(token.execution, stash, ask, |_, _| Ok(())).await {
        Ok(known) => known.map(|()| Empty).map_err(DurableError::from),
        Err(DriveError::Unknown) => Err(Rejection::CallbackUnknown.into()),
        Err(error) => Err(error.into()),
    }
}
