//! What a node refuses of pods that name it, and which no scheduler has placed there: as a kubelet's predicates do
//! (<https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#nodename>).

use std::fmt;

use crate::PODS_PER_NODE;
use crate::filter::{ports_conflict, selected, tolerated};
use crate::model::{Effect, Node, Pod, Requests};

/// Of what every node has, in the order in which it is looked at.
const RESOURCES: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// Why not, in the kubelet's words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unfit {
    /// In the units of [`Requests`].
    Insufficient {
        resource: &'static str,
        requested: u64,
        used: u64,
        capacity: u64,
    },
    Predicate {
        name: &'static str,
        why: &'static str,
    },
}

impl Unfit {
    /// `status.reason`.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Insufficient { resource, .. } => format!("OutOf{resource}"),
            Self::Predicate { name, .. } => (*name).to_owned(),
        }
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Insufficient { resource, requested, used, capacity } => write!(
                f,
                "Node didn't have enough resource: {resource}, requested: {requested}, used: {used}, capacity: {capacity}"
            ),
            Self::Predicate { name, why } => write!(f, "Predicate {name} failed: {why}"),
        }
    }
}

/// The first reason for which `node`, where `there` are, does not take the pod.
#[must_use]
pub fn unfit(node: &Node, there: &[Pod], pod: &Pod) -> Option<Unfit> {
    let pods_max = node.allocatable.0.get("pods").copied().unwrap_or(PODS_PER_NODE);
    let count = u64::try_from(there.len()).unwrap_or(u64::MAX);
    if count >= pods_max {
        return Some(Unfit::Insufficient { resource: "pods", requested: 1, used: count, capacity: pods_max });
    }
    let mut taken = Requests::default();
    there.iter().for_each(|other| taken.add(&other.requests));
    for resource in RESOURCES {
        let (requested, used) = (pod.requests.amount(resource), taken.amount(resource));
        let capacity = node.allocatable.amount(resource);
        if requested > capacity.saturating_sub(used) {
            return Some(Unfit::Insufficient { resource, requested, used, capacity });
        }
    }
    let predicate = |name, why| Some(Unfit::Predicate { name, why });
    if !selected(pod, node) {
        return predicate("NodeAffinity", "node(s) didn't match Pod's node affinity/selector");
    }
    if there.iter().any(|other| ports_conflict(pod, other)) {
        return predicate("NodePorts", "node(s) didn't have free ports for the requested pod ports");
    }
    let mut evicting = node.taints.iter().filter(|taint| taint.effect == Effect::NoExecute);
    if evicting.any(|taint| !tolerated(pod, taint)) {
        return predicate("TaintToleration", "node(s) had untolerated taint(s)");
    }
    None
}
