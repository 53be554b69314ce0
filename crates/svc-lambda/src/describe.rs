//! `FunctionConfiguration`: how a version is shown to callers.

use crate::{
    catalog::{Resolved, Scope},
    function::{Configuration, Function, Settings, State},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use durastack_clock::Timestamp;
use durastack_names::{FunctionArn, FunctionName, Qualifier, Version};
use serde::{Serialize, Serializer};
use std::{collections::BTreeMap, sync::Arc};

/// A version as it is shown.
#[derive(Debug, Clone)]
pub(crate) struct Description {
    /// With the qualifier that shall be shown.
    pub(crate) arn: FunctionArn,
    pub(crate) configuration: Arc<Configuration>,
    /// The wall time to say the state of. Lists do not say it.
    /// Source: API reference, ListFunctions.
    pub(crate) at: Option<Timestamp>,
}

impl Description {
    /// With its state.
    pub(crate) fn of(resolved: Resolved, at: Timestamp) -> Self {
        let Resolved { function: _, configuration, arn } = resolved;
        Self { arn, configuration, at: Some(at) }
    }

    /// In a list, under its own version.
    pub(crate) fn listed(function: &Function, configuration: &Arc<Configuration>) -> Self {
        let qualifier = Some(Qualifier::Version(configuration.version));
        Self {
            arn: function.arn.qualified(qualifier),
            configuration: Arc::clone(configuration),
            at: None,
        }
    }
}

impl Serialize for Description {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        view(self).serialize(serializer)
    }
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(crate) fn scope(call: &durastack_wire::Call) -> Scope {
    Scope { account: call.caller.account.clone(), region: call.caller.region.clone() }
}

/// The texts of a window that is open. Source: responses of the real service.
const REASON: &str = "The function is being created.";
const REASON_CODE: &str = "Creating";

fn view(description: &Description) -> View<'_> {
    let c = &*description.configuration;
    let Settings {
        runtime,
        role,
        handler,
        description: _,
        timeout_s,
        memory_mb,
        ephemeral_storage_mb,
        architecture,
        environment,
        tracing,
        logging,
        durable,
        kms_key_arn,
        dead_letter_target,
        snap_start,
        tenant_isolation,
        vpc,
    } = &c.settings;
    let state = description.at.map(|at| c.state(at));
    let is_pending = state == Some(State::Pending);
    let is_updating = description.at.is_some_and(|at| c.is_updating(at));
    let reason = |given: bool| given.then_some((REASON, REASON_CODE)).unzip();
    let (state_reason, state_reason_code) = reason(is_pending);
    let (last_update_status_reason, last_update_status_reason_code) = reason(is_updating);
    View {
        function_name: &description.arn.name,
        function_arn: &description.arn,
        runtime,
        role,
        handler,
        code_size: c.code.bytes,
        description: c.description(),
        timeout: *timeout_s,
        memory_size: *memory_mb,
        last_modified: c.last_modified.iso_lambda(),
        code_sha256: base64(&c.code.sha256),
        version: c.version,
        vpc_config: vpc.as_ref().map(|v| VpcView {
            subnet_ids: &v.subnet_ids,
            security_group_ids: &v.security_group_ids,
            vpc_id: if v.subnet_ids.is_empty() { "" } else { "vpc-00000000" },
            ipv6_allowed_for_dual_stack: v.ipv6_allowed_for_dual_stack,
        }),
        dead_letter_config: dead_letter_target
            .as_deref()
            .map(|target_arn| DeadLetter { target_arn }),
        environment: environment.as_ref().map(|variables| Environment { variables }),
        kms_key_arn: Some(kms_key_arn.as_str()).filter(|arn| !arn.is_empty()),
        tracing_config: Mode { mode: tracing },
        revision_id: &c.revision_id,
        state: state.map(|s| s.to_string()),
        state_reason,
        state_reason_code,
        // A function that is being created has never been updated.
        last_update_status: state
            .filter(|_| !is_pending)
            .map(|_| if is_updating { "InProgress" } else { "Successful" }),
        last_update_status_reason,
        last_update_status_reason_code,
        package_type: "Zip",
        architectures: [architecture],
        ephemeral_storage: Size { size: *ephemeral_storage_mb },
        snap_start: SnapStart { apply_on: snap_start, optimization_status: "Off" },
        logging_config: Logging {
            log_format: &logging.format,
            application_log_level: logging.application_level.as_deref(),
            system_log_level: logging.system_level.as_deref(),
            log_group: &logging.group,
        },
        tenancy_config: tenant_isolation
            .as_deref()
            .map(|tenant_isolation_mode| Tenancy { tenant_isolation_mode }),
        durable_config: durable.as_ref().map(|d| Durable {
            retention_period_in_days: d.retention_days,
            execution_timeout: d.execution_timeout_s,
            kms_key_arn: d.kms_key_arn.as_deref(),
        }),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct View<'a> {
    function_name: &'a FunctionName,
    function_arn: &'a FunctionArn,
    runtime: &'a str,
    role: &'a str,
    handler: &'a str,
    code_size: u64,
    description: &'a str,
    timeout: u32,
    memory_size: u32,
    last_modified: String,
    #[serde(rename = "CodeSha256")]
    code_sha256: String,
    version: Version,
    #[serde(skip_serializing_if = "Option::is_none")]
    vpc_config: Option<VpcView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_letter_config: Option<DeadLetter<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<Environment<'a>>,
    #[serde(rename = "KMSKeyArn", skip_serializing_if = "Option::is_none")]
    kms_key_arn: Option<&'a str>,
    tracing_config: Mode<'a>,
    revision_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_reason_code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_update_status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_update_status_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_update_status_reason_code: Option<&'static str>,
    package_type: &'static str,
    architectures: [&'a str; 1],
    ephemeral_storage: Size,
    snap_start: SnapStart<'a>,
    logging_config: Logging<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenancy_config: Option<Tenancy<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    durable_config: Option<Durable<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct VpcView<'a> {
    subnet_ids: &'a [String],
    security_group_ids: &'a [String],
    vpc_id: &'static str,
    ipv6_allowed_for_dual_stack: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DeadLetter<'a> {
    target_arn: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Environment<'a> {
    variables: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Mode<'a> {
    mode: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Size {
    size: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SnapStart<'a> {
    apply_on: &'a str,
    optimization_status: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Logging<'a> {
    log_format: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    application_log_level: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_log_level: Option<&'a str>,
    log_group: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Tenancy<'a> {
    tenant_isolation_mode: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Durable<'a> {
    retention_period_in_days: u32,
    execution_timeout: u32,
    #[serde(rename = "KMSKeyArn", skip_serializing_if = "Option::is_none")]
    kms_key_arn: Option<&'a str>,
}
