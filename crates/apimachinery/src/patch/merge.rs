//! JSON merge patch.

use api_schema::DEPTH_MAX;
use serde_json::{Map, Value};

use crate::{Status, json};

/// RFC 7386: fields replace, `null` removes.
///
/// # Errors
/// 400 when the patch is no object or is nested too deeply.
pub fn merge_patch(original: &Value, patch: &Value) -> Result<Value, Status> {
    let fields = object_of(patch)?;
    let mut merged = original.clone();
    merge(&mut merged, fields);
    Ok(merged)
}

/// The fields of a patch that has to be an object.
pub(super) fn object_of(patch: &Value) -> Result<&Map<String, Value>, Status> {
    if !json::is_within(patch, DEPTH_MAX) {
        return Err(Status::bad_request(format!("the patch is nested deeper than {DEPTH_MAX} levels")));
    }
    patch.as_object().ok_or_else(|| {
        Status::bad_request(format!(
            "error decoding patch: json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
            json::type_name(patch)
        ))
    })
}

fn merge(target: &mut Value, patch: &Map<String, Value>) {
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(fields) = target.as_object_mut() else { return };
    for (name, value) in patch {
        match value {
            Value::Null => drop(fields.remove(name)),
            Value::Object(patch) => merge(fields.entry(name).or_insert(Value::Null), patch),
            _ => drop(fields.insert(name.clone(), value.clone())),
        }
    }
}
