//! What a pod's claims to storage say of where it can be
//! (<https://kubernetes.io/docs/concepts/storage/storage-classes/#volume-binding-mode>).

use crate::affinity;
use crate::cluster::Cluster;
use crate::filter::Refusal;
use crate::model::{Node, NodeTerm, Pod};

/// A volume of a pod that is a claim's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClaimUse {
    /// Its name, in the pod's namespace.
    pub claim: String,
    /// The claim is made for the pod, which owns it.
    pub ephemeral: bool,
}

/// A claim as it is now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VolumeClaim {
    /// The uids of who owns it.
    pub owners: Vec<String>,
    pub deleting: bool,
    /// `ReadWriteOncePod`.
    pub one_pod: bool,
    pub state: ClaimState,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClaimState {
    /// `None`: its volume is on every node.
    Bound { terms: Option<Vec<NodeTerm>> },
    /// Somebody binds it before any pod needs it, or cannot.
    Immediate,
    /// It is bound when a pod needs it; `possible`: there is a volume for it, or somebody who makes one.
    Waiting { possible: bool },
}

impl Cluster {
    /// Claims that are in no state in which any node could have the pod.
    pub(crate) fn lacking_volume(&self, pod: &Pod) -> Option<String> {
        pod.volume_claims.iter().find_map(|ClaimUse { claim, ephemeral }| {
            let (namespace, name) = (&pod.namespace, &pod.name);
            let Some(held) = self.volume_claim(pod, claim) else {
                return Some(if *ephemeral {
                    format!(
                        "waiting for ephemeral volume controller to create the persistentvolumeclaim \"{claim}\""
                    )
                } else {
                    format!("persistentvolumeclaim \"{claim}\" not found")
                });
            };
            if *ephemeral && !held.owners.contains(&pod.uid) {
                return Some(format!(
                    "PVC {namespace}/{claim} was not created for pod {namespace}/{name} (pod is not owner)"
                ));
            }
            if held.deleting {
                return Some(format!("persistentvolumeclaim \"{claim}\" is being deleted"));
            }
            (held.state == ClaimState::Immediate)
                .then(|| "pod has unbound immediate PersistentVolumeClaims".to_owned())
        })
    }

    /// The claims of a pod that are to be bound before it is.
    #[must_use]
    pub fn unbound_claims<'a>(&self, pod: &'a Pod) -> Vec<&'a str> {
        let is_waiting = |claim: &&str| {
            let held = self.volume_claim(pod, claim);
            held.is_some_and(|held| matches!(held.state, ClaimState::Waiting { .. }))
        };
        pod.volume_claims.iter().map(|held| held.claim.as_str()).filter(is_waiting).collect()
    }

    fn volume_claim(&self, pod: &Pod, claim: &str) -> Option<&VolumeClaim> {
        self.volume_claims.get(&format!("{}/{claim}", pod.namespace))
    }
}

pub(crate) fn filter(cluster: &Cluster, pod: &Pod, node: &Node) -> Result<(), Refusal> {
    for ClaimUse { claim, .. } in &pod.volume_claims {
        let Some(held) = cluster.volume_claim(pod, claim) else { continue };
        let uses = |other: &Pod| other.volume_claims.iter().any(|held| held.claim == *claim);
        let taken = |other: &Pod| other.uid != pod.uid && other.namespace == pod.namespace && uses(other);
        if held.one_pod && cluster.pods().any(taken) {
            return Err(Refusal::passing(
                "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode",
            ));
        }
        match &held.state {
            ClaimState::Bound { terms: Some(terms) }
                if !terms.iter().any(|term| affinity::node_matches(term, node)) =>
            {
                return Err(Refusal::lasting("node(s) didn't match PersistentVolume's node affinity"));
            }
            ClaimState::Waiting { possible: false } => {
                return Err(Refusal::lasting("node(s) didn't find available persistent volumes to bind"));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::{ClaimState, VolumeClaim};
    use crate::{Cluster, Decision, node_from_json, pod_from_json};

    #[test]
    fn pods_wait_for_their_claims() {
        let bound = || ClaimState::Bound { terms: None };
        let claim = |state| VolumeClaim { owners: Vec::new(), deleting: false, one_pod: false, state };
        let elsewhere =
            json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["b"]}]}]);
        let elsewhere = ClaimState::Bound { terms: Some(crate::node_terms_from_json(&elsewhere)) };
        let mut cluster = Cluster::default();
        cluster.insert_node(node_from_json(
            &json!({"metadata": {"name": "a"}, "status": {"allocatable": {"pods": "10"}}}),
        ));
        cluster.set_volume_claims(BTreeMap::from([
            ("n/bound".to_owned(), claim(bound())),
            ("n/other-node".to_owned(), claim(elsewhere)),
            ("n/immediate".to_owned(), claim(ClaimState::Immediate)),
            ("n/first".to_owned(), claim(ClaimState::Waiting { possible: true })),
            ("n/never".to_owned(), claim(ClaimState::Waiting { possible: false })),
            ("n/going".to_owned(), VolumeClaim { deleting: true, ..claim(bound()) }),
            ("n/one".to_owned(), VolumeClaim { one_pod: true, ..claim(bound()) }),
            ("n/p-own".to_owned(), VolumeClaim { owners: vec!["p".to_owned()], ..claim(bound()) }),
            ("n/p-foreign".to_owned(), claim(bound())),
        ]));
        let pod = |uid: &str, node: &str, volume: serde_json::Value| {
            let pod = json!({
                "metadata": {"namespace": "n", "name": uid, "uid": uid},
                "spec": {"nodeName": node, "volumes": [volume], "containers": []},
            });
            pod_from_json(&pod, 0)
        };
        let claimed = |name: &str| json!({"name": "v", "persistentVolumeClaim": {"claimName": name}});
        cluster.insert_pod(pod("other", "a", claimed("one")));
        let unhelped = "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";
        let own = |name: &str| json!({"name": name, "ephemeral": {}});
        for (volume, expected) in [
            (claimed("bound"), None),
            (claimed("first"), None),
            (own("own"), None),
            (claimed("none"), Some("persistentvolumeclaim \"none\" not found")),
            (claimed("going"), Some("persistentvolumeclaim \"going\" is being deleted")),
            (claimed("immediate"), Some("pod has unbound immediate PersistentVolumeClaims")),
            (claimed("never"), Some("1 node(s) didn't find available persistent volumes to bind")),
            (claimed("other-node"), Some("1 node(s) didn't match PersistentVolume's node affinity")),
            (
                own("none"),
                Some(
                    "waiting for ephemeral volume controller to create the persistentvolumeclaim \"p-none\"",
                ),
            ),
            (own("foreign"), Some("PVC n/p-foreign was not created for pod n/p (pod is not owner)")),
        ] {
            let decision = cluster.decide(&pod("p", "", volume.clone()));
            match expected {
                None => assert_eq!(decision, Decision::Bind { node: "a".to_owned() }, "{volume}"),
                Some(why) => {
                    let message = format!("0/1 nodes are available: {why}. {unhelped}");
                    assert_eq!(decision, Decision::Unschedulable { message }, "{volume}");
                }
            }
        }
        let taken = cluster.decide(&pod("p", "", claimed("one")));
        let Decision::Unschedulable { message } = taken else { panic!("{taken:?}") };
        assert!(message.contains("ReadWriteOncePod"), "{message}");
        assert_eq!(cluster.unbound_claims(&pod("p", "", claimed("first"))), ["first"]);
        assert!(cluster.unbound_claims(&pod("p", "", claimed("bound"))).is_empty());
    }
}
