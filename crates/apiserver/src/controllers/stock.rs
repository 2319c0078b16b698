//! What is there from the start.

use apimachinery::Status;
use authorization::{Stock, stock};
use serde_json::{Value, json};
use store::Store;

use super::Settings;
use super::claims::PROVISIONER;
use super::write::{kind, make as create, write};
use crate::entropy;
use crate::objects;
use crate::rules::{DEFAULT_CLASS, SYSTEM_CLASSES};

const PART: &str = "apiserver";
const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];
const RBAC: &str = "rbac.authorization.k8s.io";
const SERVICE: &str = "kubernetes";
/// The port of `default/kubernetes`.
const PORT: u16 = 443;

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
    service(settings).await
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

/// `default/kubernetes`, and where it leads.
async fn service(settings: &Settings) -> Result<(), Status> {
    let ip = settings.service_address.to_string();
    let family = if settings.service_address.is_ipv4() { "IPv4" } else { "IPv6" };
    let labels = json!({"component": "apiserver", "provider": "kubernetes"});
    let port = settings.endpoints.first().map_or(PORT, |(_, port)| *port);
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": SERVICE, "labels": labels},
        "spec": {
            "type": "ClusterIP", "clusterIP": ip, "clusterIPs": [ip], "ipFamilies": [family],
            "ipFamilyPolicy": "SingleStack", "internalTrafficPolicy": "Cluster", "sessionAffinity": "None",
            "ports": [{"name": "https", "port": PORT, "protocol": "TCP", "targetPort": port}],
        },
        "status": {"loadBalancer": {}},
    });
    set(&settings.store, "", "services", service).await?;
    let addresses: Vec<String> = settings.endpoints.iter().map(|(address, _)| address.to_string()).collect();
    let ports = json!([{"name": "https", "port": port, "protocol": "TCP"}]);
    let subsets = if addresses.is_empty() {
        json!([])
    } else {
        let addresses: Vec<Value> = addresses.iter().map(|ip| json!({"ip": ip})).collect();
        json!([{"addresses": addresses, "ports": ports}])
    };
    let mirrored = json!({"endpointslice.kubernetes.io/skip-mirror": "true"});
    let endpoints = json!({
        "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": SERVICE, "labels": mirrored},
        "subsets": subsets,
    });
    set(&settings.store, "", "endpoints", endpoints).await?;
    let endpoint = |ip: &String| json!({"addresses": [ip], "conditions": {"ready": true}});
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": family,
        "metadata": {"name": SERVICE, "labels": {"kubernetes.io/service-name": SERVICE}, "generation": 1},
        "endpoints": addresses.iter().map(endpoint).collect::<Vec<_>>(),
        "ports": ports,
    });
    set(&settings.store, "discovery.k8s.io", "endpointslices", slice).await
}

/// Writes an object of the server's own into `default`; nothing is written when it is so already.
async fn set(store: &Store, group: &str, plural: &str, mut object: Value) -> Result<(), Status> {
    let kind = kind(group, plural);
    object["metadata"]["namespace"] = "default".into();
    write(store, move |tx| {
        let held = tx.get(&objects::key(kind, &object));
        let held = held.map(|held| crate::change::parse(&held)).transpose()?;
        let (uid, created) = match &held {
            Some(held) => (held["metadata"]["uid"].clone(), held["metadata"]["creationTimestamp"].clone()),
            None => {
                let uid = podspec::uuid(&entropy::identity());
                (uid.into(), entropy::now().rfc3339_seconds().into())
            }
        };
        object["metadata"]["uid"] = uid;
        object["metadata"]["creationTimestamp"] = created;
        if let Some(held) = &held {
            object["metadata"]["resourceVersion"] = held["metadata"]["resourceVersion"].clone();
        }
        if held.as_ref() != Some(&object) {
            objects::put(tx, kind, &mut object);
        }
        Ok(())
    })
    .await
}
