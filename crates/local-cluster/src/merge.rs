//! A pod's status in the store and the one this node has: what the node does not speak of stays.

use serde_json::{Map, Value};

/// Fields of `v1.PodStatus` that this node alone writes; one that it leaves out is gone.
const OURS: [&str; 15] = [
    "observedGeneration",
    "phase",
    "reason",
    "message",
    "startTime",
    "hostIP",
    "hostIPs",
    "podIP",
    "podIPs",
    "initContainerStatuses",
    "containerStatuses",
    "ephemeralContainerStatuses",
    "qosClass",
    "allocatedResources",
    "resources",
];

/// Conditions that this node alone writes; one that it leaves out is gone. Others it writes too stay where it says
/// nothing of them.
const OUR_CONDITIONS: [&str; 3] = ["AllContainersRestarting", "PodResizePending", "PodResizeInProgress"];

/// `stored` with what the node says in place of what it said before. Conditions of others come first,
/// as a kubelet keeps them.
#[must_use]
pub fn merge_status(stored: &Value, node: &Value) -> Value {
    let mut merged = stored.as_object().cloned().unwrap_or_default();
    let said = node.as_object();
    for name in OURS {
        match said.and_then(|said| said.get(name)) {
            Some(value) => merged.insert(name.to_owned(), value.clone()),
            None => merged.remove(name),
        };
    }
    let conditions = merge_conditions(stored, node);
    merged.insert("conditions".to_owned(), Value::Array(conditions));
    forget_past_end(&mut merged, stored);
    Value::Object(merged)
}

/// A pod that has succeeded or failed stays so, whatever a node believes of it
/// (<https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-phase>).
fn forget_past_end(merged: &mut Map<String, Value>, stored: &Value) {
    let phase = &stored["phase"];
    if phase == "Succeeded" || phase == "Failed" {
        merged.insert("phase".to_owned(), phase.clone());
    }
}

fn merge_conditions(stored: &Value, node: &Value) -> Vec<Value> {
    let list = |status: &Value| status["conditions"].as_array().cloned().unwrap_or_default();
    let ours = list(node);
    let is_ours = |condition: &Value| {
        let ty = &condition["type"];
        ours.iter().any(|own| own["type"] == *ty) || OUR_CONDITIONS.iter().any(|own| ty == own)
    };
    let mut merged: Vec<Value> = list(stored).into_iter().filter(|c| !is_ours(c)).collect();
    merged.extend(ours);
    merged
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::merge_status;

    #[test]
    fn what_others_wrote_stays_and_what_the_node_no_longer_says_goes() {
        let stored = json!({
            "phase": "Running", "message": "old", "podIP": "127.0.0.1", "nominatedNodeName": "other",
            "conditions": [
                {"type": "Ready", "status": "False"},
                {"type": "example.com/gate", "status": "True"},
                {"type": "AllContainersRestarting", "status": "True"},
                {"type": "PodResizePending", "status": "True"},
                {"type": "DisruptionTarget", "status": "True"},
            ],
        });
        let node = json!({
            "phase": "Running", "podIP": "127.0.0.1",
            "conditions": [{"type": "Ready", "status": "True"}],
        });
        let expected = json!({
            "phase": "Running", "podIP": "127.0.0.1", "nominatedNodeName": "other",
            "conditions": [
                {"type": "example.com/gate", "status": "True"},
                {"type": "DisruptionTarget", "status": "True"},
                {"type": "Ready", "status": "True"},
            ],
        });
        assert_eq!(merge_status(&stored, &node), expected);
    }

    #[test]
    fn an_end_is_for_good() {
        let stored = json!({"phase": "Failed"});
        let node = json!({"phase": "Running"});
        assert_eq!(merge_status(&stored, &node)["phase"], "Failed");
    }

    #[test]
    fn a_first_status_is_taken_as_it_is() {
        let node = json!({"phase": "Pending", "conditions": []});
        assert_eq!(merge_status(&json!(null), &node), node);
    }
}
