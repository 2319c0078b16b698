//! Kubernetes' rules for a new pod, in its order and wording
//! (<https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/>).

mod container;
mod format;
mod handler;
mod metadata;
mod pod;
mod resources;
mod restart;
mod security;
mod support;
mod volume;

use serde_json::Value;

use crate::field::{FieldError, FieldErrorKind, FieldPath, Segment};

/// Checks a defaulted pod; `structure` is what the walk along the table found in it before.
/// All errors of both, each field's most telling one.
pub(crate) fn validate(pod: &Value, structure: Vec<FieldError>) -> Vec<FieldError> {
    let mut rules = Vec::new();
    metadata::validate(pod, &FieldPath::root().child("metadata"), &mut rules);
    pod::validate(pod, &FieldPath::root().child("spec"), &mut rules);
    support::validate(pod, &mut rules);
    // What a rule says of a field that cannot be used anyway is of no use; but a rule that forbids
    // the very field holds in every version of this engine.
    let forbidden = |path: &FieldPath| {
        rules.iter().any(|e| {
            e.path == *path && matches!(e.kind, FieldErrorKind::Forbidden | FieldErrorKind::NotSupported)
        })
    };
    let structure: Vec<FieldError> =
        structure.into_iter().filter(|e| e.kind != FieldErrorKind::NotYet || !forbidden(&e.path)).collect();
    rules.retain(|rule| !structure.iter().any(|e| hides(e, rule)));
    structure.into_iter().chain(rules).collect()
}

/// Whether `rule` only says again what `structure` has said.
fn hides(structure: &FieldError, rule: &FieldError) -> bool {
    if structure.kind != FieldErrorKind::UnknownField {
        return rule.path.is_within(&structure.path);
    }
    // A mistyped name leaves the right one missing.
    let parent = structure.path.parent();
    let required = rule.kind == FieldErrorKind::Required;
    let beside = rule.path.parent() == parent || rule.path == parent;
    required
        && beside
        && structure.hint.as_deref().is_some_and(|hint| match rule.path.segments().last() {
            Some(Segment::Field(name)) if rule.path != parent => hint.contains(&format!("\"{name}\"")),
            _ => true,
        })
}

/// Adds an `Invalid value` for each message.
fn invalid(errors: &mut Vec<FieldError>, path: &FieldPath, value: impl Into<Value>, messages: Vec<String>) {
    let value = value.into();
    errors.extend(messages.into_iter().map(|m| FieldError::invalid(path.clone(), value.clone(), &m)));
}

/// A name that has to be there and to be a DNS label.
fn required_label(errors: &mut Vec<FieldError>, path: &FieldPath, name: &str) {
    if name.is_empty() {
        errors.push(FieldError::required(path.clone(), ""));
    } else {
        invalid(errors, path, name, format::dns_label(name));
    }
}

/// One of `supported`, or missing when `required`.
fn one_of(errors: &mut Vec<FieldError>, path: &FieldPath, value: &str, supported: &[&str]) {
    if value.is_empty() {
        errors.push(FieldError::required(path.clone(), ""));
    } else if !supported.contains(&value) {
        errors.push(FieldError::not_supported(path.clone(), value, supported));
    }
}

fn not_negative(errors: &mut Vec<FieldError>, path: &FieldPath, value: i64) {
    if value < 0 {
        errors.push(FieldError::invalid(path.clone(), value, "must be greater than or equal to 0"));
    }
}

/// `..` as an element of a path.
fn no_backsteps(errors: &mut Vec<FieldError>, path: &FieldPath, value: &str) {
    if value.split('/').any(|element| element == "..") {
        errors.push(FieldError::invalid(path.clone(), value, "must not contain '..'"));
    }
}
