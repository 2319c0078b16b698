//! Slices of the Endpoints of Services that select nothing: for who follows slices alone.

use std::net::IpAddr;

use podspec::json::{fields, list, text};
use serde_json::{Map, Value, json};

use super::reconcile::{Group, Template};
use super::slices::owner;
use super::{MANAGED_BY, SERVICE_NAME};

pub(super) const MANAGER: &str = "endpointslicemirroring-controller.k8s.io";
/// Of each subset; the others are left out.
const ADDRESSES_MAX: usize = 1_000;
const SKIP: &str = "endpointslice.kubernetes.io/skip-mirror";
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";
const NOT_COPIED: [&str; 2] =
    ["endpoints.kubernetes.io/last-change-trigger-time", "kubectl.kubernetes.io/last-applied-configuration"];

/// Whether these Endpoints are somebody's that nobody else makes slices of.
pub(super) fn is_wanted(service: &Value, endpoints: &Value) -> bool {
    let metadata = &endpoints["metadata"];
    fields(&service["spec"]["selector"]).is_empty()
        && metadata["deletionTimestamp"].is_null()
        && text(&metadata["labels"], SKIP) != "true"
        && metadata["annotations"].get(LEADER).is_none()
}

/// A group for each set of ports and each family, over all subsets.
pub(super) fn desired(endpoints: &Value) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for subset in list(endpoints, "subsets") {
        let ports: Vec<Value> = list(subset, "ports").iter().map(port).collect();
        let ready = list(subset, "addresses").iter().map(|address| (address, true));
        let others = list(subset, "notReadyAddresses").iter().map(|address| (address, false));
        for (address, is_ready) in ready.chain(others).take(ADDRESSES_MAX) {
            let Ok(ip) = text(address, "ip").parse::<IpAddr>() else { continue };
            let family = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
            let endpoint = endpoint(address, ip, is_ready);
            let is_of = |group: &&mut Group| group.family == family && group.ports == ports;
            match groups.iter_mut().find(is_of) {
                Some(group) => group.endpoints.push(endpoint),
                None => groups.push(Group {
                    family: family.to_owned(),
                    ports: ports.clone(),
                    endpoints: vec![endpoint],
                }),
            }
        }
    }
    groups
}

fn port(port: &Value) -> Value {
    let mut copy = json!({"name": text(port, "name"), "port": port["port"], "protocol": port["protocol"]});
    if let Some(spoken) = port.get("appProtocol").filter(|spoken| !spoken.is_null()) {
        copy["appProtocol"] = spoken.clone();
    }
    copy
}

fn endpoint(address: &Value, ip: IpAddr, is_ready: bool) -> Value {
    let mut endpoint = json!({"addresses": [ip.to_string()], "conditions": {"ready": is_ready}});
    for name in ["hostname", "nodeName", "targetRef"] {
        if let Some(value) = address.get(name).filter(|value| !value.is_null() && **value != "") {
            endpoint[name] = value.clone();
        }
    }
    endpoint
}

pub(super) fn template(endpoints: &Value) -> Template {
    let metadata = &endpoints["metadata"];
    let mut labels = fields(&metadata["labels"]).clone();
    labels.insert(SERVICE_NAME.to_owned(), metadata["name"].clone());
    labels.insert(MANAGED_BY.to_owned(), MANAGER.into());
    let copied =
        fields(&metadata["annotations"]).iter().filter(|(key, _)| !NOT_COPIED.contains(&key.as_str()));
    let annotations: Map<String, Value> = copied.map(|(key, value)| (key.clone(), value.clone())).collect();
    Template {
        namespace: text(metadata, "namespace").to_owned(),
        prefix: format!("{}-", text(metadata, "name")),
        labels,
        annotations,
        owner: owner("Endpoints", metadata),
        endpoints_max: ADDRESSES_MAX,
    }
}
