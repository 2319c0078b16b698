//! Events of controllers
//! (<https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/>).

use podspec::json::text;
use serde_json::{Value, json};
use store::Store;

use super::write::{kind, write};
use crate::entropy;
use crate::objects;

/// What the message of an event may take.
const MESSAGE_BYTES_MAX: usize = 1_024;

/// What happened to `object`. Said again, it is counted.
pub(super) async fn record(
    store: &Store,
    source: &'static str,
    object: &Value,
    is_warning: bool,
    reason: &'static str,
    message: &str,
) {
    let metadata = &object["metadata"];
    let (name, uid) = (text(metadata, "name"), text(metadata, "uid"));
    let namespace = match text(metadata, "namespace") {
        "" => "default",
        namespace => namespace,
    };
    let message = shortened(message);
    let now = entropy::now().rfc3339_seconds();
    let mut event = json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": format!("{name}.{:016x}", fingerprint(&[uid, reason, message])),
            "namespace": namespace,
            "uid": podspec::uuid(&entropy::identity()),
            "creationTimestamp": now,
        },
        "involvedObject": {
            "kind": object["kind"], "apiVersion": object["apiVersion"], "namespace": text(metadata, "namespace"),
            "name": name, "uid": uid,
        },
        "reason": reason,
        "message": message,
        "source": {"component": source},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
        "type": if is_warning { "Warning" } else { "Normal" },
        "eventTime": null,
        "reportingComponent": source,
        "reportingInstance": "",
    });
    let events = kind("", "events");
    let written = write(store, move |tx| {
        if let Some(held) = tx.get(&objects::key(events, &event))
            && let Ok(held) = objects::value(&held)
        {
            let count = held["count"].as_i64().unwrap_or(0).saturating_add(1);
            let last = event["lastTimestamp"].take();
            event = held;
            event["count"] = count.into();
            event["lastTimestamp"] = last;
        }
        objects::put(tx, events, &mut event);
        Ok(())
    });
    if let Err(status) = written.await {
        tracing::warn!("an event of {name} is lost: {}", status.message);
    }
}

fn shortened(message: &str) -> &str {
    let mut end = message.len().min(MESSAGE_BYTES_MAX);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    &message[..end]
}

/// FNV-1a: tells apart what was said of one object, and no more.
fn fingerprint(parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
