//! Who may have a process, and which: warm environments, the cap on processes, and the queue before it.
//!
//! One rule holds all the time: while somebody waits, nothing is idle. Who waits is served first in, first out.

use crate::{environment::Environment, function::EnvironmentKey};
use durastack_clock::Stopwatch;
use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::oneshot;

/// An environment that nobody needed for so long is ended.
pub(crate) const IDLE_MAX: Duration = Duration::from_secs(600);

/// What a waiting invocation gets.
#[derive(Debug)]
pub(crate) enum Grant {
    /// An environment that has served before, or is at least ready.
    Warm(Box<Environment>),
    /// Leave to start one. Those given with it are to be ended first, to make room.
    Cold(Slot, Vec<Environment>),
}

/// The environments of a runner.
#[derive(Debug)]
pub(crate) struct Pool {
    processes_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next_slot: u64,
    /// Everything that has a process or is about to.
    slots: HashMap<u64, SlotState>,
    /// In the order in which they became idle.
    idle: VecDeque<Idle>,
    waiting: VecDeque<Waiter>,
    /// Nothing is taken back any more.
    closed: bool,
}

#[derive(Debug)]
struct SlotState {
    key: EnvironmentKey,
    retired: bool,
}

#[derive(Debug)]
struct Idle {
    environment: Environment,
    since: Stopwatch,
}

#[derive(Debug)]
struct Waiter {
    key: EnvironmentKey,
    grant: oneshot::Sender<Grant>,
}

/// Leave to have one environment; given back when dropped.
pub(crate) struct Slot {
    pool: Arc<Pool>,
    id: u64,
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Slot").field(&self.id).finish()
    }
}

impl Pool {
    pub(crate) fn new(processes_max: usize) -> Arc<Self> {
        Arc::new(Self { processes_max: processes_max.max(1), state: Mutex::default() })
    }

    /// An environment for `key`, or leave to start one, as soon as there is room. `nested` does not wait.
    pub(crate) fn acquire(
        self: &Arc<Self>,
        key: &EnvironmentKey,
        nested: bool,
    ) -> oneshot::Receiver<Grant> {
        let (grant, granted) = oneshot::channel();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // The one used last is the one most likely still in the processor's caches.
        if let Some(at) = state.idle.iter().rposition(|i| i.environment.key() == key) {
            let idle = state.idle.remove(at).expect("found just now");
            drop(state);
            send(grant, Grant::Warm(Box::new(idle.environment)));
            return granted;
        }
        let mut ended = Vec::new();
        while state.slots.len() - ended.len() >= self.processes_max {
            let Some(idle) = state.idle.pop_front() else { break };
            ended.push(idle.environment);
        }
        if nested || state.slots.len() - ended.len() < self.processes_max {
            let slot = self.slot(&mut state, key);
            drop(state);
            send(grant, Grant::Cold(slot, ended));
        } else {
            state.waiting.push_back(Waiter { key: key.clone(), grant });
            // Their slots ask for the lock.
            drop(state);
            drop(ended);
        }
        granted
    }

    /// Takes back an environment that is ready for more. Returns it if it is to be ended instead.
    pub(crate) fn release(self: &Arc<Self>, environment: Environment) -> Option<Environment> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let retired =
            state.closed || state.slots.get(&environment.slot_id()).is_none_or(|s| s.retired);
        let first_key = state.waiting.front().map(|w| &w.key);
        match first_key {
            // Its slot goes to whoever waits, once it is dropped.
            _ if retired => return Some(environment),
            Some(key) if key != environment.key() => return Some(environment),
            Some(_) => {
                let waiter = state.waiting.pop_front().expect("seen just now");
                drop(state);
                send(waiter.grant, Grant::Warm(Box::new(environment)));
            }
            // Differs: the real service freezes an idle environment; this one's process runs on, and so do threads that an
            // invocation left behind.
            None => state.idle.push_back(Idle { environment, since: Stopwatch::start() }),
        }
        None
    }

    /// Idle environments of `key`, to be ended; busy ones are not taken back after their invocation.
    pub(crate) fn retire(&self, key: &EnvironmentKey) -> Vec<Environment> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for slot in state.slots.values_mut().filter(|s| s.key == *key) {
            slot.retired = true;
        }
        take_idle(&mut state, |idle| idle.environment.key() == key)
    }

    /// Environments that have been idle for too long, to be ended.
    pub(crate) fn expire(&self) -> Vec<Environment> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        take_idle(&mut state, |idle| idle.since.elapsed() >= IDLE_MAX)
    }

    /// All idle environments, to be ended; whoever waits gets nothing any more.
    pub(crate) fn close(&self) -> Vec<Environment> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.closed = true;
        state.waiting.clear();
        take_idle(&mut state, |_| true)
    }

    fn slot(self: &Arc<Self>, state: &mut State, key: &EnvironmentKey) -> Slot {
        let id = state.next_slot;
        state.next_slot += 1;
        state.slots.insert(id, SlotState { key: key.clone(), retired: false });
        Slot { pool: Arc::clone(self), id }
    }

    fn give_back(self: &Arc<Self>, id: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.slots.remove(&id);
        if state.slots.len() >= self.processes_max {
            return;
        }
        if let Some(waiter) = state.waiting.pop_front() {
            let slot = self.slot(&mut state, &waiter.key);
            drop(state);
            send(waiter.grant, Grant::Cold(slot, Vec::new()));
        }
    }
}

impl Slot {
    pub(crate) fn id(&self) -> u64 {
        self.id
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.pool.give_back(self.id);
    }
}

fn take_idle(state: &mut State, wanted: impl Fn(&Idle) -> bool) -> Vec<Environment> {
    let (taken, kept) = state.idle.drain(..).partition(wanted);
    state.idle = kept;
    let taken: VecDeque<Idle> = taken;
    taken.into_iter().map(|idle| idle.environment).collect()
}

/// Called without the lock: what nobody takes is dropped here, and a dropped slot asks for the lock.
fn send(grant: oneshot::Sender<Grant>, value: Grant) {
    if let Err(unwanted) = grant.send(value) {
        tracing::debug!("an invocation went away before it was its turn");
        drop(unwanted);
    }
}
