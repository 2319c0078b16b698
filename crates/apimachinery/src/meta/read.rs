//! Reading metadata: what is missing, or of another type, is as Go's zero value.

use podspec::WallTime;
use podspec::json::{fields, flag, list, text, texts};
use serde_json::{Map, Value};

/// An entry of `ownerReferences`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owner<'a> {
    pub api_version: &'a str,
    pub kind: &'a str,
    pub name: &'a str,
    pub uid: &'a str,
    pub controller: bool,
    /// A foreground deletion of the owner waits for this object.
    pub blocks_deletion: bool,
}

#[must_use]
pub fn name(object: &Value) -> &str {
    text(&object["metadata"], "name")
}

#[must_use]
pub fn generate_name(object: &Value) -> &str {
    text(&object["metadata"], "generateName")
}

#[must_use]
pub fn namespace(object: &Value) -> &str {
    text(&object["metadata"], "namespace")
}

#[must_use]
pub fn uid(object: &Value) -> &str {
    text(&object["metadata"], "uid")
}

/// As the client has it, `""` when it has none: to be compared, not to be counted with.
#[must_use]
pub fn resource_version(object: &Value) -> &str {
    text(&object["metadata"], "resourceVersion")
}

#[must_use]
pub fn labels(object: &Value) -> &Map<String, Value> {
    fields(&object["metadata"]["labels"])
}

#[must_use]
pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object["metadata"]["annotations"].get(key).and_then(Value::as_str)
}

#[must_use]
pub fn finalizers(object: &Value) -> Vec<String> {
    texts(&object["metadata"], "finalizers").unwrap_or_default()
}

#[must_use]
pub fn is_being_deleted(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

/// When the object is due to be gone.
#[must_use]
pub fn deletion_time(object: &Value) -> Option<WallTime> {
    WallTime::parse(text(&object["metadata"], "deletionTimestamp").as_bytes())
}

#[must_use]
pub fn owners(object: &Value) -> Vec<Owner<'_>> {
    let owner = |reference| Owner {
        api_version: text(reference, "apiVersion"),
        kind: text(reference, "kind"),
        name: text(reference, "name"),
        uid: text(reference, "uid"),
        controller: flag(reference, "controller"),
        blocks_deletion: flag(reference, "blockOwnerDeletion"),
    };
    list(&object["metadata"], "ownerReferences").iter().map(owner).collect()
}
