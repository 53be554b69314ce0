//! Invoke: plain functions are run, durable ones get an execution.

use crate::{
    catalog::{CatalogError, Resolved},
    durable_error::DurableError,
    function::State,
    lambda::{Lambda, UNQUALIFIED, agreed_qualifier},
    packages::PackageError,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use durastack_driver::{DriveError, NameClaim};
use durastack_durable::{Definition, Durable, ErrorObject};
use durastack_engine::{Outcome, Payload, Start, Stash};
use durastack_names::{ExecutionName, FunctionRef, Qualifier, Version};
use durastack_runner::{Finished, Invocation, Outcome as Ran};
use durastack_wire::{BadShape, Call, Constraints, FromRequest, IntoWire, Request, WireError};
use http::{HeaderName, HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use sha2::{Digest, Sha256};
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// The longest payload of a synchronous invoke, in bytes. Source: Lambda developer guide, "Lambda quotas".
pub(crate) const SYNCHRONOUS_BYTES_MAX: usize = 6_291_456;
/// The longest payload of an asynchronous invoke, in bytes. Source: the same page.
const ASYNCHRONOUS_BYTES_MAX: usize = 1_048_576;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InvocationType {
    RequestResponse,
    Event,
    DryRun,
}

const INVOCATION_TYPES: [(InvocationType, &str); 3] = [
    (InvocationType::Event, "Event"),
    (InvocationType::RequestResponse, "RequestResponse"),
    (InvocationType::DryRun, "DryRun"),
];

/// An invoke as it arrives.
pub(crate) struct InvokeInput {
    function: FunctionRef,
    qualifier: Option<Qualifier>,
    kind: InvocationType,
    tail: bool,
    client_context: Option<String>,
    tenant_id: Option<String>,
    execution_name: Option<ExecutionName>,
    trace_header: Option<String>,
    payload: Bytes,
}

impl FromRequest for InvokeInput {
    fn from_request(request: &Request) -> Result<Self, BadShape> {
        let mut c = Constraints::default();
        let function = c.take(request.label("FunctionName"));
        let qualifier = c.take(request.query("Qualifier")).flatten();
        let kind =
            c.take(request.header("x-amz-invocation-type")).flatten().unwrap_or("RequestResponse");
        c.one_of("InvocationType", Some(kind), &INVOCATION_TYPES.map(|(_, word)| word));
        let log_type = c.take(request.header("x-amz-log-type")).flatten();
        c.one_of("LogType", log_type, &["None", "Tail"]);
        let client_context = c.take(request.header("x-amz-client-context")).flatten();
        let execution_name = c
            .take(request.header_as("x-amz-durable-execution-name", "DurableExecutionName"))
            .flatten();
        let tenant_id = c.take(request.header("x-amz-tenant-id")).flatten().map(str::to_owned);
        c.length("TenantId", tenant_id.as_deref(), 1..=256);
        let client_context = match client_context.map(|text| STANDARD.decode(text)) {
            None => None,
            Some(Ok(bytes)) => String::from_utf8(bytes).ok(),
            Some(Err(_)) => {
                c.broken(
                    "ClientContext",
                    client_context.unwrap_or_default(),
                    "Member must be base64-encoded JSON",
                );
                None
            }
        };
        c.finish()?;
        let kind = INVOCATION_TYPES.iter().find(|(_, word)| *word == kind).map(|(kind, _)| *kind);
        let function = function.expect("finish found nothing wrong");
        let kind = kind.expect("finish found nothing wrong");
        // A trace header that is no text is dropped, as any proxy would.
        let trace_header =
            request.headers.get("x-amzn-trace-id").and_then(|value| value.to_str().ok());
        Ok(Self {
            function,
            qualifier,
            kind,
            tail: log_type == Some("Tail"),
            client_context,
            tenant_id,
            execution_name,
            trace_header: trace_header.map(str::to_owned),
            payload: request.body.clone(),
        })
    }
}

/// Why an invoke had no success.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvokeError {
    /// Of the function, or of a durable execution.
    #[error(transparent)]
    Durable(#[from] DurableError),
    /// The payload is not JSON.
    #[error("Could not parse request body into json: {0}")]
    NotJson(String),
    /// The payload is too long.
    #[error(
        "{length} byte payload is too large for the {kind} invocation type (limit {limit} bytes)"
    )]
    TooLarge {
        /// Its length.
        length: usize,
        /// The kind of invoke.
        kind: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A name was given for an execution of a function that is not durable.
    #[error(
        "You cannot specify a durable execution name for a function that is not a durable function."
    )]
    NotDurable,
    /// The local machine cannot run the function.
    #[error("{0}")]
    CannotRun(String),
    /// The client is gone, or durastack stops: nobody must be told a made-up end.
    #[error("nobody waits for the answer")]
    Gone,
}

impl From<CatalogError> for InvokeError {
    fn from(error: CatalogError) -> Self {
        Self::Durable(error.into())
    }
}

impl From<PackageError> for InvokeError {
    fn from(error: PackageError) -> Self {
        Self::Durable(error.into())
    }
}

impl IntoWire for InvokeError {
    fn wire(&self) -> WireError {
        let bad_request = StatusCode::BAD_REQUEST;
        match self {
            Self::Durable(error) => error.wire(),
            Self::NotJson(_) => {
                WireError::client(bad_request, "InvalidRequestContentException", self)
            }
            Self::TooLarge { .. } => {
                WireError::client(StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLargeException", self)
            }
            Self::NotDurable => {
                WireError::client(bad_request, "InvalidParameterValueException", self)
            }
            // Differs: the cloud has every runtime, and SDKs would try a 502 again; here a runtime is not built, or an
            // interpreter is missing, and the text says which.
            Self::CannotRun(_) => {
                WireError::service(StatusCode::NOT_IMPLEMENTED, "InvalidRuntimeException", self)
                    .capital()
            }
            Self::Gone => WireError::hang_up(),
        }
    }
}

pub(crate) async fn invoke(
    lambda: Arc<Lambda>,
    input: InvokeInput,
    call: Call,
) -> Result<Response<Bytes>, InvokeError> {
    let qualifier = agreed_qualifier(&input.function, input.qualifier.as_ref())?;
    let found = lambda.resolve(&call.caller, &input.function, qualifier.as_ref())?;
    let (kind, limit) = match input.kind {
        InvocationType::Event => ("Event", ASYNCHRONOUS_BYTES_MAX),
        InvocationType::RequestResponse | InvocationType::DryRun => {
            ("RequestResponse", SYNCHRONOUS_BYTES_MAX)
        }
    };
    if input.payload.len() > limit {
        return Err(InvokeError::TooLarge { length: input.payload.len(), kind, limit });
    }
    let payload = json_text(&input.payload)?;
    let durable = found.configuration.settings.durable.is_some();
    if durable && qualifier.is_none() {
        return Err(DurableError::invalid(UNQUALIFIED).into());
    }
    if !durable && input.execution_name.is_some() {
        return Err(InvokeError::NotDurable);
    }
    match found.configuration.state(lambda.clock.wall()) {
        State::Active => {}
        State::Pending => return Err(CatalogError::NotReady(State::Pending).into()),
    }
    if input.kind == InvocationType::DryRun {
        return Ok(answer(StatusCode::NO_CONTENT, Bytes::new(), found.configuration.version, &[]));
    }
    if durable {
        start_execution(&lambda, &found, input, &call, payload).await
    } else {
        run_once(&lambda, found, input, &call, payload, qualifier).await
    }
}

/// The payload, checked to be JSON but otherwise as it came; nothing at all is `{}`.
fn json_text(payload: &Bytes) -> Result<String, InvokeError> {
    let text = match std::str::from_utf8(payload) {
        Ok("") => return Ok("{}".to_owned()),
        Ok(text) => text,
        Err(error) => return Err(InvokeError::NotJson(error.to_string())),
    };
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(InvokeError::NotJson(error.to_string())),
    }
}

async fn run_once(
    lambda: &Arc<Lambda>,
    found: Resolved,
    input: InvokeInput,
    call: &Call,
    payload: String,
    qualifier: Option<Qualifier>,
) -> Result<Response<Bytes>, InvokeError> {
    let version = found.configuration.version;
    let function = lambda.runnable(&found).await?;
    let invocation = Invocation {
        request_id: call.request_id.clone(),
        event: payload.into(),
        invoked_arn: found.function.arn.qualified(qualifier).to_string(),
        client_context: input.client_context,
        tenant_id: input.tenant_id,
        trace_id: input.trace_header,
        execution_arn: None,
        nested: call.caller.function.is_some(),
    };
    if input.kind == InvocationType::Event {
        lambda.queue(&found, invocation).await?;
        return Ok(answer(StatusCode::ACCEPTED, Bytes::new(), version, &[]));
    }
    let Finished { outcome, log_tail, .. } =
        unless_gone(call, lambda.runner.invoke(function, invocation)).await?;
    let mut headers = Vec::new();
    if input.tail {
        headers.push(("x-amz-log-result", STANDARD.encode(log_tail)));
    }
    let body = match outcome {
        Ran::Response(body) => body,
        Ran::FunctionError { document, .. } => {
            headers.push(("x-amz-function-error", "Unhandled".to_owned()));
            document
        }
        Ran::Refused(refusal) => return Err(InvokeError::CannotRun(refusal.to_string())),
        Ran::Stopped => return Err(InvokeError::Gone),
    };
    Ok(answer(StatusCode::OK, body, version, &headers))
}

async fn start_execution(
    lambda: &Arc<Lambda>,
    found: &Resolved,
    input: InvokeInput,
    call: &Call,
    payload: String,
) -> Result<Response<Bytes>, InvokeError> {
    let asynchronous = input.kind == InvocationType::Event;
    let claim = NameClaim { input_sha256: Sha256::digest(payload.as_bytes()).into() };
    let mut stash = Stash::default();
    let start = new_execution(lambda, found, &input, stash.put(payload));
    let name = start.name.clone();
    let started = match lambda.driver.start(start, stash, Some(claim)).await {
        Ok(started) => started.id(),
        Err(DriveError::NameTaken(_)) => return Err(DurableError::AlreadyStarted(name).into()),
        Err(error) => return Err(DurableError::from(error).into()),
    };
    // An existing execution of this name may run another version than the one that was asked for.
    let definition =
        lambda.driver.read(started, |execution| execution.work.definition.clone()).await;
    let definition = definition.map_err(DurableError::from)?;
    let (version, arn) = (definition.version, lambda.execution_arn(&definition, &name, started));
    let arn_header = ("x-amz-durable-execution-arn", arn);
    if asynchronous {
        return Ok(answer(StatusCode::ACCEPTED, Bytes::new(), version, &[arn_header]));
    }
    // Differs: the real service waits for at most 15 minutes; this waits as long as the client does, who may turn the
    // clock meanwhile.
    let outcome =
        unless_gone(call, lambda.driver.ended(started)).await?.map_err(DurableError::from)?;
    let text = match outcome.payload() {
        Some(payload) => {
            Some(lambda.driver.text(started, payload).await.map_err(DurableError::from)?)
        }
        None => None,
    };
    let (body, failed) = match outcome {
        Outcome::Succeeded(_) => (text.unwrap_or_else(|| "null".to_owned()), false),
        Outcome::Failed(_) | Outcome::TimedOut(_) | Outcome::Stopped(_) => {
            let error = text.map(|text| ErrorObject::parse(&text)).unwrap_or_default();
            (error.function_error_document().to_string(), true)
        }
    };
    let mut headers = vec![arn_header];
    if failed {
        headers.push(("x-amz-function-error", "Unhandled".to_owned()));
    }
    if input.tail {
        headers.push(("x-amz-log-result", STANDARD.encode(lambda.log_tail(started))));
    }
    Ok(answer(StatusCode::OK, body.into(), version, &headers))
}

fn new_execution(
    lambda: &Lambda,
    found: &Resolved,
    input: &InvokeInput,
    payload: Payload,
) -> Start<Durable> {
    let id = lambda.driver.new_id();
    let settings = &found.configuration.settings;
    let (execution_timeout_s, retention_days, kms_key_arn) = settings
        .durable
        .as_ref()
        .map(|d| {
            (u64::from(d.execution_timeout_s), u64::from(d.retention_days), d.kms_key_arn.clone())
        })
        .unwrap_or_default();
    Start {
        id,
        name: input
            .execution_name
            .as_ref()
            .map_or_else(|| lambda.driver.new_id().to_string(), ToString::to_string),
        scope: found.function.incarnation.clone(),
        version: found.configuration.version.to_string(),
        timeout: Some(Duration::from_secs(execution_timeout_s)),
        retention: Some(Duration::from_secs(retention_days * 86_400)),
        parent: None,
        input: payload,
        definition: Definition {
            function: found.function.arn.clone(),
            version: found.configuration.version,
            execution_timeout_s,
            retention_days,
            kms_key_arn,
            asynchronous: input.kind == InvocationType::Event,
            tenant_id: input.tenant_id.clone(),
            trace_header: input.trace_header.clone(),
            retries: lambda.retries,
        },
    }
}

/// Waits, but no longer than the client does.
async fn unless_gone<T>(call: &Call, work: impl Future<Output = T>) -> Result<T, InvokeError> {
    let Some(gone) = call.extensions.get::<CancellationToken>().cloned() else {
        return Ok(work.await);
    };
    tokio::select! {
        biased;
        done = work => Ok(done),
        () = gone.cancelled() => Err(InvokeError::Gone),
    }
}

fn answer(
    status: StatusCode,
    body: Bytes,
    version: Version,
    headers: &[(&'static str, String)],
) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let all = response.headers_mut();
    if status == StatusCode::OK {
        all.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    let version = ("x-amz-executed-version", version.to_string());
    for (name, value) in std::iter::once(&version).chain(headers) {
        if let Ok(value) = HeaderValue::from_str(value) {
            all.insert(HeaderName::from_static(name), value);
        }
    }
    response
}
