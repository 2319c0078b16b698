//! Objects that a client applied itself, and kept what it applied in an annotation: server-side apply by
//! `kubectl` takes such fields over, and goes on keeping the annotation.

use api_schema::Type;
use serde_json::Value;

use super::compare::compare;
use super::owned::fields_of;
use super::place::Place;
use super::set::FieldSet;
use crate::meta;

/// The one manager that this is done for.
pub(super) const KUBECTL: &str = "kubectl";

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The fields that were last applied by the client and still have that value. Empty when it applied none, or
/// in another version.
pub(super) fn unchanged_fields(ty: &Type, live: &Value, api_version: &str) -> FieldSet {
    let place = Place::Object(ty);
    let last = meta::annotation(live, ANNOTATION).and_then(|text| serde_json::from_str::<Value>(text).ok());
    let Some(last) = last.filter(|last| last["apiVersion"] == api_version) else {
        return FieldSet::default();
    };
    let changes = compare(place, &last, live);
    fields_of(place, &last).difference(&changes.written()).difference(&changes.removed)
}

/// Brings the annotation up to date where there is one.
pub(super) fn update(object: &mut Value, applied: &Value) {
    if meta::annotation(object, ANNOTATION).is_none_or(str::is_empty) {
        return;
    }
    let mut applied = applied.clone();
    if let Some(Value::Object(annotations)) = applied.pointer_mut("/metadata/annotations") {
        annotations.remove(ANNOTATION);
    }
    // Clients write a line end after it.
    if let Some(Value::Object(annotations)) = object.pointer_mut("/metadata/annotations") {
        annotations.insert(ANNOTATION.to_owned(), format!("{applied}\n").into());
    }
}
