//! The way of one invocation: get an environment, start it if it is cold, hand out the event, wait, report.

use crate::{
    bootstrap,
    contract::{Contract, FcIdentity},
    environment::{Environment, Happening, Shared},
    failure::{Failure, Failures, function_error},
    function::{Finished, Function, Invocation, Outcome, Refusal},
    interpreter::{Interpreter, Language},
    platform::Status,
    pool::{Grant, Pool},
    process::exit_words,
    runtime_api::{Event, Work},
};
use durastack_clock::Stopwatch;
use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};
use tokio::sync::oneshot;

/// How long an answer waits for the `next` that ends its invocation, so that the report is true and the environment
/// is free before its caller comes back. Hardly ever used up: clients ask at once.
const NEXT_WAIT_MAX: Duration = Duration::from_millis(100);
/// How long a process that reported a failed initialisation may take to end by itself.
const INIT_EXIT_WAIT_MAX: Duration = Duration::from_millis(200);

/// Runs one invocation to its end, whoever still waits for the answer.
pub(crate) async fn perform(
    shared: Arc<Shared>,
    pool: Arc<Pool>,
    function: Arc<Function>,
    invocation: Invocation,
    answer: oneshot::Sender<Finished>,
) {
    let way = Way { shared, pool, function, invocation };
    let finished = match way.environment().await {
        Ok(environment) => return way.with(environment, answer).await,
        Err(outcome) => Finished { outcome, log_tail: Vec::new(), duration: Duration::ZERO },
    };
    deliver(answer, finished);
}

/// The caller may have gone; what was done stays done.
fn deliver(answer: oneshot::Sender<Finished>, finished: Finished) {
    if answer.send(finished).is_err() {
        tracing::debug!("nobody waits for an invocation's answer any more");
    }
}

struct Way {
    shared: Arc<Shared>,
    pool: Arc<Pool>,
    function: Arc<Function>,
    invocation: Invocation,
}

/// How an initialisation ended.
enum Init {
    Ready {
        /// Of a good cold start; none after a second try.
        init: Option<Duration>,
        /// What a second try took: part of the invocation.
        spent: Duration,
    },
    Failed(Failure, Duration),
    Refused(Refusal),
    Stopped,
}

enum Attempt {
    Ready(Duration),
    Failed(Failure, Duration),
    Refused(Refusal),
    Stopped,
}

/// How an invocation ended.
enum End {
    Answered(Outcome),
    Failed(Failure),
    Stopped,
}

/// What became of the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// It asked for more.
    Ready,
    /// It has answered and not yet asked.
    Slow,
    /// Its process has ended, or must.
    Gone,
}

impl Way {
    /// An environment with a running process, or one that has none yet.
    async fn environment(&self) -> Result<Environment, Outcome> {
        let granted = self.pool.acquire(&self.function.key, self.invocation.nested);
        let grant = tokio::select! {
            biased;
            () = self.shared.stop.cancelled() => return Err(Outcome::Stopped),
            grant = granted => grant.map_err(|_| Outcome::Stopped)?,
        };
        Ok(match grant {
            Grant::Warm(mut environment) => {
                if environment.is_running() {
                    *environment
                } else {
                    environment.replace()
                }
            }
            Grant::Cold(slot, ended) => {
                ended.into_iter().for_each(Environment::end_aside);
                Environment::new(Arc::clone(&self.function), Arc::clone(&self.shared), slot)
            }
        })
    }

    async fn with(self, mut environment: Environment, answer: oneshot::Sender<Finished>) {
        environment.tap.begin(&self.invocation);
        let request_id = &self.invocation.request_id;
        let (init, spent) = if environment.is_running() {
            (None, Duration::ZERO)
        } else {
            match self.init(&mut environment).await {
                Init::Ready { init, spent } => (init, spent),
                Init::Failed(failure, took) => {
                    let status = &failure.status;
                    let log_tail = if environment.lines().failed_start_is_an_invocation() {
                        self.start_line(&environment);
                        self.end_lines(&environment, took, None, status).await
                    } else {
                        self.report_line(&environment, took, None, status)
                    };
                    drop(environment);
                    let outcome = failure.outcome();
                    return deliver(answer, Finished { outcome, log_tail, duration: took });
                }
                Init::Refused(refusal) => {
                    tracing::warn!(function = %self.function.contract, %refusal, "a function cannot be run");
                    let log_tail = environment.tap.tail();
                    let outcome = Outcome::Refused(refusal);
                    return deliver(
                        answer,
                        Finished { outcome, log_tail, duration: Duration::ZERO },
                    );
                }
                Init::Stopped => return self.stopped(environment, answer).await,
            }
        };
        self.start_line(&environment);
        let watch = Stopwatch::start();
        let deadline = tokio::time::sleep(self.function.timeout);
        tokio::pin!(deadline);
        environment.api().offer(self.work());
        let end = tokio::select! {
            biased;
            () = self.shared.stop.cancelled() => End::Stopped,
            end = self.answer(&mut environment) => end,
            () = &mut deadline => {
                let memory_kb = environment.memory_kb();
                End::Failed(self.failures().timeout(self.function.timeout, memory_kb))
            }
        };
        let mut took = watch.elapsed();
        let (outcome, status) = match end {
            End::Stopped => return self.stopped(environment, answer).await,
            End::Answered(outcome) => (outcome, Status::Success),
            End::Failed(Failure { document, status }) => (function_error(document), status),
        };
        let mut after = After::Gone;
        if matches!(status, Status::Timeout(_)) {
            environment.kill().await;
        } else if environment.is_running() {
            after = tokio::select! {
                biased;
                after = next(&mut environment, request_id) => after,
                () = tokio::time::sleep(NEXT_WAIT_MAX) => After::Slow,
            };
            if after == After::Ready {
                took = watch.elapsed();
            }
        }
        let duration = match status {
            // The real service reports the configured time.
            Status::Timeout(_) => self.function.timeout,
            Status::Success | Status::Error(_) => took + spent,
        };
        let log_tail = self.end_lines(&environment, duration, init, &status).await;
        let finished = Finished { outcome, log_tail, duration };
        if after == After::Slow {
            deliver(answer, finished);
            after = tokio::select! {
                biased;
                () = self.shared.stop.cancelled() => After::Gone,
                after = next(&mut environment, request_id) => after,
                () = deadline => After::Gone,
            };
            return self.give_back(environment, after).await;
        }
        // First the environment, then the answer: whoever comes back at once finds it.
        self.give_back(environment, after).await;
        deliver(answer, finished);
    }

    async fn give_back(&self, mut environment: Environment, after: After) {
        environment.tap.end();
        if after == After::Ready && !self.shared.stop.is_cancelled() {
            if let Some(unwanted) = self.pool.release(environment) {
                unwanted.end_aside();
            }
        } else {
            environment.kill().await;
        }
    }

    async fn stopped(self, environment: Environment, answer: oneshot::Sender<Finished>) {
        let log_tail = environment.tap.tail();
        deliver(answer, Finished { outcome: Outcome::Stopped, log_tail, duration: Duration::ZERO });
        environment.end().await;
    }

    /// Waits for the answer, of whichever kind.
    async fn answer(&self, environment: &mut Environment) -> End {
        let (failures, watch) = (self.failures(), Stopwatch::start());
        loop {
            match environment.happening().await {
                Happening::Called(Event::Response(bytes)) => {
                    return End::Answered(Outcome::Response(bytes));
                }
                Happening::Called(Event::Error(posted)) => {
                    // To Lambda this is the function's own business.
                    return match self.function.contract {
                        Contract::Lambda(_) => End::Answered(function_error(posted.document)),
                        Contract::FunctionCompute(_) => End::Failed(failures.posted(posted)),
                    };
                }
                Happening::Called(Event::Invalid(invalid)) => {
                    return End::Failed(failures.invalid(invalid));
                }
                // The `next` that took this work, from the time when it was not yet there.
                Happening::Called(Event::Next | Event::InitError(_)) => {}
                Happening::Exited(status) => {
                    let took = watch.elapsed();
                    environment.kill().await;
                    return End::Failed(failures.exit(status, took));
                }
            }
        }
    }

    async fn init(&self, environment: &mut Environment) -> Init {
        let language = match Language::of_function(&self.function) {
            Ok(language) => language,
            Err(refusal) => return Init::Refused(refusal),
        };
        let interpreter = match language {
            Language::Provided => None,
            Language::Python(_) | Language::Node(_) => {
                let runtime = &self.function.runtime;
                match self.shared.interpreters.find(runtime, &language).await {
                    Ok(found) => Some(found),
                    Err(refusal) => return Init::Refused(refusal),
                }
            }
        };
        let request_id = &self.invocation.request_id;
        if let Some(line) = environment.lines().init_start(request_id) {
            environment.tap.platform(&line);
        }
        if let Some(found) = interpreter.as_ref().filter(|i| !i.suits(&language)) {
            self.warn(found);
        }
        if language == Language::Provided
            && let Some(words) = bootstrap::provided_fault(&self.function.code)
        {
            let failure = self.failures().runtime("Runtime.InvalidEntrypoint", words);
            return Init::Failed(failure, Duration::ZERO);
        }
        let interpreter = interpreter.as_ref();
        let (failure, took) =
            match self.attempt(environment, &language, interpreter, self.init_max()).await {
                Attempt::Ready(took) => {
                    if let Some(line) = environment.lines().init_end(request_id) {
                        environment.flush().await;
                        environment.tap.platform(&line);
                    }
                    return Init::Ready { init: Some(took), spent: Duration::ZERO };
                }
                Attempt::Failed(failure, took) => (failure, took),
                Attempt::Refused(refusal) => return Init::Refused(refusal),
                Attempt::Stopped => return Init::Stopped,
            };
        self.init_report(environment, took, "init", &failure);
        // Function Compute says so at once.
        if !self.shared.init_retry || !matches!(self.function.contract, Contract::Lambda(_)) {
            return Init::Failed(failure, took);
        }
        // As on the real service, the second try is part of the invocation.
        match self.attempt(environment, &language, interpreter, self.function.timeout).await {
            Attempt::Ready(spent) => Init::Ready { init: None, spent },
            Attempt::Failed(failure, took) => {
                self.init_report(environment, took, "invoke", &failure);
                Init::Failed(failure, took)
            }
            Attempt::Refused(refusal) => Init::Refused(refusal),
            Attempt::Stopped => Init::Stopped,
        }
    }

    /// Starts a process and waits until it asks for work. A process that failed is gone afterwards.
    async fn attempt(
        &self,
        environment: &mut Environment,
        language: &Language,
        interpreter: Option<&Interpreter>,
        limit: Duration,
    ) -> Attempt {
        let failures = self.failures();
        let watch = Stopwatch::start();
        let started = environment.start(language, interpreter, failures.request_id).await;
        if let Err(refusal) = started {
            return Attempt::Refused(refusal);
        }
        let happening = tokio::select! {
            biased;
            () = self.shared.stop.cancelled() => return Attempt::Stopped,
            happening = environment.happening() => happening,
            () = tokio::time::sleep(limit) => {
                let memory_kb = environment.memory_kb();
                environment.kill().await;
                return Attempt::Failed(failures.init_timeout(limit, memory_kb), limit);
            }
        };
        let failure = match happening {
            Happening::Called(Event::InitError(posted)) => {
                // It ends by itself, and may have something to say on the way.
                tokio::time::timeout(INIT_EXIT_WAIT_MAX, environment.happening()).await.ok();
                failures.posted(posted)
            }
            Happening::Called(_) => return Attempt::Ready(watch.elapsed()),
            Happening::Exited(status) => failures.exit(status, watch.elapsed()),
        };
        let took = watch.elapsed();
        environment.kill().await;
        Attempt::Failed(failure, took)
    }

    /// How long a start may take.
    fn init_max(&self) -> Duration {
        match &self.function.contract {
            Contract::FunctionCompute(FcIdentity { initializer: Some(initializer), .. }) => {
                initializer.timeout
            }
            _ => self.shared.init_max,
        }
    }

    fn failures(&self) -> Failures<'_> {
        Failures { contract: &self.function.contract, request_id: &self.invocation.request_id }
    }

    fn init_report(
        &self,
        environment: &Environment,
        took: Duration,
        phase: &str,
        failure: &Failure,
    ) {
        let id = &self.invocation.request_id;
        if let Some(line) = environment.lines().init_report(id, took, phase, &failure.status) {
            environment.tap.platform(&line);
        }
    }

    /// Says once per function that its interpreter has another version than its runtime names: in durastack's own log
    /// alone, since the console shows the function's lines as well.
    fn warn(&self, found: &Interpreter) {
        let name = format!("{} {}", self.function.contract, self.function.runtime);
        let new = self.shared.warned.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
        if new {
            tracing::warn!(
                function = %self.function.contract,
                "{} is configured, version {} at {} is used",
                self.function.runtime,
                found.version,
                found.program.display()
            );
        }
    }

    fn work(&self) -> Work {
        let invocation = &self.invocation;
        Work {
            request_id: invocation.request_id.clone(),
            deadline_ms: self.shared.clock.wall().plus(self.function.timeout).millis(),
            invoked_arn: invocation.invoked_arn.clone(),
            client_context: invocation.client_context.clone(),
            tenant_id: invocation.tenant_id.clone(),
            trace_id: invocation.trace_id.clone(),
            event: invocation.event.clone(),
        }
    }

    fn start_line(&self, environment: &Environment) {
        let tenant = self.invocation.tenant_id.as_deref();
        environment.tap.platform(&environment.lines().start(&self.invocation.request_id, tenant));
    }

    /// END and REPORT, behind everything that was printed. Returns the tail.
    async fn end_lines(
        &self,
        environment: &Environment,
        took: Duration,
        init: Option<Duration>,
        status: &Status,
    ) -> Vec<u8> {
        environment.flush().await;
        let id = &self.invocation.request_id;
        if let Some(end) = environment.lines().end(id, status) {
            environment.tap.platform(&end);
        }
        self.report_line(environment, took, init, status)
    }

    /// The last line. Returns the tail.
    fn report_line(
        &self,
        environment: &Environment,
        took: Duration,
        init: Option<Duration>,
        status: &Status,
    ) -> Vec<u8> {
        let (id, memory_kb) = (&self.invocation.request_id, environment.memory_kb());
        environment.tap.platform(&environment.lines().report(id, took, init, memory_kb, status));
        environment.tap.tail()
    }
}

/// Waits until a process that has answered asks for more, or ends.
async fn next(environment: &mut Environment, request_id: &str) -> After {
    loop {
        match environment.happening().await {
            Happening::Called(Event::Next) => return After::Ready,
            // Refused already where it was posted.
            Happening::Called(_) => {}
            Happening::Exited(status) => {
                let words = status.map_or_else(|e| e.to_string(), exit_words);
                tracing::debug!(request_id, words, "a function process ended after its answer");
                return After::Gone;
            }
        }
    }
}
