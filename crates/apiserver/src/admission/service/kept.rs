//! What an update leaves out is what it was, and the two fields of addresses agree.

use std::collections::{BTreeMap, BTreeSet};

use podspec::json::{integer, list, text};
use serde_json::{Value, json};

use crate::rules::{is_type, takes_node_ports};

/// Who sends a manifest again means the addresses and ports that were given for it.
pub(super) fn carry_over(new: &mut Value, old: &Value) {
    if [&*new, old].iter().all(|service| !is_type(service, "ExternalName")) {
        if text(&new["spec"], "clusterIP").is_empty() && !text(&old["spec"], "clusterIP").is_empty() {
            new["spec"]["clusterIP"] = old["spec"]["clusterIP"].clone();
        }
        if list(&new["spec"], "clusterIPs").is_empty() && !list(&old["spec"], "clusterIPs").is_empty() {
            new["spec"]["clusterIPs"] = old["spec"]["clusterIPs"].clone();
        }
    }
    if takes_node_ports(new) && takes_node_ports(old) {
        carry_over_ports(new, old);
    }
}

/// By the names of ports, but never one that another port asks for.
fn carry_over_ports(new: &mut Value, old: &Value) {
    let number = |port: &Value| integer(port, "nodePort").filter(|number| *number != 0);
    let ports = |service: &Value| list(&service["spec"], "ports").to_vec();
    let asked: BTreeSet<i64> = ports(new).iter().filter_map(number).collect();
    let had: BTreeMap<String, i64> = ports(old)
        .iter()
        .filter_map(|port| Some((text(port, "name").to_owned(), number(port)?)))
        .filter(|(_, number)| !asked.contains(number))
        .collect();
    for port in new["spec"].get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        if number(port).is_none()
            && let Some(had) = had.get(text(port, "name"))
        {
            port["nodePort"] = (*had).into();
        }
    }
}

/// `clusterIPs` follows `clusterIP` where a client knows only that.
pub(super) fn normalize(new: &mut Value, old: Option<&Value>) {
    let one = text(&new["spec"], "clusterIP").to_owned();
    let ips = list(&new["spec"], "clusterIPs").to_vec();
    let Some(old) = old else {
        if !one.is_empty() && ips.is_empty() {
            new["spec"]["clusterIPs"] = json!([one]);
        }
        return;
    };
    let was = text(&old["spec"], "clusterIP");
    if one == was || ips != list(&old["spec"], "clusterIPs") {
        return;
    }
    if one.is_empty() {
        crate::rules::remove(&mut new["spec"], "clusterIPs");
    } else {
        new["spec"]["clusterIPs"] = json!([one]);
    }
}
