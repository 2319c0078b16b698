//! Volumes of files: `configMap`, `secret`, `downwardAPI`, `projected`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::descending;
use super::source::{self, Asker};
use crate::field::{FieldError, FieldPath};
use crate::json::{fields, integer, list, object, text};

const MODE_MAX: i64 = 0o777;
const TOKEN_SECONDS_MIN: i64 = 600;
const TOKEN_SECONDS_MAX: i64 = 1 << 32;

/// `configMap` and `secret`; `name` is the field that the object's name is in.
pub(super) fn object_volume(content: &Value, name: &str, path: &FieldPath, errors: &mut Vec<FieldError>) {
    if text(content, name).is_empty() {
        errors.push(FieldError::required(path.child(name), ""));
    }
    mode(content, "defaultMode", path, errors);
    items(content, path, errors);
}

/// `downwardAPI`
pub(super) fn downward_volume(content: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    mode(content, "defaultMode", path, errors);
    for file in list(content, "items") {
        // Kubernetes says it of the volume, not of the item.
        downward_file(file, path, errors);
    }
}

/// `projected`
pub(super) fn projected(content: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    mode(content, "defaultMode", path, errors);
    let mut paths = BTreeSet::new();
    for (i, source) in list(content, "sources").iter().enumerate() {
        let at = path.child("sources").index(i);
        for (name, source) in fields(source) {
            projection(name, source, path, &at.child(name), errors);
        }
        for (taken, value) in paths_of(source) {
            if !taken.is_empty() && !paths.insert(taken) {
                errors.push(FieldError::invalid(path.clone(), value, "conflicting duplicate paths"));
            }
        }
        if fields(source).len() > 1 {
            errors.push(FieldError::forbidden(at, "may not specify more than 1 volume type per source"));
        }
    }
}

/// `volume` is the path of the volume, `path` that of the source.
fn projection(
    name: &str,
    source: &Value,
    volume: &FieldPath,
    path: &FieldPath,
    errors: &mut Vec<FieldError>,
) {
    match name {
        "secret" | "configMap" => {
            if text(source, "name").is_empty() {
                errors.push(FieldError::required(path.child("name"), ""));
            }
            items(source, path, errors);
        }
        "downwardAPI" => {
            for file in list(source, "items") {
                downward_file(file, path, errors);
            }
        }
        "serviceAccountToken" => {
            let seconds = integer(source, "expirationSeconds").unwrap_or(0);
            let range = path.child("expirationSeconds");
            if seconds < TOKEN_SECONDS_MIN {
                let detail = "may not specify a duration less than 10 minutes";
                errors.push(FieldError::invalid(range, seconds, detail));
            } else if seconds > TOKEN_SECONDS_MAX {
                let detail = "may not specify a duration larger than 2^32 seconds";
                errors.push(FieldError::invalid(range, seconds, detail));
            }
            match text(source, "path") {
                "" => errors.push(FieldError::required(volume.child("path"), "")),
                file => inner_path(file, &volume.child("path"), errors),
            }
        }
        _ => {}
    }
}

/// The paths that a source gives files, and what Kubernetes shows of one that is taken.
fn paths_of(source: &Value) -> Vec<(&str, &str)> {
    let mut paths = Vec::new();
    for name in ["secret", "configMap", "downwardAPI"] {
        let Some(content) = object(source, name) else { continue };
        for item in list(content, "items") {
            let path = text(item, "path");
            let shown = if name == "downwardAPI" { path } else { text(content, "name") };
            paths.push((path, shown));
        }
    }
    paths
}

fn items(content: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    for (i, item) in list(content, "items").iter().enumerate() {
        let path = path.child("items").index(i);
        for name in ["key", "path"] {
            if text(item, name).is_empty() {
                errors.push(FieldError::required(path.child(name), ""));
            }
        }
        inner_path(text(item, "path"), &path.child("path"), errors);
        mode(item, "mode", &path, errors);
    }
}

fn downward_file(file: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let name = text(file, "path");
    if name.is_empty() {
        errors.push(FieldError::required(path.child("path"), ""));
    }
    inner_path(name, &path.child("path"), errors);
    match (object(file, "fieldRef"), object(file, "resourceFieldRef")) {
        (Some(field), other) => {
            source::field(field, Asker::File, &path.child("fieldRef"), errors);
            if other.is_some() {
                let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
                errors.push(FieldError::invalid(path.clone(), "resource", detail));
            }
        }
        (None, Some(resource)) => {
            source::resource(resource, Asker::File, &path.child("resourceFieldRef"), errors);
        }
        (None, None) => {
            let detail = "one of fieldRef and resourceFieldRef is required";
            errors.push(FieldError::required(path.clone(), detail));
        }
    }
    mode(file, "mode", path, errors);
}

/// A path within a volume, beside the names that the volume has for itself.
fn inner_path(value: &str, path: &FieldPath, errors: &mut Vec<FieldError>) {
    descending(value, path, errors);
    if value.starts_with("..") && !value.starts_with("../") {
        errors.push(FieldError::invalid(path.clone(), value, "must not start with '..'"));
    }
}

fn mode(value: &Value, name: &str, path: &FieldPath, errors: &mut Vec<FieldError>) {
    if let Some(mode) = integer(value, name).filter(|mode| !(0..=MODE_MAX).contains(mode)) {
        let detail = "must be a number between 0 and 0777 (octal), both inclusive";
        errors.push(FieldError::invalid(path.child(name), mode, detail));
    }
}
