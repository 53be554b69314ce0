//! Where all lines of one environment pass: towards [`Logs`], and into the tail of the invocation in flight.

use crate::function::{Function, Invocation, LineKind, LogLine, Logs};
use durastack_clock::Clock;
use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// Bytes of log that an Invoke can return. Source: API reference, Invoke, `LogResult`.
const TAIL_BYTES_MAX: usize = 4096;

/// The lines of one environment.
pub(crate) struct Tap {
    name: String,
    version: String,
    function: Arc<Function>,
    stream: String,
    logs: Arc<dyn Logs>,
    clock: Clock,
    /// Held while a line is handed on, so that lines cannot overtake each other.
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    request_id: Option<String>,
    execution_arn: Option<String>,
    tail: VecDeque<u8>,
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap").field("stream", &self.stream).finish_non_exhaustive()
    }
}

impl Tap {
    pub(crate) fn new(
        function: Arc<Function>,
        stream: String,
        logs: Arc<dyn Logs>,
        clock: Clock,
    ) -> Self {
        let (name, version) = (function.contract.name(), function.contract.version());
        Self { name, version, function, stream, logs, clock, current: Mutex::default() }
    }

    /// Lines from now on belong to `invocation`; its tail begins empty.
    pub(crate) fn begin(&self, invocation: &Invocation) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.request_id = Some(invocation.request_id.clone());
        current.execution_arn.clone_from(&invocation.execution_arn);
        current.tail.clear();
    }

    /// The tail so far.
    pub(crate) fn tail(&self) -> Vec<u8> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.tail.iter().copied().collect()
    }

    /// Lines from now on belong to no invocation.
    pub(crate) fn end(&self) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Current::default();
    }

    /// Hands on a line of the platform.
    pub(crate) fn platform(&self, text: &str) {
        self.line(LineKind::Platform, text.as_bytes());
    }

    /// Hands on a line, given without its newline.
    pub(crate) fn line(&self, kind: LineKind, text: &[u8]) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.request_id.is_some() {
            let skip = text.len().saturating_sub(TAIL_BYTES_MAX);
            current.tail.extend(&text[skip..]);
            current.tail.push_back(b'\n');
            let excess = current.tail.len().saturating_sub(TAIL_BYTES_MAX);
            current.tail.drain(..excess);
        }
        self.logs.line(LogLine {
            function: &self.name,
            version: &self.version,
            group: &self.function.log_group,
            stream: &self.stream,
            request_id: current.request_id.as_deref(),
            execution_arn: current.execution_arn.as_deref(),
            at: self.clock.wall(),
            text,
            kind,
        });
    }
}
