//! The node that pods run on: which implementation stands behind each port.

use anyhow::{Context, Result};
use container_config::NodeFacts;
use images::Images;
use kubelet::Paths;
use linux_sys::clock;
use podspec::{BootTime, Moment, Pod, WallTime};
use runtime::{Program, ShimRuntime};
use volumes::Volumes;

use crate::node_facts;

#[derive(Debug)]
pub(crate) struct Node {
    paths: Paths,
    facts: NodeFacts,
    runtime: ShimRuntime,
    images: Images,
    volumes: Volumes,
    clock: SystemClock,
}

impl Node {
    /// Reads what there is to know of this machine; makes nothing on it.
    pub(crate) fn new(paths: Paths) -> Result<Self> {
        let facts = node_facts::read().context("cannot find out what this machine has")?;
        Ok(Self {
            runtime: ShimRuntime::new(Program::default()),
            images: Images::new(&paths.data_dir.join("images"), true),
            volumes: Volumes::new(facts.memory_bytes),
            clock: SystemClock,
            facts,
            paths,
        })
    }

    pub(crate) fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Makes the pod's directory this engine's, before anything is written there.
    pub(crate) fn claim(&self, pod: &Pod) -> Result<()> {
        Ok(self.runtime.claim(&self.paths.context(pod.clone(), true))?)
    }

    /// Removes what engines that died under the same root have left, without keeping anybody waiting.
    pub(crate) fn sweep(&self) {
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
}

#[derive(Debug)]
pub(crate) struct SystemClock;

impl ports::Clock for SystemClock {
    fn now(&self) -> Moment {
        Moment { boot: BootTime(clock::boot_ns()), wall: WallTime(clock::wall_ns()) }
    }
}
