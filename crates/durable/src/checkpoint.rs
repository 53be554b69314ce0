//! Checkpoints: a batch of updates by the running handler, validated whole before any of it counts.

use crate::{
    Durable, ErrorObject, OPERATIONS_MAX, PAYLOAD_BYTES_MAX, RESULT_BYTES_MAX, Rejection,
    STORED_BYTES_MAX, Target, TargetKind,
    event::{Event, Head, Link, NextAttempt},
    operation::{Action, Detail, Operation, OperationKind, OperationStatus},
};
use durastack_engine::{Draft, Execution, Outcome, Payload};
use durastack_names::ExecutionId;
use std::{collections::BTreeMap, time::Duration};

/// A checkpoint request, its token already opened.
#[derive(Debug)]
pub struct Checkpoint {
    /// The invocation that the token was made for.
    pub invocation: u64,
    /// The token's counter.
    pub counter: u64,
    /// In the order of the request.
    pub updates: Vec<Update>,
}

/// One update of an operation.
#[derive(Debug)]
pub struct Update {
    /// The SDK's id of the operation.
    pub id: String,
    /// What it is.
    pub kind: OperationKind,
    /// What is asked.
    pub action: Action,
    /// The context that it is in.
    pub parent: Option<String>,
    /// The user's name for it.
    pub name: Option<String>,
    /// The SDK's word for the construct.
    pub sub_type: Option<String>,
    /// Input, result, or state.
    pub payload: Option<Payload>,
    /// Why it failed.
    pub error: Option<Payload>,
    /// `ContextOptions.ReplayChildren`.
    pub replay_children: bool,
    /// `StepOptions.NextAttemptDelaySeconds`.
    pub next_attempt_delay_s: Option<u64>,
    /// `WaitOptions.WaitSeconds`.
    pub wait_s: Option<u64>,
    /// `CallbackOptions`.
    pub callback: CallbackOptions,
    /// `ChainedInvokeOptions`, with the function already looked up.
    pub chained: Option<ChainedOptions>,
}

/// Limits of a callback in seconds; 0 is none.
#[derive(Debug, Clone, Copy, Default)]
pub struct CallbackOptions {
    /// From the start.
    pub timeout_s: u64,
    /// Since the last sign of life.
    pub heartbeat_s: u64,
}

/// What a chained invoke calls.
#[derive(Debug, Clone)]
pub struct ChainedOptions {
    /// The function as the handler wrote it.
    pub function_name: String,
    /// The tenant to call it for.
    pub tenant_id: Option<String>,
    /// The trace header to start it with.
    pub trace_header: Option<String>,
    /// The function, or why it cannot be called.
    pub target: Result<Target, ErrorObject>,
}

/// What this batch has done to an operation so far.
struct Touched {
    kind: OperationKind,
    last: Action,
    head: Head,
    attempt: u64,
}

struct Batch<'a> {
    execution: &'a Execution<Durable>,
    touched: BTreeMap<String, Touched>,
    opened: u64,
    bytes: u64,
}

pub(crate) fn decide(
    execution: &Execution<Durable>,
    draft: &mut Draft<Durable>,
    checkpoint: Checkpoint,
) -> Result<(), Rejection> {
    let current = execution.work.live.as_ref().is_some_and(|live| {
        live.number == checkpoint.invocation && live.counter == checkpoint.counter && !live.withheld
    });
    if !current || !execution.life.is_open() {
        return Err(Rejection::InvalidToken);
    }
    check_execution_updates(&checkpoint.updates)?;
    let mut batch = Batch { execution, touched: BTreeMap::new(), opened: 0, bytes: 0 };
    for update in checkpoint.updates {
        batch.update(draft, update)?;
    }
    enforce_quotas(&batch, draft);
    Ok(())
}

fn check_execution_updates(updates: &[Update]) -> Result<(), Rejection> {
    let mut ends =
        updates.iter().enumerate().filter(|(_, update)| update.kind == OperationKind::Execution);
    let Some((at, _)) = ends.next() else { return Ok(()) };
    if ends.next().is_some() {
        return Err(invalid("Cannot checkpoint multiple EXECUTION updates."));
    }
    if at + 1 != updates.len() {
        return Err(invalid("EXECUTION checkpoint must be the last update."));
    }
    Ok(())
}

/// An execution that outgrows the service fails, and its handler is given no further token.
///
/// Differs: the service's texts are not published; these are ours.
fn enforce_quotas(batch: &Batch<'_>, draft: &mut Draft<Durable>) {
    let work = &batch.execution.work;
    let operations = work.operations().len() as u64 + batch.opened;
    let reason = if operations > OPERATIONS_MAX as u64 {
        format!("The execution exceeded the maximum of {OPERATIONS_MAX} operations.")
    } else if work.stored_bytes() + batch.bytes > STORED_BYTES_MAX {
        format!("The execution exceeded the maximum of {STORED_BYTES_MAX} bytes of stored data.")
    } else {
        return;
    };
    if !draft.has_ended() {
        draft.end_hidden(Outcome::Failed(Some(ErrorObject::message(reason).inline())));
    }
}

impl Batch<'_> {
    fn update(&mut self, draft: &mut Draft<Durable>, update: Update) -> Result<(), Rejection> {
        let stored = self.execution.work.operation_by_id(&update.id);
        self.check_repeat(&update)?;
        self.check_parent(&update)?;
        check_consistency(stored, self.touched.get(&update.id), &update)?;
        self.check_sizes(&update)?;
        self.bytes += length(update.payload.as_ref()) + length(update.error.as_ref());
        match update.kind {
            OperationKind::Step => self.step(draft, stored, update),
            OperationKind::Context => self.context(draft, stored, update),
            OperationKind::Wait => self.wait(draft, stored, update),
            OperationKind::Callback => self.callback(draft, stored, update),
            OperationKind::ChainedInvoke => self.chained(draft, stored, update),
            OperationKind::Execution => end_execution(draft, update),
        }
    }

    /// One operation may be updated twice in a batch only to start and close a step or context.
    fn check_repeat(&self, update: &Update) -> Result<(), Rejection> {
        let Some(before) = self.touched.get(&update.id) else { return Ok(()) };
        let closes = matches!(before.kind, OperationKind::Step | OperationKind::Context)
            && before.last == Action::Start
            && update.action != Action::Start;
        if closes {
            Ok(())
        } else {
            Err(invalid("Cannot checkpoint multiple operations with the same ID."))
        }
    }

    fn check_parent(&self, update: &Update) -> Result<(), Rejection> {
        let Some(parent) = &update.parent else { return Ok(()) };
        let stored = self.execution.work.operation_by_id(parent).map(Operation::kind);
        let kind = stored.or_else(|| self.touched.get(parent).map(|touched| touched.kind));
        if kind == Some(OperationKind::Context) {
            Ok(())
        } else {
            Err(invalid("Invalid parent operation id."))
        }
    }

    fn check_sizes(&self, update: &Update) -> Result<(), Rejection> {
        if length(update.error.as_ref()) > PAYLOAD_BYTES_MAX {
            return Err(invalid(format!(
                "Error object size must be less than {PAYLOAD_BYTES_MAX} bytes."
            )));
        }
        let payload = length(update.payload.as_ref());
        let asynchronous = self.execution.work.definition.asynchronous;
        let (limit, what) = match update.kind {
            OperationKind::ChainedInvoke => (PAYLOAD_BYTES_MAX, "CHAINED_INVOKE input"),
            OperationKind::Execution if asynchronous => (PAYLOAD_BYTES_MAX, "Execution output"),
            OperationKind::Execution => (RESULT_BYTES_MAX, "Execution output"),
            OperationKind::Context => (PAYLOAD_BYTES_MAX, "CONTEXT output"),
            OperationKind::Step => (PAYLOAD_BYTES_MAX, "STEP output"),
            OperationKind::Wait => (PAYLOAD_BYTES_MAX, "WAIT output"),
            OperationKind::Callback => (PAYLOAD_BYTES_MAX, "CALLBACK output"),
        };
        if payload > limit {
            return Err(invalid(format!(
                "{what} payload size must be less than or equal to {limit} bytes."
            )));
        }
        Ok(())
    }

    /// The operation's head: stored, begun in this batch, or new.
    fn head(&mut self, stored: Option<&Operation>, update: &Update, attempt: u64) -> (Head, u64) {
        if let Some(touched) = self.touched.get_mut(&update.id) {
            touched.last = update.action;
            return (touched.head.clone(), touched.attempt);
        }
        let head = stored.map_or_else(|| self.new_head(update), |operation| operation.head.clone());
        let touched =
            Touched { kind: update.kind, last: update.action, head: head.clone(), attempt };
        self.touched.insert(update.id.clone(), touched);
        (head, attempt)
    }

    fn new_head(&mut self, update: &Update) -> Head {
        self.opened += 1;
        Head {
            number: self.execution.work.operations().len() as u64 + self.opened,
            id: update.id.clone(),
            parent: update.parent.clone(),
            name: update.name.clone(),
            sub_type: update.sub_type.clone(),
        }
    }

    fn step(
        &mut self,
        draft: &mut Draft<Durable>,
        stored: Option<&Operation>,
        update: Update,
    ) -> Result<(), Rejection> {
        let status = stored.map(|operation| operation.status);
        let finished = match stored.map(|operation| &operation.detail) {
            Some(Detail::Step { attempt, .. }) => *attempt,
            _ => 0,
        };
        let closable =
            matches!(status, None | Some(OperationStatus::Started | OperationStatus::Ready));
        let (head, attempt) = match update.action {
            Action::Start if matches!(status, None | Some(OperationStatus::Ready)) => {
                self.head(stored, &update, finished + 1)
            }
            Action::Start => return Err(invalid("Invalid current STEP state to start.")),
            Action::Succeed | Action::Fail if closable => {
                check_closing_members(&update)?;
                self.head(stored, &update, finished + 1)
            }
            Action::Succeed | Action::Fail => {
                return Err(invalid("Invalid current STEP state to close."));
            }
            Action::Retry if closable => {
                if update.payload.is_some() && update.error.is_some() {
                    return Err(invalid("Cannot provide both error and payload to RETRY a STEP."));
                }
                if update.next_attempt_delay_s.is_none() {
                    return Err(invalid("Invalid StepOptions for the given action."));
                }
                self.head(stored, &update, finished + 1)
            }
            Action::Retry => return Err(invalid("Invalid current STEP state to re-attempt.")),
            Action::Cancel => return Err(invalid_action()),
        };
        let next = match update.action {
            Action::Retry => update.next_attempt_delay_s.map(|delay_s| NextAttempt {
                delay_s,
                at: draft.now.plus(Duration::from_secs(delay_s)),
            }),
            _ => None,
        };
        let failed = update.action == Action::Fail
            || (update.action == Action::Retry && update.error.is_some());
        draft.push(match update.action {
            Action::Start => Event::StepStarted { head },
            _ if failed => Event::StepFailed { head, error: update.error, attempt, next },
            _ => Event::StepSucceeded { head, result: update.payload, attempt, next },
        });
        Ok(())
    }

    fn context(
        &mut self,
        draft: &mut Draft<Durable>,
        stored: Option<&Operation>,
        update: Update,
    ) -> Result<(), Rejection> {
        let open = matches!(
            stored.map(|operation| operation.status),
            None | Some(OperationStatus::Started)
        );
        match update.action {
            Action::Start if stored.is_none() => {}
            Action::Start => return Err(invalid("Cannot start a CONTEXT that already exist.")),
            Action::Succeed | Action::Fail if open => check_closing_members(&update)?,
            Action::Succeed | Action::Fail => {
                return Err(invalid("Invalid current CONTEXT state to close."));
            }
            Action::Retry | Action::Cancel => return Err(invalid_action()),
        }
        let (head, _) = self.head(stored, &update, 0);
        let replay_children = update.replay_children;
        draft.push(match update.action {
            Action::Succeed => {
                Event::ContextSucceeded { head, result: update.payload, replay_children }
            }
            Action::Fail => Event::ContextFailed { head, error: update.error, replay_children },
            _ => Event::ContextStarted { head },
        });
        Ok(())
    }

    fn wait(
        &mut self,
        draft: &mut Draft<Durable>,
        stored: Option<&Operation>,
        update: Update,
    ) -> Result<(), Rejection> {
        match update.action {
            Action::Start if stored.is_some() => {
                Err(invalid("Cannot start a WAIT that already exist."))
            }
            Action::Start => {
                let seconds = update
                    .wait_s
                    .ok_or_else(|| invalid("Invalid WaitOptions for the given action."))?;
                let (head, _) = self.head(stored, &update, 0);
                let until = draft.now.plus(Duration::from_secs(seconds));
                draft.push(Event::WaitStarted { head, seconds, until });
                Ok(())
            }
            Action::Cancel if stored.is_some_and(|o| o.status == OperationStatus::Started) => {
                let (head, _) = self.head(stored, &update, 0);
                draft.push(Event::WaitCancelled { head });
                Ok(())
            }
            Action::Cancel => {
                Err(invalid("Cannot cancel a WAIT that does not exist or has already completed."))
            }
            Action::Succeed | Action::Fail | Action::Retry => Err(invalid_action()),
        }
    }

    fn callback(
        &mut self,
        draft: &mut Draft<Durable>,
        stored: Option<&Operation>,
        update: Update,
    ) -> Result<(), Rejection> {
        if update.action != Action::Start {
            return Err(invalid_action());
        }
        if stored.is_some() {
            return Err(invalid("Cannot start a CALLBACK that already exist."));
        }
        let (head, _) = self.head(stored, &update, 0);
        let CallbackOptions { timeout_s, heartbeat_s } = update.callback;
        draft.push(Event::CallbackStarted { head, timeout_s, heartbeat_s });
        Ok(())
    }

    fn chained(
        &mut self,
        draft: &mut Draft<Durable>,
        stored: Option<&Operation>,
        mut update: Update,
    ) -> Result<(), Rejection> {
        if update.action != Action::Start {
            return Err(invalid_action());
        }
        if stored.is_some() {
            return Err(invalid("Cannot start a CHAINED_INVOKE operation that already exists."));
        }
        let options = update.chained.take().ok_or_else(|| {
            invalid("Update for CHAINED_INVOKE operation requires ChainedInvokeOptions.")
        })?;
        let (head, _) = self.head(stored, &update, 0);
        let (link, refused) = match options.target {
            Ok(target) => (new_link(draft, target), None),
            Err(error) => (Link::Nowhere, Some(error)),
        };
        let inherited = self.execution.work.definition.trace_header.clone();
        draft.push(Event::ChainedInvokeStarted {
            head: head.clone(),
            function_name: options.function_name,
            tenant_id: options.tenant_id,
            trace_header: options.trace_header.or(inherited),
            input: if refused.is_some() { None } else { update.payload },
            link: Box::new(link),
        });
        if let Some(error) = refused {
            draft.push(Event::ChainedInvokeFailed { head, error: Some(error.inline()) });
        }
        Ok(())
    }
}

fn new_link(draft: &mut Draft<Durable>, target: Target) -> Link {
    match target.kind {
        TargetKind::Plain => Link::Invoke { target, request_id: draft.entropy.uuid() },
        TargetKind::Durable { .. } => {
            Link::Child { target, execution: new_execution_id(draft), name: draft.entropy.uuid() }
        }
    }
}

fn new_execution_id(draft: &mut Draft<Durable>) -> ExecutionId {
    let text = draft.entropy.uuid_at(draft.now);
    text.parse().expect("a UUID is an execution id")
}

fn end_execution(draft: &mut Draft<Durable>, update: Update) -> Result<(), Rejection> {
    check_closing_members(&update)?;
    match update.action {
        Action::Succeed => draft.end_hidden(Outcome::Succeeded(update.payload)),
        Action::Fail => draft.end_hidden(Outcome::Failed(update.error)),
        Action::Start | Action::Retry | Action::Cancel => {
            return Err(invalid("Invalid EXECUTION action."));
        }
    }
    Ok(())
}

fn check_closing_members(update: &Update) -> Result<(), Rejection> {
    match update.action {
        Action::Succeed if update.error.is_some() => {
            Err(invalid("Cannot provide an Error for SUCCEED action."))
        }
        Action::Fail if update.payload.is_some() => {
            Err(invalid("Cannot provide a Payload for FAIL action."))
        }
        _ => Ok(()),
    }
}

fn check_consistency(
    stored: Option<&Operation>,
    touched: Option<&Touched>,
    update: &Update,
) -> Result<(), Rejection> {
    let (kind, head) = match (stored, touched) {
        (Some(operation), _) => (operation.kind(), &operation.head),
        (None, Some(touched)) => (touched.kind, &touched.head),
        (None, None) => return Ok(()),
    };
    let differs =
        |given: &Option<String>, known: &Option<String>| given.is_some() && given != known;
    if kind != update.kind {
        return Err(invalid("Inconsistent operation type."));
    }
    if differs(&update.sub_type, &head.sub_type) {
        return Err(invalid("Inconsistent operation subtype."));
    }
    if differs(&update.name, &head.name) {
        return Err(invalid("Inconsistent operation name."));
    }
    if differs(&update.parent, &head.parent) {
        return Err(invalid("Inconsistent parent operation id."));
    }
    Ok(())
}

fn length(payload: Option<&Payload>) -> u64 {
    payload.map_or(0, Payload::length)
}

fn invalid(text: impl Into<String>) -> Rejection {
    Rejection::Invalid(text.into())
}

fn invalid_action() -> Rejection {
    invalid("Invalid action for the given operation type.")
}
