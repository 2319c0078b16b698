//! [`PodView`] to `v1.PodStatus` JSON: every field that a kubelet fills in.

use std::collections::BTreeMap;
use std::net::IpAddr;

use lifecycle::{
    Condition, ConditionKind, ContainerState, ContainerStatus, Exit, ExitReason, Phase, ProcessUser,
};
use podspec::{Container, ContainerKind, Moment, OtherResources, Pod, Resources};
use registry::Reference;
use serde_json::{Map, Value, json};

use crate::status::PodView;

/// What the node and the object store know of the pod and the kubelet's plan does not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RenderFacts {
    /// IPv4 first.
    pub host_ips: Vec<IpAddr>,
    /// `metadata.generation`.
    pub generation: i64,
}

/// `v1.PodStatus`.
#[must_use]
pub fn pod_status(pod: &Pod, view: &PodView, facts: &RenderFacts) -> Value {
    let status = &view.status;
    let mut out = Map::new();
    out.insert("observedGeneration".into(), json!(facts.generation));
    out.insert("phase".into(), json!(phase_text(status.phase)));
    let conditions: Vec<Value> =
        status.conditions.iter().map(|condition| render_condition(condition, view, facts)).collect();
    out.insert("conditions".into(), json!(conditions));
    insert_some(&mut out, "reason", status.reason.as_ref());
    insert_some(&mut out, "message", status.message.as_ref());
    insert_some(&mut out, "startTime", status.start_time.map(time).as_ref());
    for (one, all, ips) in [("hostIP", "hostIPs", &facts.host_ips), ("podIP", "podIPs", &status.pod_ips)] {
        if let Some(ip) = ips.first() {
            out.insert(one.into(), json!(ip));
            out.insert(all.into(), ips.iter().map(|ip| json!({ "ip": ip })).collect());
        }
    }
    let containers = |list: &[ContainerStatus]| -> Vec<Value> {
        list.iter().map(|container| render_container(pod, container)).collect()
    };
    if !status.init_containers.is_empty() {
        out.insert("initContainerStatuses".into(), json!(containers(&status.init_containers)));
    }
    if !status.containers.is_empty() {
        out.insert("containerStatuses".into(), json!(containers(&status.containers)));
    }
    if !status.ephemeral_containers.is_empty() {
        out.insert("ephemeralContainerStatuses".into(), json!(containers(&status.ephemeral_containers)));
    }
    out.insert("qosClass".into(), json!(container_config::qos_class(&pod.spec).as_str()));
    pod_level(pod, view, &mut out);
    Value::Object(out)
}

/// What the pod as a whole was granted, and what its containers have of that by now (KEP-5419).
fn pod_level(pod: &Pod, view: &PodView, out: &mut Map<String, Value>) {
    let granted = container_config::pod_resources(&pod.spec);
    let allocated = amounts(granted.cpu_request, granted.memory_request);
    if !allocated.is_empty() {
        out.insert("allocatedResources".into(), json!(allocated));
    }
    let mut given = pod.spec.clone();
    for container in given.init_containers.iter_mut().chain(&mut given.containers) {
        let status = view.status.all_containers().find(|status| status.name == container.name);
        container.resources = status.and_then(|status| status.resources).unwrap_or(container.resources);
    }
    let given = container_config::pod_resources(&given);
    let given = resource_requirements(&given, &OtherResources::default());
    out.insert("resources".into(), Value::Object(given));
}

fn render_condition(condition: &Condition, view: &PodView, facts: &RenderFacts) -> Value {
    let mut out = Map::new();
    out.insert("type".into(), json!(condition_text(condition.kind)));
    out.insert("observedGeneration".into(), json!(facts.generation));
    out.insert("status".into(), json!(if condition.status { "True" } else { "False" }));
    out.insert("lastProbeTime".into(), Value::Null);
    let since = view.conditions.get(&condition.kind).map(|condition| time(condition.since));
    out.insert("lastTransitionTime".into(), json!(since));
    insert_some(&mut out, "reason", condition.reason.as_ref());
    insert_some(&mut out, "message", condition.message.as_ref());
    Value::Object(out)
}

fn render_container(pod: &Pod, status: &ContainerStatus) -> Value {
    let mut out = Map::new();
    out.insert("name".into(), json!(status.name.as_str()));
    out.insert("state".into(), render_state(pod, status));
    let last_id = Some(status.last_container_id.as_str());
    let last = status.last_state.as_ref();
    let last = last.map(|exit| json!({ "terminated": render_exit(pod, exit, last_id) }));
    out.insert("lastState".into(), last.unwrap_or_else(|| json!({})));
    out.insert("ready".into(), json!(status.ready));
    out.insert("restartCount".into(), json!(status.restart_count));
    let full = (!status.container_id.is_empty()).then(|| Reference::parse(&status.image).ok()).flatten();
    out.insert("image".into(), full.map_or_else(|| json!(status.image), |full| json!(full.to_string())));
    out.insert("imageID".into(), json!(status.image_id));
    if !status.container_id.is_empty() {
        out.insert("containerID".into(), json!(status.container_id));
    }
    let Some(container) = pod.spec.container(&status.name) else { return Value::Object(out) };
    if container.kind != ContainerKind::Ephemeral {
        out.insert("started".into(), json!(status.started));
    }
    // A kubelet knows them from the container that it has made. The pod is as the node granted it.
    if !status.container_id.is_empty() {
        let mut granted = amounts(container.resources.cpu_request, container.resources.memory_request);
        granted.extend(written(&container.other_resources.requests));
        if !granted.is_empty() {
            out.insert("allocatedResources".into(), json!(granted));
        }
        let given = status.resources.unwrap_or(container.resources);
        let given = resource_requirements(&given, &container.other_resources);
        out.insert("resources".into(), Value::Object(given));
    }
    if !container.volume_mounts.is_empty() {
        out.insert("volumeMounts".into(), render_volume_mounts(container));
    }
    if let Some(ProcessUser { uid, gid, groups }) = &status.user {
        let linux = json!({ "uid": uid, "gid": gid, "supplementalGroups": groups });
        out.insert("user".into(), json!({ "linux": linux }));
    }
    Value::Object(out)
}

fn render_state(pod: &Pod, status: &ContainerStatus) -> Value {
    match &status.state {
        ContainerState::Waiting { reason, message } => {
            let mut waiting = Map::new();
            waiting.insert("reason".into(), json!(reason));
            let message = message.as_ref().map(|message| complete(pod, reason, message));
            insert_some(&mut waiting, "message", message.as_ref());
            json!({ "waiting": waiting })
        }
        ContainerState::Running { since } => json!({ "running": { "startedAt": time(*since) } }),
        ContainerState::Terminated(exit) => {
            json!({ "terminated": render_exit(pod, exit, Some(&status.container_id)) })
        }
    }
}

/// The message of a crash loop ends with the pod's name, which the planner does not know.
fn complete(pod: &Pod, reason: &str, message: &str) -> String {
    match reason {
        "CrashLoopBackOff" => format!("{message} pod={}_{}({})", pod.name, pod.namespace, pod.uid),
        _ => message.to_owned(),
    }
}

/// What the termination messages of all containers of a pod may take, in equal shares.
const MESSAGES_BYTES_MAX: usize = 12 << 10;

/// A container's share of a message.
fn share<'m>(pod: &Pod, message: &'m str) -> &'m str {
    let bytes_max = MESSAGES_BYTES_MAX / pod.spec.all_containers().count().max(1);
    &message[..message.floor_char_boundary(bytes_max)]
}

fn render_exit(pod: &Pod, exit: &Exit, container_id: Option<&str>) -> Value {
    let mut out = Map::new();
    out.insert("exitCode".into(), json!(exit.code));
    insert_some(&mut out, "signal", exit.signal.as_ref());
    out.insert("reason".into(), json!(reason_text(exit.reason)));
    if !exit.message.is_empty() {
        out.insert("message".into(), json!(share(pod, &exit.message)));
    }
    // Of what nobody saw run nobody knows when it ended. What is known to have ended before it ran has both
    // times: clients subtract them.
    let unseen = exit.reason == ExitReason::ContainerStatusUnknown && exit.started.is_none();
    let finished = (!unseen).then_some(exit.finished);
    out.insert("startedAt".into(), json!(exit.started.or(finished).map(time)));
    out.insert("finishedAt".into(), json!(finished.map(time)));
    insert_some(&mut out, "containerID", container_id.filter(|id| !id.is_empty()).as_ref());
    Value::Object(out)
}

/// `v1.ResourceRequirements`.
pub(crate) fn resource_requirements(resources: &Resources, others: &OtherResources) -> Map<String, Value> {
    let mut requests = amounts(resources.cpu_request, resources.memory_request);
    requests.extend(written(&others.requests));
    let mut limits = amounts(resources.cpu_limit, resources.memory_limit);
    limits.extend(written(&others.limits));
    let lists = [("limits", limits), ("requests", requests)];
    let lists = lists.into_iter().filter(|(_, list)| !list.is_empty());
    lists.map(|(name, list)| (name.to_owned(), Value::Object(list))).collect()
}

fn written(amounts: &BTreeMap<String, String>) -> impl Iterator<Item = (String, Value)> {
    amounts.iter().map(|(name, amount)| (name.clone(), json!(amount)))
}

/// CPU in millicores and memory in bytes, as the quantities that Kubernetes writes for them.
fn amounts(cpu: Option<u64>, memory: Option<u64>) -> Map<String, Value> {
    let cpu =
        cpu.map(|milli| if milli % 1_000 == 0 { (milli / 1_000).to_string() } else { format!("{milli}m") });
    let memory = memory.map(binary);
    let both = [("cpu", cpu), ("memory", memory)];
    both.into_iter().filter_map(|(name, amount)| Some((name.to_owned(), json!(amount?)))).collect()
}

/// With the largest of `Ki`, `Mi`, ... that leaves no fraction.
fn binary(bytes: u64) -> String {
    let (mut amount, mut unit) = (bytes, "");
    for larger in ["Ki", "Mi", "Gi", "Ti", "Pi"] {
        if amount == 0 || amount % 1_024 != 0 {
            break;
        }
        (amount, unit) = (amount / 1_024, larger);
    }
    format!("{amount}{unit}")
}

fn render_volume_mounts(container: &Container) -> Value {
    let mounts = container.volume_mounts.iter().map(|mount| {
        let mut out = Map::new();
        out.insert("name".into(), json!(mount.name.as_str()));
        out.insert("mountPath".into(), json!(mount.mount_path));
        if mount.read_only {
            out.insert("readOnly".into(), json!(true));
            let mode = if mount.recursive_read_only { "Enabled" } else { "Disabled" };
            out.insert("recursiveReadOnly".into(), json!(mode));
        }
        Value::Object(out)
    });
    Value::Array(mounts.collect())
}

fn time(moment: Moment) -> String {
    moment.wall.rfc3339_seconds()
}

fn insert_some<T: serde::Serialize>(out: &mut Map<String, Value>, key: &str, value: Option<&T>) {
    if let Some(value) = value {
        out.insert(key.to_owned(), json!(value));
    }
}

#[must_use]
pub fn phase_text(phase: Phase) -> &'static str {
    match phase {
        Phase::Pending => "Pending",
        Phase::Running => "Running",
        Phase::Succeeded => "Succeeded",
        Phase::Failed => "Failed",
    }
}

#[must_use]
pub fn condition_text(kind: ConditionKind) -> &'static str {
    match kind {
        ConditionKind::PodReadyToStartContainers => "PodReadyToStartContainers",
        ConditionKind::Initialized => "Initialized",
        ConditionKind::Ready => "Ready",
        ConditionKind::ContainersReady => "ContainersReady",
        ConditionKind::PodScheduled => "PodScheduled",
        ConditionKind::AllContainersRestarting => "AllContainersRestarting",
        ConditionKind::PodResizeInProgress => "PodResizeInProgress",
        ConditionKind::DisruptionTarget => "DisruptionTarget",
    }
}

/// `terminated.reason`.
#[must_use]
pub fn reason_text(reason: ExitReason) -> &'static str {
    match reason {
        ExitReason::Completed => "Completed",
        ExitReason::Error => "Error",
        ExitReason::OOMKilled => "OOMKilled",
        ExitReason::StartError => "StartError",
        ExitReason::ContainerStatusUnknown => "ContainerStatusUnknown",
        ExitReason::RestartingAllContainers => "RestartingAllContainers",
    }
}

#[cfg(test)]
mod tests {
    use lifecycle::{Exit, ExitReason};
    use podspec::{ContainerName, IDENTITY_BYTES, Moment};
    use serde_json::Value;

    use super::{render_exit, share};

    #[test]
    fn what_ended_before_it_ran_has_both_times() {
        let text =
            "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: a, image: i}]}}";
        let pod = podspec::load_pods("test", text, || [7; IDENTITY_BYTES]).unwrap().remove(0).admitted.pod;
        let ended = |reason| Exit {
            code: 137,
            signal: None,
            reason,
            message: String::new(),
            started: None,
            finished: Moment::default(),
        };
        let times = |reason| {
            let exit = render_exit(&pod, &ended(reason), None);
            (exit["startedAt"].clone(), exit["finishedAt"].clone())
        };
        let (started, finished) = times(ExitReason::Error);
        assert!(finished.is_string());
        assert_eq!(started, finished);
        assert_eq!(times(ExitReason::ContainerStatusUnknown), (Value::Null, Value::Null));
    }

    #[test]
    fn messages_of_many_containers_share_what_a_status_holds() {
        let text =
            "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: a, image: i}]}}";
        let mut pod =
            podspec::load_pods("test", text, || [7; IDENTITY_BYTES]).unwrap().remove(0).admitted.pod;
        let message = format!("x{}", "\u{e9}".repeat(2_047));
        assert_eq!(share(&pod, &message), message);
        let app = pod.spec.containers[0].clone();
        for name in ["b", "c"] {
            let another = podspec::Container { name: ContainerName::new(name), ..app.clone() };
            pod.spec.containers.push(another);
        }
        assert_eq!(share(&pod, &message), message);
        pod.spec.ephemeral_containers.push(podspec::Container { name: ContainerName::new("d"), ..app });
        assert_eq!(share(&pod, &message).len(), 12 * 1024 / 4 - 1, "not within a character");
        assert_eq!(share(&pod, "short"), "short");
    }
}
