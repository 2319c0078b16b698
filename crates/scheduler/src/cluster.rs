//! What is known of nodes and the pods on them.

use std::collections::BTreeMap;

use crate::model::{Node, Pod, Requests};
use crate::volumes::VolumeClaim;

/// Nodes, and pods by uid. Pods that are finished take nothing and are not kept.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    pub(crate) nodes: BTreeMap<String, Host>,
    /// Pods that wait for what they preempt to be gone.
    pub(crate) nominated: BTreeMap<String, Pod>,
    /// Where each pod is kept, for its removal: the node's name.
    places: BTreeMap<String, String>,
    /// Which claims exist, as `namespace/name`.
    pub(crate) claims: std::collections::BTreeSet<String>,
    /// Claims to storage, by `namespace/name`.
    pub(crate) volume_claims: BTreeMap<String, VolumeClaim>,
}

/// A node, or only its name when pods are on one that is not there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Host {
    pub(crate) node: Option<Node>,
    pub(crate) pods: BTreeMap<String, Pod>,
    pub(crate) requested: Requests,
}

impl Host {
    pub(crate) fn add(&mut self, pod: Pod) {
        self.requested.add(&pod.requests);
        self.pods.insert(pod.uid.clone(), pod);
    }

    pub(crate) fn remove(&mut self, uid: &str) -> Option<Pod> {
        let pod = self.pods.remove(uid)?;
        self.requested.subtract(&pod.requests);
        Some(pod)
    }
}

impl Cluster {
    /// Takes in a node as it is now.
    pub fn insert_node(&mut self, node: Node) {
        let host = self.nodes.entry(node.name.clone()).or_default();
        host.node = Some(node);
    }

    pub fn remove_node(&mut self, name: &str) {
        if let Some(host) = self.nodes.get_mut(name) {
            host.node = None;
            if host.pods.is_empty() {
                self.nodes.remove(name);
            }
        }
    }

    /// Takes in a pod as it is now. Whether it takes less of its node than before.
    pub fn insert_pod(&mut self, pod: Pod) -> bool {
        let before = self.take_pod(&pod.uid);
        if pod.finished {
            return before.is_some();
        }
        let takes_less = before.is_some_and(|before| {
            before.requests.0.iter().any(|(name, amount)| pod.requests.amount(name) < *amount)
        });
        if !pod.node.is_empty() {
            self.places.insert(pod.uid.clone(), pod.node.clone());
            self.nodes.entry(pod.node.clone()).or_default().add(pod);
        } else if !pod.nominated.is_empty() {
            self.nominated.insert(pod.uid.clone(), pod);
        }
        takes_less
    }

    /// Whether this pod is on its node with these labels, so that nothing is new of it for those that look at their neighbours.
    #[must_use]
    pub fn has_as(&self, pod: &Pod) -> bool {
        let held = self.nodes.get(&pod.node).and_then(|host| host.pods.get(&pod.uid));
        held.is_some_and(|held| held.labels == pod.labels && held.deleting == pod.deleting)
    }

    pub fn remove_pod(&mut self, uid: &str) {
        self.take_pod(uid);
    }

    fn take_pod(&mut self, uid: &str) -> Option<Pod> {
        let nominated = self.nominated.remove(uid);
        let Some(node) = self.places.remove(uid) else { return nominated };
        let host = self.nodes.get_mut(&node)?;
        let pod = host.remove(uid);
        if host.pods.is_empty() && host.node.is_none() {
            self.nodes.remove(&node);
        }
        pod
    }

    /// Before all pods are taken in anew.
    pub fn forget_pods(&mut self) {
        let uids: Vec<String> = self.places.keys().chain(self.nominated.keys()).cloned().collect();
        uids.iter().for_each(|uid| self.remove_pod(uid));
    }

    /// Before all nodes are taken in anew.
    pub fn forget_nodes(&mut self) {
        let names: Vec<String> = self.nodes.keys().cloned().collect();
        names.iter().for_each(|name| self.remove_node(name));
    }

    pub fn insert_claim(&mut self, namespace: &str, name: &str) {
        self.claims.insert(format!("{namespace}/{name}"));
    }

    pub fn remove_claim(&mut self, namespace: &str, name: &str) {
        self.claims.remove(&format!("{namespace}/{name}"));
    }

    /// All claims to storage as they are now, by `namespace/name`. Whether any is another than before.
    pub fn set_volume_claims(&mut self, claims: BTreeMap<String, VolumeClaim>) -> bool {
        let changed = self.volume_claims != claims;
        self.volume_claims = claims;
        changed
    }

    /// The node of this name, when there is one.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.get(name)?.node.as_ref()
    }

    /// The pods that are on a node, finished ones apart.
    pub fn pods_on<'a>(&'a self, node: &str) -> impl Iterator<Item = &'a Pod> + use<'a> {
        self.nodes.get(node).into_iter().flat_map(|host| host.pods.values())
    }

    /// Nodes that are there, with what is on them.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = (&Node, &Host)> {
        self.nodes.values().filter_map(|host| Some((host.node.as_ref()?, host)))
    }

    pub(crate) fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.nodes.values().flat_map(|host| host.pods.values())
    }
}
