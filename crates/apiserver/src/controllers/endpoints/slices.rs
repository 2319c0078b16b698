//! The slices of a Service that selects pods.

use podspec::json::{fields, flag, list, text, texts};
use serde_json::{Map, Value, json};

use super::pods::Endpoint;
use super::reconcile::{Group, Template};
use super::{HEADLESS, MANAGED_BY, SERVICE_NAME, has_no_address};

pub(super) const MANAGER: &str = "endpointslice-controller.k8s.io";
const ENDPOINTS_MAX: usize = 100;

/// What the slices are to hold: of each family, a group of pods with the same ports. A family without pods has a group
/// without endpoints, so that who looks for slices finds one.
pub(super) fn desired(service: &Value, pods: &[Endpoint]) -> Vec<Group> {
    let families = texts(&service["spec"], "ipFamilies").unwrap_or_default();
    let mut groups: Vec<Group> = Vec::new();
    for family in families {
        let first = groups.len();
        for pod in pods {
            let Some(address) = pod.address(&family) else { continue };
            let (ports, endpoint) = (pod.ports_for(service), endpoint(service, pod, &address.to_string()));
            match groups[first..].iter_mut().find(|group| group.ports == ports) {
                Some(group) => group.endpoints.push(endpoint),
                None => groups.push(Group { family: family.clone(), ports, endpoints: vec![endpoint] }),
            }
        }
        if groups.len() == first {
            groups.push(Group { family, ports: Vec::new(), endpoints: Vec::new() });
        }
    }
    groups
}

fn endpoint(service: &Value, pod: &Endpoint, address: &str) -> Value {
    let is_ready = flag(&service["spec"], "publishNotReadyAddresses") || pod.is_ready && !pod.is_ending;
    let mut endpoint = json!({
        "addresses": [address],
        "conditions": {"ready": is_ready, "serving": pod.is_ready, "terminating": pod.is_ending},
        "targetRef": pod.target(),
    });
    if !pod.node.is_empty() {
        endpoint["nodeName"] = pod.node.as_str().into();
    }
    if let Some(hostname) = pod.hostname_in(service) {
        endpoint["hostname"] = hostname.into();
    }
    endpoint
}

/// What all slices of a Service have.
pub(super) fn template(service: &Value) -> Template {
    let metadata = &service["metadata"];
    let reserved = [HEADLESS, MANAGED_BY, SERVICE_NAME];
    let own = fields(&metadata["labels"]).iter().filter(|(key, _)| !reserved.contains(&key.as_str()));
    let mut labels: Map<String, Value> = own.map(|(key, value)| (key.clone(), value.clone())).collect();
    if has_no_address(service) {
        labels.insert(HEADLESS.to_owned(), "".into());
    }
    labels.insert(SERVICE_NAME.to_owned(), metadata["name"].clone());
    labels.insert(MANAGED_BY.to_owned(), MANAGER.into());
    Template {
        namespace: text(metadata, "namespace").to_owned(),
        prefix: format!("{}-", text(metadata, "name")),
        labels,
        annotations: Map::new(),
        owner: owner("Service", metadata),
        endpoints_max: ENDPOINTS_MAX,
    }
}

pub(super) fn owner(kind: &str, metadata: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": kind, "name": metadata["name"], "uid": metadata["uid"],
        "controller": true, "blockOwnerDeletion": true,
    })
}

/// Whether it is one that `owner` made, and not one of the same name before it.
pub(super) fn is_owned(slice: &Value, owner: &Value) -> bool {
    list(&slice["metadata"], "ownerReferences").iter().any(|held| held == owner)
}
