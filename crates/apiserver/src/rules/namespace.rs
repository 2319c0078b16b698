//! Namespaces: a phase, and the finalizer that keeps one until it is empty.

use podspec::json::{list, text};
use podspec::{FieldError, FieldPath, format};
use serde_json::{Value, json};

use super::edit::{keep, path, section, selectable, set};
use crate::kinds::Rules;

pub static NAMESPACES: Namespaces = Namespaces;

#[derive(Debug)]
pub struct Namespaces;

/// Held until everything in the namespace is gone.
pub(crate) const FINALIZER: &str = "kubernetes";

impl Rules for Namespaces {
    fn default(&self, namespace: &mut Value) {
        let name = text(&namespace["metadata"], "name").to_owned();
        if name.is_empty() {
            return;
        }
        let Some(metadata) = section(namespace, "metadata") else { return };
        let labels = metadata.entry("labels").or_insert_with(|| json!({}));
        if labels.is_null() {
            *labels = json!({});
        }
        set(labels, "kubernetes.io/metadata.name", name);
    }

    fn prepare_create(&self, namespace: &mut Value) {
        set(namespace, "status", json!({"phase": "Active"}));
        let Some(spec) = section(namespace, "spec") else { return };
        let finalizers = spec.entry("finalizers").or_insert_with(|| json!([]));
        if let Some(finalizers) = finalizers.as_array_mut()
            && !finalizers.iter().any(|held| held == FINALIZER)
        {
            finalizers.push(FINALIZER.into());
        }
    }

    fn validate(&self, namespace: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let name = text(&namespace["metadata"], "name");
        if !name.is_empty() {
            super::edit::invalid(&mut errors, &path(&["metadata", "name"]), name, format::dns_label(name));
        }
        let at = path(&["spec", "finalizers"]);
        for finalizer in list(&namespace["spec"], "finalizers").iter().filter_map(Value::as_str) {
            finalizer_name(&mut errors, &at, finalizer);
        }
        errors
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, subresource: Option<&str>) {
        match subresource {
            Some("status") => keep(new, old, "spec"),
            Some("finalize") => keep(new, old, "status"),
            _ => {
                let finalizers = old["spec"].get("finalizers").cloned().unwrap_or_else(|| json!([]));
                if let Some(spec) = section(new, "spec") {
                    spec.insert("finalizers".to_owned(), finalizers);
                }
                keep(new, old, "status");
            }
        }
    }

    fn validate_update(&self, new: &Value, old: &Value, subresource: Option<&str>) -> Vec<FieldError> {
        let mut errors = self.validate(new);
        if subresource == Some("status") {
            let phase = text(&new["status"], "phase");
            let expected =
                if old["metadata"].get("deletionTimestamp").is_some() { "Terminating" } else { "Active" };
            if phase != expected {
                let detail = match expected {
                    "Active" => "may only be 'Active' if `deletionTimestamp` is empty",
                    _ => "may only be 'Terminating' if `deletionTimestamp` is not empty",
                };
                errors.push(FieldError::invalid(path(&["status", "Phase"]), phase, detail));
            }
        }
        errors
    }

    fn fields(&self, namespace: &Value) -> Vec<(&'static str, String)> {
        selectable(namespace, &["status.phase"])
    }
}

fn finalizer_name(errors: &mut Vec<FieldError>, at: &FieldPath, name: &str) {
    let messages = format::qualified_name(name);
    let standard = [FINALIZER, "orphan", "foregroundDeletion"].contains(&name);
    if messages.is_empty() && !name.contains('/') && !standard {
        let detail = "name is neither a standard finalizer name nor is it fully qualified";
        errors.push(FieldError::invalid(at.clone(), name, detail));
    }
    super::edit::invalid(errors, at, name, messages);
}
