//! The pod's status as `v1.PodStatus` has it, derived by the same call that decides the actions.

use core::net::IpAddr;
use podspec::{ContainerName, Moment, Resources};
use serde::{Deserialize, Serialize};

use crate::observed::{Exit, ProcessUser};

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PodStatus {
    pub phase: Phase,
    pub reason: Option<String>,
    pub message: Option<String>,
    pub start_time: Option<Moment>,
    /// IPv4 first; none without a sandbox.
    pub pod_ips: Vec<IpAddr>,
    /// In the kubelet's order.
    pub conditions: Vec<Condition>,
    /// In spec order.
    pub init_containers: Vec<ContainerStatus>,
    /// Sorted by container name, as the kubelet does.
    pub containers: Vec<ContainerStatus>,
    /// Sorted by container name.
    pub ephemeral_containers: Vec<ContainerStatus>,
}

impl PodStatus {
    /// Init containers and sidecars, app containers, ephemeral ones.
    pub fn all_containers(&self) -> impl Iterator<Item = &ContainerStatus> {
        self.init_containers.iter().chain(&self.containers).chain(&self.ephemeral_containers)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Phase {
    Pending,
    Running,
    Succeeded,
    Failed,
}

/// When it last changed is in [`crate::Observed::conditions`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Condition {
    pub kind: ConditionKind,
    pub status: bool,
    pub reason: Option<String>,
    pub message: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum ConditionKind {
    PodReadyToStartContainers,
    Initialized,
    Ready,
    ContainersReady,
    PodScheduled,
    AllContainersRestarting,
    PodResizeInProgress,
    DisruptionTarget,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ContainerStatus {
    pub name: ContainerName,
    pub state: ContainerState,
    pub last_state: Option<Exit>,
    /// Of the attempt that `last_state` speaks of, as `container_id`.
    pub last_container_id: String,
    pub ready: bool,
    pub started: bool,
    pub restart_count: u32,
    pub image: String,
    /// What it has been given, while it runs.
    pub resources: Option<Resources>,
    pub image_id: String,
    pub user: Option<ProcessUser>,
    /// `monopod://ID`; empty while there is none.
    pub container_id: String,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ContainerState {
    Waiting { reason: String, message: Option<String> },
    Running { since: Moment },
    Terminated(Exit),
}
