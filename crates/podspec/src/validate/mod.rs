//! Kubernetes' rules for a new pod, in its order and wording
//! (<https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/>).

mod affinity;
pub mod claim;
mod container;
mod dns;
pub mod format;
mod handler;
mod metadata;
mod pod;
mod projected;
mod resources;
mod restart;
mod scheduling;
mod security;
mod source;
mod volume;
mod windows;

use serde_json::Value;

pub use affinity::selector as label_selector;

use crate::field::{FieldError, FieldErrorKind, FieldPath};

/// Errors of each kind that are reported for one pod; nobody reads more.
const ERRORS_MAX: usize = 1_000;

/// Checks a defaulted pod; `structure` is what the walk along the table found in it before.
/// All errors of both, each field's most telling one.
pub(crate) fn validate(pod: &Value, mut structure: Vec<FieldError>) -> Vec<FieldError> {
    let mut rules = Vec::new();
    structure.truncate(ERRORS_MAX);
    metadata::validate(pod, &FieldPath::root().child("metadata"), &mut rules);
    pod::validate(pod, &FieldPath::root().child("spec"), &mut rules);
    rules.truncate(ERRORS_MAX);
    // A rule that forbids a field holds in every version of this engine, so it says more than that
    // the field is not supported yet.
    let forbidden: Vec<FieldPath> = rules
        .iter()
        .filter(|e| matches!(e.kind, FieldErrorKind::Forbidden | FieldErrorKind::NotSupported))
        .map(|e| e.path.clone())
        .collect();
    let telling = |e: &FieldError| {
        e.kind != FieldErrorKind::NotYet || !forbidden.iter().any(|path| e.path.is_within(path))
    };
    let structure: Vec<FieldError> = structure.into_iter().filter(telling).collect();
    rules.retain(|rule| telling(rule) && !structure.iter().any(|e| hides(e, rule)));
    structure.into_iter().chain(rules).collect()
}

/// Whether `rule` only says again what `structure` has said.
fn hides(structure: &FieldError, rule: &FieldError) -> bool {
    if structure.kind != FieldErrorKind::UnknownField {
        return rule.path.is_within(&structure.path);
    }
    // A mistyped name leaves the right one missing.
    let parent = structure.path.parent();
    let meant = parent.child(&structure.detail);
    rule.kind == FieldErrorKind::Required
        && !structure.detail.is_empty()
        && [parent, meant].contains(&rule.path)
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

/// One of `supported`; it has to be there.
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

/// A path that begins somewhere and only goes down from there.
fn descending(value: &str, path: &FieldPath, errors: &mut Vec<FieldError>) {
    if value.starts_with('/') {
        errors.push(FieldError::invalid(path.clone(), value, "must be a relative path"));
    }
    no_backsteps(errors, path, value);
}

/// `..` as an element of a path.
fn no_backsteps(errors: &mut Vec<FieldError>, path: &FieldPath, value: &str) {
    if value.split('/').any(|element| element == "..") {
        errors.push(FieldError::invalid(path.clone(), value, "must not contain '..'"));
    }
}
