//! The class of claims that name none.

use podspec::json::text;
use serde_json::Value;
use store::Tx;

use super::view;
use crate::rules::is_default_class;

/// The newest default class, or of equals the first by name.
pub(super) fn admit(view: &Tx<'_>, claim: &mut Value) {
    if !claim["spec"].is_object() || claim["spec"].get("storageClassName").is_some_and(|name| !name.is_null())
    {
        return;
    }
    let classes = view::list(view, "storage.k8s.io", "storageclasses", None);
    let mut defaults: Vec<&Value> = classes.iter().filter(|class| is_default_class(class)).collect();
    defaults.sort_by_key(|class| {
        let metadata = &class["metadata"];
        (std::cmp::Reverse(text(metadata, "creationTimestamp")), text(metadata, "name"))
    });
    if let Some(class) = defaults.first() {
        claim["spec"]["storageClassName"] = class["metadata"]["name"].clone();
    }
}
