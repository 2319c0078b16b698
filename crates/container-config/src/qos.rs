//! Quality of service classes (<https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/>).

use podspec::{Container, ContainerKind, PodSpec};

/// Least in need of protection last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QosClass {
    Guaranteed,
    Burstable,
    BestEffort,
}

impl QosClass {
    /// As in `status.qosClass`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Guaranteed => "Guaranteed",
            Self::Burstable => "Burstable",
            Self::BestEffort => "BestEffort",
        }
    }
}

/// `Guaranteed` when every container has limits of CPU and memory and asks for no less; `BestEffort`
/// when none has a request or limit of either. A quantity of zero counts as none.
#[must_use]
pub fn qos_class(pod: &PodSpec) -> QosClass {
    let mut any = false;
    let mut guaranteed = true;
    for container in pod.init_and_app_containers() {
        let resources = &container.resources;
        let pairs = [
            (resources.cpu_request, resources.cpu_limit),
            (resources.memory_request, resources.memory_limit),
        ];
        for (request, limit) in pairs.map(|(request, limit)| (positive(request), positive(limit))) {
            any |= request.is_some() || limit.is_some();
            guaranteed &= limit.is_some() && (request.is_none() || request == limit);
        }
    }
    match (any, guaranteed) {
        (false, _) => QosClass::BestEffort,
        (true, true) => QosClass::Guaranteed,
        (true, false) => QosClass::Burstable,
    }
}

fn positive(quantity: Option<u64>) -> Option<u64> {
    quantity.filter(|amount| *amount > 0)
}

const GUARANTEED_SCORE: i32 = -997;
const BEST_EFFORT_SCORE: i32 = 1000;

/// How readily the kernel kills the container when the node runs out of memory: the less of its
/// memory it asked for, the sooner
/// (<https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#node-out-of-memory-behavior>).
/// A sidecar is never killed sooner than the app container with the smallest request (KEP-753).
pub(crate) fn oom_score_adj(pod: &PodSpec, container: &Container, node_memory_bytes: u64) -> i32 {
    match qos_class(pod) {
        QosClass::Guaranteed => return GUARANTEED_SCORE,
        QosClass::BestEffort => return BEST_EFFORT_SCORE,
        QosClass::Burstable => {}
    }
    let memory_request = |container: &Container| container.resources.memory_request.unwrap_or(0);
    let mut request = memory_request(container);
    if container.kind == ContainerKind::Sidecar {
        request = request.max(pod.containers.iter().map(memory_request).min().unwrap_or(0));
    }
    let share = u128::from(request) * 1000 / u128::from(node_memory_bytes.max(1));
    let score = 1000 - i32::try_from(share).unwrap_or(1000).min(1000);
    score.clamp(1000 + GUARANTEED_SCORE, BEST_EFFORT_SCORE - 1)
}
