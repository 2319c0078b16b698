//! What is there from the start.

use apimachinery::Status;
use authorization::{Stock, stock};
use serde_json::{Value, json};
use store::Store;

use super::claims::PROVISIONER;
use super::write::{kind, make as create, write};
use super::{Settings, own};
use crate::objects;
use crate::rules::{DEFAULT_CLASS, SYSTEM_CLASSES};

const PART: &str = "apiserver";
const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];
const RBAC: &str = "rbac.authorization.k8s.io";

pub(super) async fn make_basics(settings: &Settings) -> Result<(), Status> {
    let store = &settings.store;
    for name in NAMESPACES {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        create(store, PART, kind("", "namespaces"), namespace).await?;
    }
    for (name, value) in SYSTEM_CLASSES {
        let class = json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": value,
            "description": "Used for system critical pods that must run in the cluster, and may take the place of others",
        });
        create(store, PART, kind("scheduling.k8s.io", "priorityclasses"), class).await?;
    }
    let class = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": {"name": "local", "annotations": {DEFAULT_CLASS: "true"}},
        "provisioner": PROVISIONER, "reclaimPolicy": "Delete", "volumeBindingMode": "WaitForFirstConsumer",
    });
    create(store, PART, kind("storage.k8s.io", "storageclasses"), class).await?;
    own::make(settings).await
}

pub(super) async fn make_roles(store: &Store) -> Result<(), Status> {
    let Stock { cluster_roles, cluster_role_bindings } = stock();
    for role in cluster_roles {
        reconcile(store, "clusterroles", role, "rules").await?;
    }
    for binding in cluster_role_bindings {
        reconcile(store, "clusterrolebindings", binding, "subjects").await?;
    }
    Ok(())
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
