//! Topology spread constraints
//! (<https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/>).

use std::collections::BTreeMap;

use crate::cluster::{Cluster, Host};
use crate::filter::Refusal;
use crate::model::{Node, Pod, Spread};

pub(crate) fn filter(cluster: &Cluster, pod: &Pod, node: &Node, host: &Host) -> Result<(), Refusal> {
    for spread in &pod.spread {
        let Some(domain) = node.labels.get(&spread.topology_key) else {
            let reason = "node(s) didn't match pod topology spread constraints (missing required label)";
            return Err(Refusal::lasting(reason));
        };
        let counts = counts(cluster, pod, spread, node, host);
        let least = counts.values().min().copied().unwrap_or(0);
        let here = counts.get(domain.as_str()).copied().unwrap_or(0);
        let own = u64::from(spread.selector.matches(&pod.labels));
        if (here + own).saturating_sub(least) > spread.max_skew {
            return Err(Refusal::passing("node(s) didn't match pod topology spread constraints"));
        }
    }
    Ok(())
}

/// Matching pods in each domain of nodes that the pod's own selector allows.
fn counts<'a>(
    cluster: &'a Cluster,
    pod: &Pod,
    spread: &Spread,
    node: &'a Node,
    host: &'a Host,
) -> BTreeMap<&'a str, u64> {
    let mut counts = BTreeMap::new();
    for (other, pods) in cluster.hosts() {
        let (other, pods) = if other.name == node.name { (node, host) } else { (other, pods) };
        let allowed = pod.node_selector.iter().all(|(key, value)| other.labels.get(key) == Some(value));
        let Some(domain) = other.labels.get(&spread.topology_key).filter(|_| allowed) else { continue };
        let counted = |held: &&Pod| {
            held.namespace == pod.namespace && !held.deleting && spread.selector.matches(&held.labels)
        };
        let matching = u64::try_from(pods.pods.values().filter(counted).count()).unwrap_or(u64::MAX);
        *counts.entry(domain.as_str()).or_insert(0) += matching;
    }
    counts
}
