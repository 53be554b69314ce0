//! What the user can choose: by flag, by variable, in a file, in this order of precedence.

use crate::{functions::FileFc, throttle::Quotas};
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use durastack_auth::{Key, Secret, aliyun::Vocabulary};
use durastack_durable::RetryPolicy;
use durastack_gate::Auth;
use durastack_svc_fnf::LocalFunction;
use serde::Deserialize;
use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// The flags of `durastack start`. Each has a variable of the same name.
#[derive(Args, Debug)]
pub(crate) struct Flags {
    /// Port to listen on; 0 takes a free one and prints it [default: 4566]
    #[arg(long, env = "DURASTACK_PORT")]
    port: Option<u16>,
    /// Address to listen on [default: 127.0.0.1]
    #[arg(long, env = "DURASTACK_HOST")]
    host: Option<IpAddr>,
    /// Folder that keeps everything [default: .durastack]
    #[arg(long, env = "DURASTACK_DATA", value_name = "DIR", conflicts_with = "ephemeral")]
    data: Option<PathBuf>,
    /// Keep everything in a temporary folder that goes with the process
    #[arg(long, env = "DURASTACK_EPHEMERAL")]
    ephemeral: bool,
    /// Whether signatures are verified [default: strict]
    #[arg(long, env = "DURASTACK_AUTH")]
    auth: Option<AuthMode>,
    /// Quotas of requests: those that the clouds publish (`cloud`), none (`off`), or those in a file [default: off]
    #[arg(long, env = "DURASTACK_THROTTLE", value_name = "cloud|off|FILE")]
    throttle: Option<PathBuf>,
    /// Configuration file [default: durastack.toml in the working directory, if it is there]
    #[arg(long, env = "DURASTACK_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Write endpoint, keys and process id to this file as JSON once serving
    #[arg(long, env = "DURASTACK_READY_FILE", value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// How durastack's own log looks [default: text]
    #[arg(long, env = "DURASTACK_LOG_FORMAT")]
    log_format: Option<LogFormat>,
    /// Whether the output of functions is shown as it comes [default: on]
    #[arg(long, env = "DURASTACK_FUNCTION_LOGS")]
    function_logs: Option<Switch>,
    /// Another name by which clients call this server; may be given several times
    #[arg(long, env = "DURASTACK_ALLOW_HOST", value_name = "NAME", value_delimiter = ',')]
    allow_host: Vec<String>,
    /// An origin whose web pages may call this server; may be given several times
    #[arg(long, env = "DURASTACK_ALLOW_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    allow_origin: Vec<String>,
    /// In whose words Alibaba Cloud's clients are refused [default: service]
    #[arg(long, env = "DURASTACK_ALIYUN_ERRORS")]
    aliyun_errors: Option<AliyunErrors>,
    /// Whether a nonce of Alibaba Cloud's signatures counts once only [default: on]
    #[arg(long, env = "DURASTACK_ALIYUN_NONCE")]
    aliyun_nonce: Option<Switch>,
    /// How many function processes may run side by side; more invokes wait their turn [default: 16]
    #[arg(long, env = "DURASTACK_PROCESSES", value_name = "N")]
    processes: Option<usize>,
    /// Python interpreter for functions
    #[arg(long, env = "DURASTACK_PYTHON", value_name = "FILE")]
    python: Option<PathBuf>,
    /// Node.js interpreter for functions
    #[arg(long, env = "DURASTACK_NODE", value_name = "FILE")]
    node: Option<PathBuf>,
    /// How long a change of a function is said to be in progress, in milliseconds [default: 50]
    #[arg(long, env = "DURASTACK_CHANGE_WINDOW_MS", value_name = "MS")]
    change_window_ms: Option<u64>,
}

#[derive(Debug, Clone, Copy, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
enum AuthMode {
    /// Verified as the cloud does
    Strict,
    /// Not verified
    Off,
}

#[derive(Debug, Clone, Copy, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
enum AliyunErrors {
    /// The service's own codes
    Service,
    /// Those of the gateway before it
    Gateway,
}

/// How durastack's own log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// Lines for people
    Text,
    /// An object per line
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Switch {
    On,
    Off,
}

/// `durastack.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    port: Option<u16>,
    host: Option<IpAddr>,
    data: Option<PathBuf>,
    ephemeral: Option<bool>,
    auth: Option<AuthMode>,
    throttle: Option<PathBuf>,
    ready_file: Option<PathBuf>,
    log_format: Option<LogFormat>,
    function_logs: Option<Switch>,
    allow_host: Vec<String>,
    allow_origin: Vec<String>,
    aliyun_errors: Option<AliyunErrors>,
    aliyun_nonce: Option<Switch>,
    processes: Option<usize>,
    python: Option<PathBuf>,
    node: Option<PathBuf>,
    change_window_ms: Option<u64>,
    keys: Vec<FileKey>,
    invocation_retries: FileRetries,
    fc: FileFc,
}

/// One more key that may sign.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileKey {
    id: String,
    secret: String,
    token: Option<String>,
    account: Option<String>,
}

impl std::fmt::Debug for FileKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// How failed invocations of durable functions are repeated.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileRetries {
    immediate: Option<u32>,
    first_delay_ms: Option<u64>,
    max_delay_ms: Option<u64>,
    attempts: Option<u32>,
}

/// Everything chosen.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) host: IpAddr,
    pub(crate) port: u16,
    /// `None`: a temporary folder.
    pub(crate) data: Option<PathBuf>,
    pub(crate) auth: Auth,
    pub(crate) quotas: Quotas,
    pub(crate) ready_file: Option<PathBuf>,
    pub(crate) log_format: LogFormat,
    pub(crate) function_logs: bool,
    pub(crate) allowed_hosts: Vec<String>,
    pub(crate) allowed_origins: Vec<String>,
    pub(crate) aliyun_errors: Vocabulary,
    pub(crate) aliyun_nonce: bool,
    pub(crate) processes: usize,
    pub(crate) python: Option<PathBuf>,
    pub(crate) node: Option<PathBuf>,
    pub(crate) change_window: Duration,
    pub(crate) keys: Vec<Key>,
    pub(crate) retries: RetryPolicy,
    pub(crate) functions: Vec<LocalFunction>,
}

const DEFAULT_PORT: u16 = 4566;
const DEFAULT_FOLDER: &str = ".durastack";
const DEFAULT_FILE: &str = "durastack.toml";
const DEFAULT_PROCESSES: usize = 16;
const DEFAULT_CHANGE_WINDOW: Duration = Duration::from_millis(50);

impl Options {
    /// Puts flags, variables, file and defaults together. Relative paths in the file are relative to it.
    pub(crate) fn new(flags: Flags) -> Result<Self> {
        let (file, base) = read_file(flags.config.as_deref())?;
        let in_file = |path: Option<PathBuf>| path.map(|path| base.join(path));
        let ephemeral =
            flags.ephemeral || (flags.data.is_none() && file.ephemeral.unwrap_or(false));
        let data =
            flags.data.or_else(|| in_file(file.data)).unwrap_or_else(|| DEFAULT_FOLDER.into());
        let processes = flags.processes.or(file.processes).unwrap_or(DEFAULT_PROCESSES);
        if processes == 0 {
            bail!("--processes must be at least 1");
        }
        let change_window = flags.change_window_ms.or(file.change_window_ms);
        let defaults = RetryPolicy::default();
        let retries = file.invocation_retries;
        Ok(Self {
            host: flags.host.or(file.host).unwrap_or(IpAddr::from([127, 0, 0, 1])),
            port: flags.port.or(file.port).unwrap_or(DEFAULT_PORT),
            data: (!ephemeral).then_some(data),
            auth: match flags.auth.or(file.auth).unwrap_or(AuthMode::Strict) {
                AuthMode::Strict => Auth::Strict,
                AuthMode::Off => Auth::Off,
            },
            quotas: match (flags.throttle, file.throttle) {
                (Some(written), _) => Quotas::chosen(&written, Path::new("")),
                (None, Some(written)) => Quotas::chosen(&written, &base),
                (None, None) => Quotas::default(),
            },
            ready_file: flags.ready_file.or_else(|| in_file(file.ready_file)),
            log_format: flags.log_format.or(file.log_format).unwrap_or(LogFormat::Text),
            function_logs: flags.function_logs.or(file.function_logs) != Some(Switch::Off),
            allowed_hosts: [flags.allow_host, file.allow_host].concat(),
            allowed_origins: [flags.allow_origin, file.allow_origin].concat(),
            aliyun_errors: match flags.aliyun_errors.or(file.aliyun_errors) {
                None | Some(AliyunErrors::Service) => Vocabulary::Service,
                Some(AliyunErrors::Gateway) => Vocabulary::Gateway,
            },
            aliyun_nonce: flags.aliyun_nonce.or(file.aliyun_nonce) != Some(Switch::Off),
            processes,
            python: flags.python.or_else(|| in_file(file.python)),
            node: flags.node.or_else(|| in_file(file.node)),
            change_window: change_window.map_or(DEFAULT_CHANGE_WINDOW, Duration::from_millis),
            keys: file.keys.into_iter().map(key).collect::<Result<_>>()?,
            functions: file.fc.functions(&base)?,
            retries: RetryPolicy {
                immediate_max: retries.immediate.unwrap_or(defaults.immediate_max),
                first_delay_ms: retries.first_delay_ms.unwrap_or(defaults.first_delay_ms),
                delay_ms_max: retries.max_delay_ms.unwrap_or(defaults.delay_ms_max),
                attempts_max: retries.attempts.unwrap_or(defaults.attempts_max).max(1),
            },
        })
    }
}

fn read_file(chosen: Option<&Path>) -> Result<(File, PathBuf)> {
    let path = chosen.unwrap_or(Path::new(DEFAULT_FILE));
    let base = path.parent().map(Path::to_owned).unwrap_or_default();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && chosen.is_none() => {
            return Ok((File::default(), base));
        }
        Err(error) => {
            return Err(error).with_context(|| format!("failed to read {}", path.display()));
        }
    };
    let file = toml::from_str(&text)
        .with_context(|| format!("failed to understand {}", path.display()))?;
    Ok((file, base))
}

fn key(key: FileKey) -> Result<Key> {
    let account = key.account.as_deref().unwrap_or("000000000000");
    let account =
        account.parse().with_context(|| format!("the account of the key '{}'", key.id))?;
    Ok(Key {
        id: key.id,
        secret: Secret::new(key.secret),
        token: key.token.map(Secret::new),
        expires: None,
        account,
    })
}
