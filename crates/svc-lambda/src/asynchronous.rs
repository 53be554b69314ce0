//! Event invokes of plain functions: accepted means kept, until they have run or have failed for good.
//!
//! Source: Lambda developer guide, "How Lambda handles errors and retries with asynchronous invocation": two more
//! attempts, one minute and then two minutes later.

use crate::{catalog::Resolved, durable_error::DurableError, invoke::InvokeError, lambda::Lambda};
use bytes::Bytes;
use durastack_clock::Timestamp;
use durastack_names::{FunctionArn, Version};
use durastack_runner::{Invocation, Outcome};
use durastack_store::{Batch, Change, Expect, RecordsQuery, StoreError};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The events under way.
#[derive(Debug, Default)]
pub(crate) struct Asynchronous {
    tasks: TaskTracker,
    stop: CancellationToken,
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
/// How often a pause looks at the virtual clock: somebody may have turned it.
const LOOK: Duration = Duration::from_millis(500);

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
        self.run_queued(queued);
        Ok(())
    }

    /// Takes up again the events that an earlier durastack had accepted.
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
                    Ok(queued) => self.run_queued(queued),
                    Err(error) => {
                        tracing::error!(key, %error, "an accepted event cannot be read and is left alone")
                    }
                }
            }
        }
    }

    /// Ends what waits; what runs is not concluded. Everything is taken up again at the next start.
    pub async fn stop_events(&self) {
        self.asynchronous.stop.cancel();
        self.asynchronous.tasks.close();
        self.asynchronous.tasks.wait().await;
    }

    fn run_queued(self: &Arc<Self>, queued: Queued) {
        let lambda = Arc::clone(self);
        let stop = self.asynchronous.stop.clone();
        self.asynchronous.tasks.spawn(async move {
            let request_id = queued.request_id.clone();
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                done = lambda.run_to_the_end(queued) => {
                    if let Err(error) = done {
                        tracing::error!(request_id, %error, "failed to keep account of an accepted event");
                    }
                }
            }
        });
    }

    async fn run_to_the_end(self: &Arc<Self>, mut queued: Queued) -> Result<(), StoreError> {
        loop {
            while self.clock.now() < queued.due {
                tokio::time::sleep(queued.due.since(self.clock.now()).min(LOOK)).await;
            }
            match self.run_once(&queued).await {
                Ran::Stopped => return Ok(()),
                Ran::Done => return self.forget(&queued).await,
                Ran::Failed => {}
            }
            let Some(pause) = usize::try_from(queued.attempts).ok().and_then(|n| PAUSES.get(n))
            else {
                tracing::warn!(function = %queued.function, request_id = queued.request_id, "an event failed for good");
                return self.forget(&queued).await;
            };
            queued.attempts += 1;
            queued.due = self.clock.now().plus(*pause);
            self.keep(&queued).await?;
        }
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

/// How one attempt went.
enum Ran {
    Done,
    Failed,
    Stopped,
}
