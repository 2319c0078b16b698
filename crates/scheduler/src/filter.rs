//! Whether a pod can be on a node, in the order in which the scheduler asks. The first rule that says no is the reason.

use crate::affinity;
use crate::cluster::{Cluster, Host};
use crate::model::{Effect, Node, Pod, Taint};
use crate::{PODS_PER_NODE, spread, volumes};

/// Why not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Refusal {
    pub(crate) reasons: Vec<String>,
    /// Whether it could be otherwise if pods were not there.
    pub(crate) helped_by_preemption: bool,
}

const UNSCHEDULABLE_TAINT: &str = "node.kubernetes.io/unschedulable";

pub(crate) fn filter(cluster: &Cluster, pod: &Pod, node: &Node, host: &Host) -> Result<(), Refusal> {
    fixed(pod, node)?;
    if host.pods.values().any(|other| ports_conflict(pod, other)) {
        return Err(Refusal::passing("node(s) didn't have free ports for the requested pod ports"));
    }
    resources(pod, node, host)?;
    volumes::filter(cluster, pod, node)?;
    spread::filter(cluster, pod, node, host)?;
    affinity::filter(cluster, pod, node, host)
}

/// What does not depend on other pods.
fn fixed(pod: &Pod, node: &Node) -> Result<(), Refusal> {
    let unschedulable =
        Taint { key: UNSCHEDULABLE_TAINT.to_owned(), value: String::new(), effect: Effect::NoSchedule };
    if node.unschedulable && !tolerated(pod, &unschedulable) {
        return Err(Refusal::lasting("node(s) were unschedulable"));
    }
    if !pod.node.is_empty() && pod.node != node.name {
        return Err(Refusal::lasting("node(s) didn't match the requested node name"));
    }
    if untolerated(pod, node) {
        return Err(Refusal::lasting("node(s) had untolerated taint(s)"));
    }
    if !selected(pod, node) {
        return Err(Refusal::lasting("node(s) didn't match Pod's node affinity/selector"));
    }
    Ok(())
}

/// By the pod's selector and by what it requires of nodes.
pub(crate) fn selected(pod: &Pod, node: &Node) -> bool {
    let required = pod.node_terms.as_ref();
    pod.node_selector.iter().all(|(key, value)| node.labels.get(key) == Some(value))
        && required.is_none_or(|terms| terms.iter().any(|term| affinity::node_matches(term, node)))
}

pub(crate) fn untolerated(pod: &Pod, node: &Node) -> bool {
    let mut hard = node.taints.iter().filter(|taint| taint.effect != Effect::PreferNoSchedule);
    hard.any(|taint| !tolerated(pod, taint))
}

pub(crate) fn tolerated(pod: &Pod, taint: &Taint) -> bool {
    pod.tolerations.iter().any(|toleration| toleration.tolerates(taint))
}

pub(crate) fn ports_conflict(pod: &Pod, other: &Pod) -> bool {
    pod.ports.iter().any(|port| other.ports.iter().any(|held| port.conflicts(held)))
}

fn resources(pod: &Pod, node: &Node, host: &Host) -> Result<(), Refusal> {
    let mut refusal = Refusal { reasons: Vec::new(), helped_by_preemption: true };
    let pods_max = node.allocatable.0.get("pods").copied().unwrap_or(PODS_PER_NODE);
    if u64::try_from(host.pods.len()).unwrap_or(u64::MAX) >= pods_max {
        refusal.reasons.push("Too many pods".to_owned());
    }
    // The order of the scheduler: first what every node has.
    let first = ["cpu", "memory", "ephemeral-storage"];
    let others = pod.requests.0.keys().map(String::as_str).filter(|name| !first.contains(name));
    for name in first.into_iter().chain(others) {
        let (asked, has) = (pod.requests.amount(name), node.allocatable.amount(name));
        if asked > has.saturating_sub(host.requested.amount(name)) && asked > 0 {
            refusal.reasons.push(format!("Insufficient {name}"));
            refusal.helped_by_preemption &= asked <= has;
        }
    }
    if refusal.reasons.is_empty() { Ok(()) } else { Err(refusal) }
}

impl Refusal {
    pub(crate) fn lasting(reason: &str) -> Self {
        Self { reasons: vec![reason.to_owned()], helped_by_preemption: false }
    }

    pub(crate) fn passing(reason: &str) -> Self {
        Self { reasons: vec![reason.to_owned()], helped_by_preemption: true }
    }
}
