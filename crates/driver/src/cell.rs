//! Executions in memory: a bounded cache of cells, each with one owner at a time.

use durastack_clock::Timestamp;
use durastack_engine::{Dialect, Execution, OwedKey};
use durastack_names::ExecutionId;
use lru::LruCache;
use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::sync::Notify;

/// One execution's place in memory. Whoever holds the lock owns the execution; the lock is first come, first served.
#[derive(Debug)]
pub(crate) struct Cell<D: Dialect> {
    /// Empty before the first use, and after a failed append: nobody knows then what the disk holds.
    pub(crate) loaded: tokio::sync::Mutex<Option<Loaded<D>>>,
    /// Told when the execution has ended.
    pub(crate) ended: Notify,
    bytes: AtomicUsize,
}

/// An execution with what the driver knows beside it.
#[derive(Debug)]
pub(crate) struct Loaded<D: Dialect> {
    pub(crate) execution: Execution<D>,
    /// What is being performed for it now.
    pub(crate) performing: HashSet<OwedKey>,
    /// The deadline that the store knows.
    pub(crate) due: Option<Timestamp>,
    /// Whether the store knows that something is owed.
    pub(crate) owes: bool,
}

/// The cells, the least recently used of which go when the cache is full.
#[derive(Debug)]
pub(crate) struct Cells<D: Dialect> {
    cells: Mutex<LruCache<ExecutionId, Arc<Cell<D>>>>,
    bytes: AtomicUsize,
    bytes_max: usize,
}

/// About what a cell takes beside the journal of its execution. Counted, so that asking for executions that do not exist
/// cannot fill the memory.
const CELL_BYTES: usize = 512;

/// How many cells one eviction looks at: those in use are passed over.
const EVICTION_LOOKS: usize = 32;

impl<D: Dialect> Cells<D> {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { cells: Mutex::new(LruCache::unbounded()), bytes: AtomicUsize::new(0), bytes_max }
    }

    pub(crate) fn get(&self, id: ExecutionId) -> Arc<Cell<D>> {
        let mut cells = self.cells.lock().expect("no holder of this lock panics");
        let new = || {
            self.bytes.fetch_add(CELL_BYTES, Ordering::Relaxed);
            Arc::new(Cell {
                loaded: tokio::sync::Mutex::new(None),
                ended: Notify::new(),
                bytes: AtomicUsize::new(CELL_BYTES),
            })
        };
        let cell = Arc::clone(cells.get_or_insert(id, new));
        self.evict(&mut cells);
        cell
    }

    /// The cell holds this much more; makes room if that is too much.
    pub(crate) fn grew(&self, cell: &Cell<D>, bytes: usize) {
        cell.bytes.fetch_add(bytes, Ordering::Relaxed);
        if self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > self.bytes_max {
            self.evict(&mut self.cells.lock().expect("no holder of this lock panics"));
        }
    }

    /// Forgets the execution, if nobody is using it.
    pub(crate) fn forget(&self, id: ExecutionId) {
        let mut cells = self.cells.lock().expect("no holder of this lock panics");
        if cells.peek(&id).is_some_and(|cell| Arc::strong_count(cell) == 1)
            && let Some(cell) = cells.pop(&id)
        {
            self.bytes.fetch_sub(cell.bytes.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// Drops cells that nobody holds. A handle can only be had under this lock, so one that is alone stays alone.
    fn evict(&self, cells: &mut LruCache<ExecutionId, Arc<Cell<D>>>) {
        for _ in 0..EVICTION_LOOKS {
            if self.bytes.load(Ordering::Relaxed) <= self.bytes_max {
                return;
            }
            let Some((id, cell)) = cells.pop_lru() else { return };
            if Arc::strong_count(&cell) == 1 {
                self.bytes.fetch_sub(cell.bytes.load(Ordering::Relaxed), Ordering::Relaxed);
            } else {
                cells.put(id, cell);
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.cells.lock().expect("no holder of this lock panics").len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use durastack_durable::Durable;

    fn id(number: u64) -> ExecutionId {
        let mut bytes = [0; 16];
        bytes[8..].copy_from_slice(&number.to_be_bytes());
        ExecutionId::from_bytes(bytes)
    }

    #[test]
    fn executions_that_do_not_exist_do_not_fill_the_memory() {
        let cells = Cells::<Durable>::new(10 * CELL_BYTES);
        for number in 0..10_000 {
            cells.get(id(number));
        }
        assert_eq!(cells.count(), 10);
    }

    #[test]
    fn a_cell_that_somebody_holds_stays() {
        let cells = Cells::<Durable>::new(0);
        let held = cells.get(id(1));
        cells.grew(&held, 1_000_000);
        for number in 2..100 {
            cells.get(id(number));
        }
        assert!(Arc::ptr_eq(&held, &cells.get(id(1))));
        cells.forget(id(1));
        assert!(Arc::ptr_eq(&held, &cells.get(id(1))), "in use");
        drop(held);
        cells.get(id(2));
        assert!(cells.count() <= 1, "what is no longer held makes room");
    }

    #[test]
    fn what_is_forgotten_counts_no_more() {
        let cells = Cells::<Durable>::new(1_000_000);
        let cell = cells.get(id(1));
        cells.grew(&cell, 5_000);
        drop(cell);
        cells.forget(id(1));
        assert_eq!((cells.count(), cells.bytes.load(Ordering::Relaxed)), (0, 0));
    }
}
