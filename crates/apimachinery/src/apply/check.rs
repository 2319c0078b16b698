//! Whether a configuration can be owned field by field.

use std::collections::BTreeSet;

use api_schema::Shape;
use serde_json::Value;

use super::path::Element;
use super::place::Place;

/// Errors that are told of one configuration.
const ERRORS_MAX: usize = 100;

/// What is wrong with a configuration: `.spec.x: field not declared in schema`.
pub(super) fn errors_of(place: Place<'_>, applied: &Value) -> Vec<String> {
    let mut errors = Vec::new();
    walk(place, applied, "", &mut errors);
    errors
}

fn walk(place: Place<'_>, value: &Value, path: &str, errors: &mut Vec<String>) {
    if errors.len() >= ERRORS_MAX || value.is_null() {
        return;
    }
    match (place, value) {
        (Place::Object(_) | Place::Map(_), Value::Object(fields)) => {
            for (name, value) in fields {
                let path = format!("{path}{}", Element::field(name));
                match place.field(name) {
                    Some(place) => walk(place, value, &path, errors),
                    None => errors.push(format!("{path}: field not declared in schema")),
                }
            }
        }
        (Place::Set | Place::Keyed(..), Value::Array(items)) => list(place, items, path, errors),
        (Place::Object(_) | Place::Map(_), other) => errors.push(wrong(path, "map", other)),
        (Place::Set | Place::Keyed(..), other) => errors.push(wrong(path, "list", other)),
        (Place::Leaf(shape), value) => leaf(shape, value, path, errors),
    }
}

fn list(place: Place<'_>, items: &[Value], path: &str, errors: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        match place.element(item) {
            Err(error) => return errors.push(format!("{path}: element {index}: {error}")),
            Ok(element) => {
                walk(place.item(), item, &format!("{path}{element}"), errors);
                if seen.contains(&element) {
                    errors.push(format!("{path}: duplicate entries for key {element}"));
                }
                seen.insert(element);
            }
        }
    }
}

fn leaf(shape: Shape, value: &Value, path: &str, errors: &mut Vec<String>) {
    let (expected, fits) = match shape {
        Shape::Bool => ("boolean", value.is_boolean()),
        Shape::Int32 | Shape::Int64 | Shape::Double => ("numeric (int or float)", value.is_number()),
        Shape::Quantity | Shape::IntOrString => ("any scalar", !value.is_object() && !value.is_array()),
        Shape::Any | Shape::Fields | Shape::Object(_) | Shape::Map(_) => return,
        Shape::List(_) | Shape::WrappedList(_) => ("list", value.is_array()),
        _ => ("string", value.is_string()),
    };
    if !fits {
        errors.push(wrong(path, expected, value));
    }
}

fn wrong(path: &str, expected: &str, value: &Value) -> String {
    format!("{path}: expected {expected}, got {}", crate::json::type_name(value))
}
