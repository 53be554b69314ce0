//! Calls to user code on behalf of executions: the handler itself, and the plain targets of chained invokes.

use crate::{
    catalog::Resolved, durable_error::DurableError, lambda::Lambda, packages::PackageError,
};
use bytes::Bytes;
use durastack_driver::{Driver, Performed, World};
use durastack_durable::{
    Call, ChainedInput, Command, Definition, Durable, ErrorObject, Output, StateEntry, Target,
    TargetEnd, TimeForm, visible_page,
};
use durastack_engine::{Execution, Stash};
use durastack_names::{ExecutionId, FunctionArn, Marker, Qualifier, Version};
use durastack_runner::{
    Contract, EnvironmentKey, Finished, Function, Invocation, LambdaIdentity, LogFormat, Outcome,
};
use serde_json::json;
use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Functions made ready to run, each under its incarnation and version.
#[derive(Debug, Default)]
pub(crate) struct Runnables(Mutex<HashMap<(String, Version), Arc<Function>>>);

impl World<Durable> for Lambda {
    fn call(
        self: Arc<Self>,
        driver: Arc<Driver<Durable>>,
        execution: ExecutionId,
        call: Call,
    ) -> Pin<Box<dyn Future<Output = Option<Performed<Durable>>> + Send>> {
        Box::pin(async move {
            match call {
                Call::Handler { number, request_id } => {
                    self.call_handler(&driver, execution, number, request_id).await
                }
                Call::Target { number, request_id, target, input } => {
                    self.call_target(&driver, execution, number, request_id, &target, input).await
                }
            }
        })
    }
}

/// An invocation's input, taken from the execution before its long texts are read.
struct Prepared {
    definition: Definition,
    name: String,
    scope: String,
    is_child: bool,
    entries: Vec<StateEntry>,
    next: Option<u64>,
    updated: Vec<String>,
    counter: u64,
}

fn prepare(execution: &mut Execution<Durable>, number: u64) -> Option<Prepared> {
    let counter = execution.work.live.as_ref().filter(|live| live.number == number)?.counter;
    let updated = execution.work.tell_input();
    let page = visible_page(execution, 0, usize::MAX, true);
    let id_of =
        |number: &u64| execution.work.operation(*number).map(|operation| operation.head.id.clone());
    Some(Prepared {
        definition: execution.work.definition.clone(),
        name: execution.life.name.clone(),
        scope: execution.life.scope.clone(),
        is_child: execution.life.parent.is_some(),
        entries: page
            .positions
            .iter()
            .map(|position| StateEntry::at(execution, *position))
            .collect(),
        next: page.next,
        updated: updated.iter().filter_map(id_of).collect(),
        counter,
    })
}

impl Lambda {
    async fn call_handler(
        &self,
        driver: &Arc<Driver<Durable>>,
        id: ExecutionId,
        number: u64,
        request_id: String,
    ) -> Option<Performed<Durable>> {
        let mut stash = Stash::default();
        let output = match self.run_handler(driver, id, number, request_id, &mut stash).await {
            Ok(output) => output?,
            // What we cannot even begin is told as an error of the runtime: it is repeated, and counted.
            Err(error) => {
                tracing::error!(execution = %id, %error, "failed to prepare an invocation");
                let error = ErrorObject::typed("Runtime.Unavailable", error.to_string());
                Output::FunctionError {
                    error_type: "Runtime.Unavailable".to_owned(),
                    error: error.stash(&mut stash),
                }
            }
        };
        Some(Performed { command: Command::InvocationEnded { number, output }, stash })
    }

    async fn run_handler(
        &self,
        driver: &Arc<Driver<Durable>>,
        id: ExecutionId,
        number: u64,
        request_id: String,
        stash: &mut Stash,
    ) -> Result<Option<Output>, DurableError> {
        let Some(prepared) = driver.read(id, move |execution| prepare(execution, number)).await?
        else {
            return Ok(None);
        };
        let definition = &prepared.definition;
        let Some(found) = self.pinned(&definition.function, &prepared.scope, definition.version)
        else {
            let arn = definition.function.qualified(Some(Qualifier::Version(definition.version)));
            let error = ErrorObject::typed(
                "ResourceNotFoundException",
                format!("Function not found: {arn}"),
            );
            return Ok(Some(Output::Gone(error)));
        };
        let arn = self.execution_arn(definition, &prepared.name, id);
        let operations =
            self.render(id, &prepared.entries, TimeForm::EpochMillis, self.clock.offset()).await?;
        let envelope = json!({
            "DurableExecutionArn": arn,
            "CheckpointToken": self.checkpoint_token(id, number, prepared.counter),
            "InitialExecutionState": {
                "Operations": operations,
                "NextMarker": prepared.next.map(|next| Marker::new(next).to_string()).unwrap_or_default(),
            },
            "UpdatedOperationIds": prepared.updated,
        });
        let invocation = Invocation {
            request_id,
            event: Bytes::from(envelope.to_string()),
            invoked_arn: found.arn.to_string(),
            client_context: None,
            tenant_id: definition.tenant_id.clone(),
            trace_id: definition.trace_header.clone(),
            execution_arn: Some(arn),
            // Its parent may be running, and waiting for it.
            nested: prepared.is_child,
        };
        let function = self.runnable(&found).await?;
        let Finished { outcome, log_tail, .. } = self.runner.invoke(function, invocation).await;
        self.keep_tail(id, log_tail);
        Ok(Some(match outcome {
            Outcome::Response(body) => Output::read(&body, stash),
            Outcome::FunctionError { document, error_type, .. } => {
                let error = ErrorObject::from_function_error(&String::from_utf8_lossy(&document));
                Output::FunctionError { error_type, error: error.stash(stash) }
            }
            Outcome::Refused(refusal) => {
                Output::Gone(ErrorObject::typed("InvalidRuntimeException", refusal.to_string()))
            }
            Outcome::Stopped => return Ok(None),
        }))
    }

    async fn call_target(
        &self,
        driver: &Arc<Driver<Durable>>,
        id: ExecutionId,
        number: u64,
        request_id: String,
        target: &Target,
        input: ChainedInput,
    ) -> Option<Performed<Durable>> {
        let mut stash = Stash::default();
        let end = match self.run_target(driver, id, request_id, target, input, &mut stash).await {
            Ok(end) => end?,
            Err(error) => {
                tracing::error!(execution = %id, %error, "failed to call the target of a chained invoke");
                TargetEnd::Failed(Some(
                    ErrorObject::typed("ServiceException", error.to_string()).stash(&mut stash),
                ))
            }
        };
        Some(Performed { command: Command::TargetEnded { number, end }, stash })
    }

    async fn run_target(
        &self,
        driver: &Arc<Driver<Durable>>,
        id: ExecutionId,
        request_id: String,
        target: &Target,
        input: ChainedInput,
        stash: &mut Stash,
    ) -> Result<Option<TargetEnd>, DurableError> {
        let mut failed = |error: ErrorObject| Ok(Some(TargetEnd::Failed(Some(error.stash(stash)))));
        let Some(found) = self.pinned(&target.function, &target.scope, target.version) else {
            let arn = target.function.qualified(Some(Qualifier::Version(target.version)));
            return failed(ErrorObject::typed(
                "ResourceNotFoundException",
                format!("Function not found: {arn}"),
            ));
        };
        let event = match &input.payload {
            Some(payload) => driver.text(id, payload).await?,
            None => "{}".to_owned(),
        };
        let invocation = Invocation {
            request_id: request_id.clone(),
            event: event.into(),
            invoked_arn: found.arn.to_string(),
            client_context: None,
            tenant_id: input.tenant_id,
            trace_id: input.trace_header,
            execution_arn: None,
            nested: true,
        };
        let function = self.runnable(&found).await?;
        let timeout = function.timeout;
        match self.runner.invoke(function, invocation).await.outcome {
            Outcome::Response(body) => match String::from_utf8(body.to_vec()) {
                Ok(text) => Ok(Some(TargetEnd::Succeeded(Some(stash.put(text))))),
                Err(_) => failed(ErrorObject::message(
                    "CHAINED_INVOKE response could not be decoded as UTF-8.",
                )),
            },
            // Source of the text: AWS's local test runner.
            Outcome::FunctionError { error_type, .. } if error_type == "Sandbox.Timedout" => {
                let at = self.clock.now().iso();
                let text = format!(
                    "{at} {request_id} Task timed out after {:.2} seconds",
                    timeout.as_secs_f64()
                );
                failed(ErrorObject::typed("Sandbox.Timedout", text))
            }
            Outcome::FunctionError { document, .. } => {
                failed(ErrorObject::from_function_error(&String::from_utf8_lossy(&document)))
            }
            Outcome::Refused(refusal) => {
                failed(ErrorObject::typed("InvalidRuntimeException", refusal.to_string()))
            }
            Outcome::Stopped => Ok(None),
        }
    }

    /// The version that was pinned, if its function still exists: a function that was deleted and made again under the
    /// same name is another one.
    pub(crate) fn pinned(
        &self,
        arn: &FunctionArn,
        scope: &str,
        version: Version,
    ) -> Option<Resolved> {
        let function = self.catalog.incarnated(arn, scope)?;
        let configuration = Arc::clone(function.version(version)?);
        Some(Resolved {
            arn: arn.qualified(Some(Qualifier::Version(version))),
            function,
            configuration,
        })
    }

    /// The function as the runner wants it, its code unpacked.
    pub(crate) async fn runnable(&self, found: &Resolved) -> Result<Arc<Function>, PackageError> {
        let (function, configuration) = (&found.function, &found.configuration);
        let place = (function.incarnation.clone(), configuration.version);
        let key = EnvironmentKey(format!("{}:{}:{}", place.0, place.1, configuration.revision_id));
        let known = self.runnables.get(&place);
        if let Some(known) = known.filter(|known| known.key == key) {
            return Ok(known);
        }
        let settings = &configuration.settings;
        let runnable = Arc::new(Function {
            key,
            contract: Contract::Lambda(LambdaIdentity {
                arn: function.arn.clone(),
                version: configuration.version,
            }),
            runtime: settings.runtime.clone(),
            handler: settings.handler.clone(),
            code: self.catalog.unpacked(configuration.code).await?,
            timeout: Duration::from_secs(settings.timeout_s.into()),
            memory_mb: settings.memory_mb,
            environment: settings.environment.clone().unwrap_or_default(),
            log_group: settings.logging.group.clone(),
            log_format: if settings.logging.format == "JSON" {
                LogFormat::Json
            } else {
                LogFormat::Text
            },
            log_level: settings.logging.application_level.clone(),
            credentials: self.credentials.for_function(&function.arn),
        });
        if let Some(before) = self.runnables.put(place, Arc::clone(&runnable)) {
            self.runner.retire(&before.key);
        }
        Ok(runnable)
    }
}

impl Runnables {
    fn get(&self, place: &(String, Version)) -> Option<Arc<Function>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(place).cloned()
    }

    fn put(&self, place: (String, Version), function: Arc<Function>) -> Option<Arc<Function>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(place, function)
    }
}
