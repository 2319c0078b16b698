//! `monopod serve`: the daemon. Its pods outlive it: a new one takes them over.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use apiserver::auth::{Kubeconfig, write_kubeconfig};
use apiserver::server::{Running, Server, ServerConfig};
use apiserver::{discovery, objects};
use kubelet::{Kubelet, Paths, Subscription};
use local_cluster::{Backend, LocalCluster, Machine, Settings};
use node::{Node, Outcome as Inherited};
use podspec::Pod;
use ports::PortError;
use store::{Options, Place, Store};

use crate::cli;
use crate::outcome::{self, Outcome};
use crate::signals::Signals;

/// Of the engine's own API, in its run directory.
pub(crate) const SOCKET: &str = "api.sock";
/// The administrator's, in the data directory.
pub(crate) const KUBECONFIG: &str = "kubeconfig";
const STORE: &str = "store.redb";
const LOCK: &str = "serve.lock";
const PKI: &str = "pki";
/// Of the Service `default/kubernetes`: the first of the range that most clusters have.
const SERVICE_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 96, 0, 1));

/// Serves until it is told to end.
pub(crate) async fn serve(options: &cli::Serve, node: Node) -> Result<Outcome> {
    let mut signals = Signals::install().context("cannot take signals")?;
    let paths = node.paths().clone();
    let _lock = lock(&paths)?;
    let store =
        Store::open(Place::File(paths.data_dir.join(STORE)), Options { index: objects::index_stored })?;
    let machine = Machine::read(&paths.data_dir).context("cannot find out what this machine has")?;
    let node = Arc::new(node);
    let kubelet = Arc::new(Kubelet::new(Arc::clone(&node), paths.clone(), false));
    let (backend, inherited) = Backend::new(Arc::clone(&kubelet)).context("cannot watch log files")?;
    let server = start(options, &paths, &store, backend, &machine).await?;
    say_ready(&server, &paths)?;
    let settings = Settings { machine, version: discovery::server_version(env!("CARGO_PKG_VERSION")) };
    let subscriptions = inherit(&node, &kubelet).await;
    let begin = Box::new({
        let (node, kubelet) = (Arc::clone(&node), Arc::clone(&kubelet));
        move |pod| begin(&node, &kubelet, pod)
    });
    let _cluster = LocalCluster::start(store, kubelet, begin, settings, subscriptions).await;
    inherited.done();
    signals.next().await;
    server.shutdown().await;
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

async fn start(
    options: &cli::Serve,
    paths: &Paths,
    store: &Store,
    backend: Arc<Backend<Node>>,
    machine: &Machine,
) -> Result<Running> {
    let config = ServerConfig {
        store: store.clone(),
        backend,
        listen: Some(options.listen),
        socket: Some(paths.run_dir.join(SOCKET)),
        pki: paths.data_dir.join(PKI),
        node_name: machine.name.clone(),
        node_addresses: vec![machine.address],
        service_address: SERVICE_ADDRESS,
        version: env!("CARGO_PKG_VERSION"),
    };
    let server = Server::start(config).await?;
    if let Some(address) = server.address {
        let target = Kubeconfig { server: format!("https://{address}"), name: "monopod".to_owned() };
        let path = paths.data_dir.join(KUBECONFIG);
        write_kubeconfig(&path, &server.pki, &target)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(server)
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

/// Takes over the pods that earlier engines have left; what cannot be is said, and left as it is.
async fn inherit(node: &Arc<Node>, kubelet: &Arc<Kubelet<Node>>) -> Vec<Subscription> {
    let mut inheritances = node::inherit(node, kubelet);
    let mut subscriptions = Vec::new();
    while let Some(inheritance) = inheritances.recv().await {
        match inheritance.outcome {
            Inherited::Adopted(subscription) => subscriptions.push(*subscription),
            Inherited::Ending => {}
            Inherited::Buried(errors) => {
                for error in errors {
                    tracing::warn!("something of an earlier pod is left: {error}");
                }
            }
            Inherited::Refused(error) => outcome::report(&anyhow::Error::new(error)),
        }
    }
    subscriptions
}

fn begin(node: &Node, kubelet: &Kubelet<Node>, pod: Pod) -> Result<Subscription, PortError> {
    node.claim(&pod, false)?;
    kubelet.add_pod(pod.clone()).map_err(|error| {
        for left in node.abandon(&pod, false) {
            tracing::warn!("something of pod {}/{} is left: {left}", pod.namespace, pod.name);
        }
        PortError::chain(&error)
    })
}

/// What a reset removes beside pods and images, while no daemon runs.
pub(crate) fn leavings(data_dir: &Path) -> [std::path::PathBuf; 4] {
    [STORE, PKI, KUBECONFIG, LOCK].map(|name| data_dir.join(name))
}

/// Whether a daemon has the data directory at this moment.
pub(crate) fn is_running(data_dir: &Path) -> bool {
    let locked = |file: File| matches!(file.try_lock(), Err(TryLockError::WouldBlock));
    fs::OpenOptions::new().write(true).open(data_dir.join(LOCK)).is_ok_and(locked)
}
