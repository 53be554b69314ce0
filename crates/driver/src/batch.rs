//! What becomes durable with records: deadlines, debts, index rows and long texts.

use crate::cell::Loaded;
use bytes::Bytes;
use durastack_clock::Timestamp;
use durastack_engine::{Dialect, Execution, Record, Stash, Status};
use durastack_store::{Append, Batch, Blob, Record as Stored, Row};

/// Room for a record as most are.
const RECORD_BYTES: usize = 256;

pub(crate) fn owes<D: Dialect>(execution: &Execution<D>) -> bool {
    execution.life.end_hidden || !execution.owed().is_empty()
}

/// The batch that makes these records durable, with everything that follows from them. `before` is the sequence in
/// front of them.
pub(crate) fn batch_of<D: Dialect>(
    loaded: &mut Loaded<D>,
    before: u64,
    records: &[Record<D>],
    stash: &Stash,
) -> Batch {
    let life = &loaded.execution.life;
    let id = life.id.bytes();
    let mut batch = Batch::default();
    if !records.is_empty() {
        batch.appends.push(Append { execution: id, expected: before, records: stored(records) });
    }
    let changes_row = |record: &Record<D>| {
        use durastack_engine::{Event::Life, LifeEvent};
        matches!(record.event, Life(LifeEvent::Started { .. } | LifeEvent::Ended { .. }))
    };
    if records.iter().any(changes_row) {
        batch.rows.push(row::<D>(life));
    }
    let due = loaded.execution.next_deadline().map(|(due, _)| due);
    if due != loaded.due {
        batch.due.push((id, due.map(Timestamp::millis)));
        loaded.due = due;
    }
    let owes = owes(&loaded.execution);
    if owes != loaded.owes {
        batch.owes.push((id, owes));
        loaded.owes = owes;
    }
    for (sha256, text) in stash.blobs() {
        batch.blobs.push(Blob {
            execution: id,
            sha256: *sha256,
            data: Bytes::copy_from_slice(text.as_bytes()),
        });
    }
    batch
}

/// The records as the store takes them. They share one buffer: each in its own would be made on one thread and freed on
/// another, which costs about as much as writing it.
fn stored<D: Dialect>(records: &[Record<D>]) -> Vec<Stored> {
    let mut buffer = Vec::with_capacity(records.len() * RECORD_BYTES);
    let mut ends = Vec::with_capacity(records.len());
    for record in records {
        record.encode_into(&mut buffer);
        ends.push(buffer.len());
    }
    let (buffer, mut from) = (Bytes::from(buffer), 0);
    let each = |(record, end): (&Record<D>, usize)| Stored {
        event_id: record.event_id,
        data: buffer.slice(std::mem::replace(&mut from, end)..end),
    };
    records.iter().zip(ends).map(each).collect()
}

pub(crate) fn batch_bytes(batch: &Batch) -> usize {
    batch.appends.iter().flat_map(|append| &append.records).map(|record| record.data.len()).sum()
}

fn row<D: Dialect>(life: &durastack_engine::Life) -> Row {
    Row {
        execution: life.id.bytes(),
        dialect: D::NAME.to_owned(),
        scope: life.scope.clone(),
        version: life.version.clone(),
        name: life.name.clone(),
        status: status_number(life.status()),
        started: life.started.millis(),
        ended: life.end.as_ref().map(|(at, _)| at.millis()),
        expires: life.expires().map(Timestamp::millis),
    }
}

/// How the list index writes a status; a stored format.
#[must_use]
pub const fn status_number(status: Status) -> u8 {
    match status {
        Status::Running => 1,
        Status::Succeeded => 2,
        Status::Failed => 3,
        Status::TimedOut => 4,
        Status::Stopped => 5,
    }
}
