//! `monopod serve`: the daemon. Its pods outlive it: a new one takes them over.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use apiserver::auth::{Kubeconfig, write_kubeconfig};
use apiserver::server::Running;
use kubelet::Paths;
use network::{Ahead, Size};
use node::Node;
use store::Place;

use crate::cli;
use crate::engine::{Engine, Plan};
use crate::footprint;
use crate::network::PodNetworkPlan;
use crate::outcome::{self, Outcome};
use crate::signals::Signals;
use crate::start_trace::StartTrace;

/// Of the engine's own API, in its run directory.
pub(crate) const SOCKET: &str = "api.sock";
/// The administrator's, in the data directory.
const KUBECONFIG: &str = "kubeconfig";
const STORE: &str = "store.redb";
/// The directories of volumes that were made for claims.
const CLAIMS: &str = "claims";
const LOCK: &str = "serve.lock";
const PKI: &str = "pki";
/// The name of the record of its network.
const NETWORK: &str = "serve";

/// Serves until it is told to end.
pub(crate) async fn serve(options: &cli::Serve, node: Node, trace: Option<StartTrace>) -> Result<Outcome> {
    let mut signals = Signals::install().context("cannot take signals")?;
    let paths = node.paths().clone();
    let _lock = lock(&paths)?;
    let plan = Plan {
        objects: Place::File(paths.data_dir.join(STORE)),
        listen: Some(options.listen),
        socket: paths.run_dir.join(SOCKET),
        pki: Some(paths.data_dir.join(PKI)),
        claims: paths.data_dir.join(CLAIMS),
        bound: false,
        backoff: options.restarts.backoff(),
        eviction_hard: options.eviction_hard.clone(),
        images: options.images.thresholds()?,
        pod_processes_max: options.bounds.pod_max_pids,
        log_limits: options.logs.limits(),
        network: PodNetworkPlan {
            name: NETWORK.to_owned(),
            size: Size::Large,
            ahead: Ahead::Always,
            options: options.network.clone(),
        },
        trace,
    };
    let engine = Engine::start(node, plan).await?;
    write_admin_kubeconfig(&engine.server, &paths.data_dir.join(KUBECONFIG))?;
    say_ready(&engine.server, &paths)?;
    let engine = engine.go(drop).await;
    engine.node.sweep_images();
    engine.node.start_ahead(true);
    let footprint = tokio::spawn(footprint::follow(engine.store.clone()));
    signals.next().await;
    footprint.abort();
    engine.shut_down().await;
    Ok(Outcome::of(false, Vec::new()))
}

/// One daemon for each data directory, whatever it listens on.
fn lock(paths: &Paths) -> Result<File> {
    for dir in [&paths.data_dir, &paths.run_dir] {
        let made = DirBuilder::new().recursive(true).mode(0o755).create(dir);
        made.with_context(|| format!("cannot create {}", dir.display()))?;
    }
    let path = paths.data_dir.join(LOCK);
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!(
            "another `monopod serve` has {}\nremedy: stop it, or choose another place with --root DIR",
            paths.data_dir.display()
        ),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

/// For whoever is root here; no file without a port to name in it.
pub(crate) fn write_admin_kubeconfig(server: &Running, path: &Path) -> Result<()> {
    let Some(address) = server.address else { return Ok(()) };
    let target = Kubeconfig { server: format!("https://{address}"), name: "monopod".to_owned() };
    write_kubeconfig(path, &server.pki, &target).with_context(|| format!("cannot write {}", path.display()))
}

/// The one line on standard output.
fn say_ready(server: &Running, paths: &Paths) -> Result<()> {
    let kubeconfig = paths.data_dir.join(KUBECONFIG);
    let address = server.address.map(|address| format!(" on https://{address}")).unwrap_or_default();
    outcome::print_line(format_args!(
        "monopod is ready{address}: kubectl --kubeconfig {} get pods",
        kubeconfig.display()
    ))
}

/// What a daemon leaves beside pods and images, for a reset to remove.
pub(crate) fn leavings(data_dir: &Path) -> [PathBuf; 5] {
    [STORE, CLAIMS, PKI, KUBECONFIG, LOCK].map(|name| data_dir.join(name))
}

/// Whether a daemon has the data directory at this moment.
pub(crate) fn is_running(data_dir: &Path) -> bool {
    let locked = |file: File| matches!(file.try_lock(), Err(TryLockError::WouldBlock));
    OpenOptions::new().write(true).open(data_dir.join(LOCK)).is_ok_and(locked)
}
