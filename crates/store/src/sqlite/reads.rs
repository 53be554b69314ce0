//! The questions other than lists, each over an index.

use super::schema;
use crate::{Claim, Entry, EventsQuery, Id, RecordsQuery, Sha256, Value};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Params, Result, Row, params};

/// The limit of a page as SQLite wants it; no page is longer than it can count.
pub(crate) fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

pub(crate) fn all<T>(
    db: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    db.prepare_cached(sql)?.query_map(params, read)?.collect()
}

fn one<T>(
    db: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> Result<T>,
) -> Result<Option<T>> {
    db.prepare_cached(sql)?.query_row(params, read).optional()
}

fn bytes(row: &Row<'_>, column: usize) -> Result<Bytes> {
    Ok(Bytes::copy_from_slice(row.get_ref(column)?.as_blob()?))
}

fn entry(row: &Row<'_>) -> Result<Entry> {
    let event_id = schema::event_at_place(row.get(1)?);
    Ok(Entry { sequence: row.get(0)?, event_id, data: bytes(row, 2)? })
}

pub(crate) fn journal(db: &Connection, execution: Id) -> Result<Vec<Entry>> {
    all(
        db,
        "SELECT sequence, place, data FROM journal WHERE execution = ?1 ORDER BY sequence",
        params![execution],
        entry,
    )
}

pub(crate) fn events(db: &Connection, query: EventsQuery) -> Result<Vec<Entry>> {
    let EventsQuery { execution, from, newest_first, limit: rows } = query;
    // The search and the page must see the same journal.
    let snapshot = db.unchecked_transaction()?;
    let page = if newest_first {
        let behind = match from {
            Some(id) => {
                first_from(db, execution, schema::place_behind(schema::place_of_event(id)))?
            }
            None => i64::MAX,
        };
        all(
            db,
            "SELECT sequence, place, data FROM journal
             WHERE execution = ?1 AND sequence < ?2 AND place % 2 = 0
             ORDER BY sequence DESC LIMIT ?3",
            params![execution, behind, limit(rows)],
            entry,
        )
    } else {
        let first = match from {
            Some(id) => first_from(db, execution, schema::place_of_event(id))?,
            None => 1,
        };
        all(
            db,
            "SELECT sequence, place, data FROM journal
             WHERE execution = ?1 AND sequence >= ?2 AND place % 2 = 0
             ORDER BY sequence LIMIT ?3",
            params![execution, first, limit(rows)],
            entry,
        )
    };
    snapshot.finish()?;
    page
}

/// The sequence number of the first record whose place is `place` or behind it, or the number of the next record to
/// come. Takes a look at as many records as halving the journal takes.
fn first_from(db: &Connection, execution: Id, place: u64) -> Result<i64> {
    let last: Option<i64> = db
        .prepare_cached("SELECT max(sequence) FROM journal WHERE execution = ?1")?
        .query_row(params![execution], |row| row.get(0))?;
    let mut place_at =
        db.prepare_cached("SELECT place FROM journal WHERE execution = ?1 AND sequence = ?2")?;
    let (mut first, mut end) = (1, last.unwrap_or(0) + 1);
    while first < end {
        let middle = first + (end - first) / 2;
        let found: u64 = place_at.query_row(params![execution, middle], |row| row.get(0))?;
        if found < place {
            first = middle + 1;
        } else {
            end = middle;
        }
    }
    Ok(first)
}

pub(crate) fn blob(db: &Connection, execution: Id, sha256: Sha256) -> Result<Option<Bytes>> {
    one(
        db,
        "SELECT data FROM blobs WHERE execution = ?1 AND sha256 = ?2",
        params![execution, sha256],
        |row| bytes(row, 0),
    )
}

pub(crate) fn record(db: &Connection, namespace: &str, key: &str) -> Result<Option<Value>> {
    one(
        db,
        "SELECT value, version FROM records WHERE namespace = ?1 AND key = ?2",
        params![namespace, key],
        |row| Ok(Value { value: bytes(row, 0)?, version: row.get(1)? }),
    )
}

pub(crate) fn records(db: &Connection, query: &RecordsQuery) -> Result<Vec<(String, Value)>> {
    // One lower bound, the larger of the two, because SQLite seeks to one and then passes over the rest.
    let after = query.after.as_ref().filter(|after| **after >= query.prefix);
    let sql = if after.is_some() {
        "SELECT key, value, version FROM records WHERE namespace = ?1 AND key > ?2 ORDER BY key"
    } else {
        "SELECT key, value, version FROM records WHERE namespace = ?1 AND key >= ?2 ORDER BY key"
    };
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params![query.namespace, after.unwrap_or(&query.prefix)])?;
    let mut page = Vec::new();
    while page.len() < query.limit
        && let Some(row) = rows.next()?
    {
        let key: String = row.get(0)?;
        if !key.starts_with(&query.prefix) {
            break;
        }
        page.push((key, Value { value: bytes(row, 1)?, version: row.get(2)? }));
    }
    Ok(page)
}

pub(crate) fn claimed(db: &Connection, scope: String, name: String) -> Result<Option<Claim>> {
    let holder = one(
        db,
        "SELECT execution, input_hash FROM claims WHERE scope = ?1 AND name = ?2",
        params![scope, name],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(holder.map(|(execution, input_hash)| Claim { scope, name, execution, input_hash }))
}

pub(crate) fn due(
    db: &Connection,
    dialect: &str,
    until: i64,
    rows: usize,
) -> Result<Vec<(i64, Id)>> {
    all(
        db,
        "SELECT due, id FROM executions INDEXED BY by_due
         WHERE dialect = ?1 AND due <= ?2 ORDER BY due, id LIMIT ?3",
        params![dialect, until, limit(rows)],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

pub(crate) fn owing(
    db: &Connection,
    dialect: &str,
    after: Option<Id>,
    rows: usize,
) -> Result<Vec<Id>> {
    // Nothing is less than the empty blob.
    let after = after.as_ref().map_or(&[][..], |id| &id[..]);
    all(
        db,
        "SELECT id FROM executions INDEXED BY by_owes
         WHERE dialect = ?1 AND owes = 1 AND id > ?2 ORDER BY id LIMIT ?3",
        params![dialect, after, limit(rows)],
        |row| row.get(0),
    )
}
