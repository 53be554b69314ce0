//! The journal's record: a format for ever.
//!
//! Members are only added, with defaults. A record of a newer format, or with an event that this program does not
//! know, is refused: guessing would corrupt an execution.

use crate::{Dialect, LifeEvent};
use durastack_clock::Timestamp;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The format that this program writes.
const FORMAT: u8 = 1;

/// One thing that happened to an execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event<E, Definition> {
    /// Something that happens in every dialect.
    Life(LifeEvent<Definition>),
    /// Something of the dialect.
    Work(E),
}

/// An event with its place in the journal.
#[derive(Debug)]
pub struct Record<D: Dialect> {
    /// From 1, without gaps.
    pub sequence: u64,
    /// When it happened, in virtual time; never before the record in front of it.
    pub at: Timestamp,
    /// Its number in the public history, if the public history shows it.
    pub event_id: Option<u64>,
    /// What happened.
    pub event: Event<D::Event, D::Definition>,
}

// By hand: a derive would ask the dialect's state to be `Clone`.
impl<D: Dialect> Clone for Record<D> {
    fn clone(&self) -> Self {
        let Self { sequence, at, event_id, event } = self;
        Self { sequence: *sequence, at: *at, event_id: *event_id, event: event.clone() }
    }
}

/// A stored record that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BadRecord {
    /// Not JSON of the known form, or an unknown event.
    #[error("record {sequence} is damaged or was written by a newer durastack: {cause}")]
    Unreadable {
        /// Its place.
        sequence: u64,
        /// What is wrong with it.
        cause: serde_json::Error,
    },
    /// A newer format.
    #[error("record {sequence} has format {format}; this durastack reads formats up to {FORMAT}")]
    Newer {
        /// Its place.
        sequence: u64,
        /// Its format.
        format: u8,
    },
    /// It belongs to another dialect.
    #[error("record {sequence} belongs to the dialect '{dialect}'")]
    Foreign {
        /// Its place.
        sequence: u64,
        /// Whose it is.
        dialect: String,
    },
    /// The first record is missing or is no start.
    #[error("the journal does not begin with a start")]
    Headless,
}

#[derive(Serialize)]
struct Written<'a, E, Definition> {
    v: u8,
    dialect: &'a str,
    at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<u64>,
    event: &'a Event<E, Definition>,
}

#[derive(Deserialize)]
struct Envelope {
    v: u8,
    dialect: String,
}

#[derive(Deserialize)]
struct Read<'a, E, Definition> {
    v: u8,
    #[serde(borrow)]
    dialect: Cow<'a, str>,
    at: Timestamp,
    event_id: Option<u64>,
    event: Event<E, Definition>,
}

impl<D: Dialect> Record<D> {
    /// The bytes to store. The sequence is not among them: the store keeps it as the record's key.
    ///
    /// # Panics
    ///
    /// Never for events of a sound dialect: they serialize to JSON.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.encode_into(&mut bytes);
        bytes
    }

    /// Appends the bytes to store, as [`Record::encode`] gives them: the records of one batch share one buffer.
    ///
    /// # Panics
    ///
    /// As [`Record::encode`].
    pub fn encode_into(&self, bytes: &mut Vec<u8>) {
        let written = Written {
            v: FORMAT,
            dialect: D::NAME,
            at: self.at,
            event_id: self.event_id,
            event: &self.event,
        };
        serde_json::to_writer(bytes, &written).expect("journal events serialize to JSON");
    }

    /// Reads what [`Record::encode`] wrote.
    ///
    /// # Errors
    ///
    /// [`BadRecord`], when the bytes are damaged, newer, or another dialect's.
    pub fn decode(sequence: u64, bytes: &[u8]) -> Result<Self, BadRecord> {
        let read = match serde_json::from_slice::<Read<'_, D::Event, D::Definition>>(bytes) {
            Ok(read) => read,
            Err(cause) => return Err(why_unreadable(sequence, bytes, D::NAME, cause)),
        };
        // A newer or foreign record may look like one of ours, and mean something else.
        if read.v > FORMAT {
            return Err(BadRecord::Newer { sequence, format: read.v });
        }
        if read.dialect != D::NAME {
            return Err(BadRecord::Foreign { sequence, dialect: read.dialect.into_owned() });
        }
        Ok(Self { sequence, at: read.at, event_id: read.event_id, event: read.event })
    }
}

fn why_unreadable(sequence: u64, bytes: &[u8], own: &str, cause: serde_json::Error) -> BadRecord {
    match serde_json::from_slice::<Envelope>(bytes) {
        Ok(Envelope { v, .. }) if v > FORMAT => BadRecord::Newer { sequence, format: v },
        Ok(Envelope { dialect, .. }) if dialect != own => BadRecord::Foreign { sequence, dialect },
        _ => BadRecord::Unreadable { sequence, cause },
    }
}
