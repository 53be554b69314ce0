//! The Runtime API of one environment as a state machine: which call is allowed when, and what it means.
//!
//! It knows no sockets: [`crate::http`] turns requests into calls of it. What the process does comes out as
//! [`Event`]s, in order. Source: developer guide, "Using the Lambda runtime API"; states and texts as AWS's own
//! Runtime Interface Emulator has them.

use bytes::Bytes;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{mpsc, watch};

/// A response may have this many bytes: 6 MiB and 100. Source: text of the 413 answer.
pub(crate) const RESPONSE_BYTES_MAX: usize = 6_291_556;
/// A streamed response may have this many. Source: developer guide, "Response streaming", limits.
pub(crate) const STREAMED_BYTES_MAX: usize = 200 * 1024 * 1024;

/// What the process is given to do, as the answer to `next`.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) request_id: String,
    /// Milliseconds since 1970.
    pub(crate) deadline_ms: i64,
    pub(crate) invoked_arn: String,
    pub(crate) client_context: Option<String>,
    pub(crate) tenant_id: Option<String>,
    pub(crate) trace_id: Option<String>,
    pub(crate) event: Bytes,
}

/// What the process did.
#[derive(Debug)]
pub(crate) enum Event {
    /// It asks for work: it has started, or finished the last one.
    Next,
    /// It could not start.
    InitError(Posted),
    /// It answered.
    Response(Bytes),
    /// It says that the function failed.
    Error(Posted),
    /// What it sent is no valid answer.
    Invalid(Invalid),
}

/// A posted error.
#[derive(Debug)]
pub(crate) struct Posted {
    /// Passed on byte for byte.
    pub(crate) document: Bytes,
    /// The error type header, if it was text.
    pub(crate) header_type: Option<String>,
}

/// Why an answer is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Invalid {
    /// More than [`RESPONSE_BYTES_MAX`].
    TooLarge,
    /// Shorter than announced.
    Truncated,
    /// An unknown response mode.
    Mode,
}

/// Why a call is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Not the id of the invocation in flight.
    RequestId,
    /// Wrong time: from which state, to which.
    Transition(&'static str, &'static str),
}

/// Which of the two posts for an invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Post {
    Response,
    Error,
}

/// The Runtime API of one environment.
#[derive(Debug)]
pub(crate) struct RuntimeApi {
    stage: Mutex<Stage>,
    /// Told after every change of the stage, for those who wait in `next`.
    changed: watch::Sender<()>,
    /// Each entry is one transition, so a process cannot fill it.
    events: mpsc::UnboundedSender<Event>,
}

#[derive(Debug)]
enum Stage {
    Starting,
    InitFailed,
    Idle,
    Running { work: Arc<Work>, answered: bool },
}

impl RuntimeApi {
    pub(crate) fn new() -> (Arc<Self>, mpsc::UnboundedReceiver<Event>) {
        let (events, receiver) = mpsc::unbounded_channel();
        let api =
            Self { stage: Mutex::new(Stage::Starting), changed: watch::Sender::new(()), events };
        (Arc::new(api), receiver)
    }

    /// Hands out an event: the call to `next` that waits, or the one that comes, gets it.
    pub(crate) fn offer(&self, work: Work) {
        self.set(Stage::Running { work: Arc::new(work), answered: false });
        self.changed.send_replace(());
    }

    /// `GET …/invocation/next`: waits for work. Asked again while an invocation runs, it gives the same one again.
    pub(crate) async fn next(&self) -> Result<Arc<Work>, Refused> {
        let mut changed = self.changed.subscribe();
        loop {
            if let Some(answer) = self.try_next() {
                return answer;
            }
            if changed.changed().await.is_err() {
                // The sender is a member of `self`.
                std::future::pending::<()>().await;
            }
        }
    }

    fn try_next(&self) -> Option<Result<Arc<Work>, Refused>> {
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        match &*stage {
            Stage::InitFailed => return Some(Err(Refused::Transition("InitError", "Ready"))),
            Stage::Running { work, answered: false } => return Some(Ok(Arc::clone(work))),
            Stage::Idle => return None,
            Stage::Starting | Stage::Running { answered: true, .. } => {}
        }
        *stage = Stage::Idle;
        self.emit(Event::Next);
        None
    }

    /// Whether a post for `id` may come now. Asked before its body is read, and again by the post itself.
    pub(crate) fn may_post(&self, id: &str, post: Post) -> Result<(), Refused> {
        let stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        Self::check(&stage, id, post)
    }

    fn check(stage: &Stage, id: &str, post: Post) -> Result<(), Refused> {
        match stage {
            Stage::Running { work, answered } if work.request_id == id => {
                if *answered {
                    let to = match post {
                        Post::Response => "InvocationResponse",
                        Post::Error => "InvocationErrorResponse",
                    };
                    return Err(Refused::Transition("RuntimeResponseSentState", to));
                }
                Ok(())
            }
            _ => Err(Refused::RequestId),
        }
    }

    /// The answer for `id`, of whichever kind. From here on the invocation counts as answered.
    pub(crate) fn answer(&self, id: &str, post: Post, event: Event) -> Result<(), Refused> {
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        Self::check(&stage, id, post)?;
        if let Stage::Running { answered, .. } = &mut *stage {
            *answered = true;
        }
        self.emit(event);
        Ok(())
    }

    /// `POST …/init/error`.
    pub(crate) fn init_error(&self, posted: Posted) -> Result<(), Refused> {
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        match *stage {
            Stage::Starting => {}
            Stage::InitFailed => return Err(Refused::Transition("InitError", "InitError")),
            Stage::Idle | Stage::Running { .. } => {
                return Err(Refused::Transition("Running", "InitError"));
            }
        }
        *stage = Stage::InitFailed;
        self.emit(Event::InitError(posted));
        Ok(())
    }

    fn set(&self, stage: Stage) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = stage;
    }

    /// Called with the stage locked, so that events leave in the order of the transitions.
    fn emit(&self, event: Event) {
        // Nobody listens any more once the environment ends.
        self.events.send(event).unwrap_or(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(id: &str) -> Work {
        Work {
            request_id: id.into(),
            deadline_ms: 0,
            invoked_arn: String::new(),
            client_context: None,
            tenant_id: None,
            trace_id: None,
            event: Bytes::new(),
        }
    }

    fn posted() -> Posted {
        Posted { document: Bytes::new(), header_type: None }
    }

    #[tokio::test]
    async fn calls_are_refused_by_id_before_state() {
        let (api, mut events) = RuntimeApi::new();
        assert_eq!(api.may_post("a", Post::Response), Err(Refused::RequestId));
        api.offer(work("a"));
        assert_eq!(api.next().await.unwrap().request_id, "a");
        assert_eq!(api.next().await.unwrap().request_id, "a", "the same again");
        assert_eq!(api.may_post("b", Post::Error), Err(Refused::RequestId));
        api.answer("a", Post::Response, Event::Response(Bytes::new())).unwrap();
        assert_eq!(
            api.may_post("a", Post::Response),
            Err(Refused::Transition("RuntimeResponseSentState", "InvocationResponse"))
        );
        assert_eq!(
            api.may_post("a", Post::Error),
            Err(Refused::Transition("RuntimeResponseSentState", "InvocationErrorResponse"))
        );
        assert!(api.try_next().is_none());
        assert_eq!(api.may_post("a", Post::Response), Err(Refused::RequestId), "stale");
        assert!(matches!(events.recv().await, Some(Event::Response(_))));
        assert!(matches!(events.recv().await, Some(Event::Next)));
    }

    #[tokio::test]
    async fn an_init_error_comes_once_and_first() {
        let (api, _events) = RuntimeApi::new();
        api.init_error(posted()).unwrap();
        assert_eq!(api.init_error(posted()), Err(Refused::Transition("InitError", "InitError")));
        assert_eq!(api.next().await.unwrap_err(), Refused::Transition("InitError", "Ready"));
        let (api, _events) = RuntimeApi::new();
        assert!(api.try_next().is_none());
        assert_eq!(api.init_error(posted()), Err(Refused::Transition("Running", "InitError")));
    }
}
