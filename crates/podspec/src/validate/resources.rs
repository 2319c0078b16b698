//! `resources` of a container.

use serde_json::Value;

use super::{format, invalid};
use crate::field::{FieldError, FieldPath};
use crate::json::fields;
use crate::quantity::Quantity;

/// Resource names without a prefix that Kubernetes knows at all.
const STANDARD: [&str; 20] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "storage",
    "requests.storage",
    "services.nodeports",
    "services.loadbalancers",
];

/// Those a container can have.
const OF_CONTAINERS: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

pub(super) fn validate(resources: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let (limits, requests) = (&resources["limits"], &resources["requests"]);
    for (name, text) in fields(limits) {
        entry(name, text, &path.child("limits").key(name), errors);
    }
    for (name, text) in fields(requests) {
        // A request that is its limit, as one filled in is, has had its errors there.
        if limits.get(name) != Some(text) {
            entry(name, text, &path.child("requests").key(name), errors);
        }
        let (Some(request), Some(limit)) = (quantity(text), limits.get(name).and_then(quantity)) else {
            continue;
        };
        if request > limit {
            let detail = format!("must be less than or equal to {name} limit of {limit}");
            errors.push(FieldError::invalid(path.child("requests"), request.to_string(), &detail));
        }
    }
}

fn entry(name: &str, text: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    resource_name(name, path, errors);
    let Some(quantity) = quantity(text) else { return };
    if quantity.is_negative() {
        let detail = "must be greater than or equal to 0";
        errors.push(FieldError::invalid(path.clone(), quantity.to_string(), detail));
    }
}

fn resource_name(name: &str, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let messages = format::qualified_name(name);
    let qualified = messages.is_empty();
    invalid(errors, path, name, messages);
    if name.contains('/') || name.starts_with("hugepages-") {
        if qualified {
            errors.push(FieldError::not_yet(path.clone(), "resources other than cpu and memory"));
        }
        return;
    }
    if qualified && !STANDARD.contains(&name) {
        let detail = "must be a standard resource type or fully qualified";
        errors.push(FieldError::invalid(path.clone(), name, detail));
    }
    match name {
        "cpu" | "memory" => {}
        "ephemeral-storage" => errors.push(FieldError::not_yet(path.clone(), "limits of disk space")),
        _ if !OF_CONTAINERS.contains(&name) => {
            errors.push(FieldError::invalid(
                path.clone(),
                name,
                "must be a standard resource for containers",
            ));
        }
        _ => {}
    }
}

fn quantity(text: &Value) -> Option<Quantity> {
    Quantity::parse(text.as_str()?).ok()
}
