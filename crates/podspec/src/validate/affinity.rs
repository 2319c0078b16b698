//! Which pods a pod is to be near to or apart from, and how evenly it is spread.

use std::collections::BTreeSet;

use serde_json::Value;

use super::scheduling::label_operator;
use super::{format, invalid};
use crate::field::{FieldError, FieldPath};
use crate::json::{fields, integer, list, object, text};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
const ACTIONS: [&str; 2] = ["DoNotSchedule", "ScheduleAnyway"];

pub(super) fn validate(spec: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    for kind in ["podAffinity", "podAntiAffinity"] {
        let (affinity, path) = (&spec["affinity"][kind], path.child("affinity").child(kind));
        for (i, wanted) in list(affinity, REQUIRED).iter().enumerate() {
            term(wanted, &path.child(REQUIRED).index(i), errors);
        }
        for (i, preferred) in list(affinity, PREFERRED).iter().enumerate() {
            let path = path.child(PREFERRED).index(i);
            let weight = integer(preferred, "weight").unwrap_or(0);
            if !(1..=100).contains(&weight) {
                errors.push(FieldError::invalid(path.child("weight"), weight, "must be in the range 1-100"));
            }
            term(&preferred["podAffinityTerm"], &path.child("podAffinityTerm"), errors);
        }
    }
    spreads(spec, &path.child("topologySpreadConstraints"), errors);
}

fn term(term: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    for name in ["labelSelector", "namespaceSelector"] {
        selector(&term[name], &path.child(name), errors);
    }
    if object(term, "namespaceSelector").is_some_and(|selector| !fields(selector).is_empty()) {
        let error = FieldError::not_yet(path.child("namespaceSelector"), "namespaces by their labels");
        errors.push(error.hint("name them in namespaces, or select all with {}"));
    }
    for name in list(term, "namespaces").iter().filter_map(Value::as_str) {
        // Kubernetes' word for the field.
        invalid(errors, &path.child("namespace"), name, format::dns_label(name));
    }
    label_keys(term, path, errors);
    let key = text(term, "topologyKey");
    if key.is_empty() {
        errors.push(FieldError::required(path.child("topologyKey"), "can not be empty"));
    }
    invalid(errors, &path.child("topologyKey"), key, format::qualified_name(key));
}

fn spreads(spec: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let constraints = list(spec, "topologySpreadConstraints");
    let identity = |constraint: &Value| {
        (text(constraint, "topologyKey").to_owned(), text(constraint, "whenUnsatisfiable").to_owned())
    };
    for (i, constraint) in constraints.iter().enumerate() {
        let path = path.index(i);
        positive(integer(constraint, "maxSkew").unwrap_or(0), &path.child("maxSkew"), errors);
        let (key, action) = identity(constraint);
        if key.is_empty() {
            errors.push(FieldError::required(path.child("topologyKey"), "can not be empty"));
        }
        if !ACTIONS.contains(&action.as_str()) {
            errors.push(FieldError::not_supported(
                path.child("whenUnsatisfiable"),
                action.as_str(),
                &ACTIONS,
            ));
        }
        if constraints[i + 1..].iter().any(|later| identity(later) == (key.clone(), action.clone())) {
            let path = path.child("{topologyKey, whenUnsatisfiable}");
            errors.push(FieldError::duplicate(path, format!("{{{key}, {action}}}").as_str()));
        }
        if let Some(count) = integer(constraint, "minDomains") {
            positive(count, &path.child("minDomains"), errors);
            if action != "DoNotSchedule" {
                let detail =
                    format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}");
                errors.push(FieldError::invalid(path.child("minDomains"), count, &detail));
            }
        }
        for name in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            if let Some(policy) = constraint.get(name).and_then(Value::as_str) {
                super::one_of(errors, &path.child(name), policy, &["Honor", "Ignore"]);
            }
        }
        label_keys(constraint, &path, errors);
        selector(&constraint["labelSelector"], &path.child("labelSelector"), errors);
    }
}

fn positive(value: i64, path: &FieldPath, errors: &mut Vec<FieldError>) {
    if value <= 0 {
        errors.push(FieldError::invalid(path.clone(), value, "must be greater than zero"));
    }
}

/// Keys whose values are the pod's own. What they stand for may be in the selector already.
fn label_keys(owner: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let keys = |name: &str| -> Vec<&str> { list(owner, name).iter().filter_map(Value::as_str).collect() };
    let selector = object(owner, "labelSelector");
    for name in ["matchLabelKeys", "mismatchLabelKeys"] {
        let keys = keys(name);
        if !keys.is_empty() && selector.is_none() {
            let detail = "must not be specified when labelSelector is not set";
            errors.push(FieldError::forbidden(path.child(name), detail));
            continue;
        }
        for (i, key) in keys.into_iter().enumerate() {
            invalid(errors, &path.child(name).index(i), key, format::qualified_name(key));
        }
    }
    let (matched, mismatched) = (keys("matchLabelKeys"), keys("mismatchLabelKeys"));
    let Some(selector) = selector else { return };
    let mut seen: BTreeSet<&str> = fields(&selector["matchLabels"]).keys().map(String::as_str).collect();
    for expression in list(selector, "matchExpressions") {
        let key = text(expression, "key");
        if !seen.insert(key)
            && let Some(i) = matched.iter().position(|held| *held == key)
        {
            let detail = "exists in both matchLabelKeys and labelSelector";
            errors.push(FieldError::invalid(path.index(i), key, detail));
        }
    }
    for (i, key) in matched.iter().enumerate().filter(|(_, key)| mismatched.contains(key)) {
        let detail = "exists in both matchLabelKeys and mismatchLabelKeys";
        errors.push(FieldError::invalid(path.child("matchLabelKeys").index(i), *key, detail));
    }
}

/// A label selector.
pub fn selector(selector: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    for (key, value) in fields(&selector["matchLabels"]) {
        let (path, value) = (path.child("matchLabels"), value.as_str().unwrap_or(""));
        invalid(errors, &path, key.as_str(), format::qualified_name(key));
        invalid(errors, &path, value, format::label_value(value));
    }
    for (i, requirement) in list(selector, "matchExpressions").iter().enumerate() {
        let path = path.child("matchExpressions").index(i);
        let (key, operator) = (text(requirement, "key"), text(requirement, "operator"));
        let values = list(requirement, "values");
        label_operator(operator, values, &path, errors);
        invalid(errors, &path.child("key"), key, format::qualified_name(key));
        for (i, value) in values.iter().filter_map(Value::as_str).enumerate() {
            invalid(errors, &path.child("values").index(i), value, format::label_value(value));
        }
    }
}
