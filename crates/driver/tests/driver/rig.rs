//! What the tests share: a data folder that outlives durastacks, and handlers that are functions of the state.

use durastack_clock::{Clock, Timestamp};
use durastack_driver::{
    Advanced, Ask, ClockError, Clockwork, Driver, NameClaim, Performed, Started, World,
    stored_offset,
};
use durastack_durable::{
    Action, Call, CallbackOptions, ChainedOptions, Checkpoint, Command, Definition, Durable,
    Operation, OperationKind, Output, RetryPolicy, Target, TargetEnd, TargetKind, Update,
};
use durastack_engine::{
    Command as Asked, Event, Execution, LifeEvent, Payload, Record, Start, Stash,
};
use durastack_names::{ExecutionId, Version};
use durastack_store::{Sqlite, Store};
use std::{
    collections::BTreeMap,
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::{Notify, Semaphore};

pub(crate) const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);
/// Longer than what stands in the journal itself.
pub(crate) const LONG: usize = 70_000;

/// What a handler does next.
pub(crate) enum Next {
    Checkpoint(Vec<Update>, Stash),
    Return(Output, Stash),
    /// Waits until the test lets it go on, then returns this.
    Hold(Output),
}

/// A handler: looks at the state and says what it does next.
pub(crate) type Script = fn(&Execution<Durable>) -> Next;

/// Calls handlers by the names of their functions, and never before it may.
pub(crate) struct Scripted {
    scripts: BTreeMap<&'static str, Script>,
    /// The store itself, to see what is durable.
    store: Arc<dyn Store>,
    calls: Mutex<Vec<String>>,
    called: Notify,
    pub(crate) gate: Semaphore,
    /// The last sequence that somebody was told of, by execution.
    pub(crate) acknowledged: Mutex<BTreeMap<ExecutionId, u64>>,
}

impl Scripted {
    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.lock().expect("no test panicked").clone()
    }

    /// Waits until there were so many calls.
    pub(crate) async fn called(&self, count: usize) {
        let enough = async {
            loop {
                let notice = self.called.notified();
                tokio::pin!(notice);
                notice.as_mut().enable();
                if self.calls().len() >= count {
                    return;
                }
                notice.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), enough).await.expect("the calls come");
    }

    /// Nothing is done in the world before the record that wants it is durable.
    async fn note(&self, id: ExecutionId, what: String, durable: &str) {
        let journal = self.store.journal(id.bytes()).await.expect("a readable journal");
        let found =
            journal.iter().any(|entry| String::from_utf8_lossy(&entry.data).contains(durable));
        assert!(found, "{what} was called before {durable} was durable");
        self.calls.lock().expect("no test panicked").push(what);
        self.called.notify_waiters();
    }

    async fn handle(
        &self,
        driver: &Arc<Driver<Durable>>,
        id: ExecutionId,
        number: u64,
        request_id: String,
    ) -> Option<Performed<Durable>> {
        let function = driver
            .read(id, |execution| {
                execution.work.tell_input();
                execution.work.definition.function.name.to_string()
            })
            .await
            .ok()?;
        let durable = format!("\"number\":{number},\"request_id\":\"{request_id}\"");
        self.note(id, format!("{function} {number}"), &durable).await;
        let script = self.scripts[&*function];
        loop {
            let next = driver.read(id, move |execution| script(execution)).await.ok()?;
            let (output, stash) = match next {
                Next::Return(output, stash) => (output, stash),
                Next::Hold(output) => {
                    self.gate.acquire().await.ok()?.forget();
                    (output, Stash::default())
                }
                Next::Checkpoint(updates, stash) => {
                    let sequence = checkpoint(driver, id, updates, stash).await?;
                    self.acknowledged.lock().expect("no test panicked").insert(id, sequence);
                    continue;
                }
            };
            let command = Command::InvocationEnded { number, output };
            return Some(Performed { command, stash });
        }
    }
}

/// A checkpoint with the token that is valid now. Answers with the last sequence that it made durable.
pub(crate) async fn checkpoint(
    driver: &Arc<Driver<Durable>>,
    id: ExecutionId,
    updates: Vec<Update>,
    stash: Stash,
) -> Option<u64> {
    let ask = move |execution: &mut Execution<Durable>| {
        let live = execution.work.live.as_ref().expect("a running handler");
        let (invocation, counter) = (live.number, live.counter);
        Ask::Decide(Asked::Work(Command::Checkpoint(Checkpoint { invocation, counter, updates })))
    };
    let tell = |execution: &mut Execution<Durable>, records: &[Record<Durable>]| {
        let ends =
            |record: &Record<Durable>| matches!(record.event, Event::Life(LifeEvent::Ended { .. }));
        execution.work.tell_checkpoint(records.iter().any(ends));
        execution.sequence()
    };
    driver.act(id, stash, ask, tell).await.ok()
}

impl World<Durable> for Scripted {
    fn call(
        self: Arc<Self>,
        driver: Arc<Driver<Durable>>,
        execution: ExecutionId,
        call: Call,
    ) -> Pin<Box<dyn Future<Output = Option<Performed<Durable>>> + Send>> {
        Box::pin(async move {
            match call {
                Call::Handler { number, request_id } => {
                    self.handle(&driver, execution, number, request_id).await
                }
                Call::Target { number, request_id, input, .. } => {
                    self.note(execution, format!("target of {number}"), &request_id).await;
                    // It returns what it is given.
                    let text = match &input.payload {
                        Some(payload) => driver.text(execution, payload).await.ok()?,
                        None => "{}".to_owned(),
                    };
                    let mut stash = Stash::default();
                    let end = TargetEnd::Succeeded(Some(stash.put(text)));
                    Some(Performed { command: Command::TargetEnded { number, end }, stash })
                }
            }
        })
    }
}

/// One durastack on a data folder.
pub(crate) struct Rig {
    pub(crate) driver: Arc<Driver<Durable>>,
    pub(crate) world: Arc<Scripted>,
    pub(crate) clock: Clock,
    pub(crate) store: Arc<dyn Store>,
}

impl Rig {
    /// Turns the clock ahead, as the admin API does.
    pub(crate) async fn advance(&self, by: Duration) -> Result<Advanced, ClockError> {
        self.clockwork().advance(by).await
    }

    /// The next deadline, as the admin API shows it.
    pub(crate) async fn next(&self) -> Result<Option<durastack_driver::Next>, ClockError> {
        self.clockwork().next().await
    }

    fn clockwork(&self) -> Clockwork {
        let drivers = vec![self.driver.clone() as _];
        Clockwork::new(self.clock.clone(), self.store.clone(), drivers)
    }

    /// On a store of its own. The wall clock stands at [`START`].
    pub(crate) async fn open(folder: &Path, scripts: &[(&'static str, Script)]) -> Self {
        let store: Arc<dyn Store> = Arc::new(Sqlite::open(folder, [1; 32]).expect("a data folder"));
        Self::on(Arc::clone(&store), store, scripts, 1 << 20).await
    }

    /// `store` is what the driver gets, `raw` what is really durable.
    pub(crate) async fn on(
        store: Arc<dyn Store>,
        raw: Arc<dyn Store>,
        scripts: &[(&'static str, Script)],
        cache_bytes: usize,
    ) -> Self {
        let clock = Clock::manual(START);
        clock.advance(stored_offset(&*raw).await.expect("a readable store"));
        let driver = Driver::new(Arc::clone(&store), clock.clone(), cache_bytes);
        let world = Arc::new(Scripted {
            scripts: scripts.iter().copied().collect(),
            store: raw,
            calls: Mutex::default(),
            called: Notify::new(),
            gate: Semaphore::new(0),
            acknowledged: Mutex::default(),
        });
        driver.attach(Arc::clone(&world) as Arc<dyn World<Durable>>);
        Self { driver, world, clock, store }
    }

    /// Starts the function with an input.
    pub(crate) async fn start(&self, function: &str, input: &str) -> ExecutionId {
        let mut stash = Stash::default();
        let start = start(self.driver.new_id(), function, stash.put(input.to_owned()));
        let started = self.driver.start(start, stash, None).await.expect("a start");
        started.id()
    }

    /// Starts the function under a name, with an input whose hash begins with this byte.
    pub(crate) async fn start_named(
        &self,
        function: &str,
        name: &str,
        input: u8,
    ) -> Result<Started, durastack_driver::DriveError<durastack_durable::Rejection>> {
        let payload = Payload::Inline(input.to_string());
        let mut start = start(self.driver.new_id(), function, payload);
        start.name = name.to_owned();
        let claim = NameClaim { input_sha256: [input; 32] };
        self.driver.start(start, Stash::default(), Some(claim)).await
    }

    /// Waits until nothing is under way.
    pub(crate) async fn settle(&self) {
        self.advance(Duration::ZERO).await.expect("a sound store");
    }

    /// The public history, an event a line: number, seconds since the start, type.
    pub(crate) async fn history(&self, id: ExecutionId) -> Vec<String> {
        let records = self.driver.events(id, None, false, 1_000).await.expect("a history");
        let print = |record: &Record<Durable>| {
            let event = match &record.event {
                Event::Life(event) => format!("{event:?}"),
                Event::Work(event) => format!("{event:?}"),
            };
            let name = event.split([' ', '{']).next().unwrap_or_default().to_owned();
            let after = record.at.since(START).as_secs();
            format!("{} +{after} {name}", record.event_id.unwrap_or_default())
        };
        records.iter().map(print).collect()
    }

    /// The whole journal, as the types of its events.
    pub(crate) async fn journal(&self, id: ExecutionId) -> Vec<String> {
        let entries = self.store.journal(id.bytes()).await.expect("a journal");
        let name = |entry: &durastack_store::Entry| {
            let record = Record::<Durable>::decode(entry.sequence, &entry.data).expect("a record");
            let text = match record.event {
                Event::Life(event) => format!("{event:?}"),
                Event::Work(event) => format!("{event:?}"),
            };
            text.split([' ', '{']).next().unwrap_or_default().to_owned()
        };
        entries.iter().map(name).collect()
    }

    /// Waits until the journal holds an event of this type.
    pub(crate) async fn until(&self, id: ExecutionId, event: &str) {
        let there = async {
            while !self.journal(id).await.iter().any(|known| known == event) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), there).await.expect("the event comes");
    }

    /// The text of the result that the execution ends with.
    pub(crate) async fn result(&self, id: ExecutionId) -> Option<String> {
        let ended = tokio::time::timeout(Duration::from_secs(30), self.driver.ended(id));
        let outcome = ended.await.expect("it ends").expect("an execution");
        match outcome.payload() {
            Some(payload) => Some(self.driver.text(id, payload).await.expect("a text")),
            None => None,
        }
    }
}

/// Runs one durastack to the end of `story`, and then kills it: its tasks are dropped wherever they are.
pub(crate) fn life<T>(story: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(story)
}

pub(crate) fn start(id: ExecutionId, function: &str, input: Payload) -> Start<Durable> {
    Start {
        id,
        name: id.to_string(),
        scope: format!("{function}-scope"),
        version: "1".to_owned(),
        timeout: Some(365 * DAY),
        retention: Some(7 * DAY),
        parent: None,
        input,
        definition: Definition {
            function: format!("arn:aws:lambda:eu-west-1:000000000000:function:{function}")
                .parse()
                .expect("an ARN"),
            version: Version::Number(1),
            execution_timeout_s: 365 * 86_400,
            retention_days: 7,
            kms_key_arn: None,
            asynchronous: true,
            tenant_id: None,
            trace_header: None,
            retries: RetryPolicy::default(),
        },
    }
}

pub(crate) fn update(kind: OperationKind, action: Action, id: &str) -> Update {
    Update {
        id: id.to_owned(),
        kind,
        action,
        parent: None,
        name: None,
        sub_type: None,
        payload: None,
        error: None,
        replay_children: false,
        next_attempt_delay_s: None,
        wait_s: None,
        callback: CallbackOptions::default(),
        chained: None,
    }
}

pub(crate) fn wait(id: &str, seconds: u64) -> Update {
    Update { wait_s: Some(seconds), ..update(OperationKind::Wait, Action::Start, id) }
}

pub(crate) fn chained(
    id: &str,
    function: &str,
    kind: TargetKind,
    input: Option<Payload>,
) -> Update {
    let target = Target {
        function: format!("arn:aws:lambda:eu-west-1:000000000000:function:{function}")
            .parse()
            .expect("an ARN"),
        scope: format!("{function}-scope"),
        version: Version::Number(1),
        kind,
    };
    let chained = Some(ChainedOptions {
        function_name: function.to_owned(),
        tenant_id: None,
        trace_header: None,
        target: Ok(target),
    });
    Update { payload: input, chained, ..update(OperationKind::ChainedInvoke, Action::Start, id) }
}

pub(crate) const fn durable() -> TargetKind {
    TargetKind::Durable { execution_timeout_s: 30 * 86_400, retention_days: 7, kms_key_arn: None }
}

pub(crate) fn checkpoint_of(update: Update) -> Next {
    Next::Checkpoint(vec![update], Stash::default())
}

pub(crate) fn suspend() -> Next {
    Next::Return(Output::Pending, Stash::default())
}

pub(crate) fn succeed(text: &str) -> Next {
    let mut stash = Stash::default();
    let result = stash.put(text.to_owned());
    Next::Return(Output::Succeeded(Some(result)), stash)
}

/// The operation, if it was started, and whether it has ended.
pub(crate) fn find<'a>(
    execution: &'a Execution<Durable>,
    id: &str,
) -> Option<(&'a Operation, bool)> {
    let operation = execution.work.operation_by_id(id)?;
    Some((operation, operation.ended.is_some()))
}

/// Two waits of a day each.
pub(crate) fn two_days(execution: &Execution<Durable>) -> Next {
    for id in ["first", "second"] {
        match find(execution, id) {
            None => return checkpoint_of(wait(id, 86_400)),
            Some((_, false)) => return suspend(),
            Some((_, true)) => {}
        }
    }
    succeed("two days later")
}

/// Nothing.
pub(crate) fn nothing(_: &Execution<Durable>) -> Next {
    succeed("nothing")
}

/// Nothing, but only when it is let go.
pub(crate) fn held(_: &Execution<Durable>) -> Next {
    Next::Hold(Output::Succeeded(Some(Payload::Inline("held".to_owned()))))
}

/// Waits for somebody.
pub(crate) fn waits_for_callback(execution: &Execution<Durable>) -> Next {
    match find(execution, "callback") {
        None => checkpoint_of(update(OperationKind::Callback, Action::Start, "callback")),
        Some((_, false)) => suspend(),
        Some((_, true)) => succeed("answered"),
    }
}

/// Calls a durable function and returns what that returned.
pub(crate) fn calls_child(execution: &Execution<Durable>) -> Next {
    match find(execution, "call") {
        None => {
            let mut stash = Stash::default();
            let input = stash.put("i".repeat(LONG));
            Next::Checkpoint(vec![chained("call", "child", durable(), Some(input))], stash)
        }
        Some((_, false)) => suspend(),
        Some((operation, true)) => {
            let result = operation.payloads().next().cloned();
            Next::Return(Output::Succeeded(result), Stash::default())
        }
    }
}

/// Sleeps a day and returns something long.
pub(crate) fn sleeps_then_long(execution: &Execution<Durable>) -> Next {
    match find(execution, "nap") {
        None => checkpoint_of(wait("nap", 86_400)),
        Some((_, false)) => suspend(),
        Some((_, true)) => succeed(&"r".repeat(LONG)),
    }
}
