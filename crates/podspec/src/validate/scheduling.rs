//! Where a pod may run, and before whom.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{format, invalid, one_of};
use crate::field::{FieldError, FieldPath};
use crate::json::{fields, integer, list, object, text};

pub(super) fn validate(spec: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    node_selector(&spec["nodeSelector"], &path.child("nodeSelector"), errors);
    node_affinity(&spec["affinity"]["nodeAffinity"], &path.child("affinity").child("nodeAffinity"), errors);
    tolerations(spec, &path.child("tolerations"), errors);
    gates(spec, &path.child("schedulingGates"), errors);
    claims(spec, &path.child("resourceClaims"), errors);
    let preemption = text(spec, "preemptionPolicy");
    if !preemption.is_empty() {
        one_of(errors, &path.child("preemptionPolicy"), preemption, &["PreemptLowerPriority", "Never"]);
    }
}

fn node_selector(selector: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    for (key, value) in fields(selector) {
        let value = value.as_str().unwrap_or("");
        invalid(errors, path, key.as_str(), format::qualified_name(key));
        invalid(errors, path, value, format::label_value(value));
    }
}

fn node_affinity(affinity: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
    if let Some(required) = object(affinity, REQUIRED) {
        let path = path.child(REQUIRED).child("nodeSelectorTerms");
        let terms = list(required, "nodeSelectorTerms");
        if terms.is_empty() {
            errors.push(FieldError::required(path.clone(), "must have at least one node selector term"));
        }
        for (i, term) in terms.iter().enumerate() {
            node_selector_term(term, &path.index(i), errors);
        }
    }
    for (i, preferred) in list(affinity, PREFERRED).iter().enumerate() {
        let path = path.child(PREFERRED).index(i);
        let weight = integer(preferred, "weight").unwrap_or(0);
        if !(1..=100).contains(&weight) {
            errors.push(FieldError::invalid(path.child("weight"), weight, "must be in the range 1-100"));
        }
        node_selector_term(&preferred["preference"], &path.child("preference"), errors);
    }
}

fn node_selector_term(term: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    for (i, requirement) in list(term, "matchExpressions").iter().enumerate() {
        node_expression(requirement, &path.child("matchExpressions").index(i), errors);
    }
    for (i, requirement) in list(term, "matchFields").iter().enumerate() {
        node_field(requirement, &path.child("matchFields").index(i), errors);
    }
}

/// An operator that every selector has, and how many values it takes.
pub(super) fn label_operator(
    operator: &str,
    values: &[Value],
    path: &FieldPath,
    errors: &mut Vec<FieldError>,
) {
    match operator {
        "In" | "NotIn" if values.is_empty() => {
            let detail = "must be specified when `operator` is 'In' or 'NotIn'";
            errors.push(FieldError::required(path.child("values"), detail));
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.push(FieldError::forbidden(path.child("values"), detail));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        _ => {
            let detail = "not a valid selector operator";
            errors.push(FieldError::invalid(path.child("operator"), operator, detail));
        }
    }
}

fn node_expression(requirement: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let (key, operator) = (text(requirement, "key"), text(requirement, "operator"));
    let values = list(requirement, "values");
    match operator {
        "Gt" | "Lt" if values.len() != 1 => {
            let detail = "must be specified single value when `operator` is 'Lt' or 'Gt'";
            errors.push(FieldError::required(path.child("values"), detail));
        }
        "Gt" | "Lt" => {}
        _ => label_operator(operator, values, path, errors),
    }
    invalid(errors, &path.child("key"), key, format::qualified_name(key));
}

fn node_field(requirement: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let (key, operator) = (text(requirement, "key"), text(requirement, "operator"));
    let values = list(requirement, "values");
    match operator {
        "In" | "NotIn" if values.len() != 1 => {
            let detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
            errors.push(FieldError::required(path.child("values"), detail));
        }
        "In" | "NotIn" => {}
        _ => {
            let detail = "not a valid selector operator";
            errors.push(FieldError::invalid(path.child("operator"), operator, detail));
        }
    }
    if key != "metadata.name" {
        errors.push(FieldError::invalid(path.child("key"), key, "not a valid field selector key"));
    }
}

fn gates(spec: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let mut seen = BTreeSet::new();
    for (i, gate) in list(spec, "schedulingGates").iter().enumerate() {
        let (path, name) = (path.index(i), text(gate, "name"));
        invalid(errors, &path, name, format::qualified_name(name));
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(path, name));
        }
    }
}

fn claims(spec: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let mut seen = BTreeSet::new();
    for (i, claim) in list(spec, "resourceClaims").iter().enumerate() {
        let (path, name) = (path.index(i), text(claim, "name"));
        super::required_label(errors, &path.child("name"), name);
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(path.child("name"), name));
        }
        let (of, template) = (text(claim, "resourceClaimName"), text(claim, "resourceClaimTemplateName"));
        if of.is_empty() == template.is_empty() {
            let detail = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`";
            errors.push(FieldError::invalid(path.clone(), name, detail));
        }
        for (field, value) in [("resourceClaimName", of), ("resourceClaimTemplateName", template)] {
            if !value.is_empty() {
                invalid(errors, &path.child(field), value, format::dns_subdomain(value));
            }
        }
    }
}

fn tolerations(spec: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    for (i, toleration) in list(spec, "tolerations").iter().enumerate() {
        let path = path.index(i);
        let field = |name| text(toleration, name);
        let (key, operator, value, effect) =
            (field("key"), field("operator"), field("value"), field("effect"));
        if key.is_empty() && operator != "Exists" {
            let detail =
                "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.push(FieldError::invalid(path.child("operator"), operator, detail));
        } else if !key.is_empty() {
            invalid(errors, &path.child("key"), key, format::qualified_name(key));
        }
        if integer(toleration, "tolerationSeconds").is_some() && effect != "NoExecute" {
            let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            errors.push(FieldError::invalid(path.child("effect"), effect, detail));
        }
        match operator {
            "" | "Equal" => invalid(errors, &path.child("operator"), value, format::label_value(value)),
            "Exists" if value.is_empty() => {}
            "Exists" => {
                let detail = "value must be empty when `operator` is 'Exists'";
                errors.push(FieldError::invalid(path.child("operator"), value, detail));
            }
            _ => {
                errors.push(FieldError::not_supported(
                    path.child("operator"),
                    operator,
                    &["Equal", "Exists"],
                ));
            }
        }
        if !effect.is_empty() {
            one_of(errors, &path.child("effect"), effect, &["NoSchedule", "PreferNoSchedule", "NoExecute"]);
        }
    }
}
