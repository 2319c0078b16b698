//! Small edits of objects, shared by the rules of kinds.

use podspec::json::{fields, integer};
use podspec::{FieldError, FieldPath};
use serde_json::{Map, Value};

/// The words for a field that an update may not change.
pub(crate) const IMMUTABLE: &str = "field is immutable";

/// The object in a field; made when it is not there.
pub(crate) fn section<'a>(object: &'a mut Value, name: &str) -> Option<&'a mut Map<String, Value>> {
    let section = object.as_object_mut()?.entry(name).or_insert(Value::Null);
    if section.is_null() {
        *section = Value::Object(Map::new());
    }
    section.as_object_mut()
}

/// Sets what is missing, null or an empty text.
pub(crate) fn set_default(object: &mut Map<String, Value>, name: &str, value: impl Into<Value>) {
    let unset = match object.get(name) {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(_) => false,
    };
    if unset {
        object.insert(name.to_owned(), value.into());
    }
}

pub(crate) fn set(object: &mut Value, name: &str, value: impl Into<Value>) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value.into());
    }
}

pub(crate) fn remove(object: &mut Value, name: &str) {
    if let Some(object) = object.as_object_mut() {
        object.remove(name);
    }
}

/// Makes a field what it was.
pub(crate) fn keep(new: &mut Value, old: &Value, name: &str) {
    match old.get(name) {
        Some(value) => set(new, name, value.clone()),
        None => remove(new, name),
    }
}

/// An update of the object itself leaves `status` alone; one of its status leaves everything else but labels and the
/// like alone.
pub(crate) fn keep_apart(new: &mut Value, old: &Value, subresource: Option<&str>) {
    match subresource {
        Some("status") => keep(new, old, "spec"),
        _ => keep(new, old, "status"),
    }
}

/// `metadata.generation` of a new object.
pub(crate) fn first_generation(object: &mut Value) {
    if let Some(metadata) = section(object, "metadata") {
        metadata.insert("generation".to_owned(), 1.into());
    }
}

/// `metadata.generation` goes up when one of these fields changes, and else stays.
pub(crate) fn next_generation(new: &mut Value, old: &Value, names: &[&str]) {
    let old_generation = integer(&old["metadata"], "generation");
    let changed = names.iter().any(|name| new.get(name) != old.get(name));
    let generation = if changed { Some(old_generation.unwrap_or(0) + 1) } else { old_generation };
    if let (Some(metadata), Some(generation)) = (section(new, "metadata"), generation) {
        metadata.insert("generation".to_owned(), generation.into());
    }
}

/// Adds an `Invalid value` for each message.
pub(crate) fn invalid(errors: &mut Vec<FieldError>, path: &FieldPath, value: &str, messages: Vec<String>) {
    errors.extend(messages.into_iter().map(|message| FieldError::invalid(path.clone(), value, &message)));
}

/// A field that no update may change.
pub(crate) fn immutable(errors: &mut Vec<FieldError>, new: &Value, old: &Value, names: &[&str]) {
    let (new_value, old_value) = (at(new, names), at(old, names));
    if new_value != old_value {
        errors.push(FieldError::invalid(path(names), new_value.clone(), IMMUTABLE));
    }
}

/// What is at a path of fields; null where there is nothing.
pub(crate) fn at<'a>(object: &'a Value, names: &[&str]) -> &'a Value {
    names.iter().fold(object, |value, name| &value[*name])
}

/// A path of fields.
pub(crate) fn path(names: &[&str]) -> FieldPath {
    names.iter().fold(FieldPath::root(), |path, name| path.child(name))
}

/// Quantities of a map that do not parse or are negative.
pub(crate) fn quantities(errors: &mut Vec<FieldError>, map: &Value, path: &FieldPath) {
    for (name, value) in fields(map) {
        let path = path.key(name);
        match podspec::quantity::Quantity::parse(&quantity_text(value)) {
            Ok(quantity) if quantity.is_negative() => {
                errors.push(FieldError::invalid(
                    path,
                    quantity.to_string(),
                    "must be greater than or equal to 0",
                ));
            }
            Ok(_) => {}
            Err(error) => errors.push(FieldError::invalid(path, value.clone(), &error.to_string())),
        }
    }
}

/// A quantity may be written as a number.
pub(crate) fn quantity_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The effect of a taint or toleration.
pub(crate) const TAINT_EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// Selectable fields, as most kinds name them.
pub(crate) fn selectable(object: &Value, names: &[&'static str]) -> Vec<(&'static str, String)> {
    let read = |name: &&'static str| {
        let parts: Vec<&str> = name.split('.').collect();
        let value = at(object, &parts);
        (
            *name,
            value.as_str().map_or_else(
                || if value.is_null() { String::new() } else { value.to_string() },
                str::to_owned,
            ),
        )
    };
    names.iter().map(read).collect()
}
