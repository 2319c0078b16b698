//! What is there from the start.

use apimachinery::Status;
use authorization::{Stock, stock};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use store::Store;

use super::claims::PROVISIONER;
use super::write::{kind, make as create, write};
use crate::objects;
use crate::rules::{DEFAULT_CLASS, SYSTEM_CLASSES};

const PART: &str = "apiserver";
const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];
const RBAC: &str = "rbac.authorization.k8s.io";

pub(super) async fn make_basics(store: &Store) -> Result<(), Status> {
    let namespaces = NAMESPACES.map(|name| {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        (kind("", "namespaces"), namespace)
    });
    let classes = SYSTEM_CLASSES.iter().map(|(name, value)| {
        let class = json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": value,
            "description": "Used for system critical pods that must run in the cluster, and may take the place of others",
        });
        (kind("scheduling.k8s.io", "priorityclasses"), class)
    });
    let storage = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": {"name": "local", "annotations": {DEFAULT_CLASS: "true"}},
        "provisioner": PROVISIONER, "reclaimPolicy": "Delete", "volumeBindingMode": "WaitForFirstConsumer",
    });
    let storage = [(kind("storage.k8s.io", "storageclasses"), storage)];
    // All at once, so that the store's thread has them in one batch.
    let basics = namespaces.into_iter().chain(classes).chain(storage);
    try_join_all(basics.map(|(kind, object)| create(store, PART, kind, object))).await.map(drop)
}

pub(super) async fn make_roles(store: &Store) -> Result<(), Status> {
    let Stock { cluster_roles, cluster_role_bindings } = stock();
    let roles = cluster_roles.into_iter().map(|role| reconcile(store, "clusterroles", role, "rules"));
    try_join_all(roles).await?;
    let bindings = cluster_role_bindings.into_iter();
    let bindings = bindings.map(|binding| reconcile(store, "clusterrolebindings", binding, "subjects"));
    try_join_all(bindings).await.map(drop)
}

/// A stock role that is there gets what it lacks of the rules of this version; what was added to it stays, and one that
/// says that it is not to be updated is left alone.
async fn reconcile(store: &Store, plural: &str, wanted: Value, list: &'static str) -> Result<(), Status> {
    let kind = kind(RBAC, plural);
    create(store, PART, kind, wanted.clone()).await?;
    write(store, move |tx| {
        let Some(held) = tx.get(&objects::key(kind, &wanted)) else { return Ok(()) };
        let mut held = crate::change::parse(&held)?;
        let updated = &held["metadata"]["annotations"]["rbac.authorization.kubernetes.io/autoupdate"];
        if updated == "false" || held.get("aggregationRule").is_some() {
            return Ok(());
        }
        let mut entries = held[list].as_array().cloned().unwrap_or_default();
        let lacking = wanted[list].as_array().into_iter().flatten().filter(|entry| !entries.contains(entry));
        let lacking: Vec<Value> = lacking.cloned().collect();
        if !lacking.is_empty() {
            entries.extend(lacking);
            held[list] = entries.into();
            objects::put(tx, kind, &mut held);
        }
        Ok(())
    })
    .await
}
