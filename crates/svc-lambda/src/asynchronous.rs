//! Event invokes of plain functions: accepted means kept, until they have run or have failed for good.
//!
//! What is kept waits in one queue in order of its deadlines, and takes part in every turn of the clock.
//!
//! Source: Lambda developer guide, "How Lambda handles errors and retries with asynchronous invocation": two more
//! attempts, one minute and then two minutes later.

use crate::{catalog::Resolved, durable_error::DurableError, invoke::InvokeError, lambda::Lambda};
use bytes::Bytes;
use durastack_clock::Timestamp;
use durastack_driver::{Next, Pending, Timed};
use durastack_names::{FunctionArn, Version};
use durastack_runner::{Invocation, Outcome};
use durastack_store::{Batch, Change, Expect, RecordsQuery, StoreError};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The accepted events: each is either waiting or has a task.
#[derive(Debug)]
pub(crate) struct Asynchronous {
    waiting: Mutex<Waiting>,
    /// Another event may be the first to be due, or the clock was turned.
    changed: Notify,
    /// The attempts under way; closed from the start, so that waiting for it is waiting until there are none.
    attempts: TaskTracker,
    stop: CancellationToken,
}

/// By when they are due, and then by request id.
type Waiting = BTreeMap<(Timestamp, String), Queued>;

impl Default for Asynchronous {
    fn default() -> Self {
        let attempts = TaskTracker::new();
        attempts.close();
        Self {
            waiting: Mutex::default(),
            changed: Notify::new(),
            attempts,
            stop: CancellationToken::new(),
        }
    }
}

impl Asynchronous {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enqueue(&self, queued: Queued) {
        self.waiting().insert((queued.due, queued.request_id.clone()), queued);
        self.changed.notify_one();
    }

    /// When the first one is due.
    fn next_due(&self) -> Option<Timestamp> {
        self.waiting().first_key_value().map(|((due, _), _)| *due)
    }
}

/// An accepted event, as the store keeps it. A format for ever.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Queued {
    function: FunctionArn,
    scope: String,
    version: Version,
    request_id: String,
    invoked_arn: String,
    event: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    /// Attempts that have failed.
    attempts: u32,
    /// When the next one is due, in virtual time.
    due: Timestamp,
}

const NAMESPACE: &str = "lambda-event";
/// The pauses before the second and the third attempt.
const PAUSES: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(120)];
/// The longest sleep while something waits: how late it is noticed that the system's clock was set.
const SLEEP_MAX: Duration = Duration::from_secs(1);

impl Lambda {
    /// Keeps an event, and runs it. Returns when it is durable.
    pub(crate) async fn queue(
        self: &Arc<Self>,
        found: &Resolved,
        invocation: Invocation,
    ) -> Result<(), InvokeError> {
        let queued = Queued {
            function: found.function.arn.clone(),
            scope: found.function.incarnation.clone(),
            version: found.configuration.version,
            request_id: invocation.request_id,
            invoked_arn: invocation.invoked_arn,
            event: String::from_utf8_lossy(&invocation.event).into_owned(),
            tenant_id: invocation.tenant_id,
            trace_id: invocation.trace_id,
            attempts: 0,
            due: self.clock.now(),
        };
        self.keep(&queued).await.map_err(DurableError::from)?;
        self.asynchronous.enqueue(queued);
        // At once, so that a turn of the clock right after the answer finds it under way.
        self.run_due();
        Ok(())
    }

    /// Takes up again the events that an earlier durastack had accepted: they run when
    /// [`keep_event_time`](Self::keep_event_time) does.
    ///
    /// # Errors
    ///
    /// Store errors.
    pub async fn recover_events(self: &Arc<Self>) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let query =
                RecordsQuery { namespace: NAMESPACE, prefix: String::new(), after, limit: 256 };
            let page = self.driver.store().records(query).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            for (key, value) in page {
                match serde_json::from_slice(&value.value) {
                    Ok(queued) => self.asynchronous.enqueue(queued),
                    Err(error) => {
                        tracing::error!(key, %error, "an accepted event cannot be read and is left alone")
                    }
                }
            }
        }
    }

    /// Runs events as the clock reaches their deadlines, until [`stop_events`](Self::stop_events).
    pub async fn keep_event_time(self: Arc<Self>) {
        loop {
            self.run_due();
            let until_due = async {
                match self.asynchronous.next_due() {
                    Some(due) => {
                        tokio::time::sleep(due.since(self.clock.now()).min(SLEEP_MAX)).await;
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.asynchronous.stop.cancelled() => return,
                () = self.asynchronous.changed.notified() => {}
                () = until_due => {}
            }
        }
    }

    /// Ends what waits; what runs is not concluded. Everything is taken up again at the next start.
    pub async fn stop_events(&self) {
        self.asynchronous.stop.cancel();
        self.asynchronous.attempts.wait().await;
    }

    /// Starts an attempt for each event that is due; says how many.
    fn run_due(self: &Arc<Self>) -> usize {
        let now = self.clock.now();
        let mut started = 0;
        let mut waiting = self.asynchronous.waiting();
        while let Some(first) = waiting.first_entry().filter(|first| first.key().0 <= now) {
            // Still under the lock: whoever finds it gone from the queue finds its attempt under way.
            self.start_attempt(first.remove());
            started += 1;
        }
        started
    }

    fn start_attempt(self: &Arc<Self>, queued: Queued) {
        let lambda = Arc::clone(self);
        self.asynchronous.attempts.spawn(async move {
            let request_id = queued.request_id.clone();
            tokio::select! {
                biased;
                () = lambda.asynchronous.stop.cancelled() => {}
                done = lambda.attempt(queued) => {
                    if let Err(error) = done {
                        tracing::error!(request_id, %error, "failed to keep account of an accepted event");
                    }
                }
            }
        });
    }

    /// Makes one attempt, and stores what came of it.
    async fn attempt(&self, mut queued: Queued) -> Result<(), StoreError> {
        match self.run_once(&queued).await {
            Ran::Stopped => return Ok(()),
            Ran::Done => return self.forget(&queued).await,
            Ran::Failed => {}
        }
        let Some(pause) = usize::try_from(queued.attempts).ok().and_then(|n| PAUSES.get(n)) else {
            tracing::warn!(function = %queued.function, request_id = queued.request_id, "an event failed for good");
            return self.forget(&queued).await;
        };
        queued.attempts += 1;
        // Differs: Lambda pauses after an attempt has failed. Counted from deadline to deadline, the attempts within
        // a long turn of the clock are those that waiting would have made.
        queued.due = queued.due.plus(*pause);
        self.keep(&queued).await?;
        self.asynchronous.enqueue(queued);
        Ok(())
    }

    async fn run_once(&self, queued: &Queued) -> Ran {
        let Some(found) = self.pinned(&queued.function, &queued.scope, queued.version) else {
            return Ran::Done;
        };
        let function = match self.runnable(&found).await {
            Ok(function) => function,
            Err(error) => {
                tracing::error!(function = %queued.function, %error, "failed to unpack a function");
                return Ran::Failed;
            }
        };
        let invocation = Invocation {
            request_id: queued.request_id.clone(),
            event: Bytes::from(queued.event.clone()),
            invoked_arn: queued.invoked_arn.clone(),
            client_context: None,
            tenant_id: queued.tenant_id.clone(),
            trace_id: queued.trace_id.clone(),
            execution_arn: None,
            nested: false,
        };
        match self.runner.invoke(function, invocation).await.outcome {
            Outcome::Response(_) => Ran::Done,
            Outcome::FunctionError { .. } => Ran::Failed,
            Outcome::Refused(refusal) => {
                tracing::warn!(function = %queued.function, %refusal, "an event cannot be run");
                Ran::Done
            }
            Outcome::Stopped => Ran::Stopped,
        }
    }

    async fn keep(&self, queued: &Queued) -> Result<(), StoreError> {
        let value = serde_json::to_vec(queued)
            .expect("an event's record has string keys and no failing parts");
        self.write_event(&queued.request_id, Some(value.into())).await
    }

    async fn forget(&self, queued: &Queued) -> Result<(), StoreError> {
        self.write_event(&queued.request_id, None).await
    }

    async fn write_event(&self, key: &str, value: Option<Bytes>) -> Result<(), StoreError> {
        let change =
            Change { namespace: NAMESPACE, key: key.to_owned(), value, expect: Expect::Anything };
        self.driver.store().commit(Batch { records: vec![change], ..Batch::default() }).await
    }
}

/// The queue of events, as the clock sees it.
impl Timed for Lambda {
    fn next(self: Arc<Self>) -> Pending<Option<Next>> {
        let next = self.asynchronous.waiting().first_key_value().map(|((at, _), queued)| Next {
            at: *at,
            execution: None,
            dialect: "event",
            name: queued.request_id.clone(),
            purpose: queued.purpose(),
        });
        Box::pin(std::future::ready(Ok(next)))
    }

    fn deliver(self: Arc<Self>) -> Pending<usize> {
        // The clock was turned: what is asleep has the wrong time in mind.
        self.asynchronous.changed.notify_one();
        let started = self.run_due();
        Box::pin(std::future::ready(Ok(started)))
    }

    /// An event leaves nothing behind that could be retained.
    fn sweep(self: Arc<Self>) -> Pending<usize> {
        Box::pin(std::future::ready(Ok(0)))
    }

    fn running(&self) -> usize {
        self.asynchronous.attempts.len()
    }

    fn settled(self: Arc<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move { self.asynchronous.attempts.wait().await })
    }
}

impl Queued {
    /// What the next attempt is, in words for people.
    fn purpose(&self) -> String {
        let (attempt, of) = (self.attempts.saturating_add(1), PAUSES.len() + 1);
        format!("event invoke of '{}', attempt {attempt} of {of}", self.function.name)
    }
}

/// How one attempt went.
enum Ran {
    Done,
    Failed,
    Stopped,
}
