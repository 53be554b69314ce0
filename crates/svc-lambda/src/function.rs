//! Functions as the rest of the crate knows them: no wire, no disk.

use durastack_clock::Timestamp;
use durastack_names::{AliasName, FunctionArn, Qualifier, Version};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// A function with all its versions and aliases. A change makes a new value; whoever holds an old one keeps it.
#[derive(Debug, Clone)]
pub struct Function {
    /// Tells this function from one of the same name that was deleted before: 32 hex digits.
    pub incarnation: String,
    /// Without a qualifier.
    pub arn: FunctionArn,
    /// The version that can change.
    pub latest: Arc<Configuration>,
    /// The published versions by number.
    pub versions: BTreeMap<u64, Arc<Configuration>>,
    /// The aliases by name.
    pub aliases: BTreeMap<AliasName, Alias>,
    /// The number of the next published version: numbers of deleted versions are never used again.
    pub next_version: u64,
    /// The tags by key.
    pub tags: BTreeMap<String, String>,
}

impl Function {
    /// The version, if it exists.
    #[must_use]
    pub fn version(&self, version: Version) -> Option<&Arc<Configuration>> {
        match version {
            Version::Latest => Some(&self.latest),
            Version::Number(number) => self.versions.get(&number),
        }
    }

    /// The version that a qualifier means; without one, `$LATEST`.
    #[must_use]
    pub fn qualified(&self, qualifier: Option<&Qualifier>) -> Option<&Arc<Configuration>> {
        match qualifier {
            None => Some(&self.latest),
            Some(Qualifier::Version(version)) => self.version(*version),
            Some(Qualifier::Alias(alias)) => self.version(self.aliases.get(alias)?.version),
        }
    }
}

/// One version of a function: what runs, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Configuration {
    /// Which version this is.
    pub version: Version,
    /// Changes with every change: a UUID.
    pub revision_id: String,
    /// When it was last changed, in virtual time.
    pub last_modified: Timestamp,
    /// What the function's owner has set.
    pub settings: Settings,
    /// The description that a version was published with, in place of that of its settings.
    pub published_as: Option<String>,
    /// The code.
    pub code: Code,
    /// What is under way until when.
    pub readiness: Readiness,
}

impl Configuration {
    /// The description that callers see.
    #[must_use]
    pub fn description(&self) -> &str {
        self.published_as.as_deref().unwrap_or(&self.settings.description)
    }

    /// Whether the function can be invoked at this wall time; [`State::Pending`] until its creation is over.
    #[must_use]
    pub fn state(&self, wall: Timestamp) -> State {
        match self.readiness.kind {
            Change::Creation if wall < self.readiness.ready_at => State::Pending,
            Change::Creation | Change::Update => State::Active,
        }
    }

    /// Whether an update is under way at this wall time.
    #[must_use]
    pub fn is_updating(&self, wall: Timestamp) -> bool {
        self.readiness.kind == Change::Update && wall < self.readiness.ready_at
    }
}

/// Whether a version can be invoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is being created.
    Pending,
    /// It can.
    Active,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "Pending",
            Self::Active => "Active",
        })
    }
}

/// The window in which a change is said to be under way, as it is in the cloud. No timer ends it: whoever looks
/// compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readiness {
    /// What was done.
    pub kind: Change,
    /// When it counts as finished, in wall time.
    pub ready_at: Timestamp,
}

/// What opened a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The function's creation.
    Creation,
    /// A change of its code or its configuration.
    Update,
}

/// A code package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code {
    /// The SHA-256 of the zip file: its name in the data folder.
    pub sha256: [u8; 32],
    /// The length of the zip file.
    pub bytes: u64,
}

/// What a function's owner sets.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// A name from the API model's list.
    pub runtime: String,
    /// The ARN of a role.
    pub role: String,
    /// Where the code begins.
    pub handler: String,
    /// Empty if there is none.
    pub description: String,
    /// How long an invocation may take, in seconds.
    pub timeout_s: u32,
    /// In MB.
    pub memory_mb: u32,
    /// `/tmp`, in MB.
    pub ephemeral_storage_mb: u32,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// The owner's environment variables; `None` if the owner never gave any.
    pub environment: Option<BTreeMap<String, String>>,
    /// `Active` or `PassThrough`.
    pub tracing: String,
    /// How and where the function's logs are written.
    pub logging: Logging,
    /// Present for a durable function. Whether it is there never changes.
    pub durable: Option<Durable>,
    /// Kept and shown, without effect; empty if there is none.
    pub kms_key_arn: String,
    /// Kept and shown, without effect.
    pub dead_letter_target: Option<String>,
    /// Kept and shown, without effect.
    pub snap_start: String,
    /// Kept and shown, without effect.
    pub tenant_isolation: Option<String>,
    /// Kept and shown, without effect.
    pub vpc: Option<Vpc>,
}

/// The durable configuration of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durable {
    /// How long an execution may take, in seconds.
    pub execution_timeout_s: u32,
    /// How long an ended execution is kept.
    pub retention_days: u32,
    /// Kept and shown, without effect.
    pub kms_key_arn: Option<String>,
}

/// How and where a function's logs are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logging {
    /// `Text` or `JSON`.
    pub format: String,
    /// With `JSON` only.
    pub application_level: Option<String>,
    /// With `JSON` only.
    pub system_level: Option<String>,
    /// The log group's name.
    pub group: String,
}

/// The network that a function is said to be in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Vpc {
    /// Ids of subnets.
    pub subnet_ids: Vec<String>,
    /// Ids of security groups.
    pub security_group_ids: Vec<String>,
    /// Whether IPv6 is allowed.
    pub ipv6_allowed_for_dual_stack: bool,
}

/// A name that points at a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// The version.
    pub version: Version,
    /// Empty if there is none.
    pub description: String,
    /// Changes with every change: a UUID.
    pub revision_id: String,
}
