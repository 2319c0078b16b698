//! The node's lease: a sign of life, as node-lease clients read it
//! (<https://kubernetes.io/docs/concepts/architecture/leases/#node-heart-beats>).

use std::time::Duration;

use serde_json::json;
use store::{ObjectKey, Store};

use super::write::{kind, log, write};
use crate::{entropy, objects};

const PART: &str = "kubelet";
const NAMESPACE: &str = "kube-node-lease";
const EVERY: Duration = Duration::from_secs(10);
const DURATION_SECONDS: i64 = 40;

pub(super) async fn run(store: Store, node: String) {
    loop {
        let key = ObjectKey::new(kind("coordination.k8s.io", "leases").stored(), NAMESPACE, node.as_str());
        log(PART, &key, renew(&store, &node).await);
        tokio::time::sleep(EVERY).await;
    }
}

async fn renew(store: &Store, node: &str) -> Result<(), apimachinery::Status> {
    let leases = kind("coordination.k8s.io", "leases");
    let nodes = kind("", "nodes");
    let node = node.to_owned();
    write(store, move |tx| {
        let owner = tx.get(&ObjectKey::new(nodes.stored(), "", node.as_str()));
        let key = ObjectKey::new(leases.stored(), NAMESPACE, node.as_str());
        let now = entropy::now();
        let mut lease = match tx.get(&key) {
            Some(held) => crate::change::parse(&held)?,
            None => json!({
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {
                    "namespace": NAMESPACE, "name": node, "uid": podspec::uuid(&entropy::identity()),
                    "creationTimestamp": now.rfc3339_seconds(),
                },
                "spec": {},
            }),
        };
        if let Some(owner) = owner {
            lease["metadata"]["ownerReferences"] =
                json!([{"apiVersion": "v1", "kind": "Node", "name": node, "uid": owner.uid}]);
        }
        lease["spec"]["holderIdentity"] = node.as_str().into();
        lease["spec"]["leaseDurationSeconds"] = DURATION_SECONDS.into();
        lease["spec"]["renewTime"] = now.to_string().into();
        objects::put(tx, leases, &mut lease);
        Ok(())
    })
    .await
}
