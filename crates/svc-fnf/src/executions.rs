//! Executions: start, describe, list.

use crate::{
    error::FnfError,
    fnf::Fnf,
    parameters::{self, limit, name, not_built, number, object, one_of, optional_name},
};
use durastack_clock::Timestamp;
use durastack_driver::{DriveError, NameClaim, Started, status_number};
use durastack_engine::{Execution, Outcome, Parent, Payload, Start, Stash, Status};
use durastack_flow::{Definition, Flow as Language, TaskToken};
use durastack_names::ExecutionId;
use durastack_store::{ListQuery, Row};
use durastack_wire::{
    Call, Caller,
    rpc::{BadParameter, FromParameters, Parameters},
};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// The statuses, with the API's words for them.
const STATUSES: [(Status, &str); 5] = [
    (Status::Running, "Running"),
    (Status::Stopped, "Stopped"),
    (Status::Succeeded, "Succeeded"),
    (Status::Failed, "Failed"),
    (Status::TimedOut, "TimedOut"),
];

/// A status that the API has and that no execution has here: it runs as soon as it is on record.
const STARTING: &str = "Starting";

/// The longest wait of a long poll, in seconds. Source: API reference, DescribeExecution.
const WAIT_SECONDS_MAX: usize = 60;

/// The API's word for a status.
fn word(status: Status) -> &'static str {
    STATUSES.iter().find(|(each, _)| *each == status).map_or("", |(_, word)| word)
}

/// An execution as the API shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Shown {
    flow_name: String,
    name: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    started_time: String,
    stopped_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    flow_definition: Option<String>,
}

/// What is shown of an execution, taken from it before its long texts are read.
pub(crate) struct Facts {
    pub(crate) id: ExecutionId,
    pub(crate) name: String,
    pub(crate) definition: Definition,
    pub(crate) input: Payload,
    pub(crate) started: Timestamp,
    pub(crate) end: Option<(Timestamp, Outcome)>,
}

impl Facts {
    pub(crate) fn of(execution: &Execution<Language>) -> Self {
        Self {
            id: execution.life.id,
            name: execution.life.name.clone(),
            definition: execution.work.definition.clone(),
            input: execution.life.input.clone(),
            started: execution.life.started,
            end: execution.life.end.clone(),
        }
    }
}

impl Shown {
    /// The execution as it is.
    pub(crate) async fn of(fnf: &Fnf, facts: &Facts) -> Result<Self, FnfError> {
        let failed = |error| FnfError::of_driver(error, facts.definition.flow(), &facts.name);
        let output = match &facts.end {
            Some((_, Outcome::Succeeded(Some(output)))) => {
                fnf.revealed(facts.id, output).await.map_err(failed)?
            }
            Some((_, Outcome::Succeeded(None))) => "{}".to_owned(),
            // The error of an execution stands in its history alone.
            Some((_, Outcome::Failed(_) | Outcome::TimedOut(_) | Outcome::Stopped(_))) | None => {
                String::new()
            }
        };
        let status = facts.end.as_ref().map_or(Status::Running, |(_, outcome)| outcome.status());
        Ok(Self {
            status: word(status),
            output: Some(output),
            stopped_time: stopped_time(facts.end.as_ref().map(|(at, _)| *at)),
            ..Self::begun(fnf, facts).await?
        })
    }

    /// The execution as the service shows it right after its start, and whatever has become of it since: without status,
    /// output and end. Source: a published answer.
    async fn begun(fnf: &Fnf, facts: &Facts) -> Result<Self, FnfError> {
        let failed = |error| FnfError::of_driver(error, facts.definition.flow(), &facts.name);
        Ok(Self {
            flow_name: facts.definition.flow().to_owned(),
            name: facts.name.clone(),
            status: "",
            input: Some(fnf.driver.text(facts.id, &facts.input).await.map_err(failed)?),
            output: Some(String::new()),
            started_time: facts.started.iso(),
            stopped_time: String::new(),
            flow_definition: Some(facts.definition.text().to_owned()),
        })
    }

    /// The execution as the service shows it right after a stop: with the end's time, but still running.
    /// Source: a published answer.
    pub(crate) async fn stopping(
        fnf: &Fnf,
        facts: &Facts,
        stopped: Timestamp,
    ) -> Result<Self, FnfError> {
        Ok(Self {
            status: word(Status::Running),
            stopped_time: stopped.iso(),
            ..Self::begun(fnf, facts).await?
        })
    }

    /// What the list index alone knows.
    fn of_row(flow: &str, row: &Row) -> Self {
        let status = STATUSES.iter().find(|(status, _)| status_number(*status) == row.status);
        Self {
            flow_name: flow.to_owned(),
            name: row.name.clone(),
            status: status.map_or("", |(_, word)| word),
            input: None,
            output: None,
            started_time: Timestamp::from_millis(row.started).iso(),
            stopped_time: stopped_time(row.ended.map(Timestamp::from_millis)),
            flow_definition: None,
        }
    }
}

fn stopped_time(ended: Option<Timestamp>) -> String {
    ended.map(Timestamp::iso).unwrap_or_default()
}

/// A start.
pub(crate) struct StartInput {
    flow: String,
    execution: Option<String>,
    input: String,
    callback_token: Option<String>,
}

impl FromParameters for StartInput {
    fn from_parameters(parameters: &Parameters) -> Result<Self, BadParameter> {
        let flow = name(parameters, "FlowName")?;
        let execution = optional_name(parameters, "ExecutionName")?;
        let input = parameters.text("Input").unwrap_or("{}");
        object("Input", input)?;
        not_built(parameters, "Qualifier")?;
        let callback_token = parameters.text("CallbackFnFTaskToken").map(str::to_owned);
        Ok(Self { flow, execution, input: input.to_owned(), callback_token })
    }
}

pub(crate) async fn start(fnf: Arc<Fnf>, input: StartInput, call: Call) -> Result<Shown, FnfError> {
    let parent = match &input.callback_token {
        Some(token) => Some(waiting(&fnf, &call.caller, token).await?),
        None => None,
    };
    let birth = fnf.births.read().await;
    let flow = fnf.catalog.get(&call.caller, &input.flow)?;
    let name = input.execution.unwrap_or_else(|| fnf.uuid());
    let claim = NameClaim { input_sha256: Sha256::digest(input.input.as_bytes()).into() };
    let mut stash = Stash::default();
    let start = Start {
        id: fnf.driver.new_id(),
        name: name.clone(),
        scope: flow.id.clone(),
        version: String::new(),
        timeout: Some(flow.definition.timeout()),
        retention: None,
        parent,
        input: stash.put(input.input),
        definition: flow.definition.clone(),
    };
    let failed = |error| FnfError::of_driver(error, flow.name(), &name);
    let started = fnf.driver.start(start, stash, Some(claim)).await;
    drop(birth);
    let (id, is_new) = match started {
        Ok(Started::New(id)) => (id, true),
        // The name of an execution that still runs means that execution, whatever its input.
        Ok(Started::Existing(id)) | Err(DriveError::NameTaken(id)) => (id, false),
        Err(error) => return Err(failed(error)),
    };
    let facts = fnf.driver.read(id, |execution| Facts::of(execution)).await.map_err(failed)?;
    if is_new {
        Shown::begun(&fnf, &facts).await
    } else if facts.end.is_none() {
        Shown::of(&fnf, &facts).await
    } else {
        Err(failed(DriveError::NameTaken(id)))
    }
}

/// The task that is told of the end of the execution. Whether it still waits shows when it is told.
async fn waiting(fnf: &Fnf, caller: &Caller, token: &str) -> Result<Parent, FnfError> {
    let (execution, task) = TaskToken::open(&fnf.tokens, token).map_err(|bad| {
        BadParameter::invalid("CallbackFnFTaskToken", token, format!("it is {bad}"))
    })?;
    fnf.flow_of(caller, execution).await?;
    Ok(task.parent(execution))
}

/// One execution, at once or at its end.
pub(crate) struct DescribeInput {
    flow: String,
    execution: String,
    wait: Duration,
}

impl FromParameters for DescribeInput {
    fn from_parameters(parameters: &Parameters) -> Result<Self, BadParameter> {
        let (flow, execution) = parameters::execution(parameters)?;
        let seconds = number(parameters, "WaitTimeSeconds", 0..=WAIT_SECONDS_MAX)?.unwrap_or(0);
        let wait = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        Ok(Self { flow, execution, wait })
    }
}

pub(crate) async fn describe(
    fnf: Arc<Fnf>,
    input: DescribeInput,
    call: Call,
) -> Result<Shown, FnfError> {
    let DescribeInput { flow, execution, wait } = input;
    let id = fnf.execution(&call.caller, &flow, &execution).await?;
    let failed = |error| FnfError::of_driver(error, &flow, &execution);
    if !wait.is_zero() {
        let gone = call.extensions.get::<CancellationToken>().cloned().unwrap_or_default();
        tokio::select! {
            biased;
            ended = fnf.driver.ended(id) => { ended.map_err(failed)?; }
            () = gone.cancelled() => return Err(FnfError::Gone),
            // Wall time: it is a client's patience, which no turn of the clock shortens.
            () = tokio::time::sleep(wait) => {}
        }
    }
    let facts = fnf.driver.read(id, |execution| Facts::of(execution)).await.map_err(failed)?;
    Shown::of(&fnf, &facts).await
}

/// A page of a flow's executions.
pub(crate) struct ListInput {
    flow: String,
    from: Option<String>,
    limit: usize,
    status: Option<&'static str>,
    begin: Option<Timestamp>,
    end: Option<Timestamp>,
    prefix: Option<String>,
    metadata_only: bool,
}

impl FromParameters for ListInput {
    fn from_parameters(parameters: &Parameters) -> Result<Self, BadParameter> {
        let flow = name(parameters, "FlowName")?;
        let words: Vec<_> = STATUSES.iter().map(|(_, word)| *word).chain([STARTING]).collect();
        let status = parameters.text("Status").map(|status| one_of("Status", status, &words));
        not_built(parameters, "Qualifier")?;
        not_built(parameters, "MapRunName")?;
        Ok(Self {
            flow,
            from: parameters.text("NextToken").map(str::to_owned),
            // The page says less than 100; an older one 100.
            limit: limit(parameters, 1..=100)?,
            status: status.transpose()?,
            begin: parameters::instant(parameters, "StartedTimeBegin")?,
            end: parameters::instant(parameters, "StartedTimeEnd")?,
            prefix: parameters.text("ExecutionNamePrefix").map(str::to_owned),
            metadata_only: parameters.boolean("MetadataOnly")?.unwrap_or(false),
        })
    }
}

/// A page of executions, newest first.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Page {
    executions: Vec<Shown>,
    /// The name of the next execution.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

pub(crate) async fn list(fnf: Arc<Fnf>, input: ListInput, call: Call) -> Result<Page, FnfError> {
    let flow = fnf.catalog.get(&call.caller, &input.flow)?;
    let wanted = |(_, word): &&(Status, &str)| input.status.is_none_or(|asked| asked == *word);
    let statuses: Vec<Status> = STATUSES.iter().filter(wanted).map(|(status, _)| *status).collect();
    // Nothing has the status that was asked for, while no status at all would mean any.
    if statuses.is_empty() {
        return Ok(Page { executions: Vec::new(), next_token: None });
    }
    let statuses = match input.status {
        Some(_) => statuses.into_iter().map(status_number).collect(),
        None => Vec::new(),
    };
    let after = match &input.from {
        Some(from) => Some(in_front_of(&fnf, &flow.id, from).await?),
        None => None,
    };
    let query = ListQuery {
        scope: flow.id.clone(),
        statuses,
        name_prefix: input.prefix,
        // The index excludes its bounds, the API includes them.
        started_after: input.begin.map(|begin| begin.millis().saturating_sub(1)),
        started_before: input.end.map(|end| end.millis().saturating_add(1)),
        newest_first: true,
        after,
        limit: input.limit + 1,
        ..ListQuery::default()
    };
    let mut rows = fnf.driver.store().list(query).await?;
    let next_token = rows.get(input.limit).map(|row| row.name.clone());
    rows.truncate(input.limit);
    let mut executions = Vec::with_capacity(rows.len());
    for row in &rows {
        if input.metadata_only {
            executions.push(Shown::of_row(flow.name(), row));
            continue;
        }
        let id = ExecutionId::from_bytes(row.execution);
        match fnf.driver.read(id, |execution| Facts::of(execution)).await {
            Ok(facts) => executions.push(Shown::of(&fnf, &facts).await?),
            // The flow has just been deleted.
            Err(DriveError::Unknown) => {}
            Err(error) => return Err(FnfError::of_driver(error, flow.name(), &row.name)),
        }
    }
    Ok(Page { executions, next_token })
}

/// The place in the list right in front of an execution: a token names the first execution of its page.
async fn in_front_of(fnf: &Fnf, flow: &str, name: &str) -> Result<(i64, [u8; 16]), FnfError> {
    let store = fnf.driver.store();
    let row = match store.claimed(flow, name).await? {
        Some(claim) => store.row(claim.execution).await?,
        None => None,
    };
    let Some(row) = row else {
        let problem = "it names no execution of the flow";
        return Err(BadParameter::invalid("NextToken", name, problem).into());
    };
    // Newest first, so what is in front has the larger id.
    Ok(match u128::from_be_bytes(row.execution).checked_add(1) {
        Some(id) => (row.started, id.to_be_bytes()),
        None => (row.started.saturating_add(1), [0; 16]),
    })
}
