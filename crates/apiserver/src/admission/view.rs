//! Reading other objects within a write.

use serde_json::Value;
use store::Tx;

use crate::change::key_of;
use crate::kinds::Kind;
use crate::objects;

/// One object by its kind's group and plural; `None` also when it cannot be read.
pub(super) fn get(view: &Tx<'_>, group: &str, plural: &str, namespace: &str, name: &str) -> Option<Value> {
    let kind = Kind::find(group, "v1", plural)?;
    objects::value(&*view.get(&key_of(kind, namespace, name))?).ok()
}

/// All of a kind, in a namespace or in all of them.
pub(super) fn list(view: &Tx<'_>, group: &str, plural: &str, namespace: Option<&str>) -> Vec<Value> {
    let Some(kind) = Kind::find(group, "v1", plural) else { return Vec::new() };
    let found = view.list(kind.stored(), namespace);
    found.iter().filter_map(|object| objects::value(object).ok()).collect()
}

/// The names of all of a kind in a namespace.
pub(super) fn names(view: &Tx<'_>, group: &str, plural: &str, namespace: &str) -> Vec<String> {
    let Some(kind) = Kind::find(group, "v1", plural) else { return Vec::new() };
    view.list(kind.stored(), Some(namespace)).iter().map(|object| object.key.name.clone()).collect()
}
