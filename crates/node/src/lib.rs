//! The node that pods run on: which implementation stands behind each port.

mod facts;
mod inheritance;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use container_config::{LogLimits, NodeFacts};
use images::{Images, PodImages, Registries, SharedPods};
use kubelet::Paths;
use linux_sys::clock;
use podspec::{BootTime, Moment, Pod, WallTime};
use ports::{NoNetwork, NoObjects, ObjectReader, PodNetwork, PortError};
use runtime::ShimRuntime;
use volumes::Volumes;

pub use facts::raise_open_files;
pub use inheritance::{InheritError, Inheritance, Outcome, inherit};
pub use runtime::Program;

#[derive(Debug, thiserror::Error)]
#[error("cannot find out what this machine has")]
pub struct FactsError(#[source] io::Error);

#[derive(Debug)]
pub struct Node {
    paths: Paths,
    facts: NodeFacts,
    runtime: ShimRuntime,
    images: Images,
    volumes: Volumes,
    clock: SystemClock,
    objects: Arc<dyn ObjectReader>,
    network: Arc<dyn PodNetwork>,
}

/// What a cluster knows of the node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    pub name: String,
    /// IPv4 first.
    pub addresses: Vec<IpAddr>,
    /// Whom its pods ask for names of the cluster.
    pub cluster_dns: Vec<IpAddr>,
    /// What its pods may have of the disk.
    pub storage_bytes: u64,
    /// How many processes and threads each of them may have.
    pub pod_processes_max: Option<u64>,
    /// What is kept of the logs of their containers.
    pub log_limits: LogLimits,
}

impl Node {
    /// Reads what there is to know of this machine; makes nothing on it. `shim`: what to run as a shim.
    ///
    /// # Errors
    /// When the machine does not say what it has.
    pub fn new(paths: Paths, shim: Program) -> Result<Self, FactsError> {
        let facts = facts::read().map_err(FactsError)?;
        Ok(Self {
            runtime: ShimRuntime::new(shim),
            images: Images::new(&paths.data_dir.join("images"), true),
            volumes: Volumes::new(&facts, Arc::new(NoObjects)),
            objects: Arc::new(NoObjects),
            network: Arc::new(NoNetwork),
            clock: SystemClock,
            facts,
            paths,
        })
    }

    /// Its images may come from registries.
    #[must_use]
    pub fn with_registries(mut self, registries: Registries) -> Self {
        let paths = self.paths.clone();
        let pods = SharedPods::new(move || {
            let uses = runtime::image_uses(&paths)?.into_iter();
            Ok(uses.map(|used| PodImages { pod: used.pod, names: used.names, ids: used.ids }).collect())
        });
        self.images = self.images.with_registries(registries, pods);
        self
    }

    /// Makes it the node of a cluster, whose objects its pods may name, with a network for its pods.
    #[must_use]
    pub fn join(
        mut self,
        identity: Identity,
        objects: Arc<dyn ObjectReader>,
        network: Arc<dyn PodNetwork>,
    ) -> Self {
        let Identity { name, addresses, cluster_dns, storage_bytes, pod_processes_max, log_limits } =
            identity;
        self.facts = NodeFacts {
            name,
            addresses,
            cluster_dns,
            storage_bytes,
            pod_processes_max,
            log_limits,
            ..self.facts
        };
        self.volumes = Volumes::new(&self.facts, Arc::clone(&objects));
        self.objects = objects;
        self.runtime = self.runtime.with_network(
            Arc::clone(&network),
            self.facts.addresses.clone(),
            self.facts.cluster_dns.clone(),
        );
        self.network = network;
        self
    }

    #[must_use]
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Makes the pod's directory this engine's, before anything is written there. `bound`: the pod ends
    /// with this engine.
    ///
    /// # Errors
    /// When the pod belongs to another living engine.
    pub fn claim(&self, pod: &Pod, bound: bool) -> Result<(), PortError> {
        self.runtime.claim(&self.paths.context(pod.clone(), bound))
    }

    /// Takes back [`Self::claim`] of a pod that was not begun; returns what could not be removed.
    #[must_use]
    pub fn abandon(&self, pod: &Pod, bound: bool) -> Vec<String> {
        self.runtime.abandon(&self.paths.context(pod.clone(), bound))
    }

    /// Starts the shim of the first pod before there is one; `always`: and of each one after it.
    pub fn start_ahead(&self, always: bool) {
        self.runtime.start_ahead(always);
    }

    /// What was started for pods that have not come ends.
    pub fn end_ahead(&self) {
        self.runtime.end_ahead();
    }

    /// Removes what pulls left that died with their engine, without keeping anybody waiting: the image may never be
    /// wanted again, and what there is of it can be large.
    pub fn sweep_images(&self) {
        let store = self.images.store().clone();
        tokio::task::spawn_blocking(move || {
            if let Err(error) = store.clear_leavings() {
                tracing::warn!("something of an earlier pull is left: {}", PortError::chain(&error));
            }
        });
    }

    /// Removes what engines that died under the same root have left, without keeping anybody waiting.
    pub fn sweep(&self) {
        self.sweep_images();
        let paths = self.paths.clone();
        tokio::task::spawn_blocking(move || {
            let swept = runtime::sweep(&paths);
            if !swept.pods.is_empty() {
                tracing::info!("removed what was left of {} pods", swept.pods.len());
            }
            for error in swept.errors {
                tracing::warn!("something of an earlier run is left: {error}");
            }
        });
    }
}

impl kubelet::Node for Node {
    type Runtime = ShimRuntime;
    type Images = Images;
    type Volumes = Volumes;
    type Clock = SystemClock;

    fn runtime(&self) -> &ShimRuntime {
        &self.runtime
    }

    fn images(&self) -> &Images {
        &self.images
    }

    fn volumes(&self) -> &Volumes {
        &self.volumes
    }

    fn clock(&self) -> &SystemClock {
        &self.clock
    }

    fn facts(&self) -> &NodeFacts {
        &self.facts
    }

    fn objects(&self) -> &dyn ObjectReader {
        &*self.objects
    }

    fn seccomp_profile(&self, name: &str) -> Result<String, String> {
        facts::seccomp_profile(&self.paths.data_dir.join("seccomp").join(name))
    }
}

#[derive(Debug)]
pub struct SystemClock;

impl ports::Clock for SystemClock {
    fn now(&self) -> Moment {
        Moment { boot: BootTime(clock::boot_ns()), wall: WallTime(clock::wall_ns()) }
    }
}
