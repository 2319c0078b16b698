//! The taints that say how a node is
//! (<https://kubernetes.io/docs/reference/labels-annotations-taints/#node-kubernetes-io-not-ready>).

use podspec::json::{flag, list, text};
use scheduler::pressure::Pressure;
use serde_json::{Value, json};
use store::Store;

use super::feed::{Feed, Seen};
use super::write::{edit, kind, log};
use crate::rules::NOT_READY;
use crate::{entropy, objects};

const PART: &str = "node-controller";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
/// All that this controller sets and takes away.
const OWN: [(&str, &str); 8] = [
    (NOT_READY, "NoSchedule"),
    (NOT_READY, "NoExecute"),
    (UNREACHABLE, "NoSchedule"),
    (UNREACHABLE, "NoExecute"),
    (UNSCHEDULABLE, "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
];

pub(super) async fn run(store: Store) {
    let mut nodes = Feed::new(&store, kind("", "nodes"));
    loop {
        let Seen::Present(object, _) = nodes.next().await else { continue };
        let Ok(node) = objects::value(&object) else { continue };
        if wanted(&node) == held(&node) {
            continue;
        }
        let set = edit(&store, kind("", "nodes"), object.key.clone(), object.uid.clone(), |node| {
            set_taints(node, &entropy::now().rfc3339_seconds())
        });
        log(PART, &object.key, set.await.map(|_| ()));
    }
}

/// Of those that are this controller's, which a node has to have; in the order of `OWN`.
fn wanted(node: &Value) -> Vec<(&'static str, &'static str)> {
    let conditions = list(&node["status"], "conditions");
    let ready = conditions.iter().find(|condition| text(condition, "type") == "Ready");
    let (key, executes) = match ready.map(|condition| text(condition, "status")) {
        Some("True") => ("", false),
        Some("False") => (NOT_READY, true),
        Some(_) => (UNREACHABLE, true),
        // It has not said anything yet.
        None => (NOT_READY, false),
    };
    let closed = flag(&node["spec"], "unschedulable");
    let holds = |condition: &str| {
        let is_so = |held: &Value| text(held, "type") == condition && text(held, "status") == "True";
        conditions.iter().any(is_so)
    };
    let short = |of: &str| Pressure::ALL.iter().any(|short| short.taint() == of && holds(short.condition()));
    let is_wanted = |(of, effect): &(&str, &str)| {
        (*of == key && (*effect == "NoSchedule" || executes)) || (*of == UNSCHEDULABLE && closed) || short(of)
    };
    OWN.into_iter().filter(is_wanted).collect()
}

fn held(node: &Value) -> Vec<(&'static str, &'static str)> {
    let taints = list(&node["spec"], "taints");
    let is_held = |(key, effect): &(&str, &str)| {
        taints.iter().any(|taint| text(taint, "key") == *key && text(taint, "effect") == *effect)
    };
    OWN.into_iter().filter(is_held).collect()
}

/// Whether anything changed.
fn set_taints(node: &mut Value, now: &str) -> bool {
    let wanted = wanted(node);
    if wanted == held(node) {
        return false;
    }
    let before = list(&node["spec"], "taints").to_vec();
    let own = |taint: &Value| OWN.contains(&(text(taint, "key"), text(taint, "effect")));
    let mut after: Vec<Value> = before.iter().filter(|taint| !own(taint)).cloned().collect();
    for (key, effect) in wanted {
        let held = before.iter().find(|taint| text(taint, "key") == key && text(taint, "effect") == effect);
        after.push(held.cloned().unwrap_or_else(|| json!({"key": key, "effect": effect, "timeAdded": now})));
    }
    match (after.is_empty(), node["spec"].as_object_mut()) {
        (true, Some(spec)) => drop(spec.remove("taints")),
        _ => node["spec"]["taints"] = after.into(),
    }
    true
}

#[cfg(test)]
mod tests {
    use super::set_taints;
    use serde_json::{Value, json};

    #[test]
    fn a_node_that_is_short_of_something_has_a_taint_for_it() {
        let condition = |ty: &str, status: &str| json!({"type": ty, "status": status});
        let conditions = [
            condition("MemoryPressure", "False"),
            condition("DiskPressure", "True"),
            condition("Ready", "True"),
        ];
        let mut node = json!({"spec": {}, "status": {"conditions": conditions}});
        assert!(set_taints(&mut node, "T"));
        let taint =
            json!({"key": "node.kubernetes.io/disk-pressure", "effect": "NoSchedule", "timeAdded": "T"});
        assert_eq!(node["spec"]["taints"], json!([taint]));
        node["status"]["conditions"][1]["status"] = "False".into();
        assert!(set_taints(&mut node, "T"));
        assert_eq!(node["spec"], json!({}));
    }

    #[test]
    fn taints_follow_the_condition() {
        let node = |ready: Option<&str>, spec: Value| {
            let conditions = ready.map(|status| json!([{"type": "Ready", "status": status}]));
            json!({"spec": spec, "status": {"conditions": conditions}})
        };
        let own = json!({"key": "mine", "effect": "NoSchedule"});
        let taint = |key: &str, effect: &str| json!({"key": format!("node.kubernetes.io/{key}"), "effect": effect, "timeAdded": "T"});
        for (ready, spec, expected) in [
            (Some("True"), json!({}), json!({})),
            (None, json!({}), json!({"taints": [taint("not-ready", "NoSchedule")]})),
            (
                Some("False"),
                json!({"taints": [own]}),
                json!({"taints": [own, taint("not-ready", "NoSchedule"), taint("not-ready", "NoExecute")]}),
            ),
            (Some("True"), json!({"taints": [taint("unreachable", "NoExecute")]}), json!({})),
            (
                Some("True"),
                json!({"unschedulable": true}),
                json!({"unschedulable": true, "taints": [taint("unschedulable", "NoSchedule")]}),
            ),
        ] {
            let mut node = node(ready, spec.clone());
            let changed = set_taints(&mut node, "T");
            assert_eq!((&node["spec"], changed), (&expected, spec != expected), "{ready:?}");
            assert!(!set_taints(&mut node, "U"));
        }
    }
}
