//! What the node says of itself: its conditions, and events about it.

use podspec::WallTime;
use scheduler::pressure::Pressure;
use serde_json::Value;
use store::Store;

use crate::node_event::{NodeEvent, change, node_event};
use crate::sink::wall_now;

/// A kubelet's words for a condition that holds, or does not.
struct Words {
    reason: &'static str,
    message: &'static str,
    /// Of the event.
    event: &'static str,
}

fn words(pressure: Pressure, holds: bool) -> Words {
    let (reason, message, event) = match (pressure, holds) {
        (Pressure::Memory, true) => (
            "KubeletHasInsufficientMemory",
            "kubelet has insufficient memory available",
            "NodeHasInsufficientMemory",
        ),
        (Pressure::Memory, false) => (
            "KubeletHasSufficientMemory",
            "kubelet has sufficient memory available",
            "NodeHasSufficientMemory",
        ),
        (Pressure::Disk, true) => {
            ("KubeletHasDiskPressure", "kubelet has disk pressure", "NodeHasDiskPressure")
        }
        (Pressure::Disk, false) => {
            ("KubeletHasNoDiskPressure", "kubelet has no disk pressure", "NodeHasNoDiskPressure")
        }
        (Pressure::Pid, true) => {
            ("KubeletHasInsufficientPID", "kubelet has insufficient PID available", "NodeHasInsufficientPID")
        }
        (Pressure::Pid, false) => {
            ("KubeletHasSufficientPID", "kubelet has sufficient PID available", "NodeHasSufficientPID")
        }
    };
    Words { reason, message, event }
}

/// Writes the conditions that hold, and an event for each that has changed.
pub(super) async fn conditions(store: &Store, node: &str, before: &[Pressure], held: &[Pressure]) {
    let now = wall_now();
    change(store, "nodes", "", node, {
        let held = held.to_vec();
        move |node| node.map(|node| with_conditions(node, &held, now))
    })
    .await;
    for pressure in Pressure::ALL {
        let holds = held.contains(&pressure);
        if before.contains(&pressure) != holds {
            let reason = words(pressure, holds).event;
            let message = format!("Node {node} status is now: {reason}");
            let about = reason.to_lowercase();
            node_event(
                store,
                node,
                NodeEvent { is_warning: false, reason, about: &about, message: &message },
            )
            .await;
        }
    }
}

/// Before the node evicts.
pub(super) async fn reclaiming(store: &Store, node: &str, resource: &str) {
    let message = format!("Attempting to reclaim {resource}");
    let reason = "EvictionThresholdMet";
    node_event(store, node, NodeEvent { is_warning: true, reason, about: resource, message: &message }).await;
}

fn with_conditions(mut node: Value, held: &[Pressure], now: WallTime) -> Value {
    let now = now.rfc3339_seconds();
    let conditions = node.pointer_mut("/status/conditions").and_then(Value::as_array_mut);
    let Some(conditions) = conditions else { return node };
    for pressure in Pressure::ALL {
        let found = conditions.iter_mut().find(|condition| condition["type"] == pressure.condition());
        let Some(condition) = found else { continue };
        let holds = held.contains(&pressure);
        let status = if holds { "True" } else { "False" };
        if condition["status"] != status {
            condition["lastTransitionTime"] = now.as_str().into();
        }
        let Words { reason, message, .. } = words(pressure, holds);
        condition["status"] = status.into();
        condition["reason"] = reason.into();
        condition["message"] = message.into();
        condition["lastHeartbeatTime"] = now.as_str().into();
    }
    node
}

#[cfg(test)]
mod tests {
    use apiserver::objects;
    use podspec::WallTime;
    use scheduler::pressure::Pressure;
    use serde_json::json;
    use store::{ObjectKey, Options, Place, Resource, Store};

    use super::{reclaiming, with_conditions};

    #[test]
    fn conditions_say_what_holds_and_since_when() {
        let condition = |ty: &str| json!({"type": ty, "status": "False", "lastTransitionTime": "T"});
        let all = ["MemoryPressure", "DiskPressure", "PIDPressure", "Ready"].map(condition);
        let node = json!({"status": {"conditions": all}});
        let low = with_conditions(node, &[Pressure::Disk], WallTime(0));
        let now = "1970-01-01T00:00:00Z";
        let expected = json!({
            "type": "DiskPressure", "status": "True", "reason": "KubeletHasDiskPressure",
            "message": "kubelet has disk pressure", "lastTransitionTime": now, "lastHeartbeatTime": now,
        });
        assert_eq!(low["status"]["conditions"][1], expected);
        let memory = &low["status"]["conditions"][0];
        assert_eq!((&memory["status"], &memory["lastTransitionTime"]), (&json!("False"), &json!("T")));
        assert_eq!(memory["reason"], "KubeletHasSufficientMemory");
        assert_eq!(low["status"]["conditions"][3], condition("Ready"));
        let over = with_conditions(low, &[], WallTime(1_000_000_000));
        assert_eq!(over["status"]["conditions"][1]["status"], "False");
        assert_eq!(over["status"]["conditions"][1]["lastTransitionTime"], "1970-01-01T00:00:01Z");
        assert_eq!(with_conditions(json!({}), &[], WallTime(0)), json!({}));
    }

    #[tokio::test]
    async fn events_of_one_kind_are_counted() {
        let store = Store::open(Place::Memory, Options { index: objects::index_stored }).unwrap();
        for _ in 0..3 {
            reclaiming(&store, "box", "memory").await;
        }
        reclaiming(&store, "box", "ephemeral-storage").await;
        let key = ObjectKey::new(Resource::new("events"), "default", "box.evictionthresholdmet.memory");
        let event = objects::value(&store.get(&key).unwrap()).unwrap();
        assert_eq!((&event["count"], &event["message"]), (&json!(3), &json!("Attempting to reclaim memory")));
        let all = store.list(Resource::new("events"), None, None, None, |_| true);
        assert_eq!(all.objects.len(), 2);
    }
}
