//! `durastack start`: puts everything together, serves, and ends it all again.

use crate::{
    banner,
    console::{self, FunctionLogs},
    options::{Flags, LogFormat, Options},
    server::Server,
};
use anyhow::{Context, Result, anyhow};
use durastack_auth::Keyring;
use durastack_clock::{Clock, Entropy};
use durastack_driver::{Clockwork, Driver, stored_offset};
use durastack_durable::Durable;
use durastack_edge::Options as EdgeOptions;
use durastack_engine::TokenKey;
use durastack_flow::Flow;
use durastack_gate::{Auth, Gate, Settings as GateSettings};
use durastack_names::{AccountId, FunctionArn, FunctionName, Region};
use durastack_runner::{Credentials, Runner, Settings as RunnerSettings};
use durastack_store::{Sqlite, Store};
use durastack_svc_fnf::Fnf;
use durastack_svc_lambda::{Catalog, FunctionCredentials, Lambda, Parts};
use serde_json::json;
use std::{
    io::ErrorKind,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

/// About how much journal may be held in memory for executions that nobody is using.
const CACHE_BYTES: usize = 64 * 1024 * 1024;
/// How long requests in flight may take to finish at the end.
const GRACE: Duration = Duration::from_millis(700);

pub(crate) fn run(flags: Flags) -> Result<()> {
    let options = Options::new(flags)?;
    console::start_tracing(options.log_format);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("failed to start the asynchronous runtime")?;
    let done = runtime.block_on(serve(options));
    // What still runs on a blocking thread has no one to answer to.
    runtime.shutdown_timeout(Duration::from_millis(100));
    done
}

async fn serve(options: Options) -> Result<()> {
    // Before anything is made: who is refused the port leaves no folder behind.
    let listener = listen(SocketAddr::new(options.host, options.port)).await?;
    let address = listener.local_addr().context("failed to learn the port")?;
    let temporary = match &options.data {
        Some(_) => None,
        None => Some(tempfile::tempdir().context("failed to create a temporary folder")?),
    };
    let folder = match (&options.data, &temporary) {
        (Some(folder), _) => folder.clone(),
        (None, Some(temporary)) => temporary.path().to_owned(),
        (None, None) => unreachable!("one of the two is there"),
    };
    let store = Sqlite::open(&folder, Entropy::secret())?;
    let folder =
        folder.canonicalize().with_context(|| format!("failed to find {}", folder.display()))?;
    let secret = store.secret();
    let store = Arc::new(store);
    let bytes: Arc<dyn Store> = store.clone();
    let clock = Clock::system(stored_offset(&*bytes).await?);
    let keys = Arc::new(Keyring::new(secret, options.keys.clone()));
    let settings = GateSettings {
        auth: options.auth,
        allowed_hosts: options.allowed_hosts.clone(),
        allowed_origins: options.allowed_origins.clone(),
        aliyun_errors: options.aliyun_errors,
        aliyun_nonce: options.aliyun_nonce,
    };
    let routes = durastack_svc_lambda::routes();
    let fnf_routes = durastack_svc_fnf::routes();
    let throttle = options.quotas.throttle(&routes, &fnf_routes, clock.clone())?;
    let gate = Gate::new(settings, Arc::clone(&keys), clock.clone())?.throttled_by(throttle);

    let (logs, log_writer) = FunctionLogs::start(folder.join("logs"), options.function_logs)?;
    let logs = Arc::new(logs);
    let runner = Runner::start(
        runner_settings(&options, &folder, address)?,
        clock.clone(),
        Arc::clone(&logs) as Arc<_>,
    )
    .await?;
    let catalog = Catalog::open(
        Arc::clone(&bytes),
        folder.join("code"),
        clock.clone(),
        Entropy::system(),
        options.change_window,
    )
    .await?;
    let driver: Arc<Driver<Durable>> = Driver::new(Arc::clone(&bytes), clock.clone(), CACHE_BYTES);
    let flows: Arc<Driver<Flow>> = Driver::new(bytes, clock.clone(), CACHE_BYTES);
    let keys = Arc::new(FolderKeys(keys));
    let fnf = Fnf::open(durastack_svc_fnf::Parts {
        driver: Arc::clone(&flows),
        runner: Arc::clone(&runner),
        functions: options.functions.clone(),
        credentials: Arc::clone(&keys) as Arc<_>,
        tokens: TokenKey::new(&secret),
        clock: clock.clone(),
        entropy: Entropy::system(),
    })
    .await?;
    let lambda = Lambda::new(Parts {
        catalog,
        driver: Arc::clone(&driver),
        runner: Arc::clone(&runner),
        credentials: keys,
        tokens: TokenKey::new(&secret),
        clock: clock.clone(),
        retries: options.retries,
    });
    driver.attach(Arc::clone(&lambda) as Arc<_>);
    flows.attach(Arc::clone(&fnf) as Arc<_>);
    let resumed = driver.recover().await? + flows.recover().await?;
    lambda.recover_events().await?;
    fnf.recover().await?;

    let stop = CancellationToken::new();
    let interrupted = interruptions(stop.clone())?;
    let server = Server {
        gate,
        routes,
        lambda: Arc::clone(&lambda),
        fnf_routes,
        fnf: Arc::clone(&fnf),
        clockwork: Arc::new(Clockwork::new(
            clock.clone(),
            store.clone(),
            vec![driver.clone(), flows.clone(), lambda.clone()],
        )),
    };
    let edge = EdgeOptions { grace: GRACE, ..EdgeOptions::default() };
    let timekeepers = [
        interrupted.tasks.spawn(Arc::clone(&driver).keep_time()),
        interrupted.tasks.spawn(Arc::clone(&flows).keep_time()),
        interrupted.tasks.spawn(Arc::clone(&lambda).keep_event_time()),
    ];
    announce(&options, &folder, address, &clock, resumed)?;
    durastack_edge::serve(listener, Arc::new(server), edge, stop).await;

    // First nobody journals any more, then the functions are killed: a restart takes up what they were doing.
    driver.detach();
    flows.detach();
    runner.stop().await;
    lambda.stop_events().await;
    fnf.stop().await;
    driver.finish().await;
    flows.finish().await;
    for timekeeper in timekeepers {
        timekeeper.await.ok();
    }
    store.close().await;
    let written = tokio::task::spawn_blocking(move || {
        logs.end();
        log_writer.join()
    });
    written.await.ok();
    Ok(())
}

/// The functions' keys, made from the folder's secret.
#[derive(Debug)]
struct FolderKeys(Arc<Keyring>);

impl FunctionCredentials for FolderKeys {
    fn for_function(&self, function: &FunctionArn) -> Credentials {
        self.key(&function.account, &function.region, &function.name)
    }
}

impl durastack_svc_fnf::FunctionCredentials for FolderKeys {
    /// A function whose name Lambda would not take has no key of its own.
    fn for_function(&self, account: &AccountId, region: &Region, name: &str) -> Credentials {
        name.parse()
            .map_or_else(|_| Credentials::default(), |name| self.key(account, region, &name))
    }
}

impl FolderKeys {
    fn key(&self, account: &AccountId, region: &Region, name: &FunctionName) -> Credentials {
        let key = self.0.for_function(account, region, name);
        Credentials {
            access_key_id: key.access_key_id,
            secret_access_key: key.secret.expose().to_owned(),
            session_token: key.session_token.expose().to_owned(),
        }
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => anyhow!(
            "port {} is in use; stop what uses it, or choose another with --port (0 takes a free one)",
            address.port()
        ),
        _ => anyhow::Error::new(error).context(format!("failed to listen on {address}")),
    })
}

fn runner_settings(
    options: &Options,
    folder: &Path,
    address: SocketAddr,
) -> Result<RunnerSettings> {
    let start_folder = std::env::current_dir().context("failed to learn the working directory")?;
    let endpoint = format!("http://{}", SocketAddr::new(reachable(address), address.port()));
    let mut settings = RunnerSettings::new(endpoint, folder.join("run"), start_folder);
    settings.processes_max = options.processes;
    settings.python.clone_from(&options.python);
    settings.node.clone_from(&options.node);
    Ok(settings)
}

/// The address that a function on this machine reaches durastack at.
fn reachable(address: SocketAddr) -> std::net::IpAddr {
    match address.ip() {
        ip if ip.is_unspecified() => std::net::Ipv4Addr::LOCALHOST.into(),
        ip => ip,
    }
}

/// Who besides this machine's own programs can reach an address; `None` on loopback.
fn open_to(address: SocketAddr) -> Option<String> {
    match address.ip().to_canonical() {
        ip if ip.is_loopback() => None,
        ip if ip.is_unspecified() => Some("everybody who can reach this machine".to_owned()),
        ip => Some(format!("everybody who can reach {ip}")),
    }
}

/// Says where durastack serves: in the ready file, and on standard output.
fn announce(
    options: &Options,
    folder: &Path,
    address: SocketAddr,
    clock: &Clock,
    resumed: usize,
) -> Result<()> {
    let host = match reachable(address) {
        ip if ip.is_loopback() && ip.is_ipv4() => "localhost".to_owned(),
        ip => SocketAddr::new(ip, 0).to_string().trim_end_matches(":0").to_owned(),
    };
    let endpoint = format!("http://{host}:{}", address.port());
    let mut ready = json!({
        "endpoint": endpoint,
        "port": address.port(),
        "pid": std::process::id(),
        "access_key_id": "test",
        "secret_access_key": "test",
        "data": folder,
        "version": env!("CARGO_PKG_VERSION"),
    })
    .to_string();
    ready.push('\n');
    if let Some(path) = &options.ready_file {
        write_whole(path, &ready)?;
    }
    let open_to = open_to(address);
    match options.log_format {
        LogFormat::Json => console::print(&ready)?,
        LogFormat::Text => console::print(&banner::text(&banner::Facts {
            endpoint: &endpoint,
            auth: options.auth,
            open_to: open_to.as_deref(),
            clock,
            data: options.data.is_some().then_some(folder),
            port: address.port(),
            resumed,
        }))?,
    }
    if options.auth == Auth::Off {
        tracing::warn!("signatures are not verified");
    }
    if let Some(who) = open_to {
        tracing::warn!("{who} can call durastack, whose keys are public");
    }
    Ok(())
}

/// Writes a file that nobody sees half written.
fn write_whole(path: &Path, text: &str) -> Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".draft");
    let draft = PathBuf::from(draft);
    std::fs::write(&draft, text)
        .and_then(|()| std::fs::rename(&draft, path))
        .with_context(|| format!("failed to write {}", path.display()))
}

/// What listens for signals.
struct Interruptions {
    tasks: tokio_util::task::TaskTracker,
}

/// The first Ctrl-C or SIGTERM ends everything in order; the second one ends the process at once, and what functions
/// are left notice that by themselves.
fn interruptions(stop: CancellationToken) -> Result<Interruptions> {
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to listen for signals")?;
    let mut terminate = signal(SignalKind::terminate()).context("failed to listen for signals")?;
    let tasks = tokio_util::task::TaskTracker::new();
    tasks.spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if stop.is_cancelled() {
                end_at_once();
            }
            stop.cancel();
        }
    });
    Ok(Interruptions { tasks })
}

#[expect(clippy::exit, reason = "the user asked twice")]
fn end_at_once() {
    std::process::exit(130)
}
