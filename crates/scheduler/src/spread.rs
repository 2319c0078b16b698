//! Topology spread constraints
//! (<https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/>).

use std::collections::BTreeMap;

use crate::cluster::{Cluster, Host};
use crate::filter::{Refusal, selected, untolerated};
use crate::model::{Node, Pod, Spread};

pub(crate) fn filter(cluster: &Cluster, pod: &Pod, node: &Node, host: &Host) -> Result<(), Refusal> {
    for spread in &pod.spread {
        let Some(domain) = node.labels.get(&spread.topology_key) else {
            let reason = "node(s) didn't match pod topology spread constraints (missing required label)";
            return Err(Refusal::lasting(reason));
        };
        let counts = counts(cluster, pod, spread, node, host);
        let least =
            counts.values().min().copied().filter(|_| counts.len() >= spread.min_domains).unwrap_or(0);
        let here = counts.get(domain.as_str()).copied().unwrap_or(0);
        let own = u64::from(of_spread(spread, pod));
        if (here + own).saturating_sub(least) > spread.max_skew {
            return Err(Refusal::passing("node(s) didn't match pod topology spread constraints"));
        }
    }
    Ok(())
}

fn of_spread(spread: &Spread, pod: &Pod) -> bool {
    spread.selector.as_ref().is_some_and(|selector| selector.matches(&pod.labels))
}

/// Matching pods in each domain of the nodes that count. Those have a place in the domains of every constraint.
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
        let counts_here = pod.spread.iter().all(|spread| other.labels.contains_key(&spread.topology_key))
            && (!spread.honors_affinity || selected(pod, other))
            && (!spread.honors_taints || !untolerated(pod, other));
        let Some(domain) = other.labels.get(&spread.topology_key).filter(|_| counts_here) else { continue };
        let counted =
            |held: &&Pod| held.namespace == pod.namespace && !held.deleting && of_spread(spread, held);
        let matching = u64::try_from(pods.pods.values().filter(counted).count()).unwrap_or(u64::MAX);
        *counts.entry(domain.as_str()).or_insert(0) += matching;
    }
    counts
}
