//! Affinity to nodes and to pods
//! (<https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/>).

use crate::cluster::{Cluster, Host};
use crate::filter::Refusal;
use crate::model::{Node, NodeTerm, Pod, PodAffinityTerm};

/// A term without any requirement matches nothing.
pub(crate) fn node_matches(term: &NodeTerm, node: &Node) -> bool {
    let label = |key: &str| node.labels.get(key).map(String::as_str);
    !(term.labels.is_empty() && term.name.is_empty())
        && term.labels.iter().all(|held| held.matches(label(&held.key)))
        && term.name.iter().all(|held| held.matches(Some(&node.name)))
}

/// Affinity to pods, their anti-affinity to this one included.
pub(crate) fn filter(cluster: &Cluster, pod: &Pod, node: &Node, host: &Host) -> Result<(), Refusal> {
    if !satisfied(cluster, pod, node, host) {
        return Err(Refusal::lasting("node(s) didn't match pod affinity rules"));
    }
    if pod
        .affinity
        .apart
        .iter()
        .any(|term| near(cluster, term, node, host).any(|other| of_term(term, &pod.namespace, other)))
    {
        return Err(Refusal::passing("node(s) didn't match pod anti-affinity rules"));
    }
    let repelled = |other: &Pod, on: Option<&Node>| {
        other
            .affinity
            .apart
            .iter()
            .any(|term| same_domain(term, node, on) && of_term(term, &other.namespace, pod))
    };
    let here = host.pods.values().any(|other| repelled(other, Some(node)));
    let elsewhere = cluster.hosts().filter(|(other, _)| other.name != node.name);
    if here
        || elsewhere.into_iter().any(|(on, host)| host.pods.values().any(|other| repelled(other, Some(on))))
    {
        return Err(Refusal::passing("node(s) didn't satisfy existing pods anti-affinity rules"));
    }
    Ok(())
}

/// Pods count that match all terms. One that would be the first of them satisfies its own affinity.
fn satisfied(cluster: &Cluster, pod: &Pod, node: &Node, host: &Host) -> bool {
    let terms = &pod.affinity.with;
    let of_all = |other: &Pod| terms.iter().all(|term| of_term(term, &pod.namespace, other));
    let mut keys = terms.iter().map(|term| &term.topology_key);
    if !keys.all(|key| node.labels.contains_key(key)) {
        return false;
    }
    terms.iter().all(|term| near(cluster, term, node, host).any(of_all))
        || !cluster.pods().any(of_all) && of_all(pod)
}

/// Pods on nodes of the same domain. Those of `node` are taken from `host`, which may lack some of them.
fn near<'a>(
    cluster: &'a Cluster,
    term: &'a PodAffinityTerm,
    node: &'a Node,
    host: &'a Host,
) -> impl Iterator<Item = &'a Pod> {
    let has_key = node.labels.contains_key(&term.topology_key);
    let here = host.pods.values().filter(move |_| has_key);
    let others = cluster
        .hosts()
        .filter(move |(other, _)| other.name != node.name && same_domain(term, node, Some(other)));
    here.chain(others.flat_map(|(_, host)| host.pods.values()))
}

fn same_domain(term: &PodAffinityTerm, node: &Node, other: Option<&Node>) -> bool {
    let domain = node.labels.get(&term.topology_key);
    domain.is_some() && domain == other.and_then(|other| other.labels.get(&term.topology_key))
}

fn of_term(term: &PodAffinityTerm, own_namespace: &str, pod: &Pod) -> bool {
    let namespace = match &term.namespaces {
        None => true,
        Some(names) if names.is_empty() => pod.namespace == own_namespace,
        Some(names) => names.contains(&pod.namespace),
    };
    namespace && term.selector.as_ref().is_some_and(|selector| selector.matches(&pod.labels))
}
