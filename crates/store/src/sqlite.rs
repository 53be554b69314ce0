//! The store over SQLite: one thread writes, and readers have connections of their own.

mod apply;
mod cache;
mod lists;
mod reads;
mod schema;
mod writer;

use crate::{
    Answer, Batch, Claim, Entry, EventsQuery, Id, ListQuery, OpenError, RecordsQuery, Row, Sha256,
    Store, StoreError, Value, folder::Folder,
};
use bytes::Bytes;
use cache::RecordCache;
use rusqlite::Connection;
use std::{
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    thread::JoinHandle,
};
use tokio::sync::{Semaphore, mpsc, oneshot};
use writer::Job;

/// How much may wait for the writer, in KiB; a batch counts as one KiB at least, so this also bounds their number.
/// Whoever commits beyond it waits.
const QUEUE_KIB_MAX: u32 = 64 * 1024;

/// How many reads run at once. Each has a connection, and more than the cores could serve help nobody.
const READERS_MAX: usize = 8;

/// A store in a data folder.
///
/// Its reads run on tokio's blocking threads, so they must be polled in a tokio runtime; a record that is in memory is
/// answered at once. Dropping it writes out what was committed and gives the folder back; [`Sqlite::close`] does the
/// same without blocking a runtime thread.
#[derive(Debug)]
pub struct Sqlite {
    shared: Arc<Shared>,
    jobs: mpsc::UnboundedSender<Job>,
    writer: Mutex<Option<JoinHandle<()>>>,
    secret: [u8; 32],
}

/// What readers, the writer and answers under way have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Why the store no longer serves, once it does not.
    end: OnceLock<StoreError>,
    /// Room in the queue, in KiB.
    room: Arc<Semaphore>,
    /// Turns for reading.
    turns: Semaphore,
    /// Connections that nobody reads with at the moment.
    readers: Mutex<Vec<Connection>>,
    cache: RecordCache,
    /// Taken out, and so given back, by the close.
    folder: Mutex<Option<Folder>>,
}

impl Sqlite {
    /// Opens a data folder, or makes it. It belongs to this store until that is closed or dropped.
    ///
    /// `fresh_secret` becomes the folder's secret if it has none yet.
    ///
    /// # Errors
    ///
    /// [`OpenError::Locked`] when another process (or another store of this one) has the folder, [`OpenError::Newer`]
    /// when a newer version wrote it, [`OpenError::Unusable`] when it is not a data folder, and otherwise what failed.
    pub fn open(folder: &Path, fresh_secret: [u8; 32]) -> Result<Self, OpenError> {
        let folder = Folder::take(folder)?;
        let path = folder.path().to_owned();
        let database = |source: Box<dyn std::error::Error + Send + Sync>| OpenError::Database {
            folder: path.clone(),
            source,
        };
        let db = schema::open_writer(&folder.database(), fresh_secret).map_err(database)?;
        let secret = schema::secret(&db, fresh_secret).map_err(|e| database(e.into()))?;
        folder.sync()?;
        let first_reader = schema::open_reader(&folder.database()).map_err(database)?;

        let shared = Arc::new(Shared {
            end: OnceLock::new(),
            room: Arc::new(Semaphore::new(QUEUE_KIB_MAX as usize)),
            turns: Semaphore::new(READERS_MAX),
            readers: Mutex::new(vec![first_reader]),
            cache: RecordCache::default(),
            folder: Mutex::new(Some(folder)),
        });
        let (jobs, queue) = mpsc::unbounded_channel();
        let writer = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || writer::run(db, queue, &shared)
            })
            .map_err(|source| OpenError::File {
                doing: "start the thread that writes to",
                path: path.clone(),
                source,
            })?;
        Ok(Self { shared, jobs, writer: Mutex::new(Some(writer)), secret })
    }

    /// The folder's secret: made when it was, and the same ever since.
    #[must_use]
    pub fn secret(&self) -> [u8; 32] {
        self.secret
    }

    /// Finishes the commits that wait, writes everything into the main file and gives the folder back. Later calls are
    /// answered with [`StoreError::Closed`].
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.jobs.send(Job::Close(Some(done))).is_ok() {
            // No answer means that the writer had already stopped.
            let _ = closed.await;
        }
        self.shared.give_back();
    }

    fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<T> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { shared.read(move |_, db| query(db)).await })
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        // Fails when the writer has already stopped, and then there is nothing to wait for.
        let _ = self.jobs.send(Job::Close(None));
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer
            && writer.join().is_err()
        {
            tracing::error!("the store's writer panicked");
        }
        self.shared.give_back();
    }
}

impl Shared {
    fn serving(&self) -> Result<(), StoreError> {
        self.end.get().map_or(Ok(()), |end| Err(end.clone()))
    }

    /// The answer of a call whose writer has gone.
    fn ended(&self) -> StoreError {
        self.end.get().cloned().unwrap_or(StoreError::Closed)
    }

    /// Gives back the folder and the connections that are not in use.
    fn give_back(&self) {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.folder.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Reads on a blocking thread. Handing a read over costs some 6 µs, where reading a row that is in memory takes 2;
    /// but one that has to wait for the disk takes milliseconds, and would hold up every connection of its thread. What
    /// each request reads comes from the cache, in a tenth of a microsecond.
    async fn read<T: Send + 'static>(
        self: Arc<Self>,
        query: impl FnOnce(&Self, &Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.serving()?;
        let shared = Arc::clone(&self);
        let _turn = self.turns.acquire().await.map_err(|_| StoreError::Closed)?;
        let answer = tokio::task::spawn_blocking(move || {
            let db = shared.take_reader()?;
            let answer = query(&shared, &db).map_err(unreadable);
            shared.return_reader(db);
            answer
        })
        .await;
        match answer {
            Ok(answer) => answer,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is going down.
                Err(_) => Err(StoreError::Closed),
            },
        }
    }

    fn take_reader(&self) -> Result<Connection, StoreError> {
        if let Some(db) = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Ok(db);
        }
        let folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        let path = folder.as_ref().ok_or_else(|| self.ended())?.database();
        drop(folder);
        schema::open_reader(&path).map_err(|error| StoreError::Unreadable(error.into()))
    }

    fn return_reader(&self, db: Connection) {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if self.end.get().is_none() {
            readers.push(db);
        }
    }
}

fn unreadable(error: rusqlite::Error) -> StoreError {
    StoreError::Unreadable(Arc::new(error))
}

impl Store for Sqlite {
    fn commit(&self, batch: Batch) -> Answer<()> {
        let (shared, jobs) = (Arc::clone(&self.shared), self.jobs.clone());
        Box::pin(async move {
            shared.serving()?;
            let weight = batch.weigh()?;
            let room = weight.kib().min(QUEUE_KIB_MAX);
            let room = Arc::clone(&shared.room)
                .acquire_many_owned(room)
                .await
                .map_err(|_| shared.ended())?;
            let (answer, outcome) = oneshot::channel();
            jobs.send(Job::Commit { batch, weight, room, answer }).map_err(|_| shared.ended())?;
            outcome.await.map_err(|_| shared.ended())?
        })
    }

    fn journal(&self, execution: Id) -> Answer<Vec<Entry>> {
        self.read(move |db| reads::journal(db, execution))
    }

    fn events(&self, query: EventsQuery) -> Answer<Vec<Entry>> {
        self.read(move |db| reads::events(db, query))
    }

    fn blob(&self, execution: Id, sha256: Sha256) -> Answer<Option<Bytes>> {
        self.read(move |db| reads::blob(db, execution, sha256))
    }

    fn record(&self, namespace: &'static str, key: &str) -> Answer<Option<Value>> {
        let known = self.shared.serving().map(|()| self.shared.cache.get(namespace, key));
        match known {
            Err(end) => Box::pin(std::future::ready(Err(end))),
            Ok(Some(known)) => Box::pin(std::future::ready(Ok(known))),
            Ok(None) => {
                let (shared, key) = (Arc::clone(&self.shared), key.to_owned());
                Box::pin(shared.read(move |shared, db| {
                    let seen = shared.cache.generation();
                    let value = reads::record(db, namespace, &key)?;
                    shared.cache.learn(seen, namespace, key, value.clone());
                    Ok(value)
                }))
            }
        }
    }

    fn records(&self, query: RecordsQuery) -> Answer<Vec<(String, Value)>> {
        self.read(move |db| reads::records(db, &query))
    }

    fn claimed(&self, scope: &str, name: &str) -> Answer<Option<Claim>> {
        let (scope, name) = (scope.to_owned(), name.to_owned());
        self.read(move |db| reads::claimed(db, scope, name))
    }

    fn list(&self, query: ListQuery) -> Answer<Vec<Row>> {
        self.read(move |db| lists::list(db, query))
    }

    fn row(&self, execution: Id) -> Answer<Option<Row>> {
        self.read(move |db| lists::row(db, execution))
    }

    fn due(&self, dialect: &'static str, until: i64, limit: usize) -> Answer<Vec<(i64, Id)>> {
        self.read(move |db| reads::due(db, dialect, until, limit))
    }

    fn next_due(&self, dialect: &'static str) -> Answer<Option<i64>> {
        self.read(move |db| {
            reads::due(db, dialect, i64::MAX, 1).map(|due| due.first().map(|(at, _)| *at))
        })
    }

    fn owing(&self, dialect: &'static str, after: Option<Id>, limit: usize) -> Answer<Vec<Id>> {
        self.read(move |db| reads::owing(db, dialect, after, limit))
    }

    fn expire(&self, now: i64, limit: usize) -> Answer<Vec<Id>> {
        let (shared, jobs) = (Arc::clone(&self.shared), self.jobs.clone());
        Box::pin(async move {
            shared.serving()?;
            let (answer, outcome) = oneshot::channel();
            jobs.send(Job::Expire { now, limit, answer }).map_err(|_| shared.ended())?;
            outcome.await.map_err(|_| shared.ended())?
        })
    }
}
