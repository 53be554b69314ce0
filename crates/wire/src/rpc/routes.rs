//! From `Action` to an operation, and from there to its answer.

use super::{BadParameter, Frame, FromParameters, Op, Request, parameters::echo};
use crate::{Answering, Call, IntoWire, WireError, routes::causes};
use bytes::Bytes;
use http::{Extensions, Response, StatusCode};
use serde::Serialize;
use std::{collections::BTreeMap, fmt, future::Future, sync::Arc};
use tracing::{Span, error};

type Run<S> = Box<dyn Fn(Arc<S>, Request, Extensions) -> Answering + Send + Sync>;

/// A service: its table of operations and what answers each.
pub struct Routes<S> {
    version: &'static str,
    entries: BTreeMap<&'static str, Entry<S>>,
}

struct Entry<S> {
    op: Op,
    /// What answers it; absent when it is not built.
    run: Option<Run<S>>,
}

impl<S> fmt::Debug for Routes<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries.keys()).finish()
    }
}

impl<S: Send + Sync + 'static> Routes<S> {
    /// A service without operations, of the API version such as `2019-03-15`.
    #[must_use]
    pub fn new(version: &'static str) -> Self {
        Self { version, entries: BTreeMap::new() }
    }

    /// Adds an operation that is built.
    #[must_use]
    pub fn op<I, O, E, F, Fut>(self, op: Op, handler: F) -> Self
    where
        I: FromParameters + Send + 'static,
        O: Serialize + 'static,
        E: IntoWire,
        F: Fn(Arc<S>, I, Call) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, E>> + Send + 'static,
    {
        let run: Run<S> = Box::new(move |state, request, extensions| {
            let input = match I::from_parameters(&request.parameters) {
                Ok(input) => input,
                Err(bad) => return ready(refuse(&request, &bad)),
            };
            // The parameters end here: an operation that waits for long holds its input alone.
            let Request { caller, request_id, host, .. } = request;
            let call = Call { caller, request_id: request_id.clone(), extensions };
            let answer = handler(state, input, call);
            Box::pin(async move {
                let frame = Frame { request_id: &request_id, host: &host };
                match answer.await {
                    Ok(output) => Some(frame.success(&output)),
                    Err(failed) => refuse_in(frame, &failed),
                }
            })
        });
        self.add(op, Some(run))
    }

    /// Adds an operation that is not built: it answers `ActionNotSupported` with its name.
    #[must_use]
    pub fn unbuilt(self, op: Op) -> Self {
        self.add(op.unbuilt(), None)
    }

    fn add(mut self, op: Op, run: Option<Run<S>>) -> Self {
        self.entries.insert(op.name, Entry { op, run });
        self
    }

    /// All operations, sorted by name.
    pub fn ops(&self) -> impl Iterator<Item = &Op> {
        self.entries.values().map(|entry| &entry.op)
    }

    /// The operation that `request` means.
    ///
    /// # Errors
    ///
    /// The answer to a request that names no operation or version, or none that there is.
    pub fn find(&self, request: &Request) -> Result<&Op, WireError> {
        self.entry(request).map(|entry| &entry.op)
    }

    fn entry(&self, request: &Request) -> Result<&Entry<S>, WireError> {
        let Request { action, version, .. } = request;
        if action.is_empty() {
            return Err(BadParameter::Missing("Action").wire());
        }
        let Some(entry) = self.entries.get(action.as_str()) else {
            return Err(unknown_action(action));
        };
        match version.as_str() {
            "" => Err(BadParameter::Missing("Version").wire()),
            version if version == self.version => Ok(entry),
            other => Err(unknown_version(other)),
        }
    }

    /// Starts the operation that `request` means, on the service's state. `extensions` is what the layers above know of
    /// the request, and is handed on in [`Call::extensions`].
    #[must_use]
    pub fn call(&self, state: &Arc<S>, request: Request, extensions: Extensions) -> Answering {
        let found = match self.entry(&request) {
            Ok(entry) => entry,
            Err(error) => return ready(send(request.frame(), &error)),
        };
        Span::current().record("operation", found.op.name);
        match &found.run {
            Some(run) => run(Arc::clone(state), request, extensions),
            None => ready(send(request.frame(), &not_supported(found.op.name))),
        }
    }
}

/// The answer of an operation that the API has and that is not built.
#[must_use]
pub fn not_supported(action: &str) -> WireError {
    let text = format!("durastack does not build the API operation '{}' yet.", echo(action));
    WireError::client(StatusCode::BAD_REQUEST, "ActionNotSupported", text)
}

/// Source: error table of the API.
fn unknown_action(action: &str) -> WireError {
    let text =
        format!("The requested API operation '{}' is incorrect. Please check.", echo(action));
    WireError::client(StatusCode::BAD_REQUEST, "ActionNotSupported", text)
}

/// Source: error table of the API.
fn unknown_version(version: &str) -> WireError {
    let text = format!(
        "The requested API version '{}' is not supported yet. Please check.",
        echo(version)
    );
    WireError::client(StatusCode::BAD_REQUEST, "APIVersionNotSupported", text)
}

fn ready(answer: Option<Response<Bytes>>) -> Answering {
    Box::pin(std::future::ready(answer))
}

fn refuse(request: &Request, failed: &dyn IntoWire) -> Option<Response<Bytes>> {
    refuse_in(request.frame(), failed)
}

fn refuse_in(frame: Frame<'_>, failed: &dyn IntoWire) -> Option<Response<Bytes>> {
    let wire = failed.wire();
    let answer = send(frame, &wire)?;
    if wire.status.is_server_error() {
        error!(code = %wire.code, cause = %causes(failed), "an operation failed");
    }
    Some(answer)
}

fn send(frame: Frame<'_>, error: &WireError) -> Option<Response<Bytes>> {
    Span::current().record("code", &*error.code);
    frame.failure(error)
}
