//! Quality of service classes (<https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/>).

use podspec::{Container, ContainerKind, PodSpec};

use crate::resources;

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
/// when none has a request or limit of either. A quantity of zero counts as none. Where the pod has
/// resources of its own, even empty ones, they alone count.
#[must_use]
pub fn qos_class(pod: &PodSpec) -> QosClass {
    let mut any = false;
    let mut guaranteed = true;
    let of_containers = pod.init_and_app_containers().map(|container| &container.resources);
    let own = pod.resources.iter();
    for resources in own.chain(of_containers.filter(|_| pod.resources.is_none())) {
        let pairs = [
            (resources.cpu_request, resources.cpu_limit),
            (resources.memory_request, resources.memory_limit),
        ];
        for (request, limit) in pairs {
            let (request, limit) = (positive(request.or(limit)), positive(limit));
            any |= request.is_some();
            guaranteed &= limit.is_some() && request == limit;
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
    let spare = spare_of_each(pod);
    let memory_request = |c: &Container| c.resources.memory_request.unwrap_or(0).saturating_add(spare);
    let mut request = memory_request(container);
    if container.kind == ContainerKind::Sidecar {
        request = request.max(pod.containers.iter().map(memory_request).min().unwrap_or(0));
    }
    let share = u128::from(request) * 1000 / u128::from(node_memory_bytes.max(1));
    let score = 1000 - i32::try_from(share).unwrap_or(1000).min(1000);
    score.clamp(1000 + GUARANTEED_SCORE, BEST_EFFORT_SCORE - 1)
}

/// What the pod asks for and its containers do not, shared out among them (KEP-2837).
fn spare_of_each(pod: &PodSpec) -> u64 {
    let of_pod = pod.resources.and_then(|own| own.memory_request).unwrap_or(0);
    let asked = resources::together(pod, |c| Some(c.resources.memory_request.unwrap_or(0))).unwrap_or(0);
    let count = pod.init_and_app_containers().count().max(1);
    of_pod.saturating_sub(asked) / u64::try_from(count).unwrap_or(u64::MAX)
}
