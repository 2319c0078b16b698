//! Security contexts of pods and containers.

use serde_json::{Value, json};

use super::{format, invalid};
use crate::field::{FieldError, FieldPath};
use crate::json::{integer, list, object, text};

pub(super) fn validate_pod(context: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    ids(context, &["fsGroup", "runAsUser", "runAsGroup"], path, errors);
    for (i, group) in list(context, "supplementalGroups").iter().filter_map(Value::as_i64).enumerate() {
        invalid(errors, &path.child("supplementalGroups").index(i), group, format::id(group));
    }
    enumeration(context, "fsGroupChangePolicy", &["Always", "OnRootMismatch"], path, errors);
    seccomp(context, path, errors);
    enumeration(context, "supplementalGroupsPolicy", &["Merge", "Strict"], path, errors);
}

pub(super) fn validate_container(context: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    ids(context, &["runAsUser", "runAsGroup"], path, errors);
    enumeration(context, "procMount", &["Default", "Unmasked"], path, errors);
    seccomp(context, path, errors);
    if context.get("allowPrivilegeEscalation") != Some(&Value::Bool(false)) {
        return;
    }
    let mut contradicts = |what: &str| {
        let detail = format!("cannot set `allowPrivilegeEscalation` to false and {what}");
        errors.push(FieldError::invalid(path.clone(), context.clone(), &detail));
    };
    if context.get("privileged") == Some(&Value::Bool(true)) {
        contradicts("`privileged` to true");
    }
    let added = list(&context["capabilities"], "add");
    for _ in added.iter().filter(|c| c.as_str() == Some("CAP_SYS_ADMIN")) {
        contradicts("`capabilities.Add` CAP_SYS_ADMIN");
    }
}

fn ids(context: &Value, names: &[&str], path: &FieldPath, errors: &mut Vec<FieldError>) {
    for name in names {
        if let Some(id) = integer(context, name) {
            invalid(errors, &path.child(name), id, format::id(id));
        }
    }
}

fn enumeration(
    context: &Value,
    name: &str,
    supported: &[&str],
    path: &FieldPath,
    errors: &mut Vec<FieldError>,
) {
    let value = context.get(name).and_then(Value::as_str);
    if let Some(value) = value.filter(|v| !supported.contains(v)) {
        errors.push(FieldError::not_supported(path.child(name), value, supported));
    }
}

fn seccomp(context: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let Some(profile) = object(context, "seccompProfile") else { return };
    let path = path.child("seccompProfile");
    let kind = text(profile, "type");
    match kind {
        "Localhost" | "RuntimeDefault" | "Unconfined" => {}
        "" => {
            errors.push(FieldError::required(
                path.child("type"),
                "type is required when seccompProfile is set",
            ));
        }
        _ => {
            let supported = ["Localhost", "RuntimeDefault", "Unconfined"];
            errors.push(FieldError::not_supported(path.child("type"), kind, &supported));
        }
    }
    let file = profile.get("localhostProfile").and_then(Value::as_str);
    match (kind, file) {
        ("Localhost", None) => {
            let detail = "must be set when seccomp type is Localhost";
            errors.push(FieldError::required(path.child("localhostProfile"), detail));
        }
        ("Localhost", Some(_)) | (_, None) => {}
        (_, Some(file)) => {
            let value = json!({ "Type": kind, "LocalhostProfile": file });
            let detail = "can only be set when seccomp type is Localhost";
            errors.push(FieldError::invalid(path.child("localhostProfile"), value, detail));
        }
    }
}
