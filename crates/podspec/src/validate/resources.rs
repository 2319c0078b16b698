//! `resources` of a container or a pod, and whether a container may be resized without a restart.

use std::collections::BTreeSet;

use serde_json::Value;

use super::pod::PodFacts;
use super::{format, invalid, one_of};
use crate::demand::{OF_PODS, of_containers};
use crate::field::{FieldError, FieldPath};
use crate::json::{fields, list, text};
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

const HUGE_PAGES: &str = "hugepages-";
const NOT_STANDARD: &str = "must be a standard resource type or fully qualified";
const RESTART_CONTAINER: &str = "RestartContainer";

/// Those a container can have.
const OF_CONTAINERS: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Container,
    Pod,
}

/// An amount of each, which is reported as limits are.
pub(super) fn validate_limits(amounts: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    for (name, text) in fields(amounts) {
        entry(name, text, Owner::Pod, &path.child("limits").key(name), errors);
    }
}

pub(super) fn validate(resources: &Value, owner: Owner, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let (limits, requests) = (&resources["limits"], &resources["requests"]);
    for (name, text) in fields(limits) {
        entry(name, text, owner, &path.child("limits").key(name), errors);
    }
    for (name, text) in fields(requests) {
        // A request that is its limit, as one filled in is, has had its errors there.
        if limits.get(name) != Some(text) {
            entry(name, text, owner, &path.child("requests").key(name), errors);
        }
        if is_extended(name) && limits.get(name).is_none() {
            let detail = "Limit must be set for non overcommitable resources";
            errors.push(FieldError::required(path.child("limits"), detail));
        }
        let (Some(request), Some(limit)) = (quantity(text), limits.get(name).and_then(quantity)) else {
            continue;
        };
        if is_extended(name) && request != limit {
            let detail = format!("must be equal to {name} limit of {limit}");
            errors.push(FieldError::invalid(path.child("requests"), request.to_string(), &detail));
        } else if request > limit {
            let detail = format!("must be less than or equal to {name} limit of {limit}");
            errors.push(FieldError::invalid(path.child("requests"), request.to_string(), &detail));
        }
    }
}

/// What the containers of a pod ask for and may use, against the pod's own resources (KEP-2837).
pub(super) fn validate_together(own: &Value, spec: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let (init, apps) = (list(spec, "initContainers"), list(spec, "containers"));
    for name in OF_PODS {
        let of_pod = own["requests"].get(name).and_then(quantity);
        let (Some(of_pod), Some(sum)) = (of_pod, of_containers(init, apps, "requests", name)) else {
            continue;
        };
        if sum > of_pod {
            let detail = format!("must be greater than or equal to aggregate container requests of {sum}");
            errors.push(FieldError::invalid(path.child("requests").key(name), of_pod.to_string(), &detail));
        }
    }
    for (i, container) in apps.iter().enumerate() {
        for name in OF_PODS {
            let limit = |resources: &Value| resources["limits"].get(name).and_then(quantity);
            let (Some(of_pod), Some(limit)) = (limit(own), limit(&container["resources"])) else { continue };
            if limit > of_pod {
                // Kubernetes' path, which there is in no pod.
                let path = path.child("containers").index(i).key(name).child("limits");
                let detail = format!("must be less than or equal to pod limits of {of_pod}");
                errors.push(FieldError::invalid(path, limit.to_string(), &detail));
            }
        }
    }
}

/// `resizePolicy` of a container, of whatever kind.
pub(super) fn resize_policy(
    container: &Value,
    facts: &PodFacts<'_>,
    path: &FieldPath,
    errors: &mut Vec<FieldError>,
) {
    let mut known = BTreeSet::new();
    for (i, policy) in list(container, "resizePolicy").iter().enumerate() {
        let (resource, restart) = (text(policy, "resourceName"), text(policy, "restartPolicy"));
        if !known.insert(resource) {
            errors.push(FieldError::duplicate(path.index(i), resource));
        }
        // Kubernetes names the list here, not the entry.
        one_of(errors, path, resource, &["cpu", "memory"]);
        one_of(errors, path, restart, &["NotRequired", RESTART_CONTAINER]);
        if facts.restart_policy == "Never" && restart != "NotRequired" {
            let detail = "must be 'NotRequired' when pod `restartPolicy` is 'Never'";
            errors.push(FieldError::invalid(path.clone(), restart, detail));
        }
    }
}

/// An init container that is no sidecar cannot be resized at all.
pub(super) fn no_restart_to_resize(container: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    for (i, policy) in list(container, "resizePolicy").iter().enumerate() {
        if text(policy, "restartPolicy") == RESTART_CONTAINER {
            let path = path.index(i).child("restartPolicy");
            let detail = "must not be set to 'RestartContainer' for non-sidecar initContainers";
            errors.push(FieldError::invalid(path, RESTART_CONTAINER, detail));
        }
    }
}

fn entry(name: &str, text: &Value, owner: Owner, path: &FieldPath, errors: &mut Vec<FieldError>) {
    match owner {
        Owner::Container => name_in_container(name, path, errors),
        Owner::Pod => name_in_pod(name, path, errors),
    }
    let Some(quantity) = quantity(text) else { return };
    if quantity.is_negative() {
        let detail = "must be greater than or equal to 0";
        errors.push(FieldError::invalid(path.clone(), quantity.to_string(), detail));
    }
    if is_extended(name) && !quantity.is_whole() {
        errors.push(FieldError::invalid(path.clone(), quantity.to_string(), "must be an integer"));
    }
}

/// A resource of somebody's own, which the scheduler counts by the piece and nobody gets more of than was promised.
fn is_extended(name: &str) -> bool {
    name.contains('/') && !name.contains("kubernetes.io/")
}

fn name_in_pod(name: &str, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let messages = format::qualified_name(name);
    if !messages.is_empty() {
        invalid(errors, path, name, messages);
    } else if name.starts_with(HUGE_PAGES) {
        errors.push(FieldError::not_yet(path.clone(), "huge pages"));
    } else if !name.contains('/') && !STANDARD.contains(&name) {
        errors.push(FieldError::invalid(path.clone(), name, NOT_STANDARD));
    } else if !OF_PODS.contains(&name) {
        errors.push(FieldError::not_supported(path.clone(), name, &["cpu", HUGE_PAGES, "memory"]));
    }
}

fn name_in_container(name: &str, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let messages = format::qualified_name(name);
    let qualified = messages.is_empty();
    invalid(errors, path, name, messages);
    if name.contains('/') {
        // As a quota would name it.
        let counts = |name: &str| format::qualified_name(&format!("requests.{name}")).is_empty();
        if is_extended(name) && (name.starts_with("requests.") || !counts(name)) {
            let detail = "doesn't follow extended resource name standard";
            errors.push(FieldError::invalid(path.clone(), name, detail));
        }
        return;
    }
    if name.starts_with(HUGE_PAGES) {
        if qualified {
            errors.push(FieldError::not_yet(path.clone(), "huge pages"));
        }
        return;
    }
    if qualified && !STANDARD.contains(&name) {
        errors.push(FieldError::invalid(path.clone(), name, NOT_STANDARD));
    }
    if !OF_CONTAINERS.contains(&name) {
        let detail = "must be a standard resource for containers";
        errors.push(FieldError::invalid(path.clone(), name, detail));
    }
}

fn quantity(text: &Value) -> Option<Quantity> {
    Quantity::parse(text.as_str()?).ok()
}
