//! Which container of a pod a request means, and whether it has what is asked for. Pure; the messages are those that
//! clients of Kubernetes know.

use apimachinery::{Status, meta};
use podspec::json::{list, text};
use serde_json::Value;

use crate::backend::{ContainerTarget, PodTarget};

#[must_use]
pub(super) fn pod_target(pod: &Value) -> PodTarget {
    PodTarget {
        namespace: meta::namespace(pod).to_owned(),
        name: meta::name(pod).to_owned(),
        uid: meta::uid(pod).to_owned(),
    }
}

/// The container that is asked for, or the only one.
pub(super) fn target(pod: &Value, asked: &str) -> Result<ContainerTarget, Status> {
    let name = meta::name(pod);
    let all = || {
        ["initContainers", "containers", "ephemeralContainers"]
            .into_iter()
            .flat_map(|field| list(&pod["spec"], field))
            .map(|container| text(container, "name"))
    };
    let container = match (asked, list(&pod["spec"], "containers")) {
        ("", [only]) => text(only, "name"),
        ("", _) => {
            let names: Vec<&str> = all().collect();
            return Err(Status::bad_request(format!(
                "a container name must be specified for pod {name}, choose one of: [{}]",
                names.join(" ")
            )));
        }
        (asked, _) if all().any(|name| name == asked) => asked,
        (asked, _) => {
            return Err(Status::bad_request(format!("container {asked} is not valid for pod {name}")));
        }
    };
    Ok(ContainerTarget { pod: pod_target(pod), container: container.to_owned() })
}

/// The pod's node, which has to be this one.
pub(super) fn check_node(pod: &Value, node: &str) -> Result<(), Status> {
    match text(&pod["spec"], "nodeName") {
        "" => Err(Status::bad_request(format!("pod {} does not have a host assigned", meta::name(pod)))),
        found if found == node => Ok(()),
        other => Err(Status::internal(&format!(
            "no kubelet runs on node {other:?}: the engine runs pods on {node:?}"
        ))),
    }
}

fn status<'a>(pod: &'a Value, container: &str) -> Option<&'a Value> {
    ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"]
        .into_iter()
        .flat_map(|field| list(&pod["status"], field))
        .find(|status| text(status, "name") == container)
}

/// Whether a container has a log: of this attempt, or of the one before.
pub(super) fn check_log(pod: &Value, container: &str, previous: bool) -> Result<(), Status> {
    let name = meta::name(pod);
    let refuse =
        |why: &str| Err(Status::bad_request(format!("container {container:?} in pod {name:?} {why}")));
    let Some(status) = status(pod, container) else { return refuse("is not available") };
    let (state, last) = (&status["state"], &status["lastState"]["terminated"]);
    let has_run = |terminated: &Value| !text(terminated, "containerID").is_empty();
    if previous {
        if has_run(last) {
            return Ok(());
        }
        let message = format!("previous terminated container {container:?} in pod {name:?} not found");
        return Err(Status::bad_request(message));
    }
    if state["running"].is_object() || has_run(&state["terminated"]) || has_run(last) {
        return Ok(());
    }
    if state["terminated"].is_object() || last.is_object() {
        return refuse("is terminated");
    }
    match (state["waiting"].is_object(), text(&state["waiting"], "reason")) {
        (true, "ErrImagePull") => refuse("is waiting to start: image can't be pulled"),
        (true, "ImagePullBackOff") => refuse("is waiting to start: trying and failing to pull image"),
        (true, reason) => refuse(&format!("is waiting to start: {reason}")),
        (false, _) => refuse("is waiting to start - no logs yet"),
    }
}

/// Whether there is a process to join.
pub(super) fn check_running(pod: &Value, container: &str) -> Result<(), Status> {
    if status(pod, container).is_some_and(|status| status["state"]["running"].is_object()) {
        return Ok(());
    }
    let why = format!("unable to upgrade connection: container not found ({container:?})");
    Err(Status::internal(&why))
}
