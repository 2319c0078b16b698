//! The whole engine in one process: store, API, controllers and kubelet. `serve` and `run` differ in where objects
//! are kept, and in whether pods end with it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use apiserver::admission::mount_tokens;
use apiserver::backend::NodeBackend;
use apiserver::controllers::{self, Controllers};
use apiserver::server::{Running, Server, ServerConfig};
use apiserver::{discovery, objects};
use container_config::LogLimits;
use kubelet::{Kubelet, Subscription};
use lifecycle::{BackoffLimits, Rejection};
use local_cluster::{
    Backend, ImageThresholds, Inheriting, LocalCluster, Machine, NodeEvent, PressureSettings, PressureWatch,
    Settings, StoreObjects, Thresholds, node_event, write_node,
};
use node::{Identity, Node, Outcome as Inherited};
use podspec::{Moment, Pod, PodUid};
use ports::{Clock, ObjectReader, PortError};
use store::{Options, Place, Store};
use tracing::{Instrument, trace_span};

use crate::network::{Opened, PodNetworkPlan, Trouble};
use crate::outcome;
use crate::services::{Following, Services};
use crate::start_trace::{StartTrace, step};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What an engine is to be.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Where objects are kept.
    pub(crate) objects: Place,
    /// For kubectl, with TLS.
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) socket: PathBuf,
    /// Where keys are kept; `None` for keys of this engine alone.
    pub(crate) pki: Option<PathBuf>,
    /// Where the directories of claims are made.
    pub(crate) claims: PathBuf,
    /// Pods end with the engine.
    pub(crate) bound: bool,
    pub(crate) backoff: BackoffLimits,
    /// When pods are evicted.
    pub(crate) eviction_hard: Thresholds,
    /// When images are removed.
    pub(crate) images: ImageThresholds,
    /// How many processes and threads a pod may have.
    pub(crate) pod_processes_max: Option<u64>,
    pub(crate) log_limits: LogLimits,
    pub(crate) network: PodNetworkPlan,
    /// Who tells where the time of starts goes.
    pub(crate) trace: Option<StartTrace>,
}

/// An engine that answers requests and has begun no pod yet.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) node: Arc<Node>,
    pub(crate) kubelet: Arc<Kubelet<Node>>,
    pub(crate) store: Store,
    pub(crate) server: Running,
    controllers: Controllers,
    settings: Settings,
    inheriting: Inheriting,
    pressure: PressureSettings,
    pod_network: Opened,
    following: Option<Following>,
    bound: bool,
    trace: Option<StartTrace>,
}

/// An engine that runs what its store says.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) node: Arc<Node>,
    pub(crate) kubelet: Arc<Kubelet<Node>>,
    pub(crate) store: Store,
    pub(crate) server: Running,
    controllers: Controllers,
    /// The network that ends with the engine.
    ends_network: Option<Opened>,
    following: Option<Following>,
    trace: Option<StartTrace>,
    _cluster: LocalCluster<Node>,
}

impl Engine {
    pub(crate) async fn start(node: Node, plan: Plan) -> Result<Self> {
        let paths = node.paths().clone();
        // Its pods are known to come.
        if plan.bound {
            node.start_ahead(false);
        }
        let store = step("open the store")
            .in_scope(|| Store::open(plan.objects, Options { index: objects::index_stored }))?;
        let basics = tokio::spawn(make_basics(store.clone()).instrument(step("make what every cluster has")));
        let data_dir = paths.data_dir.clone();
        let pod_network = plan.network.open(&paths).instrument(step("open the pod network")).await?;
        let machine = step("read the machine").in_scope(|| machine(&data_dir, &pod_network));
        let machine = machine.context("cannot find out what this machine has")?;
        let services = Services::open(&pod_network).instrument(step("open Services and DNS")).await;
        let drops = {
            let pod_network = pod_network.clone();
            tokio::task::spawn_blocking(move || pod_network.drops())
        };
        let objects = StoreObjects::new(store.clone());
        let node = Arc::new(node.join(
            identity(&machine, services.cluster_dns(), plan.pod_processes_max, plan.log_limits),
            Arc::clone(&objects) as Arc<dyn ObjectReader>,
            pod_network.as_port(),
        ));
        mount_tokens(true);
        let kubelet = Arc::new(Kubelet::new(
            Arc::clone(&node),
            paths,
            kubelet::Settings { bound: plan.bound, backoff: plan.backoff },
        ));
        let (backend, inheriting) =
            Backend::new(Arc::clone(&kubelet), store.clone(), &machine.name, &data_dir)
                .context("cannot watch log files")?;
        let config = ServerConfig {
            listen: plan.listen,
            socket: Some(plan.socket),
            pki: plan.pki,
            ..server_config(&store, backend, &machine, &services)
        };
        let server = Server::start(config).instrument(step("start the server")).await?;
        objects.sign_with(server.pki.tokens.clone());
        let mut controlled = controlled(&store, &machine, plan.claims, &server, &services);
        basics.await.context("what every cluster has was not made")??;
        let following = begin_services(services, &mut controlled).await?;
        if !plan.bound {
            server.api.make_roles().instrument(step("make the stock roles")).await;
        }
        let version = discovery::server_version(VERSION);
        let (thresholds, node_name) = (plan.eviction_hard, machine.name.clone());
        let pressure = PressureSettings { thresholds, images: plan.images, node_name, data_dir };
        let settings = Settings { machine, version, removes: !plan.bound };
        write_node(&store, &settings).instrument(step("write the node")).await;
        let drops = drops.await.unwrap_or_default();
        let troubles = pod_network.troubles(controlled.network.lacks.as_deref(), drops);
        tell(&store, &settings.machine.name, troubles).await;
        let controllers = step("start the controllers").in_scope(|| Controllers::start(&controlled));
        Ok(Self {
            node,
            kubelet,
            store,
            server,
            controllers,
            settings,
            inheriting,
            pressure,
            pod_network,
            following,
            bound: plan.bound,
            trace: plan.trace,
        })
    }

    /// Takes over the pods of earlier engines, if pods outlive this one, and begins what the store says. `begun` is
    /// told of each new pod before anything happens to it.
    pub(crate) async fn go(self, begun: impl Fn(Subscription) + Send + Sync + 'static) -> Live {
        let Self {
            node,
            kubelet,
            store,
            server,
            controllers,
            settings,
            inheriting,
            pressure,
            pod_network,
            following,
            bound,
            trace,
        } = self;
        let inherited = if bound {
            Vec::new()
        } else {
            inherit(&node, &kubelet).instrument(step("take over pods")).await
        };
        let pressure = PressureWatch::start(store.clone(), Arc::clone(&kubelet), pressure);
        let begin = {
            let (node, kubelet, trace) = (Arc::clone(&node), Arc::clone(&kubelet), trace.clone());
            let begun = move |kubelet: &Kubelet<Node>, uid: &PodUid| {
                if let Some(trace) = &trace
                    && let Ok(followed) = kubelet.subscribe(uid)
                {
                    trace.follow(followed);
                }
                if let Ok(another) = kubelet.subscribe(uid) {
                    begun(another);
                }
            };
            move |pod: Pod, rejected: Option<Rejection>| {
                let subscription = begin(&node, &kubelet, &pod, rejected, bound, &begun)?;
                if let Some(why) = pressure.refusal(&pod) {
                    kubelet.evict_pod(&pod.uid, why);
                }
                Ok(subscription)
            }
        };
        let cluster =
            LocalCluster::start(store.clone(), Arc::clone(&kubelet), Box::new(begin), settings, inherited);
        let _cluster = cluster.instrument(step("begin what the store says")).await;
        inheriting.done();
        trace.iter().for_each(StartTrace::tell_engine);
        Live {
            node,
            kubelet,
            store,
            server,
            controllers,
            ends_network: bound.then_some(pod_network),
            following,
            trace,
            _cluster,
        }
    }
}

impl Live {
    pub(crate) fn now(&self) -> Moment {
        kubelet::Node::clock(&*self.node).now()
    }

    /// Ends the server and the controllers, and writes what is not written yet; pods are as they are.
    pub(crate) async fn shut_down(self) {
        self.trace.iter().for_each(StartTrace::tell_rest);
        self.node.end_ahead();
        drop(self.following);
        // Beside everything else that ends.
        let removed = self.ends_network.map(|network| tokio::task::spawn_blocking(move || network.remove()));
        self.server.shutdown().await;
        self.controllers.stop().await;
        let store = self.store;
        // An error says that the process is ending anyway.
        let _ = tokio::task::spawn_blocking(move || store.close()).await;
        if let Some(removed) = removed {
            let _ = removed.await;
        }
    }
}

/// Of a server that listens nowhere yet.
fn server_config(
    store: &Store,
    backend: Arc<dyn NodeBackend>,
    machine: &Machine,
    services: &Services,
) -> ServerConfig {
    ServerConfig {
        store: store.clone(),
        backend,
        listen: None,
        socket: None,
        pki: None,
        node_name: machine.name.clone(),
        node_addresses: machine.addresses.clone(),
        service_addresses: vec![services.api_address()],
        pod_addresses: services.gateways(),
        version: VERSION,
    }
}

fn controlled(
    store: &Store,
    machine: &Machine,
    claims_dir: PathBuf,
    server: &Running,
    services: &Services,
) -> controllers::Settings {
    // Where pods do not reach it, it is where others do.
    let endpoints = server.for_pods.iter().copied().chain(server.address).next();
    controllers::Settings {
        store: store.clone(),
        node_name: machine.name.clone(),
        claims_dir,
        ca: server.pki.ca.clone(),
        service_address: services.api_address(),
        network: services.to_api(),
        endpoints: endpoints.iter().map(|address| (address.ip(), address.port())).collect(),
    }
}

/// Makes the engine's own Services, and puts in force what the store says.
async fn begin_services(
    services: Services,
    controlled: &mut controllers::Settings,
) -> Result<Option<Following>> {
    make_services(controlled).instrument(step("make the Services of the engine")).await?;
    let follow = services.follow(&controlled.store, &controlled.node_name);
    let following = follow.instrument(step("put Services in force")).await;
    if let Some(why) = following.as_ref().and_then(|following| following.lacks.clone()) {
        controlled.network.lacks = Some(why);
        make_services(controlled).await?;
    }
    Ok(following)
}

async fn make_basics(store: Store) -> Result<()> {
    let made = controllers::bootstrap(&store).await;
    made.map_err(|status| anyhow!(status.message).context("cannot make what every cluster has"))
}

async fn make_services(controlled: &controllers::Settings) -> Result<()> {
    let made = controllers::bootstrap_services(controlled).await;
    made.map_err(|status| anyhow!(status.message).context("cannot make the Services of the engine"))
}

/// In the log, and where `kubectl describe node` shows it.
async fn tell(store: &Store, node: &str, troubles: Vec<Trouble>) {
    for Trouble { reason, about, message } in troubles {
        tracing::warn!("{message}");
        let event = NodeEvent { is_warning: true, reason, about: &about, message: &message };
        node_event(store, node, event).await;
    }
}

/// One that speaks to nobody outside has its addresses in the network of its pods.
fn machine(data_dir: &Path, pod_network: &Opened) -> io::Result<Machine> {
    let mut machine = Machine::read(data_dir)?;
    if machine.addresses.iter().all(IpAddr::is_loopback) && !pod_network.gateways().is_empty() {
        machine.addresses = pod_network.gateways();
    }
    machine.pod_ranges = pod_network.pod_ranges().iter().map(ToString::to_string).collect();
    Ok(machine)
}

fn identity(
    machine: &Machine,
    cluster_dns: Vec<IpAddr>,
    pod_processes_max: Option<u64>,
    log_limits: LogLimits,
) -> Identity {
    Identity {
        name: machine.name.clone(),
        addresses: machine.addresses.clone(),
        cluster_dns,
        storage_bytes: machine.storage_bytes,
        pod_processes_max,
        log_limits,
    }
}

/// What cannot be taken over is said, and left as it is.
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

fn begin(
    node: &Node,
    kubelet: &Kubelet<Node>,
    pod: &Pod,
    rejected: Option<Rejection>,
    bound: bool,
    begun: &impl Fn(&Kubelet<Node>, &PodUid),
) -> Result<Subscription, PortError> {
    trace_span!(target: "start", "claim").in_scope(|| node.claim(pod, bound))?;
    match kubelet.add_pod_unless(pod.clone(), rejected) {
        Ok(subscription) => {
            begun(kubelet, &pod.uid);
            Ok(subscription)
        }
        Err(error) => {
            for left in node.abandon(pod, bound) {
                tracing::warn!("something of pod {}/{} is left: {left}", pod.namespace, pod.name);
            }
            Err(PortError::chain(&error))
        }
    }
}
