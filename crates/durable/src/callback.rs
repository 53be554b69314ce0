//! Callbacks: answers from outside, and their absence.

use crate::{
    Durable, ErrorObject, Rejection,
    event::Event,
    operation::{Detail, Operation, OperationStatus},
};
use durastack_engine::{Draft, Execution, Payload};

/// What somebody outside says of a callback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Done, with these bytes as text.
    Success(Option<Payload>),
    /// Failed, with this error.
    Failure(Option<Payload>),
    /// Still at it.
    Heartbeat,
}

pub(crate) fn decide(
    execution: &Execution<Durable>,
    draft: &mut Draft<Durable>,
    number: u64,
    answer: Answer,
) -> Result<(), Rejection> {
    let operation =
        execution.work.operation(number).filter(|o| matches!(o.detail, Detail::Callback { .. }));
    let Operation { head, status, .. } = operation.ok_or(Rejection::CallbackUnknown)?;
    if *status != OperationStatus::Started || !execution.life.is_open() {
        return Err(Rejection::CallbackClosed);
    }
    let head = head.clone();
    draft.push(match answer {
        Answer::Success(result) => Event::CallbackSucceeded { head, result },
        Answer::Failure(error) => Event::CallbackFailed { head, error },
        Answer::Heartbeat => Event::CallbackHeartbeat { number },
    });
    Ok(())
}

/// A limit has passed. Both limits of one callback may be due at once: the first one ends it.
pub(crate) fn time_out(
    execution: &Execution<Durable>,
    draft: &mut Draft<Durable>,
    number: u64,
    error_type: &str,
    message: &str,
) {
    let Some(operation) = execution.work.operation(number) else { return };
    let already = draft.work().any(
        |event| matches!(event, Event::CallbackTimedOut { head, .. } if head.number == number),
    );
    if operation.status == OperationStatus::Started && !already {
        let error = ErrorObject::typed(error_type, message).inline();
        draft.push(Event::CallbackTimedOut { head: operation.head.clone(), error });
    }
}
