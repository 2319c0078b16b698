//! Events of controllers
//! (<https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/>).

use podspec::WallTime;
use podspec::json::text;
use serde_json::{Value, json};
use store::{Object, Store, Tx};

use super::write::{kind, write};
use crate::kinds::Kind;
use crate::{entropy, objects};

/// What the message of an event may take.
const MESSAGE_BYTES_MAX: usize = 1_024;

/// One event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told<'a> {
    pub(super) source: &'static str,
    pub(super) is_warning: bool,
    pub(super) reason: &'static str,
    pub(super) message: &'a str,
    /// Events are listed in this order.
    pub(super) at: WallTime,
}

/// Something is wrong with `object`, as the part `source` of the engine has found just now.
pub async fn warn(store: &Store, object: &Value, source: &'static str, reason: &'static str, message: &str) {
    let told = Told { source, is_warning: true, reason, message, at: entropy::now() };
    record(store, object, told).await;
}

/// What happened to `object`. A warning that is said again is counted.
pub(super) async fn record(store: &Store, object: &Value, told: Told<'_>) {
    let name = text(&object["metadata"], "name");
    let uid = text(&object["metadata"], "uid").to_owned();
    let mut event = event(object, told);
    let events = kind("", "events");
    let written = write(store, move |tx| {
        if told.is_warning
            && let Some(mut held) = said_before(tx, events, &uid, &event)
        {
            held["count"] = held["count"].as_i64().unwrap_or(0).saturating_add(1).into();
            held["lastTimestamp"] = event["lastTimestamp"].take();
            event = held;
        }
        objects::put(tx, events, &mut event);
        Ok(())
    });
    if let Err(status) = written.await {
        tracing::warn!("an event of {name} is lost: {}", status.message);
    }
}

fn event(object: &Value, told: Told<'_>) -> Value {
    let metadata = &object["metadata"];
    let name = text(metadata, "name");
    let namespace = match text(metadata, "namespace") {
        "" => "default",
        namespace => namespace,
    };
    let at = told.at.rfc3339_seconds();
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": format!("{name}.{:016x}", told.at.0),
            "namespace": namespace,
            "uid": podspec::uuid(&entropy::identity()),
            "creationTimestamp": at,
        },
        "involvedObject": {
            "kind": object["kind"], "apiVersion": object["apiVersion"], "namespace": text(metadata, "namespace"),
            "name": name, "uid": text(metadata, "uid"),
        },
        "reason": told.reason,
        "message": shortened(told.message),
        "source": {"component": told.source},
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
        "type": if told.is_warning { "Warning" } else { "Normal" },
        "eventTime": null,
        "reportingComponent": told.source,
        "reportingInstance": "",
    })
}

/// The same words about the same object.
fn said_before(tx: &Tx<'_>, events: &Kind, uid: &str, event: &Value) -> Option<Value> {
    let reason = text(event, "reason");
    let has = |object: &Object, name: &str, value: &str| {
        object.fields.iter().any(|(held, of)| *held == name && of == value)
    };
    let about = tx.list(events.stored(), Some(text(&event["metadata"], "namespace"))).into_iter();
    let about = about.filter(|held| has(held, "involvedObject.uid", uid) && has(held, "reason", reason));
    let same = |held: Value| (held["message"] == event["message"]).then_some(held);
    about.filter_map(|held| objects::value(&held).ok()).find_map(same)
}

fn shortened(message: &str) -> &str {
    let mut end = message.len().min(MESSAGE_BYTES_MAX);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    &message[..end]
}
