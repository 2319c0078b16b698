//! Which groups the containers of a pod have.

use kubelet::{Kubelet, Node, PodView};
use lifecycle::{ContainerState, ContainerStatus};
use podspec::{PodUid, WallTime};

/// A container that runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Running {
    pub(crate) name: String,
    pub(crate) attempt: u32,
    pub(crate) since: WallTime,
    pub(crate) group: String,
}

/// Of a pod that is here, as its worker knows it at this moment.
pub(crate) fn running<N: Node>(kubelet: &Kubelet<N>, uid: &PodUid) -> Vec<Running> {
    let Ok(subscription) = kubelet.subscribe(uid) else { return Vec::new() };
    let view = subscription.view.borrow();
    view.as_ref().map(running_of).unwrap_or_default()
}

/// Init containers and sidecars, app containers, ephemeral ones.
pub(crate) fn running_of(view: &PodView) -> Vec<Running> {
    let cgroup = container_config::pod_cgroup(&view.pod.pod.uid);
    let running = |container: &ContainerStatus| {
        let ContainerState::Running { since } = &container.state else { return None };
        let attempt = container.restart_count;
        let group = format!("{cgroup}/{}-{attempt}", container.name);
        Some(Running { name: container.name.to_string(), attempt, since: since.wall, group })
    };
    view.status.all_containers().filter_map(running).collect()
}
