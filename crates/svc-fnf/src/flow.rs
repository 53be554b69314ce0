//! A flow as this service keeps it.

use durastack_clock::Timestamp;
use durastack_flow::Definition;
use durastack_names::{AccountId, Region};

/// A flow.
#[derive(Debug, Clone)]
pub(crate) struct Flow {
    /// A UUID: tells it from a flow that had the name before. Executions belong to the id, not to the name.
    pub(crate) id: String,
    pub(crate) account: AccountId,
    pub(crate) region: Region,
    /// Its name and its text, byte for byte.
    pub(crate) definition: Definition,
    /// `FDL` or `DEFAULT`; both mean the same.
    pub(crate) kind: String,
    pub(crate) description: String,
    /// Empty if there is none.
    pub(crate) role_arn: String,
    /// Empty if there is none.
    pub(crate) external_storage_location: String,
    pub(crate) environment: Option<Vec<Variable>>,
    pub(crate) resource_group_id: Option<String>,
    pub(crate) created: Timestamp,
    pub(crate) modified: Timestamp,
}

/// A variable of a flow's environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) description: Option<String>,
}

impl Flow {
    pub(crate) fn name(&self) -> &str {
        self.definition.flow()
    }
}
