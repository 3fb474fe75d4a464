//! The event server: one SQLite file, an HTTP API, and live streams over WebSocket and SSE.
//!
//! A change goes one way: handler → store (one transaction, rows and change-log rows) → publisher
//! → hub → session → socket. Handlers never publish, the hub never reads tables, the store never
//! sees axum.
//!
//! [`run`] is what `timely serve` and `timely-server` do; [`serve`] is the part that tests and the
//! demo call with a listener and a clock of their own.

pub mod auth;
pub mod clock;
pub mod config;
pub mod connections;
pub mod error;
pub mod extract;
pub mod gate;
pub mod http;
pub mod keeper;
pub mod live;
pub mod logging;
pub mod metrics;
pub mod page;
pub mod rate;
pub mod routes;
pub mod running;
pub mod site;
pub mod store;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use timely_core::cursor::Epoch;
use timely_core::running::ServerKind;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::config::{Config, DRAIN};
use crate::connections::Connections;
use crate::gate::Gate;
use crate::live::{Feeds, Live};
use crate::running::RunningFile;
use crate::site::Site;
use crate::store::{Store, StoreOptions};

/// What handlers share.
#[derive(Clone)]
pub struct App {
    pub store: Store,
    pub live: Live,
    pub feeds: Feeds,
    pub clock: Arc<Clock>,
    pub site: Arc<Site>,
    pub gate: Arc<Gate>,
    /// Cancelled when the server begins to stop.
    pub shutdown: CancellationToken,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("site", &self.site).finish_non_exhaustive()
    }
}

/// A server that answers requests.
pub struct Running {
    /// Where it listens; the real port.
    pub address: SocketAddr,
    pub epoch: Epoch,
    pub owner_token: String,
    /// The data directory, absolute.
    pub data: PathBuf,
    /// For programs that write beside the HTTP API, by the same commands: the demo.
    pub store: Store,
    pub clock: Arc<Clock>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the token.
        f.debug_struct("Running").field("address", &self.address).field("data", &self.data).finish_non_exhaustive()
    }
}

/// What `timely serve` and `timely-server` were asked for.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    pub config: Config,
    /// Print one JSON object instead of a line for people.
    pub json: bool,
}

/// Serves until SIGTERM or Ctrl-C: binds, says where on stdout, drains, closes.
///
/// # Errors
/// An address or data directory that cannot be had, with what to do about it.
pub async fn run(options: ServeOptions) -> anyhow::Result<()> {
    let ServeOptions { config, json } = options;
    // What cannot be meant is said before anything is opened.
    Site::new(&config, ServerKind::Serve)?;
    let listener = bind(config.address()).await?;
    let shutdown = shutdown_on_signal()?;
    serve(config, listener, Arc::new(Clock::real()), ServerKind::Serve, shutdown, |running| {
        announce(running, json);
    })
    .await
}

/// Binds the address.
///
/// # Errors
/// What stands in the way and what to do about it.
pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let next = match error.kind() {
            std::io::ErrorKind::AddrInUse => format!(
                "another program listens there (perhaps another timely: see `timely status`); \
                 stop it, or take another port with --listen {}",
                SocketAddr::new(address.ip(), address.port().checked_add(1).unwrap_or(0)),
            ),
            std::io::ErrorKind::PermissionDenied => {
                format!("ports below 1024 need rights; use --listen {}", SocketAddr::new(address.ip(), 8000))
            }
            std::io::ErrorKind::AddrNotAvailable => {
                "no network of this computer has that address; use --listen 127.0.0.1:8000, or --lan".to_owned()
            }
            _ => error.to_string(),
        };
        anyhow!("cannot listen on {address}: {next}")
    })
}

/// Says on stdout where the server answers: its first line.
pub fn announce(running: &Running, json: bool) {
    let listening = format!("http://{}", running.address);
    let line = if json {
        let (data, pid, epoch) = (&running.data, std::process::id(), &running.epoch);
        serde_json::json!({ "listening": listening, "data": data, "pid": pid, "epoch": epoch }).to_string()
    } else {
        format!("Listening on {listening}")
    };
    let mut out = std::io::stdout().lock();
    if let Err(error) = writeln!(out, "{line}").and_then(|()| out.flush()) {
        // Nobody reads stdout: no reason for the server to end.
        warn!("cannot say on stdout where the server listens: {error}");
    }
}

/// A token that SIGTERM or Ctrl-C cancels; a second signal ends the process at once.
///
/// # Errors
/// When the signals cannot be caught.
pub fn shutdown_on_signal() -> anyhow::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot catch SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot catch Ctrl-C")?;
    let shutdown = CancellationToken::new();
    let token = shutdown.clone();
    tokio::spawn(async move {
        let mut next = async || tokio::select! { _ = terminate.recv() => 143, _ = interrupt.recv() => 130 };
        next().await;
        info!("stopping: open streams are told to come back; once more to end at once");
        token.cancel();
        std::process::exit(next().await)
    });
    Ok(shutdown)
}

/// Serves on `listener` until `shutdown`, then lets requests and streams end and closes the file.
///
/// `ready` is called once requests are answered. Binds nothing itself.
///
/// # Errors
/// A data directory or configuration that cannot be used.
pub async fn serve(
    config: Config,
    listener: TcpListener,
    clock: Arc<Clock>,
    kind: ServerKind,
    shutdown: CancellationToken,
    ready: impl FnOnce(&Running),
) -> anyhow::Result<()> {
    let site = Arc::new(Site::new(&config, kind)?);
    let address = listener.local_addr().context("the listener has no address")?;
    let directory = config.data.clone();
    let opened = tokio::task::spawn_blocking(move || {
        let store = Store::open(&directory, StoreOptions::default())?;
        let owner_token = store.owner_token().context("cannot read the owner token")?;
        let data = directory.canonicalize().unwrap_or(directory);
        Ok::<_, anyhow::Error>((store, owner_token, data))
    });
    let (store, owner_token, data) = opened.await.context("opening the data directory panicked")??;
    if site.load_test {
        warn!("--load-test: per-address and rate limits are lifted; do not use this for a real event");
    }

    if let Err(error) = store.set_holder(&format!("process {} at http://{address}", std::process::id())) {
        warn!("a second start on {} will not be told who holds it: {error}", data.display());
    }

    // Streams and requests end by this token, which outlives no error below.
    let stop = shutdown.child_token();
    let _stop_on_return = stop.clone().drop_guard();
    let live = Live::start(store.clone(), clock.clone(), stop.clone()).context("cannot start the streams")?;
    let keeper = tokio::spawn(keeper::keep(store.clone(), clock.clone(), stop.clone()));
    let gate = Gate::of_this_process(config.max_connections, site.load_test);
    let app = App {
        store: store.clone(),
        live: live.clone(),
        feeds: Feeds::default(),
        clock: clock.clone(),
        site,
        gate: gate.clone(),
        shutdown: stop.clone(),
    };
    info!("at most {} connections", gate.connections_max());
    let connections = Connections::new(live.clone(), gate);
    let accepting = tokio::spawn(connections.clone().accept(listener, routes::router(&app), stop.clone()));

    let file = config.findable.then(|| announce_to_this_user(address, &owner_token, kind)).flatten();
    let running = Running { address, epoch: store.epoch().clone(), owner_token, data, store: store.clone(), clock };
    info!("serving {} at http://{address}, epoch {}", running.data.display(), running.epoch);
    ready(&running);

    stop.cancelled().await;
    // Nobody asked for it: without its streams a server is none, and whoever watches it starts another.
    let has_failed = !shutdown.is_cancelled();
    // From here the server is not to be found; those who know it may finish.
    drop(file);
    let ended = async {
        live.drained().await;
        connections.ended().await;
    };
    if tokio::time::timeout(DRAIN, ended).await.is_err() {
        warn!("some connections did not end within {} s and are cut", DRAIN.as_secs());
        connections.cut().await;
    }
    for (what, task) in [("accepting connections", accepting), ("keeping expiry dates", keeper)] {
        if let Err(error) = task.await {
            warn!("{what} did not end well: {error}");
        }
    }
    store.close().await;
    if has_failed {
        bail!("the live streams failed and the server has stopped; its log says why");
    }
    Ok(())
}

/// Writes the file by which other programs of this user find the server.
fn announce_to_this_user(address: SocketAddr, token: &str, kind: ServerKind) -> Option<RunningFile> {
    let Some(directory) = timely_core::running::directory(|name| std::env::var_os(name)) else {
        warn!("no home directory: `timely` finds this server only with --server http://{address}");
        return None;
    };
    match RunningFile::write(&directory, address, token, kind) {
        Ok(file) => Some(file),
        Err(error) => {
            warn!(
                "cannot write into {}: {error}; `timely` finds this server only with --server http://{address}",
                directory.display()
            );
            None
        }
    }
}
