//! Pods. Defaults and checks are podspec's, so that a pod from a file and one from a client are held to the same.

use podspec::json::{fields, flag, list, object, text};
use podspec::{FieldError, FieldErrorKind};
use serde_json::{Value, json};

use super::edit::{first_generation, keep, next_generation, remove, section, selectable, set};
use super::{pod_resize, pod_update};
use crate::kinds::Rules;

pub static PODS: Pods = Pods;

#[derive(Debug)]
pub struct Pods;

/// The fields of an ephemeral container that the API server fills in.
const EPHEMERAL_DEFAULTS: [(&str, &str); 2] =
    [("terminationMessagePath", "/dev/termination-log"), ("terminationMessagePolicy", "File")];

impl Rules for Pods {
    fn default(&self, pod: &mut Value) {
        podspec::fill_in_defaults(pod);
        let Some(spec) = pod.get_mut("spec") else { return };
        let containers = spec.get_mut("ephemeralContainers").and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten().filter_map(Value::as_object_mut) {
            for (name, value) in EPHEMERAL_DEFAULTS {
                super::set_default(container, name, value);
            }
            let image = container.get("image").and_then(Value::as_str).unwrap_or("");
            let policy = if latest(image) { "Always" } else { "IfNotPresent" };
            super::set_default(container, "imagePullPolicy", policy);
            super::set_default(container, "resources", json!({}));
        }
    }

    fn prepare_create(&self, pod: &mut Value) {
        first_generation(pod);
        super::label_keys::settle(pod);
        let mut status = json!({"phase": "Pending", "qosClass": qos_class(&pod["spec"])});
        if !list(&pod["spec"], "schedulingGates").is_empty() {
            status["conditions"] = json!([gated_condition()]);
        }
        set(pod, "status", status);
    }

    fn validate(&self, pod: &Value) -> Vec<FieldError> {
        podspec::errors_of(pod)
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, subresource: Option<&str>) {
        match subresource {
            Some("status") => {
                keep(new, old, "spec");
                keep_metadata(new, old, &["deletionTimestamp", "ownerReferences", "generation"]);
                if old["status"].get("qosClass").is_some() && new["status"].get("qosClass").is_none() {
                    keep(&mut new["status"], &old["status"], "qosClass");
                }
                return;
            }
            Some("ephemeralcontainers") => {
                let wanted = new["spec"].get("ephemeralContainers").cloned();
                keep(new, old, "spec");
                match wanted {
                    Some(containers) => set(&mut new["spec"], "ephemeralContainers", containers),
                    None => remove(&mut new["spec"], "ephemeralContainers"),
                }
            }
            Some("resize") => pod_resize::keep_all_but_resources(new, old),
            _ => {}
        }
        keep(new, old, "status");
        if list(&new["spec"], "schedulingGates").is_empty()
            && !list(&old["spec"], "schedulingGates").is_empty()
        {
            drop_gated_condition(new);
        }
        next_generation(new, old, &["spec"]);
    }

    fn validate_update(&self, new: &Value, old: &Value, subresource: Option<&str>) -> Vec<FieldError> {
        match subresource {
            Some("status") => pod_update::status(new, old),
            Some("ephemeralcontainers") => pod_update::ephemeral_containers(new, old),
            Some("resize") => pod_resize::validate(new, old),
            _ => pod_update::pod(new, old),
        }
    }

    fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        // An update that leaves the spec alone would say again what the create has said.
        if old.is_some_and(|old| old.get("spec") == new.get("spec")) {
            return Vec::new();
        }
        podspec::warnings_about(new).iter().map(ToString::to_string).collect()
    }

    fn fields(&self, pod: &Value) -> Vec<(&'static str, String)> {
        let mut found = selectable(
            pod,
            &[
                "spec.nodeName",
                "spec.restartPolicy",
                "spec.schedulerName",
                "spec.serviceAccountName",
                "status.phase",
                "status.podIP",
                "status.nominatedNodeName",
            ],
        );
        found.push(("spec.hostNetwork", flag(&pod["spec"], "hostNetwork").to_string()));
        found
    }
}

/// Every error of a pod that is there: ephemeral containers, which no pod can be created with, are checked apart.
pub(super) fn errors_of_existing(pod: &Value) -> Vec<FieldError> {
    let mut plain = pod.clone();
    remove(&mut plain["spec"], "ephemeralContainers");
    let mut errors = podspec::errors_of(&plain);
    // What is not supported was refused when the pod was made; it may have been set by the server since.
    errors.retain(|error| !matches!(error.kind, FieldErrorKind::NotYet | FieldErrorKind::Refused));
    errors
}

fn keep_metadata(new: &mut Value, old: &Value, names: &[&str]) {
    for name in names {
        keep(&mut new["metadata"], &old["metadata"], name);
    }
}

/// Puts a pod on a node, as its `binding` does. Its generation stays: only what clients change of the spec counts.
pub fn bind(pod: &mut Value, node: &str, now: &str) {
    if let Some(spec) = section(pod, "spec") {
        spec.insert("nodeName".to_owned(), node.into());
    }
    set_condition(pod, json!({"type": "PodScheduled", "status": "True"}), now);
    if let Some(status) = pod.get_mut("status") {
        remove(status, "nominatedNodeName");
    }
}

/// Sets a condition of the pod's status; `lastTransitionTime` moves only when the condition's status does. Whether
/// anything changed.
pub fn set_condition(pod: &mut Value, mut condition: Value, now: &str) -> bool {
    let generation = pod["metadata"]["generation"].clone();
    if !generation.is_null() {
        set(&mut condition, "observedGeneration", generation);
    }
    set(&mut condition, "lastProbeTime", Value::Null);
    let Some(status) = section(pod, "status") else { return false };
    let conditions = status.entry("conditions").or_insert_with(|| json!([]));
    let Some(conditions) = conditions.as_array_mut() else { return false };
    match conditions.iter_mut().find(|held| held["type"] == condition["type"]) {
        Some(held) => {
            let moved = held["status"] != condition["status"];
            let time = if moved { now.into() } else { held["lastTransitionTime"].clone() };
            set(&mut condition, "lastTransitionTime", time);
            let changed = *held != condition;
            *held = condition;
            changed
        }
        None => {
            set(&mut condition, "lastTransitionTime", now);
            conditions.push(condition);
            true
        }
    }
}

fn gated_condition() -> Value {
    json!({
        "type": "PodScheduled",
        "status": "False",
        "reason": "SchedulingGated",
        "message": "Scheduling is blocked due to non-empty scheduling gates",
    })
}

fn drop_gated_condition(pod: &mut Value) {
    if let Some(conditions) = pod["status"].get_mut("conditions").and_then(Value::as_array_mut) {
        conditions.retain(|condition| text(condition, "reason") != "SchedulingGated");
    }
}

/// `Guaranteed`, `Burstable` or `BestEffort`, from cpu and memory of the pod as a whole when it has `resources`, even
/// empty ones, or else of its containers and init containers
/// (<https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/>).
#[must_use]
pub fn qos_class(spec: &Value) -> &'static str {
    let owners: Vec<&Value> = match object(spec, "resources") {
        Some(own) => vec![own],
        None => {
            let sections = ["initContainers", "containers"];
            let containers = sections.iter().flat_map(|name| list(spec, name));
            containers.map(|container| &container["resources"]).collect()
        }
    };
    if owners.iter().all(|owner| counted(&owner["requests"]) + counted(&owner["limits"]) == 0) {
        return "BestEffort";
    }
    let guaranteed = owners.iter().all(|owner| {
        let (requests, limits) = (&owner["requests"], &owner["limits"]);
        ["cpu", "memory"].iter().all(|name| {
            let limit = quantity(&limits[*name]);
            limit.is_some() && quantity(&requests[*name]) == limit
        })
    });
    if guaranteed { "Guaranteed" } else { "Burstable" }
}

fn counted(quantities: &Value) -> usize {
    let counts = |(name, value): &(&String, &Value)| {
        ["cpu", "memory"].contains(&name.as_str()) && quantity(value).is_some()
    };
    fields(quantities).iter().filter(counts).count()
}

/// A quantity that is not zero.
fn quantity(value: &Value) -> Option<podspec::quantity::Quantity> {
    if value.is_null() {
        return None;
    }
    podspec::quantity::Quantity::parse(&super::quantity_text(value))
        .ok()
        .filter(|quantity| !quantity.is_zero())
}

/// Whether an image's reference means the tag `latest`.
fn latest(image: &str) -> bool {
    let (name, digest) = image.split_once('@').map_or((image, ""), |(name, digest)| (name, digest));
    let last = name.rsplit('/').next().unwrap_or(name);
    last.split_once(':').map_or(digest.is_empty(), |(_, tag)| tag == "latest")
}

#[cfg(test)]
#[path = "pod_tests.rs"]
mod tests;
