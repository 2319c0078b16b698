//! Objects between the store, where they are bytes with an index, and the code that works on their JSON.

mod recent;

use std::collections::BTreeMap;

use serde_json::Value;
use store::{Draft, Index, Object, ObjectKey, Resource, Tx};

use crate::kinds::Kind;
use crate::span;

pub use recent::{forget_recent, shared};

/// The kind that is stored under `resource`, in the form that it is stored in.
#[must_use]
pub fn kind_of(resource: Resource) -> Option<&'static Kind> {
    Kind::all().iter().find(|kind| kind.is_stored() && kind.stored() == resource)
}

/// A stored object's JSON.
///
/// # Errors
/// When the store's bytes are damaged: they were written by [`put`].
pub fn value(object: &Object) -> Result<Value, serde_json::Error> {
    serde_json::from_slice(&object.json)
}

/// All containers of the pod have ended, and none will be started again
/// (<https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-phase>).
#[must_use]
pub fn pod_is_over(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

#[must_use]
pub fn key(kind: &Kind, object: &Value) -> ObjectKey {
    let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default();
    let namespace = if kind.namespaced { text("namespace") } else { "" };
    ObjectKey::new(kind.stored(), namespace, text("name"))
}

/// Stores an object under its own name and gives it its new resourceVersion, which is also returned.
pub fn put(tx: &mut Tx<'_>, kind: &Kind, object: &mut Value) -> u64 {
    object["metadata"]["resourceVersion"] = tx.revision_next().to_string().into();
    let Index { labels, fields } = index(kind, object);
    let uid = object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    let json = object.to_string().into_bytes();
    tx.put(Draft { key: key(kind, object), uid, labels, fields, json })
}

/// Removes an object; its last form, which watches see, has the resourceVersion of the removal. `None` when
/// it is not there.
pub fn remove(tx: &mut Tx<'_>, kind: &Kind, object: &mut Value) -> Option<u64> {
    object["metadata"]["resourceVersion"] = tx.revision_next().to_string().into();
    tx.delete(&key(kind, object), object.to_string().into_bytes())
}

/// What selectors ask for, for [`store::Options`]: the store keeps it beside each object.
///
/// # Errors
/// When the bytes are no JSON.
pub fn index_stored(resource: Resource, json: &[u8]) -> Result<Index, String> {
    let object = span::without_managed_fields(json).map_err(|error| error.to_string())?;
    match kind_of(resource) {
        Some(kind) => Ok(index(kind, &object)),
        // Of a version that served more kinds: it is kept and not shown.
        None => Ok(Index::default()),
    }
}

fn index(kind: &Kind, object: &Value) -> Index {
    Index { labels: labels(object), fields: kind.rules.fields(object) }
}

fn labels(object: &Value) -> BTreeMap<String, String> {
    let labels = object["metadata"]["labels"].as_object();
    let text = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
    labels.into_iter().flatten().filter_map(text).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use store::{Durability, Options, Place, Store};

    use super::{index_stored, key, kind_of, put, remove, value};
    use crate::kinds::Kind;

    #[tokio::test]
    async fn an_object_comes_back_as_it_was_put_with_its_resource_version() {
        let store = Store::open(Place::Memory, Options { index: index_stored }).unwrap();
        let kind = Kind::find("", "v1", "configmaps").unwrap();
        let mut object =
            json!({"metadata": {"namespace": "a", "name": "b", "uid": "u", "labels": {"x": "y"}}});
        let at = key(kind, &object);
        let written =
            store.write(Durability::Durable, move |tx| Ok::<_, ()>((put(tx, kind, &mut object), object)));
        let (revision, object) = written.await.unwrap().unwrap();
        let stored = store.get(&at).unwrap();
        assert_eq!(value(&stored).unwrap(), object);
        assert_eq!(object["metadata"]["resourceVersion"], revision.to_string());
        assert_eq!(stored.labels["x"], "y");
        let mut last = object;
        let removed = store.write(Durability::Lazy, move |tx| Ok::<_, ()>(remove(tx, kind, &mut last)));
        assert_eq!(removed.await.unwrap().unwrap(), Some(revision + 1));
        assert!(store.get(&at).is_none());
    }

    #[test]
    fn events_are_stored_in_one_form() {
        let events = Kind::find("events.k8s.io", "v1", "events").unwrap();
        assert_eq!(kind_of(events.stored()).unwrap().group, "");
    }
}
