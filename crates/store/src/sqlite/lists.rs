//! The list index: every page is a range of an index, or a merge of such ranges.

use super::reads::{all, limit};
use crate::{Id, ListQuery, Row};
use rusqlite::{Connection, OptionalExtension, Result, params, params_from_iter, types::Value};
use std::fmt::Write;

const COLUMNS: &str = "started, id, scope, version, name, status, ended, expires, dialect";

fn read(row: &rusqlite::Row<'_>) -> Result<Row> {
    Ok(Row {
        started: row.get(0)?,
        execution: row.get(1)?,
        scope: row.get(2)?,
        version: row.get(3)?,
        name: row.get(4)?,
        status: row.get(5)?,
        ended: row.get(6)?,
        expires: row.get(7)?,
        dialect: row.get(8)?,
    })
}

pub(crate) fn row(db: &Connection, execution: Id) -> Result<Option<Row>> {
    let sql = format!("SELECT {COLUMNS} FROM executions WHERE id = ?1 AND scope IS NOT NULL");
    db.prepare_cached(&sql)?.query_row(params![execution], read).optional()
}

pub(crate) fn list(db: &Connection, mut query: ListQuery) -> Result<Vec<Row>> {
    query.statuses.sort_unstable();
    query.statuses.dedup();
    // The statuses and the page must come from the same state.
    let snapshot = db.unchecked_transaction()?;
    query.name_prefix = query.name_prefix.filter(|prefix| !prefix.is_empty());
    let by_name = query.name.is_some() || query.name_prefix.is_some();
    if let (Some(version), false, true) = (&query.version, by_name, query.statuses.is_empty()) {
        // The index of versions goes on with the status, so all of a version are a merge of all statuses it has.
        query.statuses = statuses(db, &query.scope, version)?;
        if query.statuses.is_empty() {
            return Ok(Vec::new());
        }
    }
    let (sql, params) = page(query);
    let rows = all(db, &sql, params_from_iter(params), read);
    snapshot.finish()?;
    rows
}

/// The statuses that rows of a version have, by one seek each.
fn statuses(db: &Connection, scope: &str, version: &str) -> Result<Vec<u8>> {
    let mut next = db.prepare_cached(
        "SELECT min(status) FROM executions INDEXED BY by_version
         WHERE scope = ?1 AND version = ?2 AND status > ?3",
    )?;
    let mut found = Vec::new();
    let mut last = -1;
    while let Some(status) =
        next.query_row(params![scope, version, last], |row| row.get::<_, Option<u8>>(0))?
    {
        found.push(status);
        last = i64::from(status);
    }
    Ok(found)
}

/// A place between rows: before every row that started at the time, or behind it, or at a row.
type Place = (i64, Vec<u8>);

/// The two places between which the rows of the query lie. An empty id is before every id, seventeen bytes are behind.
fn range(query: &ListQuery) -> (Place, Place) {
    let first = || Vec::new();
    let last = || vec![0xff; 17];
    let mut low = query.started_after.map_or((i64::MIN, first()), |at| (at, last()));
    let mut high = query.started_before.map_or((i64::MAX, last()), |at| (at, first()));
    if let Some((started, id)) = query.after {
        let after = (started, id.to_vec());
        if query.newest_first {
            high = high.min(after);
        } else {
            low = low.max(after);
        }
    }
    (low, high)
}

/// The statement for a page and its parameters. The index is named, so that SQLite refuses rather than scans.
fn page(query: ListQuery) -> (String, Vec<Value>) {
    let (low, high) = range(&query);
    let ListQuery {
        scope, version, name, name_prefix, statuses, newest_first, limit: rows, ..
    } = query;
    let mut params: Vec<Value> = vec![
        scope.into(),
        low.0.into(),
        low.1.into(),
        high.0.into(),
        high.1.into(),
        limit(rows).into(),
    ];
    let mut parameter = |value: Value| {
        params.push(value);
        format!("?{}", params.len())
    };

    let statuses: Vec<String> =
        statuses.into_iter().map(|status| parameter(i64::from(status).into())).collect();
    let version = version.map(|version| parameter(version.into()));
    let name = name.map(|name| parameter(name.into()));
    // No name goes on with the last character of all.
    let prefix = name_prefix.map(|prefix| {
        let end = format!("{prefix}{}", char::MAX);
        (parameter(prefix.into()), parameter(end.into()))
    });

    let mut conditions = "scope = ?1".to_owned();
    let mut branches = vec![String::new()];
    let index = if name.is_some() || prefix.is_some() {
        // A name has few rows: they are its range, and the rest is checked row by row (the plus keeps it so).
        if let Some(name) = &name {
            let _ = write!(conditions, " AND name = {name}");
        }
        if let Some((first, end)) = &prefix {
            let _ = write!(conditions, " AND name >= {first} AND name < {end}");
        }
        if let Some(version) = &version {
            let _ = write!(conditions, " AND +version = {version}");
        }
        if !statuses.is_empty() {
            let _ = write!(conditions, " AND +status IN ({})", statuses.join(", "));
        }
        "by_name"
    } else {
        if !statuses.is_empty() {
            branches = statuses.iter().map(|status| format!(" AND status = {status}")).collect();
        }
        match &version {
            Some(version) => {
                let _ = write!(conditions, " AND version = {version}");
                "by_version"
            }
            None if statuses.is_empty() => "by_start",
            None => "by_status",
        }
    };

    let mut sql = String::new();
    for (i, branch) in branches.iter().enumerate() {
        let _ = write!(
            sql,
            "{}SELECT {COLUMNS} FROM executions INDEXED BY {index} WHERE {conditions}{branch} \
             AND (started, id) > (?2, ?3) AND (started, id) < (?4, ?5)",
            if i == 0 { "" } else { " UNION ALL " }
        );
    }
    let direction = if newest_first { "DESC" } else { "ASC" };
    let _ = write!(sql, " ORDER BY started {direction}, id {direction} LIMIT ?6");
    (sql, params)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::schema;

    /// What SQLite says that it will do for a query.
    fn plan(query: ListQuery) -> String {
        let folder = tempfile::tempdir().unwrap();
        let db = schema::open_writer(&folder.path().join("store.db"), [7; 32]).unwrap();
        let (sql, params) = page(query);
        let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps = statement
            .query_map(params_from_iter(params), |row| row.get::<_, String>("detail"))
            .unwrap();
        steps.collect::<Result<Vec<_>>>().unwrap().join("\n")
    }

    fn check(query: &ListQuery, index: &str) {
        for newest_first in [false, true] {
            let query = ListQuery { newest_first, scope: "s".to_owned(), ..query.clone() };
            let plan = plan(query);
            assert!(!plan.contains("TEMP B-TREE"), "sorts:\n{plan}");
            assert!(!plan.contains("SCAN"), "scans:\n{plan}");
            assert!(plan.contains(index), "not by {index}:\n{plan}");
        }
    }

    const RANGE: &str = "(started,id)>(?,?) AND (started,id)<(?,?)";

    #[test]
    fn a_scope_is_a_range() {
        check(&ListQuery::default(), &format!("by_start (scope=? AND {RANGE})"));
    }

    #[test]
    fn statuses_are_merged_ranges() {
        let query = ListQuery { statuses: vec![1, 2, 5], ..ListQuery::default() };
        check(&query, &format!("by_status (scope=? AND status=? AND {RANGE})"));
    }

    #[test]
    fn a_version_with_statuses_is_merged_ranges() {
        let (version, statuses) = (Some("1".to_owned()), vec![1, 2]);
        let query = ListQuery { version, statuses, ..ListQuery::default() };
        check(&query, &format!("by_version (scope=? AND version=? AND status=? AND {RANGE})"));
    }

    #[test]
    fn names_with_a_prefix_are_a_range_that_is_sorted() {
        let query = ListQuery {
            scope: "s".to_owned(),
            name_prefix: Some("n".to_owned()),
            statuses: vec![1, 2],
            ..ListQuery::default()
        };
        let plan = plan(query);
        assert!(plan.contains("by_name (scope=? AND name>? AND name<?)"), "not by name:\n{plan}");
        assert!(!plan.contains("SCAN"), "scans:\n{plan}");
    }

    #[test]
    fn a_name_is_a_range_whatever_else_is_asked() {
        let (name, version) = (Some("n".to_owned()), Some("1".to_owned()));
        let query = ListQuery { name, version, statuses: vec![1, 2], ..ListQuery::default() };
        check(&query, &format!("by_name (scope=? AND name=? AND {RANGE})"));
    }
}
