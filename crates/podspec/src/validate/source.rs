//! `env`, `envFrom`, and what refers to fields, config maps and secrets.

use serde_json::Value;

use super::{format, invalid, no_backsteps, required_label};
use crate::field::{FieldError, FieldPath};
use crate::json::{fields, list, object, text};
use crate::quantity::Quantity;
use crate::source::subscripted;

const OF_VARIABLES: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
const OF_FILES: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];
/// Fields that could be meant at all; which of them is another question.
const KNOWN: [&str; 6] = [
    "metadata.annotations",
    "metadata.labels",
    "spec.host",
    "spec.restartPolicy",
    "spec.schedulerName",
    "status.phase",
];
const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];
const CPU_DIVISORS: [&str; 2] = ["1", "1m"];
const BYTE_DIVISORS: [&str; 13] =
    ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];

/// Who asks for a field.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    Variable,
    File,
}

/// `env`
pub(super) fn variables(container: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    for (i, variable) in list(container, "env").iter().enumerate() {
        let path = path.index(i);
        match text(variable, "name") {
            "" => errors.push(FieldError::required(path.child("name"), "")),
            name => invalid(errors, &path.child("name"), name, format::environment_name(name)),
        }
        if let Some(from) = object(variable, "valueFrom") {
            value_from(from, text(variable, "value"), &path.child("valueFrom"), errors);
        }
    }
}

fn value_from(from: &Value, value: &str, path: &FieldPath, errors: &mut Vec<FieldError>) {
    for (name, reference) in fields(from) {
        let path = path.child(name);
        match name.as_str() {
            "fieldRef" => field(reference, Asker::Variable, &path, errors),
            "resourceFieldRef" => resource(reference, Asker::Variable, &path, errors),
            "configMapKeyRef" | "secretKeyRef" => key(reference, &path, errors),
            "fileKeyRef" => file_key(reference, &path, errors),
            _ => {}
        }
    }
    let mut wrong = |detail| errors.push(FieldError::invalid(path.clone(), "", detail));
    match fields(from).len() {
        0 => wrong(
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        ),
        _ if !value.is_empty() => wrong("may not be specified when `value` is not empty"),
        1 => {}
        _ => wrong("may not have more than one field specified at a time"),
    }
}

/// `envFrom`
pub(super) fn objects_of_variables(container: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    for (i, from) in list(container, "envFrom").iter().enumerate() {
        let place = path.index(i);
        let prefix = text(from, "prefix");
        invalid(errors, &place.child("prefix"), prefix, format::environment_name(prefix));
        let mut sources = 0;
        for name in ["configMapRef", "secretRef"] {
            let Some(reference) = object(from, name) else { continue };
            sources += 1;
            let path = place.child(name).child("name");
            match text(reference, "name") {
                "" => errors.push(FieldError::required(path, "")),
                name => invalid(errors, &path, name, format::dns_subdomain(name)),
            }
        }
        // Kubernetes says it of the list.
        let mut wrong = |detail| errors.push(FieldError::invalid(path.clone(), "", detail));
        match sources {
            0 => wrong("must specify one of: `configMapRef` or `secretRef`"),
            1 => {}
            _ => wrong("may not have more than one field specified at a time"),
        }
    }
}

fn key(reference: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let name = text(reference, "name");
    invalid(errors, &path.child("name"), name, format::dns_subdomain(name));
    match text(reference, "key") {
        "" => errors.push(FieldError::required(path.child("key"), "")),
        key => invalid(errors, &path.child("key"), key, format::config_key(key)),
    }
}

fn file_key(reference: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    match text(reference, "key") {
        "" => errors.push(FieldError::required(path.child("key"), "")),
        key => invalid(errors, &path.child("key"), key, format::environment_name(key)),
    }
    required_label(errors, &path.child("volumeName"), text(reference, "volumeName"));
    match text(reference, "path") {
        "" => errors.push(FieldError::required(path.child("path"), "")),
        file => no_backsteps(errors, &path.child("path"), file),
    }
}

/// Files of variables are read before a container starts, so they are in volumes that the pod itself fills.
pub(super) fn volumes_of_files(spec: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    for containers in ["initContainers", "containers"] {
        for (i, container) in list(spec, containers).iter().enumerate() {
            for (j, variable) in list(container, "env").iter().enumerate() {
                let reference = object(variable, "valueFrom").and_then(|from| object(from, "fileKeyRef"));
                let Some(reference) = reference else { continue };
                let at = path.child(containers).index(i).child("env").index(j);
                let at = at.child("valueFrom").child("fileKeyRef").child("volumeName");
                let name = text(reference, "volumeName");
                match list(spec, "volumes").iter().find(|volume| text(volume, "name") == name) {
                    None => errors.push(FieldError::not_found(at, name)),
                    Some(volume) if object(volume, "emptyDir").is_none() => {
                        let detail = "referenced volume must be of type emptyDir";
                        errors.push(FieldError::invalid(at, name, detail));
                    }
                    Some(_) => {}
                }
            }
        }
    }
}

/// An `ObjectFieldSelector`.
pub(super) fn field(reference: &Value, asker: Asker, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let (version, field) = (text(reference, "apiVersion"), text(reference, "fieldPath"));
    let at = path.child("fieldPath");
    let mut unknown = |why: String| {
        errors.push(FieldError::invalid(at.clone(), field, &format!("error converting fieldPath: {why}")));
    };
    if field.is_empty() {
        return errors.push(FieldError::required(at, ""));
    }
    if version != "v1" {
        return unknown(format!("unsupported pod version: {version}"));
    }
    match subscripted(field) {
        Some(("metadata.labels", key)) => invalid(errors, path, key, format::qualified_name(key)),
        Some(("metadata.annotations", key)) => {
            let key = key.to_lowercase();
            invalid(errors, path, key.as_str(), format::qualified_name(&key));
        }
        Some(_) => unknown(format!("field label does not support subscript: {field}")),
        None if !KNOWN.contains(&field) && !OF_VARIABLES.contains(&field) => {
            unknown(format!("field label not supported: {field}"));
        }
        None => {
            let supported: &[&str] = if asker == Asker::Variable { &OF_VARIABLES } else { &OF_FILES };
            let field = if field == "spec.host" { "spec.nodeName" } else { field };
            if !supported.contains(&field) {
                errors.push(FieldError::not_supported(at, field, supported));
            }
        }
    }
}

/// A `ResourceFieldSelector`.
pub(super) fn resource(reference: &Value, asker: Asker, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let resource = text(reference, "resource");
    let huge = ["limits.hugepages-", "requests.hugepages-"].iter().any(|prefix| resource.starts_with(prefix));
    if asker == Asker::File && text(reference, "containerName").is_empty() {
        errors.push(FieldError::required(path.child("containerName"), ""));
    } else if resource.is_empty() {
        errors.push(FieldError::required(path.child("resource"), ""));
    } else if huge {
        errors.push(FieldError::not_yet(path.child("resource"), "huge pages"));
    } else if !RESOURCES.contains(&resource) {
        errors.push(FieldError::not_supported(path.child("resource"), resource, &RESOURCES));
    }
    divisor(reference, resource, &path.child("divisor"), errors);
}

fn divisor(reference: &Value, resource: &str, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let given = Quantity::parse(text(reference, "divisor")).ok().filter(|divisor| !divisor.is_zero());
    let Some(given) = given.map(|divisor| divisor.to_string()) else { return };
    let (supported, detail): (&[&str], _) = match resource.split_once('.') {
        Some((_, "cpu")) => {
            (&CPU_DIVISORS, "only divisor's values 1m and 1 are supported with the cpu resource")
        }
        Some((_, "memory")) => (
            &BYTE_DIVISORS,
            "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the memory resource",
        ),
        Some((_, "ephemeral-storage")) => (
            &BYTE_DIVISORS,
            "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the local ephemeral storage resource",
        ),
        _ => return,
    };
    if !supported.contains(&given.as_str()) {
        errors.push(FieldError::invalid(path.clone(), resource, detail));
    }
}
