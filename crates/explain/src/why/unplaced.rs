//! A pod that no node has taken yet: all there is of it is its object.

use podspec::json::{list, text};
use podspec::{Moment, WallTime};
use serde_json::Value;

use super::exit::one_line;
use super::explanation::{Explanation, Health, Link, Remedy, When};

/// Explains a v1.Pod without a node.
#[must_use]
pub fn unplaced(pod: &Value, now: WallTime) -> Explanation {
    let (metadata, spec) = (&pod["metadata"], &pod["spec"]);
    let conditions = list(&pod["status"], "conditions");
    let scheduled = conditions.iter().find(|condition| condition["type"] == "PodScheduled");
    let time = |at: &str| WallTime::parse(at.as_bytes()).map(|time| when(time, now));
    let made = time(text(metadata, "creationTimestamp"));
    let said = scheduled.map(|condition| one_line(text(condition, "message"))).unwrap_or_default();
    let since = scheduled.and_then(|condition| time(text(condition, "lastTransitionTime"))).or(made);
    let gates: Vec<&str> = list(spec, "schedulingGates").iter().map(|gate| text(gate, "name")).collect();
    let (cause, health, remedies) = if !gates.is_empty() {
        let gates = gates.join(", ");
        let remedy = format!("whoever set {gates} has to take it out of spec.schedulingGates");
        (
            format!("the pod waits for its scheduling gates: {gates}"),
            Health::Waiting,
            vec![Remedy::new(remedy)],
        )
    } else if said.is_empty() {
        ("the pod has not been looked at by the scheduler yet".to_owned(), Health::Progressing, Vec::new())
    } else {
        (format!("no node takes the pod: {said}"), Health::Stuck, vec![remedy(&said)])
    };
    let head = Link { since: made, ..Link::pod("the pod is pending and has no node") };
    let link = Link { since, ..Link::pod(cause.clone()) };
    Explanation {
        pod: format!("{}/{}", text(metadata, "namespace"), text(metadata, "name")),
        container: None,
        health,
        cause,
        chain: vec![head, link],
        logs: None,
        remedies,
    }
}

fn when(time: WallTime, now: WallTime) -> When {
    let at = |time: WallTime| Moment { boot: podspec::BootTime(time.0), wall: time };
    When::of(at(time).boot, at(now))
}

fn remedy(said: &str) -> Remedy {
    let small = said.to_lowercase();
    let has = |word: &str| small.contains(word);
    Remedy::new(if has("insufficient") {
        "ask for less (resources.requests), or end other pods: `kubectl describe node` shows what is taken. It is tried again when that changes"
    } else if has("taint") {
        "give the pod a toleration, or take the taint off the node"
    } else if has("affinity") || has("selector") {
        "correct nodeSelector or affinity, or label the node"
    } else if has("claim") || has("volume") {
        "make the claim, or a volume that fits it; it is tried again when that changes"
    } else if has("port") {
        "another pod has the host port: choose another, or leave hostPort out"
    } else {
        "change what the message names; it is tried again when something changes"
    })
}
