//! What the running handler calls: `CheckpointDurableExecution` and `GetDurableExecutionState`.

use crate::{
    durable_error::DurableError,
    lambda::Lambda,
    shapes::{arn_of, check_page, is_base64, is_operation_word},
};
use durastack_driver::Ask;
use durastack_durable::{
    Action, CallbackOptions, ChainedOptions, Checkpoint, Command, Durable, ErrorObject,
    OperationKind, Rejection, Reply, StateEntry, TimeForm, Update, visible_page,
};
use durastack_engine::{
    Command as Asked, Event, Execution, LifeEvent, Record, Stash, Token, TokenKind,
};
use durastack_names::{BadMarker, ExecutionArn, Marker};
use durastack_wire::{BadShape, Call, Constraints, FromRequest, Json, Request};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc};

/// A checkpoint as it arrives.
pub(crate) struct CheckpointInput {
    arn: ExecutionArn,
    token: String,
    client_token: Option<String>,
    updates: Vec<WireUpdate>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Body {
    checkpoint_token: Option<String>,
    client_token: Option<String>,
    updates: Option<Vec<WireUpdate>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireUpdate {
    id: Option<String>,
    parent_id: Option<String>,
    name: Option<String>,
    r#type: Option<String>,
    sub_type: Option<String>,
    action: Option<String>,
    payload: Option<String>,
    error: Option<ErrorObject>,
    context_options: Option<WireContextOptions>,
    step_options: Option<WireStepOptions>,
    wait_options: Option<WireWaitOptions>,
    callback_options: Option<WireCallbackOptions>,
    chained_invoke_options: Option<WireChainedInvokeOptions>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireContextOptions {
    replay_children: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireStepOptions {
    next_attempt_delay_seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireWaitOptions {
    wait_seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireCallbackOptions {
    timeout_seconds: Option<u64>,
    heartbeat_timeout_seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireChainedInvokeOptions {
    function_name: Option<String>,
    tenant_id: Option<String>,
    x_amzn_trace_id: Option<String>,
}

/// The longest wait or retry delay in seconds: 366 days. Source: API model.
const DELAY_S_MAX: u64 = 31_622_400;
/// The longest callback limit in seconds. Source: API model.
const CALLBACK_S_MAX: u64 = 99_999_999;
/// The longest text that the model allows for a payload, in characters.
const PAYLOAD_CHARS_MAX: usize = 6_291_456;

/// The longest body: the largest payload with each of its bytes escaped, and as much again as a batch of an SDK.
pub(crate) const BODY_BYTES_MAX: usize = 6 * PAYLOAD_CHARS_MAX + 1024 * 1024;

const TOKEN_PATTERN: &str = "[A-Za-z0-9+/]+={0,2}";

impl FromRequest for CheckpointInput {
    fn from_request(request: &Request) -> Result<Self, BadShape> {
        let mut c = Constraints::default();
        let arn = c.take(arn_of(request));
        let Some(body) = c.take(request.json::<Body>()) else { return Err(unfinished(c)) };
        check_token(&mut c, body.checkpoint_token.as_deref());
        c.length("ClientToken", body.client_token.as_deref(), 1..=64);
        c.pattern("ClientToken", body.client_token.as_deref(), "[\\x21-\\x7E]+", |text| {
            text.bytes().all(|b| (0x21..=0x7e).contains(&b))
        });
        let updates = body.updates.unwrap_or_default();
        for (index, update) in updates.iter().enumerate() {
            update.check(&mut c, index + 1);
        }
        c.finish()?;
        let arn = arn.expect("finish found nothing wrong");
        let token = body.checkpoint_token.expect("finish found nothing wrong");
        Ok(Self { arn, token, client_token: body.client_token, updates })
    }
}

fn check_token(c: &mut Constraints, token: Option<&str>) {
    c.required("CheckpointToken", token);
    c.length("CheckpointToken", token, 1..=2048);
    c.pattern("CheckpointToken", token, TOKEN_PATTERN, is_base64);
}

/// The constraints are broken for certain; says which.
pub(crate) fn unfinished(c: Constraints) -> BadShape {
    c.finish().expect_err("a member could not be read")
}

impl WireUpdate {
    fn check(&self, c: &mut Constraints, place: usize) {
        let at = |member: &str| format!("Updates.{place}.member.{member}");
        c.required(&at("Id"), self.id.as_ref());
        c.length(&at("Id"), self.id.as_deref(), 1..=64);
        c.pattern(&at("Id"), self.id.as_deref(), "[a-zA-Z0-9-_]+", is_operation_word);
        c.length(&at("ParentId"), self.parent_id.as_deref(), 1..=64);
        c.pattern(&at("ParentId"), self.parent_id.as_deref(), "[a-zA-Z0-9-_]+", is_operation_word);
        c.length(&at("Name"), self.name.as_deref(), 1..=256);
        c.pattern(&at("Name"), self.name.as_deref(), "[\\x20-\\x7E]+", |text| {
            text.bytes().all(|b| (0x20..=0x7e).contains(&b))
        });
        c.length(&at("SubType"), self.sub_type.as_deref(), 1..=32);
        c.pattern(&at("SubType"), self.sub_type.as_deref(), "[a-zA-Z0-9-_]+", is_operation_word);
        c.required(&at("Type"), self.r#type.as_ref());
        c.one_of(&at("Type"), self.r#type.as_deref(), &OperationKind::ALL.map(OperationKind::word));
        c.required(&at("Action"), self.action.as_ref());
        c.one_of(&at("Action"), self.action.as_deref(), &Action::ALL.map(Action::word));
        if self.payload.as_ref().is_some_and(|payload| payload.chars().count() > PAYLOAD_CHARS_MAX)
        {
            let text = format!("Member must have length less than or equal to {PAYLOAD_CHARS_MAX}");
            c.broken_sensitive(&at("Payload"), text);
        }
        let delay = self.step_options.as_ref().and_then(|o| o.next_attempt_delay_seconds);
        c.range(&at("StepOptions.NextAttemptDelaySeconds"), delay, 1..=DELAY_S_MAX);
        c.range(
            &at("WaitOptions.WaitSeconds"),
            self.wait_options.as_ref().and_then(|o| o.wait_seconds),
            1..=DELAY_S_MAX,
        );
        if let Some(options) = &self.callback_options {
            c.range(
                &at("CallbackOptions.TimeoutSeconds"),
                options.timeout_seconds,
                0..=CALLBACK_S_MAX,
            );
            let heartbeat = options.heartbeat_timeout_seconds;
            c.range(&at("CallbackOptions.HeartbeatTimeoutSeconds"), heartbeat, 0..=CALLBACK_S_MAX);
        }
        if let Some(options) = &self.chained_invoke_options {
            let name = options.function_name.as_deref();
            c.required(&at("ChainedInvokeOptions.FunctionName"), name);
            c.length(&at("ChainedInvokeOptions.FunctionName"), name, 1..=256);
            c.length(
                &at("ChainedInvokeOptions.XAmznTraceId"),
                options.x_amzn_trace_id.as_deref(),
                0..=8192,
            );
        }
    }

    /// The update for the engine, with its chained target looked up.
    fn resolve(
        self,
        lambda: &Lambda,
        call: &Call,
        stash: &mut Stash,
    ) -> Result<Update, DurableError> {
        let chained = match self.chained_invoke_options {
            Some(options) => Some(ChainedOptions {
                target: lambda.chained_target(
                    &call.caller,
                    options.function_name.as_deref().unwrap_or_default(),
                )?,
                function_name: options.function_name.unwrap_or_default(),
                tenant_id: check_tenant(options.tenant_id)?,
                trace_header: options.x_amzn_trace_id,
            }),
            None => None,
        };
        let kind =
            OperationKind::ALL.into_iter().find(|kind| Some(kind.word()) == self.r#type.as_deref());
        let action =
            Action::ALL.into_iter().find(|action| Some(action.word()) == self.action.as_deref());
        let callback = self.callback_options.as_ref();
        Ok(Update {
            id: self.id.unwrap_or_default(),
            kind: kind.ok_or_else(|| DurableError::invalid("Unknown operation type."))?,
            action: action.ok_or_else(|| {
                DurableError::invalid("Invalid action for the given operation type.")
            })?,
            parent: self.parent_id,
            name: self.name,
            sub_type: self.sub_type,
            payload: self.payload.map(|text| stash.put(text)),
            error: self.error.map(|error| error.stash(stash)),
            replay_children: self.context_options.and_then(|o| o.replay_children).unwrap_or(false),
            next_attempt_delay_s: self.step_options.and_then(|o| o.next_attempt_delay_seconds),
            wait_s: self.wait_options.and_then(|o| o.wait_seconds),
            callback: CallbackOptions {
                timeout_s: callback.and_then(|o| o.timeout_seconds).unwrap_or(0),
                heartbeat_s: callback.and_then(|o| o.heartbeat_timeout_seconds).unwrap_or(0),
            },
            chained,
        })
    }
}

fn check_tenant(tenant_id: Option<String>) -> Result<Option<String>, DurableError> {
    let fits = |text: &String| {
        (1..=256).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:/=+-@ ".contains(&b))
    };
    match tenant_id {
        Some(text) if !fits(&text) => Err(DurableError::invalid(
            "TenantId must be 1 to 256 characters matching [a-zA-Z0-9._:/=+-@ ].",
        )),
        other => Ok(other),
    }
}

pub(crate) async fn checkpoint(
    lambda: Arc<Lambda>,
    input: CheckpointInput,
    call: Call,
) -> Result<Json<Value>, DurableError> {
    let id = lambda.execution_of(&call.caller, &input.arn).await?;
    let opened = lambda.tokens.open(TokenKind::Checkpoint, &input.token);
    let Some(token) = opened.ok().filter(|token| token.execution == id) else {
        lambda.driver.read(id, |_| ()).await?;
        return Err(Rejection::InvalidToken.into());
    };
    let mut stash = Stash::default();
    let mut updates = Vec::with_capacity(input.updates.len());
    for update in input.updates {
        updates.push(update.resolve(&lambda, &call, &mut stash)?);
    }
    let (client_token, ahead) = (input.client_token, lambda.clock.offset());
    let repeated = {
        let client_token = client_token.clone();
        move |execution: &mut Execution<Durable>| match repeated_reply(
            execution,
            client_token.as_deref(),
            &token,
        ) {
            Some(reply) => Ask::Answer(reply),
            None => Ask::Decide(Asked::Work(Command::Checkpoint(Checkpoint {
                invocation: token.number,
                counter: token.counter,
                updates,
            }))),
        }
    };
    let tell = move |execution: &mut Execution<Durable>, records: &[Record<Durable>]| {
        let (positions, next) = tell_delta(execution, records);
        let entries =
            positions.iter().map(|position| StateEntry::at(execution, *position)).collect();
        let client_token = client_token.unwrap_or_default();
        let reply = Reply { client_token, counter: token.counter, entries, next, ahead };
        // A reply that withholds the token is not kept: a repeat of its request meets a spent token.
        if let (Some(live), false, true) =
            (&mut execution.work.live, reply.client_token.is_empty(), next.is_some())
        {
            live.reply = Some(reply.clone());
        }
        reply
    };
    let reply = lambda.driver.act(id, stash, repeated, tell).await?;
    let operations = lambda.render(id, &reply.entries, TimeForm::EpochSeconds, reply.ahead).await?;
    let mut body = json!({ "NewExecutionState": { "Operations": operations } });
    if let Some(counter) = reply.next {
        body["CheckpointToken"] = json!(lambda.checkpoint_token(id, token.number, counter));
    }
    Ok(Json(body))
}

/// The reply to the same request, if this is a repeat of the last one that was accepted.
fn repeated_reply(
    execution: &Execution<Durable>,
    client_token: Option<&str>,
    token: &Token,
) -> Option<Reply> {
    let live = execution.work.live.as_ref().filter(|live| live.number == token.number)?;
    let reply = live.reply.as_ref()?;
    (client_token == Some(&*reply.client_token) && reply.counter == token.counter)
        .then(|| reply.clone())
}

/// What the request touched, and what else the handler has not seen, as positions; and the next token's counter.
fn tell_delta(
    execution: &mut Execution<Durable>,
    records: &[Record<Durable>],
) -> (BTreeSet<u64>, Option<u64>) {
    let ends =
        |record: &Record<Durable>| matches!(record.event, Event::Life(LifeEvent::Ended { .. }));
    let (mut positions, next) = execution.work.tell_checkpoint(records.iter().any(ends));
    positions.extend(records.iter().filter_map(|record| match &record.event {
        Event::Work(event) => event.operation(),
        Event::Life(_) => None,
    }));
    (positions, next)
}

/// A page of the state, asked for by the running handler.
pub(crate) struct StateInput {
    arn: ExecutionArn,
    token: String,
    marker: Option<Marker>,
    count_max: usize,
}

impl FromRequest for StateInput {
    fn from_request(request: &Request) -> Result<Self, BadShape> {
        let mut c = Constraints::default();
        let arn = c.take(arn_of(request));
        let token = c.take(request.query::<String>("CheckpointToken")).flatten();
        check_token(&mut c, token.as_deref());
        let page = check_page(&mut c, request);
        c.finish()?;
        let arn = arn.expect("finish found nothing wrong");
        let token = token.expect("finish found nothing wrong");
        Ok(Self { arn, token, marker: page.marker, count_max: page.count })
    }
}

pub(crate) async fn state(
    lambda: Arc<Lambda>,
    input: StateInput,
    call: Call,
) -> Result<Json<Value>, DurableError> {
    let id = lambda.execution_of(&call.caller, &input.arn).await?;
    let token = lambda
        .tokens
        .open(TokenKind::Checkpoint, &input.token)
        .ok()
        .filter(|token| token.execution == id);
    let from = match &input.marker {
        Some(marker) => marker.position().parse().map_err(|_| BadMarker)?,
        None => 0,
    };
    let count_max = input.count_max;
    let page = lambda
        .driver
        .read(id, move |execution| {
            let live = execution.work.live.as_ref().filter(|_| execution.life.is_open());
            let valid = |token: &Token| {
                live.is_some_and(|l| l.number == token.number && l.counter == token.counter)
            };
            if !token.as_ref().is_some_and(valid) {
                return Err(Rejection::InvalidToken);
            }
            let page = visible_page(execution, from, count_max, false);
            let entries: Vec<_> = page
                .positions
                .iter()
                .map(|position| StateEntry::at(execution, *position))
                .collect();
            Ok((entries, page.next))
        })
        .await?;
    let (entries, next) = page?;
    let operations =
        lambda.render(id, &entries, TimeForm::EpochSeconds, lambda.clock.offset()).await?;
    let mut body = json!({ "Operations": operations });
    if let Some(next) = next {
        body["NextMarker"] = json!(Marker::new(next).to_string());
    }
    Ok(Json(body))
}
