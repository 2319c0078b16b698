//! What may be changed in a pod that is there
//! (<https://kubernetes.io/docs/concepts/workloads/pods/#pod-update-and-replacement>).

use podspec::field::Segment;
use podspec::json::{integer, list, text};
use podspec::{FieldError, FieldPath, format};
use serde_json::{Value, json};

use super::edit::{keep, path, remove, set};
use super::pod::errors_of_existing;

const UPDATABLE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it \
was previously negative)";

/// What an ephemeral container may have.
const EPHEMERAL_FIELDS: [&str; 16] = [
    "name",
    "image",
    "command",
    "args",
    "workingDir",
    "env",
    "envFrom",
    "volumeMounts",
    "volumeDevices",
    "imagePullPolicy",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "securityContext",
    "stdin",
    "stdinOnce",
    "tty",
];

/// What an ephemeral container may not even have empty.
const OF_OTHERS: [&str; 4] = ["livenessProbe", "readinessProbe", "startupProbe", "lifecycle"];

/// An update of the pod itself.
pub(super) fn pod(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = errors_of_existing(new);
    let (spec, before) = (&new["spec"], &old["spec"]);
    for section in ["containers", "initContainers"] {
        if list(spec, section).len() != list(before, section).len() {
            errors.push(FieldError::forbidden(
                path(&["spec", section]),
                "pod updates may not add or remove containers",
            ));
            return errors;
        }
    }
    if let Some(error) = active_deadline(spec, before) {
        errors.push(error);
        return errors;
    }
    tolerations(spec, before, &mut errors);
    gates(spec, before, &mut errors);
    let mut rest = spec.clone();
    for section in ["containers", "initContainers"] {
        let count = list(before, section).len();
        for index in 0..count {
            keep(&mut rest[section][index], &before[section][index], "image");
        }
    }
    for name in ["activeDeadlineSeconds", "tolerations", "schedulingGates"] {
        keep(&mut rest, before, name);
    }
    let grace = |spec| integer(spec, "terminationGracePeriodSeconds");
    if grace(before).is_some_and(|seconds| seconds < 0) && grace(&rest) == Some(1) {
        keep(&mut rest, before, "terminationGracePeriodSeconds");
    }
    if !list(before, "schedulingGates").is_empty() {
        node_selector(spec, before, &mut errors);
        keep(&mut rest, before, "nodeSelector");
    }
    if rest != *before {
        let changed = changed_fields(&rest, before);
        let detail = format!("pod updates may not change fields other than {UPDATABLE}\nchanged: {changed}");
        errors.push(FieldError::forbidden(path(&["spec"]), &detail));
    }
    errors
}

/// The names of the fields that differ, of the spec and one level below in its lists.
fn changed_fields(new: &Value, old: &Value) -> String {
    let empty = serde_json::Map::new();
    let (new, old) = (new.as_object().unwrap_or(&empty), old.as_object().unwrap_or(&empty));
    let names: std::collections::BTreeSet<&String> = new.keys().chain(old.keys()).collect();
    let changed = names.into_iter().filter(|name| new.get(*name) != old.get(*name));
    changed.map(|name| format!("spec.{name}")).collect::<Vec<_>>().join(", ")
}

fn active_deadline(new: &Value, old: &Value) -> Option<FieldError> {
    let at = path(&["spec", "activeDeadlineSeconds"]);
    let name = "activeDeadlineSeconds";
    match (integer(new, name), integer(old, name)) {
        (Some(now), _) if !(0..=i64::from(i32::MAX)).contains(&now) => {
            Some(FieldError::invalid(at, now, &format!("must be between 0 and {}, inclusive", i32::MAX)))
        }
        (Some(now), Some(before)) if before < now => {
            Some(FieldError::invalid(at, now, "must be less than or equal to previous value"))
        }
        (None, Some(_)) => {
            Some(FieldError::invalid(at, Value::Null, "must not update from a positive integer to nil value"))
        }
        _ => None,
    }
}

fn tolerations(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let without_seconds = |toleration: &Value| {
        let mut toleration = toleration.clone();
        remove(&mut toleration, "tolerationSeconds");
        toleration
    };
    let now: Vec<Value> = list(new, "tolerations").iter().map(without_seconds).collect();
    if list(old, "tolerations").iter().any(|held| !now.contains(&without_seconds(held))) {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        errors.push(FieldError::forbidden(path(&["spec", "tolerations"]), detail));
    }
}

fn gates(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let held: Vec<&str> = list(old, "schedulingGates").iter().map(|gate| text(gate, "name")).collect();
    for (index, gate) in list(new, "schedulingGates").iter().enumerate() {
        let name = text(gate, "name");
        if !held.contains(&name) {
            let detail = format!("only deletion is allowed, but found new scheduling gate '{name}'");
            let at = path(&["spec", "schedulingGates"]).index(index).child("name");
            errors.push(FieldError::forbidden(at, &detail));
        }
    }
}

fn node_selector(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let (new, old) = (&new["nodeSelector"], &old["nodeSelector"]);
    if podspec::json::fields(old).iter().any(|(key, value)| new.get(key) != Some(value)) {
        let detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
        errors.push(FieldError::invalid(path(&["spec", "nodeSelector"]), new.clone(), detail));
    }
}

/// An update by way of `status`.
pub(super) fn status(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (now, before) = (&new["status"], &old["status"]);
    let at = path(&["status"]);
    for (index, condition) in list(now, "conditions").iter().enumerate() {
        let kind = text(condition, "type");
        let messages = if kind.is_empty() { Vec::new() } else { format::qualified_name(kind) };
        super::edit::invalid(&mut errors, &at.child("conditions").index(index).child("type"), kind, messages);
    }
    let nominated = text(now, "nominatedNodeName");
    if !nominated.is_empty() && nominated != text(before, "nominatedNodeName") {
        let at = at.child("nominatedNodeName");
        super::edit::invalid(&mut errors, &at, nominated, format::dns_subdomain(nominated));
        if !text(&old["spec"], "nodeName").is_empty() {
            errors.push(FieldError::forbidden(at, "may not be set on pods that are already bound to a node"));
        }
    }
    if before.get("qosClass").is_some() {
        super::edit::immutable(&mut errors, new, old, &["status", "qosClass"]);
    }
    errors
}

/// An update by way of `ephemeralcontainers`: they may be added, never changed or removed.
pub(super) fn ephemeral_containers(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = errors_of_existing(new);
    let at = path(&["spec", "ephemeralContainers"]);
    let now = list(&new["spec"], "ephemeralContainers");
    for held in list(&old["spec"], "ephemeralContainers") {
        let name = text(held, "name");
        match now.iter().position(|container| text(container, "name") == name) {
            None => {
                let detail = format!(
                    "existing ephemeral containers {} may not be removed\n",
                    podspec::field::quote(name)
                );
                errors.push(FieldError::forbidden(at.clone(), &detail));
            }
            Some(index) if now[index] != *held => {
                let detail = format!(
                    "existing ephemeral containers {} may not be changed\n",
                    podspec::field::quote(name)
                );
                errors.push(FieldError::forbidden(at.clone(), &detail));
            }
            Some(_) => {}
        }
    }
    let containers = ["initContainers", "containers"].iter().flat_map(|section| list(&new["spec"], section));
    let others: Vec<&str> = containers.map(|container| text(container, "name")).collect();
    let held = list(&old["spec"], "ephemeralContainers");
    for (index, container) in now.iter().enumerate() {
        let at = at.index(index);
        let before: Vec<&str> = now[..index].iter().map(|container| text(container, "name")).collect();
        if !held.contains(container) {
            as_container(container, new, &at, &mut errors);
            ephemeral_container(container, &at, &others, &before, &mut errors);
        }
    }
    errors
}

/// What holds for every container, and what this engine does not do yet.
fn as_container(container: &Value, pod: &Value, at: &FieldPath, errors: &mut Vec<FieldError>) {
    let mut container = container.clone();
    remove(&mut container, "targetContainerName");
    OF_OTHERS.iter().for_each(|name| remove(&mut container, name));
    let mut alone = pod.clone();
    remove(&mut alone["spec"], "initContainers");
    remove(&mut alone["spec"], "ephemeralContainers");
    set(&mut alone["spec"], "containers", json!([container]));
    let place = path(&["spec", "containers"]).index(0);
    let below = |error: &FieldError| error.path.is_within(&place);
    errors.extend(podspec::errors_of(&alone).into_iter().filter(below).map(|error| {
        let path = error.path.segments()[place.segments().len()..]
            .iter()
            .fold(at.clone(), |path, segment| extended(&path, segment));
        FieldError { path, ..error }
    }));
}

fn extended(path: &FieldPath, segment: &Segment) -> FieldPath {
    match segment {
        Segment::Field(name) => path.child(name),
        Segment::Index(index) => path.index(*index),
        Segment::Key(key) => path.key(key),
    }
}

fn ephemeral_container(
    container: &Value,
    at: &FieldPath,
    others: &[&str],
    before: &[&str],
    errors: &mut Vec<FieldError>,
) {
    let name = text(container, "name");
    if others.contains(&name) || before.contains(&name) {
        errors.push(FieldError::duplicate(at.child("name"), name));
    }
    let target = text(container, "targetContainerName");
    if !target.is_empty() && !others.contains(&target) {
        errors.push(FieldError::not_found(at.child("targetContainerName"), target));
    }
    for (field, value) in podspec::json::fields(container) {
        let known = EPHEMERAL_FIELDS.contains(&field.as_str()) || field == "targetContainerName";
        let empty = value.is_null()
            || *value == json!([])
            || (*value == json!({}) && !OF_OTHERS.contains(&field.as_str()));
        if !known && !empty {
            errors.push(FieldError::forbidden(at.child(field), "cannot be set for an Ephemeral Container"));
        }
    }
    for (index, mount) in list(container, "volumeMounts").iter().enumerate() {
        let at = at.child("volumeMounts").index(index);
        for name in ["subPath", "subPathExpr"] {
            if !text(mount, name).is_empty() {
                errors
                    .push(FieldError::forbidden(at.child(name), "cannot be set for an Ephemeral Container"));
            }
        }
    }
}
