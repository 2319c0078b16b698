//! Events about the node.

use std::convert::Infallible;

use apiserver::kinds::Kind;
use apiserver::objects;
use serde_json::{Value, json};
use store::{Durability, ObjectKey, Store};

use crate::random;
use crate::sink::wall_now;

/// What came to pass with this machine.
#[derive(Clone, Copy, Debug)]
pub struct NodeEvent<'a> {
    pub is_warning: bool,
    pub reason: &'static str,
    /// What of several things with one reason it is about: a part of the event's name, so in lower case.
    pub about: &'a str,
    pub message: &'a str,
}

/// Tells of it; what is told again is counted, with the words of the last time.
pub async fn node_event(store: &Store, node: &str, event: NodeEvent<'_>) {
    let NodeEvent { is_warning, reason, about, message } = event;
    let now = wall_now().rfc3339_seconds();
    let name = format!("{node}.{}.{about}", reason.to_lowercase());
    let new = json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": "default", "uid": random::uid(), "creationTimestamp": now},
        // A kubelet knows its node by no other uid, and clients look for this one.
        "involvedObject": {"kind": "Node", "apiVersion": "v1", "name": node, "uid": node},
        "reason": reason,
        "message": message,
        "source": {"component": "kubelet", "host": node},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
        "type": if is_warning { "Warning" } else { "Normal" },
        "eventTime": null,
        "reportingComponent": "kubelet",
        "reportingInstance": node,
    });
    change(store, "events", "default", &name, move |held| {
        let Some(mut held) = held else { return Some(new) };
        held["count"] = held["count"].as_i64().unwrap_or(0).saturating_add(1).into();
        for field in ["lastTimestamp", "message"] {
            held[field] = new[field].clone();
        }
        Some(held)
    })
    .await;
}

/// Writes what `change` makes of an object of the engine's own.
pub(crate) async fn change(
    store: &Store,
    plural: &str,
    namespace: &str,
    name: &str,
    change: impl FnOnce(Option<Value>) -> Option<Value> + Send + 'static,
) {
    let Some(kind) = Kind::find("", "v1", plural) else { return };
    let key = ObjectKey::new(kind.stored(), namespace, name);
    let called = key.to_string();
    let written = store.write(Durability::Lazy, move |tx| {
        let held = tx.get(&key).and_then(|object| objects::value(&object).ok());
        if let Some(mut object) = change(held) {
            objects::put(tx, kind, &mut object);
        }
        Ok::<_, Infallible>(())
    });
    if let Err(error) = written.await {
        tracing::error!("{called} does not say how the node is: {error}");
    }
}
