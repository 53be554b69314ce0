//! The database file: its tables, how a connection is set up, and the folder's secret.

use rusqlite::{
    Connection, OpenFlags, OptionalExtension, config::DbConfig, params, types::FromSql,
};
use std::{error::Error, fs, io, path::Path};

/// 3.51.3 closed a hole through which a checkpoint could lose data in WAL mode.
/// Source: SQLite release log, 3.51.3 of 2026-03-13.
const SQLITE_VERSION_MIN: i32 = 3_051_003;

/// What `PRAGMA user_version` says of the tables below.
const SCHEMA_VERSION: i64 = 1;

/// How many pages the write-ahead log gathers before the writer moves them into the main file: seldom enough that a
/// page which is changed over and over is moved once, and about 80 MB of log at most.
const CHECKPOINT_PAGES: i64 = 20_000;

/// The page caches, in KiB. Readers lose theirs at every commit, so they get little.
const WRITER_CACHE_KIB: i64 = 16 * 1024;
const READER_CACHE_KIB: i64 = 1024;

/// An execution's line holds all that is looked up by something other than its journal. The line may be there without
/// being listed: then `scope` is null.
///
/// The primary key is the tail of each index, which makes every listing order total. Columns of partial indexes come
/// with the condition, so that an idle execution costs them nothing.
///
/// A journal record with an event id has twice the id as its `place`, and one without has one more than the record
/// before it that has one. Places therefore rise with the sequence, and an event is found by halving the journal: a
/// second index would cost as much as the journal itself, at every checkpoint.
const TABLES: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY) WITHOUT ROWID, STRICT;

CREATE TABLE executions (
    id BLOB PRIMARY KEY,
    dialect TEXT,
    status INTEGER,
    started INTEGER,
    ended INTEGER,
    expires INTEGER,
    due INTEGER,
    owes INTEGER NOT NULL DEFAULT 0,
    scope TEXT,
    version TEXT,
    name TEXT
) WITHOUT ROWID, STRICT;
CREATE INDEX by_start ON executions (scope, started);
CREATE INDEX by_status ON executions (scope, status, started);
CREATE INDEX by_version ON executions (scope, version, status, started);
CREATE INDEX by_name ON executions (scope, name, started);
CREATE INDEX by_due ON executions (dialect, due) WHERE due IS NOT NULL;
CREATE INDEX by_owes ON executions (dialect) WHERE owes = 1;
CREATE INDEX by_expires ON executions (expires) WHERE expires IS NOT NULL;

CREATE TABLE journal (
    execution BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    place INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (execution, sequence)
) WITHOUT ROWID, STRICT;

CREATE TABLE claims (
    scope TEXT NOT NULL,
    name TEXT NOT NULL,
    execution BLOB NOT NULL,
    input_hash BLOB NOT NULL,
    PRIMARY KEY (scope, name)
) WITHOUT ROWID, STRICT;
CREATE INDEX by_claimant ON claims (execution);

CREATE TABLE records (
    namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    version INTEGER NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (namespace, key)
) WITHOUT ROWID, STRICT;

CREATE TABLE blobs (
    execution BLOB NOT NULL,
    sha256 BLOB NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (execution, sha256)
) WITHOUT ROWID, STRICT;
";

/// A setting that is not what was asked for.
#[derive(Debug, thiserror::Error)]
#[error("SQLite has {name} = {found} where {wanted} is needed")]
struct Unset {
    name: &'static str,
    found: String,
    wanted: String,
}

type Refused = Box<dyn Error + Send + Sync>;

/// Opens the one connection that writes, and makes the file if it is not there; `fresh_secret` is then its secret.
pub(crate) fn open_writer(path: &Path, fresh_secret: [u8; 32]) -> Result<Connection, Refused> {
    if rusqlite::version_number() < SQLITE_VERSION_MIN {
        let found = rusqlite::version().to_owned();
        return Err(Unset { name: "version", found, wanted: "3.51.3 or later".to_owned() }.into());
    }
    if !path.try_exists()? {
        make(path, fresh_secret)?;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    // Once a write has failed nothing more may be written, and closing a connection would: the clean close does its own.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    set(&db, "journal_mode", "WAL", &"wal".to_owned())?;
    set(&db, "synchronous", "FULL", &2)?;
    set(&db, "wal_autocheckpoint", &CHECKPOINT_PAGES.to_string(), &CHECKPOINT_PAGES)?;
    set(&db, "cache_size", &format!("-{WRITER_CACHE_KIB}"), &-WRITER_CACHE_KIB)?;
    set(&db, "foreign_keys", "OFF", &0)?;
    match db.query_row("PRAGMA user_version", [], |row| row.get(0))? {
        // Of an earlier start that was cut short while the file was still made in its place.
        0 => db.execute_batch(&tables())?,
        SCHEMA_VERSION => {}
        found => {
            let (name, wanted) = ("user_version", SCHEMA_VERSION.to_string());
            return Err(Unset { name, found: found.to_string(), wanted }.into());
        }
    }
    Ok(db)
}

/// Makes the file beside its place and renames it. Nobody sees half of it, so one sync is enough; the caller makes the
/// name durable.
fn make(path: &Path, secret: [u8; 32]) -> Result<(), Refused> {
    let draft = path.with_extension("new");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let db = Connection::open_with_flags(&draft, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    set(&db, "synchronous", "OFF", &0)?;
    set(&db, "journal_mode", "MEMORY", &"memory".to_owned())?;
    db.execute_batch(&tables())?;
    self::secret(&db, secret)?;
    // Kept in the file; later it would cost syncs of its own.
    set(&db, "journal_mode", "WAL", &"wal".to_owned())?;
    db.close().map_err(|(_, error)| error)?;
    fs::File::open(&draft)?.sync_all()?;
    Ok(fs::rename(&draft, path)?)
}

fn tables() -> String {
    format!("BEGIN IMMEDIATE; {TABLES} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
}

/// Opens a connection that can only read. The writing one must be open.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, Refused> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    set(&db, "query_only", "ON", &1)?;
    set(&db, "cache_size", &format!("-{READER_CACHE_KIB}"), &-READER_CACHE_KIB)?;
    db.set_prepared_statement_cache_capacity(32);
    Ok(db)
}

/// The folder's secret: `fresh` if it has none yet.
pub(crate) fn secret(db: &Connection, fresh: [u8; 32]) -> rusqlite::Result<[u8; 32]> {
    db.execute("INSERT INTO meta VALUES ('secret', ?1) ON CONFLICT DO NOTHING", params![fresh])?;
    db.query_row("SELECT value FROM meta WHERE key = 'secret'", [], |row| row.get(0))
}

/// Sets a PRAGMA and reads it back: SQLite ignores what it does not understand.
fn set<T: FromSql + PartialEq + ToString>(
    db: &Connection,
    name: &'static str,
    value: &str,
    wanted: &T,
) -> Result<(), Refused> {
    db.query_row(&format!("PRAGMA {name} = {value}"), [], |_| Ok(())).optional()?;
    let found: T = db.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))?;
    if found == *wanted {
        return Ok(());
    }
    Err(Unset { name, found: found.to_string(), wanted: wanted.to_string() }.into())
}

/// The place of a record with this event id.
pub(crate) fn place_of_event(id: u64) -> u64 {
    id.saturating_mul(2)
}

/// The place of a record without an event id that comes behind a place.
pub(crate) fn place_behind(place: u64) -> u64 {
    place | 1
}

/// The event id of the record at a place.
pub(crate) fn event_at_place(place: u64) -> Option<u64> {
    place.is_multiple_of(2).then_some(place / 2)
}
