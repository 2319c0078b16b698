//! `metadata`: names, labels, annotations.

use serde_json::Value;

use super::{format, invalid};
use crate::field::{FieldError, FieldPath};
use crate::json::{fields, text};

/// All keys and values together.
const ANNOTATIONS_BYTES_MAX: usize = 256 << 10;

const APPARMOR_PREFIX: &str = "container.apparmor.security.beta.kubernetes.io/";

pub(super) fn validate(pod: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let metadata = &pod["metadata"];
    let (name, prefix) = (text(metadata, "name"), text(metadata, "generateName"));
    if !prefix.is_empty() {
        invalid(errors, &path.child("generateName"), prefix, format::dns_subdomain(&masked(prefix)));
    }
    if !name.is_empty() {
        invalid(errors, &path.child("name"), name, format::dns_subdomain(name));
    } else if prefix.is_empty() {
        errors.push(FieldError::required(path.child("name"), "name or generateName is required"));
    }
    let namespace = text(metadata, "namespace");
    if !namespace.is_empty() {
        invalid(errors, &path.child("namespace"), namespace, format::dns_label(namespace));
    }
    labels(&metadata["labels"], &path.child("labels"), errors);
    annotations(&metadata["annotations"], &path.child("annotations"), errors);
}

/// A prefix may end in a dash, because something comes after it.
fn masked(prefix: &str) -> String {
    match prefix.strip_suffix('-') {
        Some(stem) if !stem.is_empty() => format!("{stem}a"),
        _ => prefix.to_owned(),
    }
}

fn labels(labels: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    for (key, value) in fields(labels) {
        let value = value.as_str().unwrap_or("");
        invalid(errors, path, key.as_str(), format::qualified_name(key));
        invalid(errors, path, value, format::label_value(value));
    }
}

fn annotations(annotations: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let mut bytes = 0;
    for (key, value) in fields(annotations) {
        bytes += key.len() + value.as_str().map_or(0, str::len);
        invalid(errors, path, key.as_str(), format::qualified_name(&key.to_lowercase()));
        if key.starts_with(APPARMOR_PREFIX) && value != "unconfined" {
            errors.push(FieldError::not_yet(path.key(key), "AppArmor"));
        }
    }
    if bytes > ANNOTATIONS_BYTES_MAX {
        errors.push(FieldError::too_long(path.clone(), ANNOTATIONS_BYTES_MAX));
    }
}
