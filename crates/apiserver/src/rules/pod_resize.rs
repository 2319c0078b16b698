//! An update by way of `resize`: other cpu and memory for a pod and its containers, and nothing else
//! (<https://kubernetes.io/docs/tasks/configure-pod-container/resize-container-resources/>, KEP-1287).

use podspec::json::{fields, list, object, text};
use podspec::quantity::Quantity;
use podspec::{FieldError, FieldPath};
use serde_json::Value;

use super::edit::{keep, path, remove, set};
use super::pod::{errors_of_existing, qos_class};

const SECTIONS: [&str; 2] = ["initContainers", "containers"];
const RESIZABLE: [&str; 2] = ["cpu", "memory"];
/// What of `metadata` is no resize's to change.
const METADATA: [&str; 5] =
    ["labels", "annotations", "finalizers", "ownerReferences", "deletionGracePeriodSeconds"];

/// Keeps everything of the old pod but resources and resize policies. Where containers are not the same by name and
/// place, all of it stays as it is, to be refused.
pub(super) fn keep_all_but_resources(new: &mut Value, old: &Value) {
    for name in METADATA {
        keep(&mut new["metadata"], &old["metadata"], name);
    }
    if SECTIONS.iter().any(|section| names(&new["spec"], section) != names(&old["spec"], section)) {
        return;
    }
    let wanted = new["spec"].clone();
    keep(new, old, "spec");
    for section in SECTIONS {
        let containers = new["spec"].get_mut(section).and_then(Value::as_array_mut);
        for (container, wanted) in containers.into_iter().flatten().zip(list(&wanted, section)) {
            keep(container, wanted, "resources");
            keep(container, wanted, "resizePolicy");
        }
    }
    keep(&mut new["spec"], &wanted, "resources");
}

fn names<'a>(spec: &'a Value, section: &str) -> Vec<&'a str> {
    list(spec, section).iter().map(|container| text(container, "name")).collect()
}

pub(super) fn validate(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = errors_of_existing(new);
    if qos_class(&new["spec"]) != qos_class(&old["spec"]) {
        let class = text(&new["status"], "qosClass");
        let detail = "Pod QOS Class may not change as a result of resizing";
        errors.push(FieldError::invalid(path(&["spec"]), class, detail));
    }
    of_pod(&new["spec"], &old["spec"], &mut errors);
    let before = errors.len();
    order(&new["spec"], &old["spec"], &mut errors);
    if errors.len() > before {
        return errors;
    }
    for section in SECTIONS {
        let pairs = || list(&new["spec"], section).iter().zip(list(&old["spec"], section)).enumerate();
        for (index, (now, before)) in pairs() {
            let at = path(&["spec", section]).index(index).child("resources");
            removed(&now["resources"], &before["resources"], &at, "resource", &mut errors);
        }
        for (index, (now, before)) in pairs() {
            if section == "containers" {
                app(now, before, &mut errors);
            } else {
                init(now, before, &path(&["spec", section]).index(index), &mut errors);
            }
        }
    }
    errors
}

/// The pod's own resources (KEP-5419).
fn of_pod(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let at = path(&["spec", "resources"]);
    let (now, before) = (object(new, "resources"), object(old, "resources"));
    match (now, before) {
        (None, Some(_)) => {
            errors.push(FieldError::forbidden(at, "pod-level resources cannot be removed"));
        }
        (Some(now), before) => {
            let before = before.unwrap_or(&Value::Null);
            removed(now, before, &at, "pod-level resource", errors);
            if others(now) != others(before) {
                let detail = "only cpu and memory resources are mutable at pod-level";
                errors.push(FieldError::forbidden(path(&["spec"]), detail));
            }
        }
        (None, None) => {}
    }
}

fn order(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    for section in ["containers", "initContainers"] {
        let (now, before) = (names(new, section), names(old, section));
        let at = path(&["spec", section]);
        if now.len() != before.len() {
            let detail = format!("{section} may not be added or removed on resize");
            errors.push(FieldError::forbidden(at, &detail));
            continue;
        }
        for (index, _) in now.iter().zip(before).enumerate().filter(|(_, (now, before))| *now != before) {
            let detail = format!("{section} may not be renamed or reordered on resize");
            errors.push(FieldError::forbidden(at.index(index).child("name"), &detail));
        }
    }
}

/// Amounts can be changed and added.
fn removed(now: &Value, before: &Value, at: &FieldPath, what: &str, errors: &mut Vec<FieldError>) {
    for kind in ["requests", "limits"] {
        if fields(&before[kind]).keys().any(|name| now[kind].get(name).is_none()) {
            errors.push(FieldError::forbidden(at.child(kind), &format!("{what} {kind} cannot be removed")));
        }
    }
}

fn app(now: &Value, before: &Value, errors: &mut Vec<FieldError>) {
    if changes_more(now, before) {
        errors.push(FieldError::forbidden(path(&["spec"]), "only cpu and memory resources are mutable"));
    }
}

fn init(now: &Value, before: &Value, at: &FieldPath, errors: &mut Vec<FieldError>) {
    if changes_more(now, before) {
        let detail = "only cpu and memory resources for init or sidecar containers are mutable";
        errors.push(FieldError::forbidden(at.clone(), detail));
    }
    let restarts = list(now, "resizePolicy").iter().any(|p| text(p, "restartPolicy") == "RestartContainer");
    if restarts && now["resources"] != before["resources"] && text(now, "restartPolicy") != "Always" {
        let detail = "non-sidecar init containers with a resize policy of RestartContainer cannot be resized";
        errors.push(FieldError::forbidden(at.clone(), detail));
    }
}

/// Whether something else than cpu and memory is another.
fn changes_more(now: &Value, before: &Value) -> bool {
    let rest = |container: &Value| {
        let mut rest = container.clone();
        remove(&mut rest, "resources");
        // None and an empty list say the same.
        if list(container, "resizePolicy").is_empty() {
            set(&mut rest, "resizePolicy", Value::Null);
        }
        rest
    };
    others(&now["resources"]) != others(&before["resources"]) || rest(now) != rest(before)
}

/// Amounts of what cannot be resized.
fn others(resources: &Value) -> Vec<(&'static str, &String, Option<Quantity>)> {
    let amounts = |kind: &'static str| {
        let others = fields(&resources[kind]).iter().filter(|(name, _)| !RESIZABLE.contains(&name.as_str()));
        others.map(move |(name, value)| (kind, name, Quantity::parse(&super::quantity_text(value)).ok()))
    };
    amounts("requests").chain(amounts("limits")).collect()
}

#[cfg(test)]
#[path = "pod_resize_tests.rs"]
mod tests;
