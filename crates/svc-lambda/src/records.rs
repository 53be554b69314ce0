//! What of a function is written to the store, for ever: JSON with a format number. Members are only ever added,
//! with defaults. The domain's types convert by hand, so that a change there changes nothing here by accident.

use crate::function::{
    Alias, Change, Code, Configuration, Durable, Function, Logging, Readiness, Settings, Vpc,
};
use durastack_clock::Timestamp;
use durastack_names::{AliasName, FunctionArn, Version};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, sync::Arc};

/// The namespace of functions; the key is [`function_key`].
pub(crate) const FUNCTIONS: &str = "lambda-function";

/// The namespace of published versions; the key is [`version_key`].
pub(crate) const VERSIONS: &str = "lambda-version";

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
}

/// `ACCOUNT/REGION/NAME`.
pub(crate) fn function_key(arn: &FunctionArn) -> String {
    format!("{}/{}/{}", arn.account, arn.region, arn.name)
}

/// `ACCOUNT/REGION/NAME/INCARNATION/NUMBER`.
pub(crate) fn version_key(function: &Function, number: u64) -> String {
    format!("{}/{}/{number:020}", function_key(&function.arn), function.incarnation)
}

pub(crate) fn write_function(function: &Function) -> Vec<u8> {
    let record = FunctionRecord {
        format: FORMAT,
        incarnation: function.incarnation.clone(),
        arn: function.arn.clone(),
        latest: VersionRecord::from(&*function.latest),
        next_version: function.next_version,
        aliases: function.aliases.iter().map(|(n, a)| (n.clone(), AliasRecord::from(a))).collect(),
        tags: function.tags.clone(),
    };
    serde_json::to_vec(&record).expect("records have string keys and no failing parts")
}

/// Reads a function; its versions are in records of their own.
pub(crate) fn read_function(key: &str, bytes: &[u8]) -> Result<Function, BadRecord> {
    let record: FunctionRecord = read(key, bytes)?;
    Ok(Function {
        incarnation: record.incarnation,
        arn: record.arn,
        latest: Arc::new(record.latest.into()),
        versions: BTreeMap::new(),
        aliases: record.aliases.into_iter().map(|(n, a)| (n, a.into())).collect(),
        next_version: record.next_version,
        tags: record.tags,
    })
}

pub(crate) fn write_version(configuration: &Configuration) -> Vec<u8> {
    serde_json::to_vec(&VersionRecord::from(configuration))
        .expect("records have string keys and no failing parts")
}

pub(crate) fn read_version(key: &str, bytes: &[u8]) -> Result<Configuration, BadRecord> {
    Ok(read::<VersionRecord>(key, bytes)?.into())
}

fn read<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, BadRecord> {
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
    serde_json::from_slice(bytes).map_err(unreadable)
}

#[derive(Serialize, Deserialize)]
struct FunctionRecord {
    format: u32,
    incarnation: String,
    arn: FunctionArn,
    latest: VersionRecord,
    next_version: u64,
    aliases: BTreeMap<AliasName, AliasRecord>,
    tags: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct AliasRecord {
    version: Version,
    description: String,
    revision_id: String,
}

#[derive(Serialize, Deserialize)]
struct VersionRecord {
    format: u32,
    version: Version,
    revision_id: String,
    last_modified_ms: Timestamp,
    settings: SettingsRecord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    published_as: Option<String>,
    code_sha256: String,
    code_bytes: u64,
    change: ChangeRecord,
    ready_at_ms: Timestamp,
}

#[derive(Serialize, Deserialize)]
enum ChangeRecord {
    Creation,
    Update,
}

#[derive(Serialize, Deserialize)]
struct SettingsRecord {
    runtime: String,
    role: String,
    handler: String,
    description: String,
    timeout_s: u32,
    memory_mb: u32,
    ephemeral_storage_mb: u32,
    architecture: String,
    environment: Option<BTreeMap<String, String>>,
    tracing: String,
    log_format: String,
    application_log_level: Option<String>,
    system_log_level: Option<String>,
    log_group: String,
    durable: Option<DurableRecord>,
    kms_key_arn: String,
    dead_letter_target: Option<String>,
    snap_start: String,
    tenant_isolation: Option<String>,
    vpc: Option<VpcRecord>,
}

#[derive(Serialize, Deserialize)]
struct DurableRecord {
    execution_timeout_s: u32,
    retention_days: u32,
    kms_key_arn: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct VpcRecord {
    subnet_ids: Vec<String>,
    security_group_ids: Vec<String>,
    ipv6_allowed_for_dual_stack: bool,
}

impl From<&Alias> for AliasRecord {
    fn from(alias: &Alias) -> Self {
        Self {
            version: alias.version,
            description: alias.description.clone(),
            revision_id: alias.revision_id.clone(),
        }
    }
}

impl From<AliasRecord> for Alias {
    fn from(record: AliasRecord) -> Self {
        let AliasRecord { version, description, revision_id } = record;
        Self { version, description, revision_id }
    }
}

impl From<&Configuration> for VersionRecord {
    fn from(c: &Configuration) -> Self {
        Self {
            format: FORMAT,
            version: c.version,
            revision_id: c.revision_id.clone(),
            last_modified_ms: c.last_modified,
            settings: SettingsRecord::from(&c.settings),
            published_as: c.published_as.clone(),
            code_sha256: crate::packages::hex(&c.code.sha256),
            code_bytes: c.code.bytes,
            change: match c.readiness.kind {
                Change::Creation => ChangeRecord::Creation,
                Change::Update => ChangeRecord::Update,
            },
            ready_at_ms: c.readiness.ready_at,
        }
    }
}

impl From<VersionRecord> for Configuration {
    fn from(r: VersionRecord) -> Self {
        Self {
            version: r.version,
            revision_id: r.revision_id,
            last_modified: r.last_modified_ms,
            settings: r.settings.into(),
            published_as: r.published_as,
            // A damaged hash names no file, which whoever opens the package is told.
            code: Code {
                sha256: crate::packages::from_hex(&r.code_sha256).unwrap_or_default(),
                bytes: r.code_bytes,
            },
            readiness: Readiness {
                kind: match r.change {
                    ChangeRecord::Creation => Change::Creation,
                    ChangeRecord::Update => Change::Update,
                },
                ready_at: r.ready_at_ms,
            },
        }
    }
}

impl From<&Settings> for SettingsRecord {
    fn from(s: &Settings) -> Self {
        Self {
            runtime: s.runtime.clone(),
            role: s.role.clone(),
            handler: s.handler.clone(),
            description: s.description.clone(),
            timeout_s: s.timeout_s,
            memory_mb: s.memory_mb,
            ephemeral_storage_mb: s.ephemeral_storage_mb,
            architecture: s.architecture.clone(),
            environment: s.environment.clone(),
            tracing: s.tracing.clone(),
            log_format: s.logging.format.clone(),
            application_log_level: s.logging.application_level.clone(),
            system_log_level: s.logging.system_level.clone(),
            log_group: s.logging.group.clone(),
            durable: s.durable.as_ref().map(|d| DurableRecord {
                execution_timeout_s: d.execution_timeout_s,
                retention_days: d.retention_days,
                kms_key_arn: d.kms_key_arn.clone(),
            }),
            kms_key_arn: s.kms_key_arn.clone(),
            dead_letter_target: s.dead_letter_target.clone(),
            snap_start: s.snap_start.clone(),
            tenant_isolation: s.tenant_isolation.clone(),
            vpc: s.vpc.as_ref().map(|v| VpcRecord {
                subnet_ids: v.subnet_ids.clone(),
                security_group_ids: v.security_group_ids.clone(),
                ipv6_allowed_for_dual_stack: v.ipv6_allowed_for_dual_stack,
            }),
        }
    }
}

impl From<SettingsRecord> for Settings {
    fn from(r: SettingsRecord) -> Self {
        Self {
            runtime: r.runtime,
            role: r.role,
            handler: r.handler,
            description: r.description,
            timeout_s: r.timeout_s,
            memory_mb: r.memory_mb,
            ephemeral_storage_mb: r.ephemeral_storage_mb,
            architecture: r.architecture,
            environment: r.environment,
            tracing: r.tracing,
            logging: Logging {
                format: r.log_format,
                application_level: r.application_log_level,
                system_level: r.system_log_level,
                group: r.log_group,
            },
            durable: r.durable.map(|d| Durable {
                execution_timeout_s: d.execution_timeout_s,
                retention_days: d.retention_days,
                kms_key_arn: d.kms_key_arn,
            }),
            kms_key_arn: r.kms_key_arn,
            dead_letter_target: r.dead_letter_target,
            snap_start: r.snap_start,
            tenant_isolation: r.tenant_isolation,
            vpc: r.vpc.map(|v| Vpc {
                subnet_ids: v.subnet_ids,
                security_group_ids: v.security_group_ids,
                ipv6_allowed_for_dual_stack: v.ipv6_allowed_for_dual_stack,
            }),
        }
    }
}
