//! From method and raw path to an operation, and from there to its answer.

use crate::{
    Call, Caller, FromRequest, IntoWire, Op, Request, Respond, WireError, request::pairs,
    respond::REQUEST_ID,
};
use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, Uri};
use percent_encoding::percent_decode_str;
use std::{error::Error, fmt, future::Future, pin::Pin, sync::Arc};
use tracing::{Span, error};

/// An answer on its way; `None` closes the connection without one.
pub type Answering = Pin<Box<dyn Future<Output = Option<Response<Bytes>>> + Send>>;

type Run<S> = Box<dyn Fn(Arc<S>, Request, StatusCode) -> Answering + Send + Sync>;

/// A service: its table of operations and what answers each.
pub struct Routes<S> {
    entries: Vec<Entry<S>>,
    /// From a path, with its labels left open, to an index into `nodes`.
    paths: matchit::Router<usize>,
    /// The entries of each path, by index.
    nodes: Vec<Node>,
}

struct Entry<S> {
    op: Op,
    /// The names of its labels, in order.
    labels: Vec<&'static str>,
    /// What stands before and behind a label that takes raw slashes.
    raw: Option<(&'static str, &'static str)>,
    /// The query member that must be there.
    query: Option<(&'static str, &'static str)>,
    /// What answers it; absent when it is not built.
    run: Option<Run<S>>,
}

struct Node {
    pattern: String,
    entries: Vec<usize>,
}

/// The operation that a request means.
#[derive(Debug)]
pub struct Found<'a> {
    /// What the API says of it.
    pub op: &'a Op,
    index: usize,
    labels: Vec<(&'static str, String)>,
}

impl<'a> Found<'a> {
    /// What the API says of it, for as long as the table lives.
    #[must_use]
    pub fn into_op(self) -> &'a Op {
        self.op
    }

    /// The labels of the path, decoded, in order: what a throttle or an authorizer goes by.
    pub fn label_texts(&self) -> impl Iterator<Item = &str> {
        self.labels.iter().map(|(_, text)| text.as_str())
    }
}

impl<S> fmt::Debug for Routes<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries.iter().map(|entry| entry.op.name)).finish()
    }
}

impl<S: Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Send + Sync + 'static> Routes<S> {
    /// A service without operations.
    #[must_use]
    pub fn new() -> Self {
        let (entries, nodes) = (Vec::new(), Vec::new());
        Self { entries, paths: matchit::Router::new(), nodes }
    }

    /// Adds an operation that is built.
    ///
    /// # Panics
    ///
    /// When its path is no template.
    #[must_use]
    pub fn op<I, O, E, F, Fut>(self, op: Op, handler: F) -> Self
    where
        I: FromRequest + Send + 'static,
        O: Respond + 'static,
        E: IntoWire,
        F: Fn(Arc<S>, I, Call) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, E>> + Send + 'static,
    {
        let run: Run<S> = Box::new(move |state, request, success| {
            let input = I::from_request(&request);
            let call = request.call;
            let request_id = call.request_id.clone();
            match input {
                Ok(input) => {
                    let answer = handler(state, input, call);
                    Box::pin(async move {
                        match answer.await {
                            Ok(output) => Some(with_id(output.respond(success), &request_id)),
                            Err(failed) => refuse(&failed, &request_id),
                        }
                    })
                }
                Err(bad) => Box::pin(async move { refuse(&bad, &request_id) }),
            }
        });
        self.add(op, Some(run))
    }

    /// Adds an operation that is not built: it answers 501 with its name.
    ///
    /// # Panics
    ///
    /// When its path is no template.
    #[must_use]
    pub fn unbuilt(self, op: Op) -> Self {
        self.add(op.unbuilt(), None)
    }

    fn add(mut self, op: Op, run: Option<Run<S>>) -> Self {
        let (path, query) = match op.path.split_once('?') {
            Some((path, query)) => (path, query.split_once('=')),
            None => (op.path, None),
        };
        let (mut labels, mut pattern, mut raw) = (Vec::new(), String::new(), None);
        let mut rest = path;
        while let Some((before, (label, after))) =
            rest.split_once('{').and_then(|(b, r)| Some((b, r.split_once('}')?)))
        {
            let name = label.strip_suffix('+').unwrap_or(label);
            if name != label {
                raw = path.split_once('{').map(|(head, _)| (head, after));
            }
            // Two operations may call the same place differently, which the router does not allow.
            pattern.push_str(&format!("{before}{{label{}}}", labels.len()));
            labels.push(name);
            rest = after;
        }
        pattern.push_str(rest);
        let index = self.entries.len();
        match self.nodes.iter_mut().find(|node| node.pattern == pattern) {
            Some(node) => node.entries.push(index),
            None => {
                for spelling in [pattern.clone(), format!("{pattern}/")] {
                    self.paths.insert(spelling, self.nodes.len()).expect("a path template");
                }
                self.nodes.push(Node { pattern, entries: vec![index] });
            }
        }
        self.entries.push(Entry { op, labels, raw, query, run });
        self
    }

    /// All operations, in the order of the table.
    pub fn ops(&self) -> impl Iterator<Item = &Op> {
        self.entries.iter().map(|entry| &entry.op)
    }

    /// The operation that a request's head means, if any. Decides on the raw path: labels are decoded after.
    #[must_use]
    pub fn find(&self, method: &Method, uri: &Uri) -> Option<Found<'_>> {
        let path = uri.path();
        if let Ok(found) = self.paths.at(path) {
            let candidates = self.nodes[*found.value].entries.iter();
            let index = self.choose(candidates.copied(), method, uri)?;
            let entry = &self.entries[index];
            let values = found.params.iter().map(|(_, value)| decode(value));
            let labels = entry.labels.iter().copied().zip(values).collect();
            return Some(Found { op: &entry.op, index, labels });
        }
        self.find_raw(method, path)
    }

    /// Hand-written clients send ARNs with their slashes as they are: then what is before and behind the label must
    /// fit, and of several operations that do, the one with most behind it is meant.
    fn find_raw(&self, method: &Method, path: &str) -> Option<Found<'_>> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let fits = |entry: &Entry<S>| {
            let (head, tail) = entry.raw?;
            let value = path.strip_prefix(head)?.strip_suffix(tail)?;
            (entry.op.method == *method && value.contains('/')).then(|| (tail.len(), decode(value)))
        };
        let (index, (_, value)) = self
            .entries
            .iter()
            .enumerate()
            .filter_map(|(index, entry)| Some((index, fits(entry)?)))
            .max_by_key(|(_, (tail, _))| *tail)?;
        let entry = &self.entries[index];
        let labels = entry.labels.iter().take(1).map(|name| (*name, value.clone())).collect();
        Some(Found { op: &entry.op, index, labels })
    }

    fn choose(
        &self,
        candidates: impl Iterator<Item = usize> + Clone,
        method: &Method,
        uri: &Uri,
    ) -> Option<usize> {
        let of_method = candidates.filter(|index| self.entries[*index].op.method == *method);
        let asked = |index: &usize| {
            self.entries[*index].query.is_some_and(|(key, value)| {
                pairs(uri.query().unwrap_or_default()).any(|(k, v)| k == key && v == value)
            })
        };
        let plain = |index: &usize| self.entries[*index].query.is_none();
        of_method.clone().find(asked).or_else(|| of_method.clone().find(plain))
    }

    /// Starts the operation that was found for `request`, on the service's state.
    #[must_use]
    pub fn call(
        &self,
        state: &Arc<S>,
        found: Found<'_>,
        request: http::Request<Bytes>,
        caller: Caller,
        request_id: String,
    ) -> Answering {
        let span = Span::current();
        span.record("operation", found.op.name);
        let entry = &self.entries[found.index];
        let Some(run) = &entry.run else {
            let refusal = entry.op.not_built();
            span.record("code", &*refusal.code);
            return Box::pin(std::future::ready(refusal.render(&request_id)));
        };
        let (head, body) = request.into_parts();
        let call = Call { caller, request_id, extensions: head.extensions };
        let request = Request {
            operation: entry.op.name,
            uri: head.uri,
            headers: head.headers,
            body,
            call,
            labels: found.labels,
        };
        run(Arc::clone(state), request, entry.op.success)
    }
}

/// The answer to a path or method that no operation has.
/// Source: Lambda, "Common Error Types" (`UnknownOperationException`, 404).
#[must_use]
pub fn unknown_operation() -> WireError {
    WireError::client(
        StatusCode::NOT_FOUND,
        "UnknownOperationException",
        "The requested operation is not recognized by the service.",
    )
    .fault(crate::Fault::Unsaid)
}

fn refuse(failed: &dyn IntoWire, request_id: &str) -> Option<Response<Bytes>> {
    let wire = failed.wire();
    Span::current().record("code", &*wire.code);
    let answer = wire.render(request_id)?;
    if wire.status.is_server_error() {
        error!(code = %wire.code, cause = %causes(failed), "an operation failed");
    }
    Some(answer)
}

pub(crate) fn causes(error: &dyn IntoWire) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = Error::source(cause);
    }
    text
}

fn with_id(mut response: Response<Bytes>, request_id: &str) -> Response<Bytes> {
    if let Ok(id) = HeaderValue::from_str(request_id) {
        response.headers_mut().entry(REQUEST_ID).or_insert(id);
    }
    response
}

fn decode(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}
