//! What tasks ask of the world: invoke a function, start another flow.

use crate::{
    flow::Flow,
    fnf::Fnf,
    functions::{Code, Way},
};
use bytes::Bytes;
use durastack_driver::{DriveError, Driver, NameClaim, Performed, Started, World};
use durastack_engine::{Start, Stash};
use durastack_flow::{
    Call, CallEnd, Command, Failure, Flow as Language, FunctionAnswer, FunctionCall,
    FunctionTarget, Rejection, StartCall,
};
use durastack_names::ExecutionId;
use durastack_runner::{Contract, FcIdentity, Function, Invocation, LogFormat, Outcome};
use sha2::{Digest, Sha256};
use std::{pin::Pin, sync::Arc};

impl World<Language> for Fnf {
    fn call(
        self: Arc<Self>,
        driver: Arc<Driver<Language>>,
        execution: ExecutionId,
        call: Call,
    ) -> Pin<Box<dyn Future<Output = Option<Performed<Language>>> + Send>> {
        Box::pin(async move {
            let key = call.key();
            // Executions of a deleted flow are being stopped: nothing new is done for them.
            let scope =
                driver.read(execution, |execution| execution.life.scope.clone()).await.ok()?;
            let flow = self.catalog.by_id(&scope)?;
            let end = match call {
                Call::Function(call) => self.call_function(&flow, execution, &call).await?,
                Call::StartFlow(call) => self.start_flow(&driver, &flow, execution, &call).await?,
            };
            Some(Performed { command: Command::CallEnded { key, end }, stash: Stash::default() })
        })
    }
}

impl Fnf {
    async fn call_function(
        &self,
        flow: &Flow,
        execution: ExecutionId,
        call: &FunctionCall,
    ) -> Option<CallEnd> {
        let code = match self.functions.find(&call.target.function) {
            Ok(Way::Run(code)) => code,
            Ok(Way::Reply(reply)) => return Some(end_of(reply.answer())),
            Err(failure) => return Some(CallEnd::Failed(failure)),
        };
        let invocation = Invocation {
            request_id: self.uuid(),
            event: Bytes::from(call.event(&self.tokens_of(execution))),
            invoked_arn: call.target.arn.clone(),
            client_context: None,
            tenant_id: None,
            trace_id: None,
            execution_arn: None,
            // Flows hold no environment while they wait.
            nested: false,
        };
        let function = self.runnable(flow, &call.target, code).await?;
        Some(match self.runner.invoke(Arc::new(function), invocation).await.outcome {
            Outcome::Response(body) => {
                end_of(FunctionAnswer::Result(&String::from_utf8_lossy(&body)))
            }
            Outcome::FunctionError { document, .. } => {
                end_of(FunctionAnswer::FunctionError(&String::from_utf8_lossy(&document)))
            }
            // Differs: the cloud has every runtime; here an interpreter may be missing, and the text says which.
            Outcome::Refused(refusal) => end_of(FunctionAnswer::Refused {
                status: 400,
                code: "InvalidArgument",
                message: &refusal.to_string(),
            }),
            Outcome::Stopped => return None,
        })
    }

    /// The function as the runner wants it. What an ARN leaves open is the flow's own.
    async fn runnable(
        &self,
        flow: &Flow,
        target: &FunctionTarget,
        code: &Code,
    ) -> Option<Function> {
        let region = target.region.parse().unwrap_or_else(|_| flow.region.clone());
        let account = match target.account.as_str() {
            "" => flow.account.to_string(),
            account => account.to_owned(),
        };
        let identity = FcIdentity {
            account,
            region,
            service: target.service.clone(),
            name: target.function.clone(),
            qualifier: target.qualifier.clone().unwrap_or_else(|| "LATEST".to_owned()),
            initializer: None,
        };
        Some(Function {
            key: self.environment_key(&identity, &code.folder).await?,
            runtime: code.runtime.clone(),
            handler: code.handler.clone(),
            code: code.folder.clone(),
            timeout: code.timeout,
            memory_mb: code.memory_mb,
            environment: code.environment.clone(),
            log_group: format!("/fc/{}", target.function),
            log_format: LogFormat::Text,
            log_level: None,
            credentials: self.credentials.for_function(
                &flow.account,
                &flow.region,
                &target.function,
            ),
            contract: Contract::FunctionCompute(identity),
        })
    }

    async fn start_flow(
        &self,
        driver: &Arc<Driver<Language>>,
        parent: &Flow,
        execution: ExecutionId,
        call: &StartCall,
    ) -> Option<CallEnd> {
        let birth = self.births.read().await;
        let Some(flow) = self.catalog.find(&parent.account, &parent.region, &call.flow) else {
            return Some(CallEnd::Failed(Failure::flow_not_exists(&call.flow)));
        };
        let input = call.input(&self.tokens_of(execution));
        let claim = NameClaim { input_sha256: Sha256::digest(input.as_bytes()).into() };
        let mut stash = Stash::default();
        let start = Start {
            id: call.id,
            name: call.name.clone(),
            scope: flow.id.clone(),
            version: String::new(),
            timeout: Some(flow.definition.timeout()),
            retention: None,
            parent: call.parent,
            input: stash.put(input),
            definition: flow.definition.clone(),
        };
        let started = driver.start(start, stash, Some(claim)).await;
        drop(birth);
        self.start_end(driver, call, started).await
    }

    async fn start_end(
        &self,
        driver: &Arc<Driver<Language>>,
        call: &StartCall,
        started: Result<Started, DriveError<Rejection>>,
    ) -> Option<CallEnd> {
        let owner = match started {
            Ok(_) => return Some(CallEnd::Started),
            Err(DriveError::NameTaken(owner)) => owner,
            Err(error) => {
                // The same call is made again at the next start.
                tracing::error!(flow = call.flow, %error, "failed to start an execution for a task");
                return None;
            }
        };
        // Started before a crash, or a name that means an execution which still runs: but not to be waited for.
        let runs = || driver.read(owner, |execution| execution.life.is_open());
        if owner == call.id || (call.parent.is_none() && runs().await.unwrap_or(false)) {
            return Some(CallEnd::Started);
        }
        Some(CallEnd::Failed(Failure::execution_already_exists(&call.flow, &call.name)))
    }
}

/// What an answer of Function Compute means to a task.
fn end_of(answer: FunctionAnswer<'_>) -> CallEnd {
    match (answer.failure(), answer) {
        (Some(failure), _) => CallEnd::Failed(failure),
        (None, FunctionAnswer::Result(text)) => CallEnd::Answered(text.to_owned()),
        // Every other answer is a failure.
        (None, _) => CallEnd::Answered(String::new()),
    }
}
