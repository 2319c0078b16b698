//! Nodes. The machine's own is kept by the node; others may be made, and stay without a kubelet.

use std::collections::BTreeSet;

use podspec::json::{list, text};
use podspec::{FieldError, format};
use serde_json::{Value, json};

use super::edit::{TAINT_EFFECTS, keep, keep_apart, path, quantities, section};
use crate::kinds::Rules;

pub static NODES: Nodes = Nodes;

#[derive(Debug)]
pub struct Nodes;

pub(crate) const NOT_READY: &str = "node.kubernetes.io/not-ready";

impl Rules for Nodes {
    /// A node that has not said yet that it is ready takes no pods.
    fn prepare_create(&self, node: &mut Value) {
        let ready = list(&node["status"], "conditions")
            .iter()
            .any(|condition| text(condition, "type") == "Ready" && text(condition, "status") == "True");
        let mut taints = list(&node["spec"], "taints").to_vec();
        let held = taints
            .iter()
            .any(|taint| text(taint, "key") == NOT_READY && text(taint, "effect") == "NoSchedule");
        if ready || held {
            return;
        }
        taints.push(json!({"key": NOT_READY, "effect": "NoSchedule"}));
        if let Some(spec) = section(node, "spec") {
            spec.insert("taints".to_owned(), taints.into());
        }
    }

    fn validate(&self, node: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        taints(node, &mut errors);
        for name in ["capacity", "allocatable"] {
            quantities(&mut errors, &node["status"][name], &path(&["status", name]));
        }
        errors
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, subresource: Option<&str>) {
        keep_apart(new, old, subresource);
        if subresource.is_some() {
            return;
        }
        // Pods of the node were placed by these.
        for name in ["podCIDR", "podCIDRs"] {
            if new["spec"].get(name).is_none() && old["spec"].get(name).is_some() {
                keep(&mut new["spec"], &old["spec"], name);
            }
        }
    }

    fn validate_update(&self, new: &Value, old: &Value, _: Option<&str>) -> Vec<FieldError> {
        let mut errors = self.validate(new);
        let (spec, before) = (&new["spec"], &old["spec"]);
        for (name, words) in [("podCIDRs", "podCIDR"), ("providerID", "providerID")] {
            if before.get(name).is_some() && spec.get(name) != before.get(name) {
                let detail = format!("node updates may not change {words} except from \"\" to valid");
                errors.push(FieldError::forbidden(path(&["spec", name]), &detail));
            }
        }
        let mut seen = BTreeSet::new();
        for (index, address) in list(&new["status"], "addresses").iter().enumerate() {
            if !seen.insert((text(address, "type"), text(address, "address"))) {
                errors.push(FieldError::duplicate(
                    path(&["status", "addresses"]).index(index),
                    address.clone(),
                ));
            }
        }
        errors
    }

    fn fields(&self, node: &Value) -> Vec<(&'static str, String)> {
        vec![("spec.unschedulable", podspec::json::flag(&node["spec"], "unschedulable").to_string())]
    }
}

/// Kubernetes looks for them below `metadata` in its errors.
fn taints(node: &Value, errors: &mut Vec<FieldError>) {
    let at = path(&["metadata", "taints"]);
    let mut seen = BTreeSet::new();
    for (index, taint) in list(&node["spec"], "taints").iter().enumerate() {
        let at = at.index(index);
        let (key, value, effect) = (text(taint, "key"), text(taint, "value"), text(taint, "effect"));
        super::edit::invalid(errors, &at.child("key"), key, format::qualified_name(key));
        let messages = format::label_value(value);
        if !messages.is_empty() {
            errors.push(FieldError::invalid(at.child("value"), value, &messages.join(";")));
        }
        if effect.is_empty() {
            errors.push(FieldError::required(at.child("effect"), ""));
        } else if !TAINT_EFFECTS.contains(&effect) {
            let supported = ["NoExecute", "NoSchedule", "PreferNoSchedule"];
            errors.push(FieldError::not_supported(at.child("effect"), effect, &supported));
        }
        if !seen.insert((key, effect)) {
            let mut error = FieldError::duplicate(at, taint.clone());
            "taints must be unique by key and effect pair".clone_into(&mut error.detail);
            errors.push(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::NODES;
    use crate::kinds::Rules as _;

    #[test]
    fn taints_are_checked_and_unready_nodes_have_one() {
        let mut node =
            json!({"spec": {"taints": [{"key": "a", "effect": "Odd"}, {"key": "b", "effect": ""}]}});
        let errors: Vec<String> = NODES.validate(&node).iter().map(ToString::to_string).collect();
        assert_eq!(
            errors,
            [
                "metadata.taints[0].effect: Unsupported value: \"Odd\": supported values: \"NoExecute\", \
                 \"NoSchedule\", \"PreferNoSchedule\"",
                "metadata.taints[1].effect: Required value",
            ]
        );
        node["spec"] = json!({});
        NODES.prepare_create(&mut node);
        assert_eq!(node["spec"]["taints"][0]["key"], "node.kubernetes.io/not-ready");
        let mut ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        NODES.prepare_create(&mut ready);
        assert_eq!(ready["spec"], json!(null));
    }

    #[test]
    fn what_pods_were_placed_by_stays() {
        let old = json!({"spec": {"podCIDRs": ["10.0.0.0/24"], "providerID": "a"}});
        let new = json!({"spec": {"podCIDRs": ["10.1.0.0/24"], "providerID": "b"}});
        let errors: Vec<String> =
            NODES.validate_update(&new, &old, None).iter().map(ToString::to_string).collect();
        assert_eq!(
            errors,
            [
                "spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid",
                "spec.providerID: Forbidden: node updates may not change providerID except from \"\" to valid",
            ]
        );
    }
}
