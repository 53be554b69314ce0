//! Checks a batch against what is stored, and applies it.

use super::{reads::limit, schema};
use crate::{
    Append, Batch, Blob, Change, Claim, Conflict, Expect, Id, Release, Row, Sha256, StoreError,
};
use rusqlite::{Connection, OptionalExtension, Result, Row as Line, Statement, params};
use std::collections::HashMap;

/// For how many journals the end is remembered. When there would be more, all are forgotten, and each costs two reads
/// when it is next written.
const HEADS_MAX: usize = 16_384;

/// How many lines one slice of [`Applier::expire`] may delete before it stops, so that commits wait for
/// milliseconds only.
const EXPIRED_LINES_MAX: usize = 8_192;

/// The end of a journal; zeros when it is empty.
#[derive(Debug, Clone, Copy, Default)]
struct Head {
    sequence: u64,
    place: u64,
}

/// Applies batches over the writing connection, inside the transaction that its user opened.
pub(crate) struct Applier<'db> {
    sql: Statements<'db>,
    /// Ends of journals as the open transaction leaves them. This process is the only one that writes, and after a
    /// failed transaction it writes no more, so they are never wrong.
    heads: HashMap<Id, Head>,
    /// The version of the record that was put last.
    version: u64,
    /// Whether `version` is more than what is stored.
    version_moved: bool,
    /// The records that the open transaction changed, for the cache.
    changed: Vec<(Change, u64)>,
}

struct Statements<'db> {
    head: Statement<'db>,
    append: Statement<'db>,
    record_version: Statement<'db>,
    put: Statement<'db>,
    delete: Statement<'db>,
    move_version: Statement<'db>,
    holder: Statement<'db>,
    claim: Statement<'db>,
    release: Statement<'db>,
    row: Statement<'db>,
    insert_row: Statement<'db>,
    progress_row: Statement<'db>,
    replace_row: Statement<'db>,
    due: Statement<'db>,
    insert_due: Statement<'db>,
    owes: Statement<'db>,
    insert_owes: Statement<'db>,
    blob: Statement<'db>,
    expired: Statement<'db>,
    forget: [Statement<'db>; 4],
}

impl<'db> Statements<'db> {
    fn prepare(db: &'db Connection) -> Result<Self> {
        Ok(Self {
            head: db.prepare(
                "SELECT sequence, place FROM journal WHERE execution = ?1
                 ORDER BY sequence DESC LIMIT 1",
            )?,
            append: db.prepare("INSERT INTO journal VALUES (?1, ?2, ?3, ?4)")?,
            record_version: db
                .prepare("SELECT version FROM records WHERE namespace = ?1 AND key = ?2")?,
            put: db.prepare(
                "INSERT INTO records (namespace, key, version, value) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET version = excluded.version, value = excluded.value",
            )?,
            delete: db.prepare("DELETE FROM records WHERE namespace = ?1 AND key = ?2")?,
            move_version: db.prepare("INSERT OR REPLACE INTO meta VALUES ('version', ?1)")?,
            holder: db.prepare(
                "SELECT execution, input_hash FROM claims WHERE scope = ?1 AND name = ?2",
            )?,
            claim: db.prepare("INSERT INTO claims VALUES (?1, ?2, ?3, ?4)")?,
            release: db
                .prepare("DELETE FROM claims WHERE scope = ?1 AND name = ?2 AND execution = ?3")?,
            row: db.prepare(
                "SELECT scope, version, name, started, status, ended, expires, dialect
                 FROM executions WHERE id = ?1",
            )?,
            insert_row: db.prepare(
                "INSERT INTO executions
                 (id, scope, version, name, started, status, ended, expires, due, owes, dialect)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?,
            progress_row: db.prepare(
                "UPDATE executions SET status = ?2, ended = ?3, expires = ?4 WHERE id = ?1",
            )?,
            replace_row: db.prepare(
                "UPDATE executions SET scope = ?2, version = ?3, name = ?4, started = ?5,
                 status = ?6, ended = ?7, expires = ?8, dialect = ?9 WHERE id = ?1",
            )?,
            due: db.prepare("UPDATE executions SET due = ?2 WHERE id = ?1 AND due IS NOT ?2")?,
            insert_due: db.prepare(
                "INSERT INTO executions (id, due) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            )?,
            owes: db.prepare("UPDATE executions SET owes = ?2 WHERE id = ?1 AND owes <> ?2")?,
            insert_owes: db.prepare(
                "INSERT INTO executions (id, owes) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            )?,
            blob: db.prepare("INSERT INTO blobs VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?,
            expired: db.prepare(
                "SELECT id FROM executions INDEXED BY by_expires
                 WHERE expires <= ?1 ORDER BY expires, id LIMIT ?2",
            )?,
            forget: [
                db.prepare("DELETE FROM journal WHERE execution = ?1")?,
                db.prepare("DELETE FROM claims WHERE execution = ?1")?,
                db.prepare("DELETE FROM blobs WHERE execution = ?1")?,
                db.prepare("DELETE FROM executions WHERE id = ?1")?,
            ],
        })
    }
}

impl<'db> Applier<'db> {
    pub(crate) fn new(db: &'db Connection) -> Result<Self> {
        let version = db
            .query_row("SELECT value FROM meta WHERE key = 'version'", [], |row| row.get(0))
            .optional()?
            .unwrap_or(0);
        Ok(Self {
            sql: Statements::prepare(db)?,
            heads: HashMap::new(),
            version,
            version_moved: false,
            changed: Vec::new(),
        })
    }

    /// Applies a batch, or says in the inner result why not; then nothing has changed.
    ///
    /// # Errors
    ///
    /// When SQLite fails. The transaction is then worth nothing.
    pub(crate) fn apply(&mut self, batch: Batch) -> Result<Result<(), StoreError>> {
        if let Err(refused) = self.check(&batch)? {
            return Ok(Err(refused));
        }
        let Batch { appends, records, claims, releases, rows, due, owes, blobs } = batch;
        for release in &releases {
            self.release(release)?;
        }
        for claim in &claims {
            let Claim { scope, name, execution, input_hash } = claim;
            self.sql.claim.execute(params![scope, name, execution, input_hash])?;
        }
        for change in records {
            self.change(change)?;
        }
        for append in &appends {
            self.append(append)?;
        }
        for row in &rows {
            self.row(row, &due, &owes)?;
        }
        for (execution, at) in due {
            if self.sql.due.execute(params![execution, at])? == 0 && at.is_some() {
                self.sql.insert_due.execute(params![execution, at])?;
            }
        }
        for (execution, owes) in owes {
            if self.sql.owes.execute(params![execution, owes])? == 0 && owes {
                self.sql.insert_owes.execute(params![execution, owes])?;
            }
        }
        for Blob { execution, sha256, data } in &blobs {
            self.sql.blob.execute(params![execution, sha256, &data[..]])?;
        }
        Ok(Ok(()))
    }

    /// Deletes some of what has expired (see [`Store::expire`](crate::Store::expire)); also says how many lines that
    /// were.
    ///
    /// # Errors
    ///
    /// As [`Self::apply`].
    pub(crate) fn expire(&mut self, now: i64, executions: usize) -> Result<(Vec<Id>, usize)> {
        let expired: Vec<Id> = self
            .sql
            .expired
            .query_map(params![now, limit(executions)], |row| row.get(0))?
            .collect::<Result<_>>()?;
        let mut gone = Vec::new();
        let mut lines = 0;
        for id in expired {
            if lines >= EXPIRED_LINES_MAX {
                break;
            }
            for forget in &mut self.sql.forget {
                lines += forget.execute(params![id])?;
            }
            self.heads.remove(&id);
            gone.push(id);
        }
        Ok((gone, lines))
    }

    /// To be called before the transaction is committed.
    ///
    /// # Errors
    ///
    /// As [`Self::apply`].
    pub(crate) fn finish(&mut self) -> Result<Vec<(Change, u64)>> {
        if self.version_moved {
            self.sql.move_version.execute(params![self.version])?;
            self.version_moved = false;
        }
        Ok(std::mem::take(&mut self.changed))
    }

    fn check(&mut self, batch: &Batch) -> Result<Result<(), StoreError>> {
        for claim in &batch.claims {
            if let Some(conflict) = self.name_conflict(claim, &batch.releases)? {
                return Ok(Err(conflict.into()));
            }
        }
        for change in &batch.records {
            if let Some(conflict) = self.record_conflict(change)? {
                return Ok(Err(conflict.into()));
            }
        }
        for append in &batch.appends {
            let head = self.head(append.execution)?;
            if head.sequence != append.expected {
                let Append { execution, expected, .. } = *append;
                let found = head.sequence;
                return Ok(Err(Conflict::Sequence { execution, expected, found }.into()));
            }
            let first = append.records.iter().find_map(|record| record.event_id);
            if first.is_some_and(|id| schema::place_of_event(id) <= head.place) {
                return Ok(Err(StoreError::Invalid("the event ids of a journal must rise")));
            }
        }
        Ok(Ok(()))
    }

    fn name_conflict(&mut self, claim: &Claim, releases: &[Release]) -> Result<Option<Conflict>> {
        let Claim { scope, name, .. } = claim;
        let read = |line: &Line<'_>| Ok((line.get(0)?, line.get(1)?));
        let holder: Option<(Id, Sha256)> =
            self.sql.holder.query_row(params![scope, name], read).optional()?;
        Ok(holder
            .filter(|(owner, _)| {
                !releases.iter().any(|release| {
                    (&release.scope, &release.name, &release.execution) == (scope, name, owner)
                })
            })
            .map(|(owner, input_hash)| Conflict::Name {
                scope: scope.clone(),
                name: name.clone(),
                owner,
                input_hash,
            }))
    }

    fn record_conflict(&mut self, change: &Change) -> Result<Option<Conflict>> {
        let wanted = match change.expect {
            Expect::Anything => return Ok(None),
            Expect::Absent => None,
            Expect::Version(version) => Some(version),
        };
        let Change { namespace, key, .. } = change;
        let found: Option<u64> = self
            .sql
            .record_version
            .query_row(params![namespace, key], |line| line.get(0))
            .optional()?;
        Ok((found != wanted).then(|| Conflict::Record { namespace, key: key.clone(), found }))
    }

    fn head(&mut self, execution: Id) -> Result<Head> {
        if let Some(head) = self.heads.get(&execution) {
            return Ok(*head);
        }
        let read = |line: &Line<'_>| Ok(Head { sequence: line.get(0)?, place: line.get(1)? });
        let head =
            self.sql.head.query_row(params![execution], read).optional()?.unwrap_or_default();
        if self.heads.len() >= HEADS_MAX {
            self.heads.clear();
        }
        self.heads.insert(execution, head);
        Ok(head)
    }

    fn append(&mut self, append: &Append) -> Result<()> {
        let mut head = self.head(append.execution)?;
        for record in &append.records {
            head.sequence += 1;
            head.place = record
                .event_id
                .map_or_else(|| schema::place_behind(head.place), schema::place_of_event);
            let Head { sequence, place } = head;
            self.sql.append.execute(params![
                append.execution,
                sequence,
                place,
                &record.data[..]
            ])?;
        }
        self.heads.insert(append.execution, head);
        Ok(())
    }

    fn change(&mut self, change: Change) -> Result<()> {
        let Change { namespace, key, value, .. } = &change;
        if let Some(value) = value {
            self.version += 1;
            self.version_moved = true;
            self.sql.put.execute(params![namespace, key, self.version, &value[..]])?;
        } else {
            self.sql.delete.execute(params![namespace, key])?;
        }
        self.changed.push((change, self.version));
        Ok(())
    }

    fn release(&mut self, release: &Release) -> Result<()> {
        let Release { scope, name, execution } = release;
        self.sql.release.execute(params![scope, name, execution])?;
        Ok(())
    }

    /// Puts a row, touching only the indexes whose columns change.
    fn row(&mut self, row: &Row, due: &[(Id, Option<i64>)], owes: &[(Id, bool)]) -> Result<()> {
        let Row { execution: id, dialect, scope, version, name, status, started, ended, expires } =
            row;
        let change = self.sql.row.query_row(params![id], |line| change_of(row, line)).optional()?;
        match change {
            None => {
                // The line can have its deadline from the start.
                let due = due.iter().rfind(|(of, _)| of == id).and_then(|(_, at)| *at);
                let owes = owes.iter().rfind(|(of, _)| of == id).is_some_and(|(_, owes)| *owes);
                self.sql.insert_row.execute(params![
                    id, scope, version, name, started, status, ended, expires, due, owes, dialect
                ])?;
            }
            Some(RowChange::Nothing) => {}
            Some(RowChange::Progress) => {
                self.sql.progress_row.execute(params![id, status, ended, expires])?;
            }
            Some(RowChange::Everything) => {
                self.sql.replace_row.execute(params![
                    id, scope, version, name, started, status, ended, expires, dialect
                ])?;
            }
        }
        Ok(())
    }
}

/// How much of a stored row a new one changes.
enum RowChange {
    Nothing,
    /// The execution ended, or went on: what identifies it stays.
    Progress,
    Everything,
}

fn change_of(row: &Row, line: &Line<'_>) -> Result<RowChange> {
    let text = |column: usize, new: &str| -> Result<bool> {
        Ok(line.get_ref(column)?.as_str_or_null()? == Some(new))
    };
    let same = text(0, &row.scope)?
        && text(1, &row.version)?
        && text(2, &row.name)?
        && text(7, &row.dialect)?
        && line.get::<_, Option<i64>>(3)? == Some(row.started);
    if !same {
        return Ok(RowChange::Everything);
    }
    let progress: (Option<u8>, Option<i64>, Option<i64>) =
        (line.get(4)?, line.get(5)?, line.get(6)?);
    Ok(if progress == (Some(row.status), row.ended, row.expires) {
        RowChange::Nothing
    } else {
        RowChange::Progress
    })
}
