//! How a function is set: the members that CreateFunction and UpdateFunctionConfiguration share, read and checked.
//!
//! Source of shapes and ranges: botocore 1.44.8, lambda 2015-03-31.

use crate::{
    LambdaError, environment,
    function::{Durable, Logging, Settings, Vpc},
};
use durastack_names::FunctionName;
use durastack_wire::Constraints;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Seconds; durations beyond it are for managed instances, which are not built.
const TIMEOUT_S_MAX: i64 = 1800;
const TIMEOUT_S_DEFAULT: u32 = 3;
/// MB; sizes beyond it are for managed instances.
const MEMORY_MB_MAX: i64 = 10_240;
const MEMORY_MB_DEFAULT: u32 = 128;
/// MB; sizes beyond it are for accelerators.
const EPHEMERAL_STORAGE_MB_MAX: i64 = 10_240;
const EPHEMERAL_STORAGE_MB_DEFAULT: u32 = 512;
/// Source: CloudFormation, SAM and the durable documentation; the text of the API says 30.
const RETENTION_DAYS_DEFAULT: u32 = 14;

const ARN_PATTERN: &str = "(arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*)|()";
const ROLE_PATTERN: &str = r"arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+";

const RUNTIMES: &[&str] = &[
    "nodejs",
    "nodejs4.3",
    "nodejs6.10",
    "nodejs8.10",
    "nodejs10.x",
    "nodejs12.x",
    "nodejs14.x",
    "nodejs16.x",
    "nodejs18.x",
    "nodejs20.x",
    "nodejs22.x",
    "nodejs24.x",
    "java8",
    "java8.al2",
    "java11",
    "java17",
    "java21",
    "java25",
    "python2.7",
    "python3.6",
    "python3.7",
    "python3.8",
    "python3.9",
    "python3.10",
    "python3.11",
    "python3.12",
    "python3.13",
    "python3.14",
    "dotnetcore1.0",
    "dotnetcore2.0",
    "dotnetcore2.1",
    "dotnetcore3.1",
    "dotnet6",
    "dotnet8",
    "dotnet10",
    "nodejs4.3-edge",
    "go1.x",
    "ruby2.5",
    "ruby2.7",
    "ruby3.2",
    "ruby3.3",
    "ruby3.4",
    "ruby4.0",
    "provided",
    "provided.al2",
    "provided.al2023",
    "nodejs26.x",
    "python3.15",
    "java8.al2023",
    "java11.al2023",
    "java17.al2023",
    "custom",
];

/// The members as they come; absent and `null` are the same.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct SettingsBody {
    runtime: Option<String>,
    role: Option<String>,
    handler: Option<String>,
    description: Option<String>,
    timeout: Option<i64>,
    memory_size: Option<i64>,
    ephemeral_storage: Option<EphemeralStorage>,
    architectures: Option<Vec<String>>,
    environment: Option<EnvironmentBody>,
    tracing_config: Option<TracingConfig>,
    logging_config: Option<LoggingConfig>,
    durable_config: Option<DurableConfig>,
    #[serde(rename = "KMSKeyArn")]
    kms_key_arn: Option<String>,
    dead_letter_config: Option<DeadLetterConfig>,
    snap_start: Option<SnapStart>,
    tenancy_config: Option<TenancyConfig>,
    vpc_config: Option<VpcConfig>,
    package_type: Option<String>,
    layers: Option<Vec<String>>,
    file_system_configs: Option<Vec<serde::de::IgnoredAny>>,
    image_config: Option<serde::de::IgnoredAny>,
    capacity_provider_config: Option<serde::de::IgnoredAny>,
    runtime_config: Option<serde::de::IgnoredAny>,
    accelerator_config: Option<serde::de::IgnoredAny>,
    code_signing_config_arn: Option<String>,
    publish_to: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct EphemeralStorage {
    size: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct EnvironmentBody {
    variables: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct TracingConfig {
    mode: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct LoggingConfig {
    log_format: Option<String>,
    application_log_level: Option<String>,
    system_log_level: Option<String>,
    log_group: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct DurableConfig {
    execution_timeout: Option<i64>,
    retention_period_in_days: Option<i64>,
    #[serde(rename = "KMSKeyArn")]
    kms_key_arn: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct DeadLetterConfig {
    target_arn: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct SnapStart {
    apply_on: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct TenancyConfig {
    tenant_isolation_mode: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct VpcConfig {
    subnet_ids: Option<Vec<String>>,
    security_group_ids: Option<Vec<String>>,
    ipv6_allowed_for_dual_stack: Option<bool>,
}

/// The members, of which each keeps its constraints.
#[derive(Debug)]
pub(crate) struct Change(SettingsBody);

impl SettingsBody {
    /// Tells the constraints what the members break.
    pub(crate) fn check(self, c: &mut Constraints) -> Change {
        c.one_of("Runtime", self.runtime.as_deref(), RUNTIMES);
        c.length("Role", self.role.as_deref(), ..=10_000);
        c.pattern("Role", self.role.as_deref(), ROLE_PATTERN, is_role);
        c.length("Handler", self.handler.as_deref(), ..=128);
        let no_blank = |text: &str| !text.is_empty() && !text.contains(char::is_whitespace);
        c.pattern("Handler", self.handler.as_deref(), r"[^\s]+", no_blank);
        c.length("Description", self.description.as_deref(), ..=256);
        c.range("Timeout", self.timeout, 1..=5400);
        c.range("MemorySize", self.memory_size, 128..=32_768);
        if let Some(storage) = &self.ephemeral_storage {
            let size = c.required("EphemeralStorage.Size", storage.size);
            c.range("EphemeralStorage.Size", size, 512..=32_768);
        }
        c.items("Architectures", self.architectures.as_deref(), 1..=1);
        for architecture in self.architectures.iter().flatten() {
            c.one_of("Architectures", Some(architecture), &["x86_64", "arm64"]);
        }
        if let Some(variables) = self.environment.as_ref().and_then(|e| e.variables.as_ref()) {
            environment::check(c, variables);
        }
        let mode = self.tracing_config.as_ref().and_then(|t| t.mode.as_deref());
        c.one_of("TracingConfig.Mode", mode, &["Active", "PassThrough"]);
        if let Some(logging) = &self.logging_config {
            logging.check(c);
        }
        if let Some(durable) = &self.durable_config {
            c.range("DurableConfig.ExecutionTimeout", durable.execution_timeout, 1..=31_622_400);
            let days = durable.retention_period_in_days;
            c.range("DurableConfig.RetentionPeriodInDays", days, 1..=90);
            c.pattern(
                "DurableConfig.KMSKeyArn",
                durable.kms_key_arn.as_deref(),
                ARN_PATTERN,
                is_arn_or_empty,
            );
        }
        c.pattern("KMSKeyArn", self.kms_key_arn.as_deref(), ARN_PATTERN, is_arn_or_empty);
        let target = self.dead_letter_config.as_ref().and_then(|d| d.target_arn.as_deref());
        c.pattern("DeadLetterConfig.TargetArn", target, ARN_PATTERN, is_arn_or_empty);
        let apply_on = self.snap_start.as_ref().and_then(|s| s.apply_on.as_deref());
        c.one_of("SnapStart.ApplyOn", apply_on, &["PublishedVersions", "None"]);
        if let Some(tenancy) = &self.tenancy_config {
            let member = "TenancyConfig.TenantIsolationMode";
            let mode = c.required(member, tenancy.tenant_isolation_mode.as_deref());
            c.one_of(member, mode, &["PER_TENANT"]);
        }
        if let Some(vpc) = &self.vpc_config {
            c.items("VpcConfig.SubnetIds", vpc.subnet_ids.as_deref(), ..=16);
            c.items("VpcConfig.SecurityGroupIds", vpc.security_group_ids.as_deref(), ..=5);
        }
        c.one_of("PackageType", self.package_type.as_deref(), &["Zip", "Image"]);
        Change(self)
    }
}

impl LoggingConfig {
    fn check(&self, c: &mut Constraints) {
        const LEVELS: &[&str] = &["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
        let member = |name: &str| format!("LoggingConfig.{name}");
        c.one_of(&member("LogFormat"), self.log_format.as_deref(), &["JSON", "Text"]);
        let level = self.application_log_level.as_deref();
        c.one_of(&member("ApplicationLogLevel"), level, LEVELS);
        let level = self.system_log_level.as_deref();
        c.one_of(&member("SystemLogLevel"), level, &["DEBUG", "INFO", "WARN"]);
        let group = self.log_group.as_deref();
        c.length(&member("LogGroup"), group, 1..=512);
        let fits =
            |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_/#".contains(&b));
        c.pattern(&member("LogGroup"), group, r"[\.\-_/#A-Za-z0-9]+", fits);
    }
}

impl Change {
    /// Refuses what has the right shape and is not taken all the same.
    ///
    /// # Errors
    ///
    /// [`LambdaError::BadValue`].
    pub(crate) fn check_values(&self) -> Result<(), LambdaError> {
        let body = &self.0;
        let bad = |text: String| Err(LambdaError::BadValue(text));
        let most = |member, value: Option<i64>, max: i64| match value {
            Some(value) if value > max => bad(format!(
                "'{member}' value failed to satisfy constraint: Member must have value less than or equal to {max}"
            )),
            _ => Ok(()),
        };
        most("Timeout", body.timeout, TIMEOUT_S_MAX)?;
        most("MemorySize", body.memory_size, MEMORY_MB_MAX)?;
        let storage = body.ephemeral_storage.as_ref().and_then(|s| s.size);
        most("EphemeralStorage.Size", storage, EPHEMERAL_STORAGE_MB_MAX)?;
        let not_built = [
            ("container images (PackageType Image)", body.package_type.as_deref() == Some("Image")),
            ("Layers", body.layers.as_ref().is_some_and(|l| !l.is_empty())),
            ("FileSystemConfigs", body.file_system_configs.as_ref().is_some_and(|f| !f.is_empty())),
            ("ImageConfig", body.image_config.is_some()),
            ("CapacityProviderConfig", body.capacity_provider_config.is_some()),
            ("RuntimeConfig", body.runtime_config.is_some()),
            ("AcceleratorConfig", body.accelerator_config.is_some()),
            ("CodeSigningConfigArn", body.code_signing_config_arn.is_some()),
            ("PublishTo", body.publish_to.is_some()),
        ];
        if let Some((what, _)) = not_built.iter().find(|(_, given)| *given) {
            return bad(not_built_text(what));
        }
        if let Some(variables) = body.environment.as_ref().and_then(|e| e.variables.as_ref()) {
            environment::check_values(variables).map_err(LambdaError::BadValue)?;
        }
        Ok(())
    }

    /// The settings of a new function.
    ///
    /// # Errors
    ///
    /// [`LambdaError::BadValue`] if something is missing or does not go together.
    pub(crate) fn create(mut self, name: &FunctionName) -> Result<Settings, LambdaError> {
        self.check_values()?;
        let (Some(runtime), Some(handler), Some(role)) =
            (self.0.runtime.take(), self.0.handler.take(), self.0.role.take())
        else {
            return Err(LambdaError::BadValue(
                "Runtime and Handler are mandatory parameters for functions created with deployment packages."
                    .to_owned(),
            ));
        };
        if self.0.durable_config.as_ref().is_some_and(|d| d.execution_timeout.is_none()) {
            return Err(LambdaError::BadValue(
                "You cannot create a function with a durable configuration without an executionTimeout"
                    .to_owned(),
            ));
        }
        let mut settings = Settings {
            runtime,
            role,
            handler,
            description: String::new(),
            timeout_s: TIMEOUT_S_DEFAULT,
            memory_mb: MEMORY_MB_DEFAULT,
            ephemeral_storage_mb: EPHEMERAL_STORAGE_MB_DEFAULT,
            architecture: "x86_64".to_owned(),
            environment: None,
            tracing: "PassThrough".to_owned(),
            logging: Logging {
                format: "Text".to_owned(),
                application_level: None,
                system_level: None,
                group: format!("/aws/lambda/{name}"),
            },
            durable: None,
            kms_key_arn: String::new(),
            dead_letter_target: None,
            snap_start: "None".to_owned(),
            tenant_isolation: None,
            vpc: None,
        };
        let logging = self.0.logging_config.take();
        self.apply(&mut settings);
        if let Some(logging) = logging {
            logging.apply(&mut settings.logging)?;
        }
        Ok(settings)
    }

    /// Changes settings that are there: members that are absent stay, objects are replaced whole. (The logging
    /// configuration is not among them: [`Change::take_logging`].)
    pub(crate) fn apply(self, settings: &mut Settings) {
        let body = self.0;
        replace(&mut settings.runtime, body.runtime);
        replace(&mut settings.role, body.role);
        replace(&mut settings.handler, body.handler);
        replace(&mut settings.description, body.description);
        replace(&mut settings.timeout_s, body.timeout.map(checked));
        replace(&mut settings.memory_mb, body.memory_size.map(checked));
        let storage = body.ephemeral_storage.and_then(|s| s.size).map(checked);
        replace(&mut settings.ephemeral_storage_mb, storage);
        replace(&mut settings.architecture, body.architectures.and_then(|a| a.into_iter().next()));
        if let Some(environment) = body.environment {
            settings.environment = Some(environment.variables.unwrap_or_default());
        }
        replace(&mut settings.tracing, body.tracing_config.and_then(|t| t.mode));
        if let Some(durable) = body.durable_config {
            settings.durable = Some(durable.over(settings.durable.as_ref()));
        }
        replace(&mut settings.kms_key_arn, body.kms_key_arn);
        if let Some(target) = body.dead_letter_config.and_then(|d| d.target_arn) {
            settings.dead_letter_target = Some(target).filter(|t| !t.is_empty());
        }
        replace(&mut settings.snap_start, body.snap_start.and_then(|s| s.apply_on));
        if let Some(tenancy) = body.tenancy_config {
            settings.tenant_isolation = tenancy.tenant_isolation_mode;
        }
        if let Some(vpc) = body.vpc_config {
            settings.vpc = Some(Vpc {
                subnet_ids: vpc.subnet_ids.unwrap_or_default(),
                security_group_ids: vpc.security_group_ids.unwrap_or_default(),
                ipv6_allowed_for_dual_stack: vpc.ipv6_allowed_for_dual_stack.unwrap_or_default(),
            });
        }
    }

    /// The change of the logging configuration, which depends on what is there.
    pub(crate) fn take_logging(&mut self) -> LoggingChange {
        LoggingChange(self.0.logging_config.take())
    }
}

/// A change of the logging configuration.
#[derive(Debug)]
pub(crate) struct LoggingChange(Option<LoggingConfig>);

impl LoggingChange {
    /// Changes the configuration that is there.
    ///
    /// # Errors
    ///
    /// [`LambdaError::BadValue`] for a level beside the text format.
    pub(crate) fn apply(self, logging: &mut Logging) -> Result<(), LambdaError> {
        self.0.map_or(Ok(()), |change| change.apply(logging))
    }
}

impl LoggingConfig {
    fn apply(self, logging: &mut Logging) -> Result<(), LambdaError> {
        replace(&mut logging.format, self.log_format);
        replace(&mut logging.group, self.log_group);
        let levels = self.application_log_level.is_some() || self.system_log_level.is_some();
        if logging.format == "Text" {
            if levels {
                return Err(LambdaError::BadValue(
                    "LogLevel is not supported when LogFormat is set to \"Text\". Remove LogLevel from your request or change the LogFormat to \"JSON\" and try again."
                        .to_owned(),
                ));
            }
            (logging.application_level, logging.system_level) = (None, None);
            return Ok(());
        }
        let level = |given: Option<String>, now: Option<String>| {
            given.or(now).or_else(|| Some("INFO".to_owned()))
        };
        logging.application_level =
            level(self.application_log_level, logging.application_level.take());
        logging.system_level = level(self.system_log_level, logging.system_level.take());
        Ok(())
    }
}

impl DurableConfig {
    /// Replaces all but the timeout, which stays if none is given.
    fn over(self, now: Option<&Durable>) -> Durable {
        Durable {
            execution_timeout_s: self
                .execution_timeout
                .map(checked)
                .or(now.map(|d| d.execution_timeout_s))
                .unwrap_or_default(),
            retention_days: self
                .retention_period_in_days
                .map(checked)
                .unwrap_or(RETENTION_DAYS_DEFAULT),
            kms_key_arn: self.kms_key_arn.filter(|arn| !arn.is_empty()),
        }
    }
}

pub(crate) fn not_built_text(what: &str) -> String {
    format!("durastack does not build {what} yet")
}

fn replace<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

/// A number whose range was checked before.
fn checked(number: i64) -> u32 {
    u32::try_from(number).unwrap_or_default()
}

fn is_role(text: &str) -> bool {
    let Some((account, name)) = text
        .strip_prefix("arn:")
        .and_then(|rest| rest.split_once(":iam::"))
        .filter(|(partition, _)| partition.is_empty() || is_partition(partition))
        .and_then(|(_, rest)| rest.split_once(":role"))
    else {
        return false;
    };
    account.len() == 12
        && account.bytes().all(|b| b.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"+=,.@-_/".contains(&b))
}

fn is_arn_or_empty(text: &str) -> bool {
    text.is_empty()
        || text.strip_prefix("arn:").and_then(|rest| rest.split_once(':')).is_some_and(
            |(partition, rest)| {
                let service = rest.split_once(':').map(|(service, _)| service);
                (partition.is_empty() || is_partition(partition))
                    && service.is_some_and(|s| {
                        let fits = |b: u8| {
                            b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b)
                        };
                        !s.is_empty() && s.bytes().all(fits)
                    })
            },
        )
}

fn is_partition(text: &str) -> bool {
    text.strip_prefix("aws")
        .is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-'))
}
