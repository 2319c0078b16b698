//! What only a server sets in metadata.

use podspec::json::text;
use podspec::{WallTime, generated_name};
use serde_json::{Map, Value};

use crate::Status;

/// What an update leaves as it was.
const KEPT: [&str; 4] = ["generation", "creationTimestamp", "deletionTimestamp", "selfLink"];

/// The metadata of `object`, made when there is none; `None` when it is no object or its metadata is none.
fn metadata_mut(object: &mut Value) -> Option<&mut Map<String, Value>> {
    let metadata = object.as_object_mut()?.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    metadata.as_object_mut()
}

/// Gives a new object its uid and its time, and drops what a client may not set. The name of `generateName`
/// comes from [`set_generated_name`].
///
/// # Errors
/// 400 when the client set a resourceVersion.
pub fn prepare_creation(object: &mut Value, uid: &str, now: WallTime) -> Result<(), Status> {
    if !super::resource_version(object).is_empty() {
        return Err(Status::bad_request("resourceVersion should not be set on objects to be created"));
    }
    let Some(metadata) = metadata_mut(object) else { return Ok(()) };
    for name in
        ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation", "resourceVersion"]
    {
        metadata.remove(name);
    }
    metadata.insert("uid".to_owned(), uid.into());
    metadata.insert("creationTimestamp".to_owned(), now.rfc3339_seconds().into());
    Ok(())
}

/// Draws a name when the object asks for one and has none; whether it did. Another attempt draws another.
pub fn set_generated_name(object: &mut Value, random: &[u8; podspec::IDENTITY_BYTES]) -> bool {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return false };
    let text = |name| metadata.get(name).and_then(Value::as_str).unwrap_or("");
    let prefix = text("generateName");
    if prefix.is_empty() || !text("name").is_empty() {
        return false;
    }
    let name = generated_name(prefix, random);
    metadata.insert("name".to_owned(), name.into());
    true
}

/// Carries over from `old` what an update cannot change and a client need not send. uid and
/// resourceVersion are filled in when `new` has none; other ones are for the caller to refuse.
pub fn prepare_update(new: &mut Value, old: &Value) {
    let Some(metadata) = metadata_mut(new) else { return };
    let old = &old["metadata"];
    for name in KEPT {
        match old.get(name) {
            Some(value) => metadata.insert(name.to_owned(), value.clone()),
            None => metadata.remove(name),
        };
    }
    // A grace period may be given again, for the rules of a deletion to judge; it cannot be taken away.
    for name in ["uid", "resourceVersion", "namespace", "deletionGracePeriodSeconds"] {
        let is_missing = metadata.get(name).is_none_or(|v| v.is_null() || v.as_str() == Some(""));
        if let Some(value) = old.get(name).filter(|_| is_missing) {
            metadata.insert(name.to_owned(), value.clone());
        }
    }
}

/// Sets `metadata.resourceVersion`.
pub fn set_resource_version(object: &mut Value, version: u64) {
    if let Some(metadata) = metadata_mut(object) {
        metadata.insert("resourceVersion".to_owned(), version.to_string().into());
    }
}

/// Puts an object into the namespace of the request.
///
/// # Errors
/// 400 when it names another.
pub fn set_namespace(object: &mut Value, namespace: &str) -> Result<(), Status> {
    let named = text(&object["metadata"], "namespace").to_owned();
    if !named.is_empty() && named != namespace {
        let message = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(Status::bad_request(message));
    }
    if namespace.is_empty() {
        return Ok(());
    }
    if let Some(metadata) = metadata_mut(object) {
        metadata.insert("namespace".to_owned(), namespace.into());
    }
    Ok(())
}
