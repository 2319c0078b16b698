//! Which node a pending pod goes to, or why none; whether a pod can have other resources where it is,
//! and which has to go when its node is short of something (<https://kubernetes.io/docs/concepts/scheduling-eviction/kube-scheduler/>).
//!
//! Pure: a [`Cluster`] holds what is known of nodes and pods, [`Cluster::decide`] answers for one pending pod. Messages are
//! those of Kubernetes' scheduler.

mod admission;
mod affinity;
mod cluster;
mod decide;
mod filter;
mod from_json;
mod model;
mod preempt;
pub mod pressure;
mod resize;
mod spread;
pub mod storage;
mod taint;
mod volumes;

#[cfg(test)]
mod tests;

pub use admission::{Unfit, unfit};
pub use cluster::Cluster;
pub use decide::{Decision, Victim};
pub use from_json::{claim_use, node_from_json, node_terms_from_json, pod_from_json, requests_from_json};
pub use model::{
    Claim, Effect, HostPort, Importance, LabelSelector, Match, Node, NodeTerm, Operator, Pod, PodAffinity,
    PodAffinityTerm, Requests, Spread, Taint, Toleration,
};
pub use resize::{Resize, Turn, requests_of, resize};
pub use taint::{Eviction, eviction};
pub use volumes::{ClaimState, ClaimUse, VolumeClaim};

/// What a node takes when its `allocatable` does not say.
pub const PODS_PER_NODE: u64 = 2_000;
