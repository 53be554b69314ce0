//! Durable executions as their owners see them: get, history, list, stop.

use crate::{
    durable_error::DurableError,
    lambda::Lambda,
    members::bad_marker,
    shapes::{arn_of, check_page},
};
use durastack_clock::Timestamp;
use durastack_driver::status_number;
use durastack_durable::{
    Definition, Durable, ErrorObject, HistoryView, PAYLOAD_BYTES_MAX, payloads_of, public_event,
};
use durastack_engine::{Command, Execution, Outcome, Payload, Stash, Status};
use durastack_names::{ExecutionArn, ExecutionId, ExecutionName, FunctionRef, Marker, Qualifier};
use durastack_store::{ListQuery, Row};
use durastack_wire::{BadShape, Call, Constraints, EpochSeconds, FromRequest, Json, Request};
use serde_json::{Value, json};
use std::{str::FromStr, sync::Arc};

/// The statuses that an execution can have.
const STATUSES: [Status; 5] =
    [Status::Running, Status::Succeeded, Status::Failed, Status::TimedOut, Status::Stopped];

/// Statuses that the API has and that no execution can have here yet.
const STATUSES_UNUSED: [&str; 3] = ["DELETING", "PAUSING", "PAUSED"];

/// The API's word for a status.
const fn status_word(status: Status) -> &'static str {
    match status {
        Status::Running => "RUNNING",
        Status::Succeeded => "SUCCEEDED",
        Status::Failed => "FAILED",
        Status::TimedOut => "TIMED_OUT",
        Status::Stopped => "STOPPED",
    }
}

/// One execution.
pub(crate) struct GetInput {
    arn: ExecutionArn,
    include_data: bool,
}

impl FromRequest for GetInput {
    fn from_request(request: &Request) -> Result<Self, BadShape> {
        let mut c = Constraints::default();
        let arn = c.take(arn_of(request));
        let include_data = c.take(request.query("IncludeExecutionData")).flatten().unwrap_or(true);
        c.finish()?;
        let arn = arn.expect("finish found nothing wrong");
        Ok(Self { arn, include_data })
    }
}

/// What is shown of an execution.
struct Shown {
    name: String,
    definition: Definition,
    started: Timestamp,
    deadline: Option<Timestamp>,
    input: Payload,
    end: Option<(Timestamp, Outcome)>,
}

pub(crate) async fn get(
    lambda: Arc<Lambda>,
    input: GetInput,
    call: Call,
) -> Result<Json<Value>, DurableError> {
    let id = lambda.execution_of(&call.caller, &input.arn).await?;
    let shown = lambda
        .driver
        .read(id, |execution: &mut Execution<Durable>| Shown {
            name: execution.life.name.clone(),
            definition: execution.work.definition.clone(),
            started: execution.life.started,
            deadline: execution.life.deadline(),
            input: execution.life.input.clone(),
            end: execution.life.end.clone(),
        })
        .await?;
    let definition = &shown.definition;
    let function = definition.function.qualified(Some(Qualifier::Version(definition.version)));
    let mut config = json!({
        "ExecutionTimeout": definition.execution_timeout_s,
        "RetentionPeriodInDays": definition.retention_days,
    });
    if let Some(key) = &definition.kms_key_arn {
        config["KMSKeyArn"] = json!(key);
    }
    let status = shown.end.as_ref().map_or(Status::Running, |(_, outcome)| outcome.status());
    let mut body = json!({
        "DurableExecutionArn": lambda.execution_arn(definition, &shown.name, id),
        "DurableExecutionName": shown.name,
        "FunctionArn": function.to_string(),
        "Version": definition.version.to_string(),
        "StartTimestamp": EpochSeconds(shown.started),
        "Status": status_word(status),
        "DurableConfig": config,
        "ExecutionDataIncluded": input.include_data,
    });
    if let Some(trace) = &definition.trace_header {
        body["TraceHeader"] = json!({ "XAmznTraceId": trace });
    }
    match &shown.end {
        Some((at, _)) => body["EndTimestamp"] = json!(EpochSeconds(*at)),
        None => {
            if let Some(deadline) = shown.deadline {
                body["ExpectedExecutionTimeoutTimestamp"] = json!(EpochSeconds(deadline));
            }
        }
    }
    if input.include_data {
        body["InputPayload"] = json!(lambda.driver.text(id, &shown.input).await?);
        if let Some((_, outcome)) = &shown.end
            && let Some(payload) = outcome.payload()
        {
            let text = lambda.driver.text(id, payload).await?;
            match outcome {
                Outcome::Succeeded(_) => body["Result"] = json!(text),
                Outcome::Failed(_) | Outcome::TimedOut(_) | Outcome::Stopped(_) => {
                    body["Error"] = json!(ErrorObject::parse(&text));
                }
            }
        }
    }
    Ok(Json(body))
}

/// A page of history.
pub(crate) struct HistoryInput {
    arn: ExecutionArn,
    include_data: bool,
    newest_first: bool,
    from: Option<u64>,
    count: usize,
}

impl FromRequest for HistoryInput {
    fn from_request(request: &Request) -> Result<Self, BadShape> {
        let mut c = Constraints::default();
        let arn = c.take(arn_of(request));
        let include_data = c.take(request.query("IncludeExecutionData")).flatten().unwrap_or(true);
        let newest_first = c.take(request.query("ReverseOrder")).flatten().unwrap_or(false);
        let page = check_page(&mut c, request);
        let from = page.marker.map(|marker| marker.position().parse::<u64>());
        let from = c.take(from.transpose().map_err(|_| bad_marker()));
        c.finish()?;
        let arn = arn.expect("finish found nothing wrong");
        let from = from.expect("finish found nothing wrong");
        Ok(Self { arn, include_data, newest_first, from, count: page.count })
    }
}

pub(crate) async fn history(
    lambda: Arc<Lambda>,
    input: HistoryInput,
    call: Call,
) -> Result<Json<Value>, DurableError> {
    let id = lambda.execution_of(&call.caller, &input.arn).await?;
    let records = lambda.driver.events(id, input.from, input.newest_first, input.count + 1).await?;
    let (page, rest) = records.split_at(records.len().min(input.count));
    let payloads: Vec<Payload> = if input.include_data {
        page.iter().flat_map(payloads_of).cloned().collect()
    } else {
        Vec::new()
    };
    let texts = lambda.driver.texts(id, &payloads).await?;
    let text = |payload: &Payload| texts.of(payload);
    let view = HistoryView {
        execution: id,
        include_data: input.include_data,
        key: &lambda.tokens,
        text: &text,
    };
    let events: Vec<Value> = page.iter().filter_map(|record| public_event(&view, record)).collect();
    let mut body = json!({ "Events": events });
    if let Some(next) = rest.first().and_then(|record| record.event_id) {
        body["NextMarker"] = json!(Marker::new(next).to_string());
    }
    Ok(Json(body))
}

/// A page of a function's executions.
pub(crate) struct ListInput {
    function: FunctionRef,
    qualifier: Option<Qualifier>,
    name: Option<ExecutionName>,
    statuses: Vec<String>,
    started_after: Option<Timestamp>,
    started_before: Option<Timestamp>,
    oldest_first: bool,
    after: Option<(i64, ExecutionId)>,
    count: usize,
}

impl FromRequest for ListInput {
    fn from_request(request: &Request) -> Result<Self, BadShape> {
        let mut c = Constraints::default();
        let function = c.take(request.label("FunctionName"));
        let qualifier = c.take(request.query("Qualifier")).flatten();
        let name = c.take(request.query("DurableExecutionName")).flatten();
        let statuses: Vec<String> = c.take(request.query_list("Statuses")).unwrap_or_default();
        let words: Vec<_> = STATUSES.into_iter().map(status_word).chain(STATUSES_UNUSED).collect();
        for status in &statuses {
            c.one_of("Statuses", Some(status), &words);
        }
        if !statuses.is_empty() {
            c.items("Statuses", Some(&statuses), 1..=10);
        }
        let started_after = c.take(request.query_time("StartedAfter")).flatten();
        let started_before = c.take(request.query_time("StartedBefore")).flatten();
        let oldest_first = c.take(request.query("ReverseOrder")).flatten().unwrap_or(false);
        let page = check_page(&mut c, request);
        let after = page.marker.as_ref().map(|marker| list_position(marker).ok_or_else(bad_marker));
        let after = c.take(after.transpose());
        c.finish()?;
        let function = function.expect("finish found nothing wrong");
        let after = after.expect("finish found nothing wrong");
        let count = page.count;
        Ok(Self {
            function,
            qualifier,
            name,
            statuses,
            started_after,
            started_before,
            oldest_first,
            after,
            count,
        })
    }
}

fn list_position(marker: &Marker) -> Option<(i64, ExecutionId)> {
    let (started, id) = marker.position().split_once(' ')?;
    Some((started.parse().ok()?, ExecutionId::from_str(id).ok()?))
}

pub(crate) async fn list(
    lambda: Arc<Lambda>,
    input: ListInput,
    call: Call,
) -> Result<Json<Value>, DurableError> {
    let found = lambda.find_listed(&call.caller, &input.function, input.qualifier.as_ref())?;
    let asked = |status: &Status| input.statuses.iter().any(|word| word == status_word(*status));
    let statuses: Vec<u8> = STATUSES.into_iter().filter(asked).map(status_number).collect();
    // Only statuses that no execution can have were asked for: nothing fits, while no status would mean any.
    if statuses.is_empty() && !input.statuses.is_empty() {
        return Ok(Json(json!({ "DurableExecutions": [] })));
    }
    let query = ListQuery {
        scope: found.scope,
        version: found.version.map(|version| version.to_string()),
        name: input.name.map(|name| name.to_string()),
        name_prefix: None,
        statuses,
        started_after: input.started_after.map(Timestamp::millis),
        started_before: input.started_before.map(Timestamp::millis),
        newest_first: !input.oldest_first,
        after: input.after.map(|(started, id)| (started, id.bytes())),
        limit: input.count + 1,
    };
    let mut rows = lambda.driver.store().list(query).await?;
    let more = rows.len() > input.count;
    rows.truncate(input.count);
    let next = rows.last().filter(|_| more).map(|row| {
        Marker::new(format!("{} {}", row.started, ExecutionId::from_bytes(row.execution)))
            .to_string()
    });
    let now = lambda.clock.now().millis();
    let alive = |row: &&Row| row.expires.is_none_or(|expires| expires > now);
    let shown: Result<Vec<Value>, _> =
        rows.iter().filter(alive).map(|row| listed(&found.function, row)).collect();
    let mut body = json!({ "DurableExecutions": shown? });
    if let Some(next) = next {
        body["NextMarker"] = json!(next);
    }
    Ok(Json(body))
}

fn listed(function: &durastack_names::FunctionArn, row: &Row) -> Result<Value, DurableError> {
    let damaged = |_| DurableError::invalid("a row of the index is damaged");
    let version = row.version.parse().map_err(damaged)?;
    let name = row.name.parse().map_err(damaged)?;
    let id = ExecutionId::from_bytes(row.execution);
    let arn = ExecutionArn::new(function, version, name, id);
    let status = STATUSES.into_iter().find(|status| status_number(*status) == row.status);
    let mut shown = json!({
        "DurableExecutionArn": arn.to_string(),
        "DurableExecutionName": row.name,
        "FunctionArn": arn.function_arn().to_string(),
        "Status": status.map_or("", status_word),
        "StartTimestamp": EpochSeconds(Timestamp::from_millis(row.started)),
    });
    if let Some(ended) = row.ended {
        shown["EndTimestamp"] = json!(EpochSeconds(Timestamp::from_millis(ended)));
    }
    Ok(shown)
}

/// The end of an execution by its owner's wish.
pub(crate) struct StopInput {
    arn: ExecutionArn,
    error: Option<ErrorObject>,
}

impl FromRequest for StopInput {
    fn from_request(request: &Request) -> Result<Self, BadShape> {
        let mut c = Constraints::default();
        let arn = c.take(arn_of(request));
        let error = if request.body.is_empty() { None } else { c.take(request.json()) };
        c.finish()?;
        let arn = arn.expect("finish found nothing wrong");
        Ok(Self { arn, error })
    }
}

pub(crate) async fn stop(
    lambda: Arc<Lambda>,
    input: StopInput,
    call: Call,
) -> Result<Json<Value>, DurableError> {
    let id = lambda.execution_of(&call.caller, &input.arn).await?;
    let mut stash = Stash::default();
    // `{}` is what some SDKs send for no error at all: the default stands in for it too.
    let error = input.error.filter(|error| *error != ErrorObject::default());
    let error = error.map(|error| error.stash(&mut stash));
    if error.as_ref().is_some_and(|error| error.length() > PAYLOAD_BYTES_MAX) {
        return Err(DurableError::invalid(format!(
            "Error object size must be less than {PAYLOAD_BYTES_MAX} bytes."
        )));
    }
    lambda.driver.command(id, Command::Stop(error), stash).await?;
    let ended =
        lambda.driver.read(id, |execution| execution.life.end.as_ref().map(|(at, _)| *at)).await?;
    Ok(Json(json!({ "StopTimestamp": EpochSeconds(ended.unwrap_or_else(|| lambda.clock.now())) })))
}
