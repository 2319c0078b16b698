//! The ports of a Service.

use std::collections::BTreeSet;

use podspec::json::{integer, list, text};
use podspec::{FieldError, FieldPath, format};
use serde_json::Value;

use crate::rules::edit::{invalid, path, remove, set_default};

const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

pub(super) fn default(service: &mut Value) {
    for port in service["spec"].get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        let number = port["port"].clone();
        let Some(port) = port.as_object_mut() else { continue };
        set_default(port, "protocol", "TCP");
        if port.get("targetPort").is_none_or(|target| target.is_null() || *target == 0 || *target == "") {
            port.insert("targetPort".to_owned(), number);
        }
    }
}

pub(super) fn validate(spec: &Value, errors: &mut Vec<FieldError>) {
    let ports = list(spec, "ports");
    let (mut names, mut used, mut node_ports) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (index, port) in ports.iter().enumerate() {
        let at = path(&["spec", "ports"]).index(index);
        let (name, protocol) = (text(port, "name"), text(port, "protocol"));
        let number = integer(port, "port").unwrap_or(0);
        if name.is_empty() && ports.len() > 1 {
            errors.push(FieldError::required(at.child("name"), ""));
        } else if !name.is_empty() {
            invalid(errors, &at.child("name"), name, format::dns_label(name));
            if !names.insert(name) {
                errors.push(FieldError::duplicate(at.child("name"), name));
            }
        }
        one(port, &at, errors);
        let node_port = integer(port, "nodePort").unwrap_or(0);
        if node_port != 0 && text(spec, "type") == "ClusterIP" {
            errors.push(FieldError::forbidden(
                at.child("nodePort"),
                "may not be used when `type` is 'ClusterIP'",
            ));
        }
        if node_port != 0 && !node_ports.insert((protocol, node_port)) {
            errors.push(FieldError::duplicate(at.child("nodePort"), node_port));
        }
        if !used.insert((protocol, number)) {
            errors.push(FieldError::duplicate(at, port.clone()));
        }
    }
}

fn one(port: &Value, at: &FieldPath, errors: &mut Vec<FieldError>) {
    let (number, protocol) = (integer(port, "port").unwrap_or(0), text(port, "protocol"));
    for message in format::port_number(number) {
        errors.push(FieldError::invalid(at.child("port"), number, &message));
    }
    if !PROTOCOLS.contains(&protocol) {
        errors.push(FieldError::not_supported(at.child("protocol"), protocol, &PROTOCOLS));
    }
    if let Some(name) = port["targetPort"].as_str() {
        invalid(errors, &at.child("targetPort"), name, format::port_name(name));
    } else if let Some(number) = port["targetPort"].as_i64() {
        for message in format::port_number(number) {
            errors.push(FieldError::invalid(at.child("targetPort"), number, &message));
        }
    }
    if let Some(spoken) = port.get("appProtocol").and_then(Value::as_str) {
        invalid(errors, &at.child("appProtocol"), spoken, format::qualified_name(spoken));
    }
}

/// The node ports of a service that is to have none, unless the client asks for others than it had.
pub(super) fn drop_node_ports(new: &mut Value, old: &Value) {
    let (kept, asked) = (node_ports(old), node_ports(new));
    if !asked.is_subset(&kept) {
        return;
    }
    for port in new["spec"].get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        remove(port, "nodePort");
    }
}

fn node_ports(service: &Value) -> BTreeSet<i64> {
    let ports = list(&service["spec"], "ports").iter().filter_map(|port| integer(port, "nodePort"));
    ports.filter(|port| *port != 0).collect()
}
