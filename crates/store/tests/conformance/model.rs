//! A store of plain maps, for comparison: every question is a walk over everything.

use bytes::Bytes;
use durastack_store::{
    Batch, Claim, Conflict, Entry, EventsQuery, Expect, Id, ListQuery, Row, StoreError,
};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    journals: BTreeMap<Id, Vec<Entry>>,
    pub(crate) records: BTreeMap<(&'static str, String), (Bytes, u64)>,
    version: u64,
    pub(crate) claims: BTreeMap<(String, String), Claim>,
    rows: BTreeMap<Id, Row>,
    due: BTreeMap<Id, i64>,
    owes: BTreeSet<Id>,
    pub(crate) blobs: BTreeMap<(Id, [u8; 32]), Bytes>,
}

impl Model {
    pub(crate) fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let before = self.clone();
        let outcome = self.apply(batch);
        if outcome.is_err() {
            *self = before;
        }
        outcome
    }

    fn apply(&mut self, batch: &Batch) -> Result<(), StoreError> {
        for release in &batch.releases {
            let name = (release.scope.clone(), release.name.clone());
            if self.claims.get(&name).is_some_and(|claim| claim.execution == release.execution) {
                self.claims.remove(&name);
            }
        }
        for claim in &batch.claims {
            let name = (claim.scope.clone(), claim.name.clone());
            if let Some(Claim { scope, name, execution, input_hash }) = self.claims.get(&name) {
                return Err(StoreError::Conflict(Conflict::Name {
                    scope: scope.clone(),
                    name: name.clone(),
                    owner: *execution,
                    input_hash: *input_hash,
                }));
            }
            self.claims.insert(name, claim.clone());
        }
        for change in &batch.records {
            let key = (change.namespace, change.key.clone());
            let found = self.records.get(&key).map(|(_, version)| *version);
            let holds = match change.expect {
                Expect::Anything => true,
                Expect::Absent => found.is_none(),
                Expect::Version(version) => found == Some(version),
            };
            if !holds {
                let (namespace, key) = key;
                return Err(StoreError::Conflict(Conflict::Record { namespace, key, found }));
            }
            if let Some(value) = &change.value {
                self.version += 1;
                self.records.insert(key, (value.clone(), self.version));
            } else {
                self.records.remove(&key);
            }
        }
        for append in &batch.appends {
            let journal = self.journals.entry(append.execution).or_default();
            let found = journal.len() as u64;
            if found != append.expected {
                let (execution, expected) = (append.execution, append.expected);
                let conflict = Conflict::Sequence { execution, expected, found };
                return Err(StoreError::Conflict(conflict));
            }
            for record in &append.records {
                let last = journal.iter().filter_map(|entry| entry.event_id).max();
                if record.event_id.is_some() && record.event_id <= last {
                    return Err(StoreError::Invalid("event ids"));
                }
                let sequence = journal.len() as u64 + 1;
                let (event_id, data) = (record.event_id, record.data.clone());
                journal.push(Entry { sequence, event_id, data });
            }
        }
        for row in &batch.rows {
            self.rows.insert(row.execution, row.clone());
        }
        for (id, at) in &batch.due {
            match at {
                Some(at) => self.due.insert(*id, *at),
                None => self.due.remove(id),
            };
        }
        for (id, owes) in &batch.owes {
            if *owes {
                self.owes.insert(*id)
            } else {
                self.owes.remove(id)
            };
        }
        for blob in &batch.blobs {
            let key = (blob.execution, blob.sha256);
            self.blobs.entry(key).or_insert_with(|| blob.data.clone());
        }
        Ok(())
    }

    pub(crate) fn expire(&mut self, now: i64, limit: usize) -> Vec<Id> {
        let mut expired: Vec<(i64, Id)> = self
            .rows
            .values()
            .filter_map(|row| Some((row.expires?, row.execution)))
            .filter(|(at, _)| *at <= now)
            .collect();
        expired.sort_unstable();
        expired.truncate(limit);
        for (_, id) in &expired {
            self.journals.remove(id);
            self.rows.remove(id);
            self.due.remove(id);
            self.owes.remove(id);
            self.claims.retain(|_, claim| claim.execution != *id);
            self.blobs.retain(|(owner, _), _| owner != id);
        }
        expired.into_iter().map(|(_, id)| id).collect()
    }

    pub(crate) fn journal(&self, execution: Id) -> Vec<Entry> {
        self.journals.get(&execution).cloned().unwrap_or_default()
    }

    pub(crate) fn events(&self, query: EventsQuery) -> Vec<Entry> {
        let mut events = self.journal(query.execution);
        events.retain(|entry| {
            entry.event_id.is_some_and(|id| match (query.from, query.newest_first) {
                (None, _) => true,
                (Some(from), false) => id >= from,
                (Some(from), true) => id <= from,
            })
        });
        if query.newest_first {
            events.reverse();
        }
        events.truncate(query.limit);
        events
    }

    pub(crate) fn row(&self, execution: Id) -> Option<Row> {
        self.rows.get(&execution).cloned()
    }

    /// Only a row says whose a deadline is.
    pub(crate) fn due(&self, until: i64) -> Vec<(i64, Id)> {
        let mut due: Vec<_> = self
            .due
            .iter()
            .map(|(id, at)| (*at, *id))
            .filter(|(at, id)| *at <= until && self.rows.contains_key(id))
            .collect();
        due.sort_unstable();
        due
    }

    pub(crate) fn owing(&self) -> Vec<Id> {
        self.owes.iter().filter(|id| self.rows.contains_key(*id)).copied().collect()
    }

    pub(crate) fn list(&self, query: &ListQuery) -> Vec<Row> {
        let place = |row: &Row| (row.started, row.execution);
        let mut rows: Vec<Row> = self
            .rows
            .values()
            .filter(|row| row.scope == query.scope)
            .filter(|row| query.version.as_ref().is_none_or(|version| row.version == *version))
            .filter(|row| query.name.as_ref().is_none_or(|name| row.name == *name))
            .filter(|row| {
                query.name_prefix.as_ref().is_none_or(|prefix| row.name.starts_with(&**prefix))
            })
            .filter(|row| query.statuses.is_empty() || query.statuses.contains(&row.status))
            .filter(|row| query.started_after.is_none_or(|at| row.started > at))
            .filter(|row| query.started_before.is_none_or(|at| row.started < at))
            .filter(|row| {
                query.after.is_none_or(|after| {
                    if query.newest_first { place(row) < after } else { place(row) > after }
                })
            })
            .cloned()
            .collect();
        rows.sort_unstable_by_key(place);
        if query.newest_first {
            rows.reverse();
        }
        rows.truncate(query.limit);
        rows
    }
}
