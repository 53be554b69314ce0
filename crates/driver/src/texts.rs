//! Long texts, read back from beside the journal.

use crate::drive::{Driven, Driver};
use durastack_engine::{Dialect, Payload};
use durastack_names::ExecutionId;
use durastack_store::StoreError;
use std::collections::HashMap;

/// Texts of payloads, at hand: those in the journal themselves, and those that were read beforehand.
#[derive(Debug, Default)]
pub struct Texts {
    blobs: HashMap<[u8; 32], String>,
}

impl Texts {
    /// The text of a payload.
    ///
    /// A blob that was not read beforehand is empty: whoever renders it says which payloads it will need.
    #[must_use]
    pub fn of(&self, payload: &Payload) -> String {
        match payload {
            Payload::Inline(text) => text.clone(),
            Payload::Blob(blob) => self.blobs.get(&blob.sha256).cloned().unwrap_or_default(),
        }
    }
}

impl<D: Dialect> Driver<D> {
    /// The text of one payload of an execution.
    ///
    /// # Errors
    ///
    /// Store errors, among them a blob that is missing.
    pub async fn text(&self, execution: ExecutionId, payload: &Payload) -> Driven<D, String> {
        match payload {
            Payload::Inline(text) => Ok(text.clone()),
            Payload::Blob(blob) => Ok(self.blob(execution, blob.sha256).await?),
        }
    }

    /// Reads the long ones among these payloads of an execution.
    ///
    /// # Errors
    ///
    /// Store errors, among them a blob that is missing.
    pub async fn texts(&self, execution: ExecutionId, payloads: &[Payload]) -> Driven<D, Texts> {
        let mut texts = Texts::default();
        for payload in payloads {
            if let Payload::Blob(blob) = payload
                && !texts.blobs.contains_key(&blob.sha256)
            {
                texts.blobs.insert(blob.sha256, self.blob(execution, blob.sha256).await?);
            }
        }
        Ok(texts)
    }

    async fn blob(&self, execution: ExecutionId, sha256: [u8; 32]) -> Result<String, StoreError> {
        let bytes = self.store.blob(execution.bytes(), sha256).await?;
        let missing = || {
            StoreError::Unreadable(std::sync::Arc::from(
                Box::<dyn std::error::Error + Send + Sync>::from("a payload is missing"),
            ))
        };
        String::from_utf8(bytes.ok_or_else(missing)?.to_vec())
            .map_err(|error| StoreError::Unreadable(std::sync::Arc::new(error)))
    }
}
