//! What of a flow is written to the store, for ever: JSON with a format number. Members are only ever added, with
//! defaults. The domain's types convert by hand, so that a change there changes nothing here by accident.

use crate::flow::{Flow, Variable};
use durastack_clock::Timestamp;
use durastack_flow::{Definition, DefinitionError};
use durastack_names::{AccountId, Region};
use serde::{Deserialize, Serialize};

/// The namespace of flows; the key is `ACCOUNT/REGION/NAME`.
pub(crate) const FLOWS: &str = "fnf-flow";

/// The namespace of deleted flows whose executions are not all gone yet; the key is the flow's id, the value empty.
pub(crate) const DELETED: &str = "fnf-deleted";

const FORMAT: u32 = 1;

/// A record that this version cannot read.
#[derive(Debug, thiserror::Error)]
pub enum BadRecord {
    /// It was written by a later version.
    #[error("the record '{key}' has format {found}, but this version knows formats up to {FORMAT}")]
    Newer {
        /// Its key.
        key: String,
        /// Its format.
        found: u32,
    },
    /// It is damaged.
    #[error("the record '{key}' cannot be read")]
    Unreadable {
        /// Its key.
        key: String,
        /// Why.
        source: serde_json::Error,
    },
    /// Its definition was accepted once and is not any more.
    #[error("the definition in the record '{key}' cannot be read")]
    Definition {
        /// Its key.
        key: String,
        /// Why.
        source: DefinitionError,
    },
}

pub(crate) fn key(account: &AccountId, region: &Region, name: &str) -> String {
    format!("{account}/{region}/{name}")
}

pub(crate) fn write(flow: &Flow) -> Vec<u8> {
    let record = FlowRecord {
        format: FORMAT,
        id: flow.id.clone(),
        account: flow.account.clone(),
        region: flow.region.clone(),
        name: flow.name().to_owned(),
        definition: flow.definition.text().to_owned(),
        kind: flow.kind.clone(),
        description: flow.description.clone(),
        role_arn: flow.role_arn.clone(),
        external_storage_location: flow.external_storage_location.clone(),
        environment: flow
            .environment
            .as_ref()
            .map(|variables| variables.iter().map(VariableRecord::from).collect()),
        resource_group_id: flow.resource_group_id.clone(),
        created_ms: flow.created,
        modified_ms: flow.modified,
    };
    serde_json::to_vec(&record).expect("records have string keys and no failing parts")
}

pub(crate) fn read(key: &str, bytes: &[u8]) -> Result<Flow, BadRecord> {
    /// Read first, so that a later format is told by its number and not by what is strange in it.
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let unreadable = |source| BadRecord::Unreadable { key: key.to_owned(), source };
    let Format { format: found } = serde_json::from_slice(bytes).map_err(unreadable)?;
    if found > FORMAT {
        return Err(BadRecord::Newer { key: key.to_owned(), found });
    }
    let record: FlowRecord = serde_json::from_slice(bytes).map_err(unreadable)?;
    let definition = Definition::stored(record.name, record.definition)
        .map_err(|source| BadRecord::Definition { key: key.to_owned(), source })?;
    Ok(Flow {
        id: record.id,
        account: record.account,
        region: record.region,
        definition,
        kind: record.kind,
        description: record.description,
        role_arn: record.role_arn,
        external_storage_location: record.external_storage_location,
        environment: record
            .environment
            .map(|variables| variables.into_iter().map(Variable::from).collect()),
        resource_group_id: record.resource_group_id,
        created: record.created_ms,
        modified: record.modified_ms,
    })
}

#[derive(Serialize, Deserialize)]
struct FlowRecord {
    format: u32,
    id: String,
    account: AccountId,
    region: Region,
    name: String,
    definition: String,
    kind: String,
    description: String,
    role_arn: String,
    external_storage_location: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    environment: Option<Vec<VariableRecord>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resource_group_id: Option<String>,
    created_ms: Timestamp,
    modified_ms: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct VariableRecord {
    name: String,
    value: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

impl From<&Variable> for VariableRecord {
    fn from(variable: &Variable) -> Self {
        let Variable { name, value, description } = variable.clone();
        Self { name, value, description }
    }
}

impl From<VariableRecord> for Variable {
    fn from(record: VariableRecord) -> Self {
        let VariableRecord { name, value, description } = record;
        Self { name, value, description }
    }
}
