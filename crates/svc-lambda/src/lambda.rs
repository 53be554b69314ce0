//! What the operations share: the catalogue of functions, the executions, the processes.

use crate::{
    asynchronous::Asynchronous,
    catalog::{Catalog, CatalogError, Resolved, Scope},
    durable_error::DurableError,
    world::Runnables,
};
use durastack_clock::Clock;
use durastack_driver::{DriveError, Driver};
use durastack_durable::{
    Definition, Durable, ErrorObject, OperationsView, RetryPolicy, StateEntry, Target, TargetKind,
    TimeForm,
};
use durastack_engine::{Payload, Token, TokenKey, TokenKind};
use durastack_names::{ExecutionArn, ExecutionId, FunctionArn, FunctionRef, Qualifier, Version};
use durastack_runner::Runner;
use durastack_wire::Caller;
use lru::LruCache;
use serde_json::Value;
use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Lambda, as the operations see it.
#[derive(Debug)]
pub struct Lambda {
    pub(crate) catalog: Catalog,
    pub(crate) driver: Arc<Driver<Durable>>,
    pub(crate) runner: Arc<Runner>,
    pub(crate) credentials: Arc<dyn FunctionCredentials>,
    pub(crate) tokens: TokenKey,
    pub(crate) clock: Clock,
    pub(crate) retries: RetryPolicy,
    pub(crate) runnables: Runnables,
    pub(crate) asynchronous: Asynchronous,
    tails: Mutex<LruCache<ExecutionId, Vec<u8>>>,
}

/// How many executions' last log tails are kept for a caller that asked for one.
const TAILS_MAX: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

/// Everything that Lambda is made of.
#[derive(Debug)]
pub struct Parts {
    /// The functions.
    pub catalog: Catalog,
    /// The executions.
    pub driver: Arc<Driver<Durable>>,
    /// The processes.
    pub runner: Arc<Runner>,
    /// The keys of the processes.
    pub credentials: Arc<dyn FunctionCredentials>,
    /// The key under which tokens are made.
    pub tokens: TokenKey,
    /// The clock.
    pub clock: Clock,
    /// How failed invocations of durable functions are repeated.
    pub retries: RetryPolicy,
}

/// Issues the keys that functions sign their own calls with.
pub trait FunctionCredentials: std::fmt::Debug + Send + Sync {
    /// The key of a function; always the same one.
    fn for_function(&self, function: &FunctionArn) -> durastack_runner::Credentials;
}

/// Whose executions are listed.
pub(crate) struct Listed {
    pub(crate) function: FunctionArn,
    pub(crate) scope: String,
    pub(crate) version: Option<Version>,
}

impl Lambda {
    /// Puts Lambda together.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts { catalog, driver, runner, credentials, tokens, clock, retries } = parts;
        Arc::new(Self {
            catalog,
            driver,
            runner,
            credentials,
            tokens,
            clock,
            retries,
            runnables: Runnables::default(),
            asynchronous: Asynchronous::default(),
            tails: Mutex::new(LruCache::new(TAILS_MAX)),
        })
    }

    pub(crate) fn keep_tail(&self, id: ExecutionId, tail: Vec<u8>) {
        self.tails.lock().unwrap_or_else(PoisonError::into_inner).put(id, tail);
    }

    /// The tail of the log of an execution's last invocation.
    pub(crate) fn log_tail(&self, id: ExecutionId) -> Vec<u8> {
        self.tails
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .peek(&id)
            .cloned()
            .unwrap_or_default()
    }

    /// The execution that an ARN names, if it is the caller's to see. All of the ARN counts, not its last part alone.
    pub(crate) async fn execution_of(
        &self,
        caller: &Caller,
        arn: &ExecutionArn,
    ) -> Result<ExecutionId, DurableError> {
        let unknown = || DurableError::ExecutionNotFound(Box::new(arn.clone()));
        let own = arn.account == caller.account && arn.region == caller.region;
        let id = arn.id().filter(|_| own).ok_or_else(unknown)?;
        let asked = arn.clone();
        let same = self.driver.read(id, move |execution| {
            let definition = &execution.work.definition;
            definition.function == asked.function_arn().qualified(None)
                && definition.version == asked.version
                && execution.life.name == asked.name.as_str()
        });
        match same.await {
            Ok(true) => Ok(id),
            Ok(false) | Err(DriveError::Unknown) => Err(unknown()),
            Err(error) => Err(error.into()),
        }
    }

    /// The ARN of an execution.
    pub(crate) fn execution_arn(
        &self,
        definition: &Definition,
        name: &str,
        id: ExecutionId,
    ) -> String {
        name.parse().map_or_else(
            |_| String::new(),
            |name| {
                ExecutionArn::new(&definition.function, definition.version, name, id).to_string()
            },
        )
    }

    pub(crate) fn checkpoint_token(
        &self,
        execution: ExecutionId,
        number: u64,
        counter: u64,
    ) -> String {
        self.tokens.seal(&Token { kind: TokenKind::Checkpoint, execution, number, counter })
    }

    /// State entries as JSON, with their long texts.
    pub(crate) async fn render(
        &self,
        id: ExecutionId,
        entries: &[StateEntry],
        time: TimeForm,
        ahead: Duration,
    ) -> Result<Vec<Value>, DurableError> {
        let payloads: Vec<Payload> = entries.iter().flat_map(StateEntry::payloads).collect();
        let texts = self.driver.texts(id, &payloads).await?;
        let text = |payload: &Payload| texts.of(payload);
        let view = OperationsView { execution: id, time, ahead, key: &self.tokens, text: &text };
        Ok(entries.iter().map(|entry| view.entry(entry)).collect())
    }

    /// The function that a listing is about. A qualifier that contradicts the one in the name is refused.
    pub(crate) fn find_listed(
        &self,
        caller: &Caller,
        name: &FunctionRef,
        qualifier: Option<&Qualifier>,
    ) -> Result<Listed, DurableError> {
        let qualifier = agreed_qualifier(name, qualifier)?;
        let found = self.resolve(caller, name, qualifier.as_ref())?;
        Ok(Listed {
            function: found.function.arn.clone(),
            scope: found.function.incarnation.clone(),
            version: qualifier.map(|_| found.configuration.version),
        })
    }

    /// The target of a chained invoke. A target that cannot be called is no error of the checkpoint, but of the
    /// operation; a name that cannot be one is refused.
    ///
    /// Source of the texts: AWS's local test runner.
    pub(crate) fn chained_target(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<Result<Target, ErrorObject>, DurableError> {
        let invalid = || DurableError::invalid(format!("Invalid function ARN '{name}'"));
        // The grammar of a target admits dots, and `$LATEST.PUBLISHED`; no function here can have such a name.
        let dotted = name.contains('.');
        let reference: FunctionRef = name.replace('.', "-").parse().map_err(|_| invalid())?;
        if name.starts_with("arn:") && (reference.region.is_none() || reference.account.is_none()) {
            return Err(invalid());
        }
        if reference.account.as_ref().is_some_and(|account| *account != caller.account) {
            let text = "Cannot start a CHAINED_INVOKE on a function in another account.";
            return Err(DurableError::invalid(text));
        }
        if reference.region.as_ref().is_some_and(|region| *region != caller.region) {
            let text = "Cannot start a CHAINED_INVOKE on a function in another region.";
            return Err(DurableError::invalid(text));
        }
        if dotted {
            let (region, account) = (&caller.region, &caller.account);
            let target = name.rsplit("function:").next().unwrap_or(name);
            let text =
                format!("Function not found: arn:aws:lambda:{region}:{account}:function:{target}");
            return Ok(Err(ErrorObject::typed("ResourceNotFoundException", text)));
        }
        let found = match self.resolve(caller, &reference, reference.qualifier.as_ref()) {
            Ok(found) => found,
            Err(error) => {
                let wire = crate::error::catalog(&error);
                return if wire.status.is_server_error() {
                    Err(error.into())
                } else {
                    Ok(Err(ErrorObject::typed(wire.code, wire.message)))
                };
            }
        };
        let kind = match &found.configuration.settings.durable {
            None => TargetKind::Plain,
            Some(_) if reference.qualifier.is_none() => {
                return Ok(Err(ErrorObject::typed("InvalidParameterValueException", UNQUALIFIED)));
            }
            Some(durable) => TargetKind::Durable {
                execution_timeout_s: durable.execution_timeout_s.into(),
                retention_days: durable.retention_days.into(),
                kms_key_arn: durable.kms_key_arn.clone(),
            },
        };
        Ok(Ok(Target {
            function: found.function.arn.clone(),
            scope: found.function.incarnation.clone(),
            version: found.configuration.version,
            kind,
        }))
    }

    pub(crate) fn resolve(
        &self,
        caller: &Caller,
        name: &FunctionRef,
        qualifier: Option<&Qualifier>,
    ) -> Result<Resolved, CatalogError> {
        let scope = Scope { account: caller.account.clone(), region: caller.region.clone() };
        self.catalog.resolve(&scope, name, qualifier)
    }
}

/// Refuses an unqualified invoke of a durable function.
///
/// Differs: the service's text is not published; this one is ours.
pub(crate) const UNQUALIFIED: &str = "You cannot invoke a durable function using an unqualified ARN. \
    Use a version number, an alias, or $LATEST.";

/// The qualifier of a name and that of the parameter must not contradict each other.
pub(crate) fn agreed_qualifier(
    name: &FunctionRef,
    parameter: Option<&Qualifier>,
) -> Result<Option<Qualifier>, DurableError> {
    match (&name.qualifier, parameter) {
        (Some(named), Some(given)) if named != given => Err(DurableError::invalid(
            "The derived qualifier from the function name does not match the specified qualifier.",
        )),
        (named, given) => Ok(given.or(named.as_ref()).cloned()),
    }
}
