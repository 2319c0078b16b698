//! The Endpoints of a Service that selects pods: what clients from before slices read.

use std::collections::BTreeMap;

use podspec::json::{fields, flag, list, text, texts};
use serde_json::{Map, Value, json};

use super::pods::Endpoint;
use super::{HEADLESS, has_no_address};
use crate::rules::is_headless;

const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const MANAGER: &str = "endpoint-controller";
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
const ADDRESSES_MAX: usize = 1_000;

/// Whether the controller keeps them, and not somebody else.
pub(super) fn is_own(endpoints: &Value) -> bool {
    text(&endpoints["metadata"]["labels"], MANAGED_BY) == MANAGER
}

/// The Endpoints as they are to be; `None` when they are so.
pub(super) fn changed(service: &Value, pods: &[Endpoint], held: Option<&Value>) -> Option<Value> {
    let mut subsets = desired(service, pods);
    let over = truncate(&mut subsets);
    let mut wanted = held.cloned().unwrap_or_else(|| {
        json!({
            "apiVersion": "v1", "kind": "Endpoints",
            "metadata": {"name": service["metadata"]["name"], "namespace": service["metadata"]["namespace"]},
        })
    });
    let mut labels: Map<String, Value> = fields(&service["metadata"]["labels"]).clone();
    labels.remove(HEADLESS);
    if has_no_address(service) {
        labels.insert(HEADLESS.to_owned(), "".into());
    }
    labels.insert(MANAGED_BY.to_owned(), MANAGER.into());
    wanted["metadata"]["labels"] = labels.into();
    let mut annotations = fields(&wanted["metadata"]["annotations"]).clone();
    match over {
        true => annotations.insert(OVER_CAPACITY.to_owned(), "truncated".into()),
        false => annotations.remove(OVER_CAPACITY),
    };
    if annotations.is_empty() {
        crate::rules::remove(&mut wanted["metadata"], "annotations");
    } else {
        wanted["metadata"]["annotations"] = annotations.into();
    }
    if list(&wanted, "subsets") != subsets {
        wanted["subsets"] = subsets.into();
    }
    (held != Some(&wanted)).then_some(wanted)
}

/// An address, and whether it is ready.
type Address = (Value, bool);

/// Ports that the same addresses have are in one subset.
fn desired(service: &Value, pods: &[Endpoint]) -> Vec<Value> {
    let spec = &service["spec"];
    let family = texts(spec, "ipFamilies").and_then(|families| families.into_iter().next());
    let publishes = flag(spec, "publishNotReadyAddresses");
    // By port, as text: `None` of a headless service without ports.
    let mut by_port: BTreeMap<String, (Option<Value>, Vec<Address>)> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| publishes || !pod.is_ending) {
        let Some(address) = pod.address(family.as_deref().unwrap_or("IPv4")) else { continue };
        let address = (entry(service, pod, &address.to_string()), publishes || pod.is_ready);
        let mut ports: Vec<Option<Value>> = pod.ports_for(service).into_iter().map(Some).collect();
        if list(spec, "ports").is_empty() && is_headless(service) {
            ports.push(None);
        }
        for port in ports {
            let key = port.as_ref().map(Value::to_string).unwrap_or_default();
            by_port.entry(key).or_insert_with(|| (port, Vec::new())).1.push(address.clone());
        }
    }
    let mut subsets: Vec<(Vec<Address>, Vec<Value>)> = Vec::new();
    for (port, addresses) in by_port.into_values() {
        match subsets.iter_mut().find(|(held, _)| *held == addresses) {
            Some((_, ports)) => ports.extend(port),
            None => subsets.push((addresses, port.into_iter().collect())),
        }
    }
    subsets.into_iter().map(|(addresses, ports)| subset(&addresses, ports)).collect()
}

fn entry(service: &Value, pod: &Endpoint, ip: &str) -> Value {
    let mut entry = json!({"ip": ip, "targetRef": pod.target()});
    if !pod.node.is_empty() {
        entry["nodeName"] = pod.node.as_str().into();
    }
    if let Some(hostname) = pod.hostname_in(service) {
        entry["hostname"] = hostname.into();
    }
    entry
}

fn subset(addresses: &[Address], mut ports: Vec<Value>) -> Value {
    ports.sort_by_key(|port| {
        (text(port, "name").to_owned(), port["port"].as_i64(), text(port, "protocol").to_owned())
    });
    let of = |wanted: bool| -> Vec<Value> {
        let some = addresses.iter().filter(|(_, is_ready)| *is_ready == wanted);
        some.map(|(address, _)| address.clone()).collect()
    };
    let mut subset = json!({});
    for (name, items) in [("addresses", of(true)), ("notReadyAddresses", of(false)), ("ports", ports)] {
        if !items.is_empty() {
            subset[name] = items.into();
        }
    }
    subset
}

/// Leaves out what is too much, of those that are not ready first; says whether there was any.
fn truncate(subsets: &mut Vec<Value>) -> bool {
    let mut room = ADDRESSES_MAX;
    let mut over = false;
    for name in ["addresses", "notReadyAddresses"] {
        for subset in subsets.iter_mut() {
            let Some(addresses) = subset.get_mut(name).and_then(Value::as_array_mut) else { continue };
            over |= addresses.len() > room;
            addresses.truncate(room);
            room -= addresses.len();
            if addresses.is_empty() {
                crate::rules::remove(subset, name);
            }
        }
    }
    subsets.retain(|subset| {
        !list(subset, "addresses").is_empty() || !list(subset, "notReadyAddresses").is_empty()
    });
    over
}
