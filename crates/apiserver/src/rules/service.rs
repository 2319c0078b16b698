//! Services. The server keeps `default/kubernetes`; nothing routes to others yet.

use std::collections::BTreeSet;

use podspec::json::{integer, list, text};
use podspec::{FieldError, FieldPath, format};
use serde_json::Value;

use super::edit::{immutable, keep_apart, path, section, selectable, set, set_default};
use crate::kinds::Rules;

pub static SERVICES: Services = Services;

#[derive(Debug)]
pub struct Services;

const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];
const CLIENT_IP_SECONDS: i64 = 10_800;

impl Rules for Services {
    fn refusal(&self) -> Option<&'static str> {
        Some(
            "nothing routes to Services yet: use the address of the pod, or kubectl port-forward; containers of one pod \
             reach each other on localhost",
        )
    }

    fn default(&self, service: &mut Value) {
        let Some(spec) = section(service, "spec") else { return };
        set_default(spec, "sessionAffinity", "None");
        set_default(spec, "type", "ClusterIP");
        if spec["sessionAffinity"] == "ClientIP" && !spec.contains_key("sessionAffinityConfig") {
            let config = serde_json::json!({"clientIP": {"timeoutSeconds": CLIENT_IP_SECONDS}});
            spec.insert("sessionAffinityConfig".to_owned(), config);
        }
        let kind = spec["type"].as_str().unwrap_or("").to_owned();
        if kind != "ExternalName" {
            set_default(spec, "internalTrafficPolicy", "Cluster");
        }
        if ["NodePort", "LoadBalancer"].contains(&kind.as_str()) {
            set_default(spec, "externalTrafficPolicy", "Cluster");
        }
        for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
            let number = port["port"].clone();
            let Some(port) = port.as_object_mut() else { continue };
            set_default(port, "protocol", "TCP");
            if port.get("targetPort").is_none_or(|target| *target == 0) {
                port.insert("targetPort".to_owned(), number.clone());
            }
        }
    }

    fn prepare_create(&self, service: &mut Value) {
        set(service, "status", serde_json::json!({"loadBalancer": {}}));
    }

    fn validate(&self, service: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let spec = &service["spec"];
        let at = path(&["spec"]);
        let kind = text(spec, "type");
        if !TYPES.contains(&kind) {
            errors.push(FieldError::not_supported(at.child("type"), kind, &TYPES));
        }
        let ports = list(spec, "ports");
        let headless = text(spec, "clusterIP") == "None";
        if ports.is_empty() && !headless && kind != "ExternalName" {
            errors.push(FieldError::required(at.child("ports"), ""));
        }
        if kind == "ExternalName" {
            let name = text(spec, "externalName");
            let messages =
                if name.is_empty() { Vec::new() } else { format::dns_subdomain(name.trim_end_matches('.')) };
            if name.is_empty() {
                errors.push(FieldError::required(at.child("externalName"), ""));
            }
            super::edit::invalid(&mut errors, &at.child("externalName"), name, messages);
        }
        self::ports(ports, &at.child("ports"), &mut errors);
        for (key, value) in podspec::json::fields(&spec["selector"]) {
            super::edit::invalid(&mut errors, &at.child("selector"), key, format::qualified_name(key));
            let value = value.as_str().unwrap_or("");
            super::edit::invalid(&mut errors, &at.child("selector"), value, format::label_value(value));
        }
        let affinity = text(spec, "sessionAffinity");
        if !["ClientIP", "None"].contains(&affinity) {
            errors.push(FieldError::not_supported(
                at.child("sessionAffinity"),
                affinity,
                &["ClientIP", "None"],
            ));
        }
        errors
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, subresource: Option<&str>) {
        keep_apart(new, old, subresource);
        // What was allocated stays unless the update says otherwise.
        for name in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            if new["spec"].get(name).is_none() && new["spec"]["type"] == old["spec"]["type"] {
                super::edit::keep(&mut new["spec"], &old["spec"], name);
            }
        }
    }

    fn validate_update(&self, new: &Value, old: &Value, _: Option<&str>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let external = |service: &Value| text(&service["spec"], "type") == "ExternalName";
        if !external(new) && !external(old) && !text(&old["spec"], "clusterIP").is_empty() {
            immutable(&mut errors, new, old, &["spec", "clusterIP"]);
        }
        errors.extend(self.validate(new));
        errors
    }

    fn fields(&self, service: &Value) -> Vec<(&'static str, String)> {
        selectable(service, &["spec.clusterIP", "spec.type"])
    }
}

fn ports(ports: &[Value], at: &FieldPath, errors: &mut Vec<FieldError>) {
    let (mut names, mut used) = (BTreeSet::new(), BTreeSet::new());
    for (index, port) in ports.iter().enumerate() {
        let at = at.index(index);
        let (name, protocol) = (text(port, "name"), text(port, "protocol"));
        let number = integer(port, "port").unwrap_or(0);
        if name.is_empty() && ports.len() > 1 {
            errors.push(FieldError::required(at.child("name"), ""));
        } else if !name.is_empty() {
            super::edit::invalid(errors, &at.child("name"), name, format::dns_label(name));
            if !names.insert(name) {
                errors.push(FieldError::duplicate(at.child("name"), name));
            }
        }
        for message in format::port_number(number) {
            errors.push(FieldError::invalid(at.child("port"), number, &message));
        }
        if !PROTOCOLS.contains(&protocol) {
            errors.push(FieldError::not_supported(at.child("protocol"), protocol, &PROTOCOLS));
        }
        target(&port["targetPort"], &at.child("targetPort"), errors);
        if !used.insert((protocol, number)) {
            errors.push(FieldError::duplicate(at, port.clone()));
        }
    }
}

fn target(target: &Value, at: &FieldPath, errors: &mut Vec<FieldError>) {
    if let Some(name) = target.as_str() {
        super::edit::invalid(errors, at, name, format::port_name(name));
    } else if let Some(number) = target.as_i64() {
        for message in format::port_number(number) {
            errors.push(FieldError::invalid(at.clone(), number, &message));
        }
    }
}
