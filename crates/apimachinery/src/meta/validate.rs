//! Kubernetes' rules for metadata, in its order and wording.

use podspec::field::quote;
use podspec::json::{fields, flag, integer, list, text};
use podspec::{FieldError, FieldPath, format};
use serde_json::Value;

/// All keys and values of annotations together.
const ANNOTATIONS_BYTES_MAX: usize = 256 << 10;

/// Bytes of `fieldManager`.
const MANAGER_BYTES_MAX: usize = 128;

/// Bytes of a subresource in managedFields.
const SUBRESOURCE_BYTES_MAX: usize = 256;

/// Finalizers that need no domain.
const PLAIN_FINALIZERS: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];

/// What an object of a kind may be called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NameRule {
    /// `example.com`: most kinds.
    DnsSubdomain,
    /// `web-1`: namespaces, services.
    DnsLabel,
    /// Anything that fits between two slashes: roles and bindings.
    PathSegment,
}

impl NameRule {
    /// What is wrong with a name, or with what a name begins with.
    #[must_use]
    pub fn errors_of(self, name: &str, is_prefix: bool) -> Vec<String> {
        let name = if is_prefix && self != Self::PathSegment { masked(name) } else { name.to_owned() };
        match self {
            Self::DnsSubdomain => format::dns_subdomain(&name),
            Self::DnsLabel => format::dns_label(&name),
            Self::PathSegment if is_prefix => format::path_segment_prefix(&name),
            Self::PathSegment => format::path_segment(&name),
        }
    }
}

/// A prefix may end in a dash, because something comes after it.
fn masked(prefix: &str) -> String {
    match prefix.strip_suffix('-') {
        Some(stem) if !stem.is_empty() => format!("{stem}a"),
        _ => prefix.to_owned(),
    }
}

/// Checks the metadata of a new object, whose name has been generated and whose namespace has been set.
#[must_use]
pub fn validate(object: &Value, namespaced: bool, rule: NameRule) -> Vec<FieldError> {
    let metadata = &object["metadata"];
    let path = FieldPath::root().child("metadata");
    let mut errors = Vec::new();
    let (name, prefix) = (text(metadata, "name"), text(metadata, "generateName"));
    if !prefix.is_empty() {
        invalid(&mut errors, &path.child("generateName"), prefix, rule.errors_of(prefix, true));
    }
    if name.is_empty() {
        errors.push(FieldError::required(path.child("name"), "name or generateName is required"));
    } else {
        invalid(&mut errors, &path.child("name"), name, rule.errors_of(name, false));
    }
    let namespace = text(metadata, "namespace");
    match (namespaced, namespace) {
        (true, "") => errors.push(FieldError::required(path.child("namespace"), "")),
        (true, _) => {
            invalid(&mut errors, &path.child("namespace"), namespace, format::dns_label(namespace));
        }
        (false, "") => {}
        (false, _) => errors.push(FieldError::forbidden(path.child("namespace"), "not allowed on this type")),
    }
    if let Some(generation) = integer(metadata, "generation").filter(|generation| *generation < 0) {
        let detail = "must be greater than or equal to 0";
        errors.push(FieldError::invalid(path.child("generation"), generation, detail));
    }
    common(metadata, &path, &mut errors);
    finalizers(metadata, &path.child("finalizers"), &mut errors);
    managed_fields(metadata, &path.child("managedFields"), &mut errors);
    errors
}

/// Checks the metadata of an object that is to replace `old`, after [`super::prepare_update`].
#[must_use]
pub fn validate_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let (new, old) = (&new["metadata"], &old["metadata"]);
    let path = FieldPath::root().child("metadata");
    let mut errors = Vec::new();
    if !old["deletionTimestamp"].is_null() {
        no_new_finalizers(new, old, &path.child("finalizers"), &mut errors);
    }
    if text(new, "resourceVersion").is_empty() {
        let detail = "must be specified for an update";
        errors.push(FieldError::invalid(path.child("resourceVersion"), "", detail));
    }
    let generation = |metadata| integer(metadata, "generation").unwrap_or(0);
    if generation(new) < generation(old) {
        let detail = "must not be decremented";
        errors.push(FieldError::invalid(path.child("generation"), generation(new), detail));
    }
    for name in ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp"] {
        if text(new, name) != text(old, name) {
            let value = new.get(name).cloned().unwrap_or_else(|| "".into());
            errors.push(FieldError::invalid(path.child(name), value, "field is immutable"));
        }
    }
    let grace = "deletionGracePeriodSeconds";
    if integer(new, grace) != integer(old, grace) {
        errors.push(FieldError::invalid(path.child(grace), new[grace].clone(), "field is immutable"));
    }
    common(new, &path, &mut errors);
    finalizers(new, &path.child("finalizers"), &mut errors);
    managed_fields(new, &path.child("managedFields"), &mut errors);
    errors
}

/// The rules of `fieldManager`, at `path`.
#[must_use]
pub fn validate_field_manager(manager: &str, path: &FieldPath) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if manager.len() > MANAGER_BYTES_MAX {
        errors.push(FieldError::too_long(path.clone(), MANAGER_BYTES_MAX));
    }
    for (position, c) in manager.char_indices().filter(|(_, c)| c.is_control()) {
        let detail = format!("invalid character U+{:04X} (at position {position})", u32::from(c));
        errors.push(FieldError::invalid(path.clone(), manager, &detail));
    }
    errors
}

fn common(metadata: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    labels(&metadata["labels"], &path.child("labels"), errors);
    annotations(&metadata["annotations"], &path.child("annotations"), errors);
    owners(metadata, &path.child("ownerReferences"), errors);
}

fn labels(labels: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    for (key, value) in fields(labels) {
        let value = value.as_str().unwrap_or("");
        invalid(errors, path, key, format::qualified_name(key));
        invalid(errors, path, value, format::label_value(value));
    }
}

fn annotations(annotations: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let mut bytes = 0;
    for (key, value) in fields(annotations) {
        bytes += key.len() + value.as_str().map_or(0, str::len);
        invalid(errors, path, key, format::qualified_name(&key.to_lowercase()));
    }
    if bytes > ANNOTATIONS_BYTES_MAX {
        errors.push(FieldError::too_long(path.clone(), ANNOTATIONS_BYTES_MAX));
    }
}

fn owners(metadata: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let mut controller: Option<String> = None;
    for owner in list(metadata, "ownerReferences") {
        let (api_version, kind, name) = (text(owner, "apiVersion"), text(owner, "kind"), text(owner, "name"));
        if api_version.rsplit('/').next() == Some("") {
            let detail = "version must not be empty";
            errors.push(FieldError::invalid(path.child("apiVersion"), api_version, detail));
        }
        for (field, value) in [("kind", kind), ("name", name), ("uid", text(owner, "uid"))] {
            if value.is_empty() {
                errors.push(FieldError::invalid(path.child(field), "", "must not be empty"));
            }
        }
        if (api_version, kind) == ("v1", "Event") {
            let detail = "/v1, Kind=Event is disallowed from being an owner";
            errors.push(FieldError::invalid(path.clone(), owner.clone(), detail));
        }
        if !flag(owner, "controller") {
            continue;
        }
        let this = format!("{kind}/{name}");
        match &controller {
            None => controller = Some(this),
            Some(first) => {
                let detail = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {this}"
                );
                errors.push(FieldError::invalid(path.clone(), metadata["ownerReferences"].clone(), &detail));
            }
        }
    }
}

fn finalizers(metadata: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let names: Vec<&str> = list(metadata, "finalizers").iter().filter_map(Value::as_str).collect();
    for name in &names {
        invalid(errors, path, name, format::qualified_name(name));
    }
    if ["orphan", "foregroundDeletion"].iter().all(|name| names.contains(name)) {
        let detail = "finalizer orphan and foregroundDeletion cannot be both set";
        errors.push(FieldError::invalid(path.clone(), metadata["finalizers"].clone(), detail));
    }
    for (index, name) in names.iter().enumerate() {
        if !name.contains('/') && !PLAIN_FINALIZERS.contains(name) {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(FieldError::invalid(path.index(index), *name, detail));
        }
    }
}

fn no_new_finalizers(new: &Value, old: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let old = list(old, "finalizers");
    let extra = list(new, "finalizers").iter().filter(|name| !old.contains(name)).filter_map(Value::as_str);
    let mut extra: Vec<String> = extra.map(quote).collect();
    extra.sort();
    extra.dedup();
    if !extra.is_empty() {
        let detail = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
            extra.join(", ")
        );
        errors.push(FieldError::forbidden(path.clone(), &detail));
    }
}

fn managed_fields(metadata: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    for (index, entry) in list(metadata, "managedFields").iter().enumerate() {
        let path = path.index(index);
        let operation = text(entry, "operation");
        if !matches!(operation, "Apply" | "Update") {
            let detail = "must be `Apply` or `Update`";
            errors.push(FieldError::invalid(path.child("operation"), operation, detail));
        }
        let fields_type = text(entry, "fieldsType");
        if !matches!(fields_type, "" | "FieldsV1") {
            errors.push(FieldError::invalid(path.child("fieldsType"), fields_type, "must be `FieldsV1`"));
        }
        errors.extend(validate_field_manager(text(entry, "manager"), &path.child("manager")));
        if text(entry, "subresource").len() > SUBRESOURCE_BYTES_MAX {
            errors.push(FieldError::too_long(path.child("subresource"), SUBRESOURCE_BYTES_MAX));
        }
    }
}

/// Adds an `Invalid value` for each message.
fn invalid(errors: &mut Vec<FieldError>, path: &FieldPath, value: &str, messages: Vec<String>) {
    errors.extend(messages.into_iter().map(|m| FieldError::invalid(path.clone(), value, &m)));
}
