//! `status.conditions`, in the kubelet's order.
//!
//! <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-conditions>

use podspec::ContainerKind;

use crate::observed::SandboxState;
use crate::pod_status::with_kinds;
use crate::resize;
use crate::restart;
use crate::status::{Condition, ConditionKind, ContainerStatus, Phase};
use crate::view::View;

pub(crate) fn conditions(
    view: &View<'_>,
    phase: Phase,
    init_containers: &[ContainerStatus],
    containers: &[ContainerStatus],
) -> Vec<Condition> {
    let sandbox_ready = matches!(view.observed.sandbox, SandboxState::Ready { .. });
    let containers_ready = containers_ready(view, phase, init_containers, containers);
    let mut conditions = vec![
        plain(ConditionKind::PodReadyToStartContainers, sandbox_ready),
        initialized(view, phase, init_containers),
        ready(view, &containers_ready),
        containers_ready,
        plain(ConditionKind::PodScheduled, true),
    ];
    if restart::can_restart_all(view.spec) {
        conditions.push(all_restarting(view, phase));
    }
    conditions.extend(resize_in_progress(view, phase));
    conditions.extend(disruption(view));
    conditions
}

/// The containers are, and so say all gates (KEP-580).
fn ready(view: &View<'_>, containers_ready: &Condition) -> Condition {
    let as_containers = Condition { kind: ConditionKind::Ready, ..containers_ready.clone() };
    if !containers_ready.status {
        return as_containers;
    }
    let closed = view.spec.readiness_gates.iter().filter_map(|gate| {
        match view.observed.gates.get(gate).map(String::as_str) {
            Some("True") => None,
            Some(status) => {
                Some(format!("the status of pod readiness gate \"{gate}\" is not \"True\", but {status}"))
            }
            None => Some(format!("corresponding condition of pod readiness gate \"{gate}\" does not exist.")),
        }
    });
    let closed: Vec<String> = closed.collect();
    if closed.is_empty() {
        return as_containers;
    }
    Condition {
        reason: Some("ReadinessGatesNotReady".to_owned()),
        message: Some(closed.join(", ")),
        ..plain(ConditionKind::Ready, false)
    }
}

/// KEP-1287: there while a container does not have yet what it was granted.
fn resize_in_progress(view: &View<'_>, phase: Phase) -> Option<Condition> {
    let failure = resize::in_progress(view).filter(|_| terminal_reason(phase).is_none())?;
    Some(Condition {
        reason: failure.map(|_| "Error".to_owned()),
        message: failure.map(str::to_owned),
        ..plain(ConditionKind::PodResizeInProgress, true)
    })
}

fn disruption(view: &View<'_>) -> Option<Condition> {
    let eviction = view.observed.eviction.as_ref()?;
    Some(Condition {
        reason: Some("TerminationByKubelet".to_owned()),
        message: Some(eviction.message.clone()),
        ..plain(ConditionKind::DisruptionTarget, true)
    })
}

/// KEP-5532.
fn all_restarting(view: &View<'_>, phase: Phase) -> Condition {
    let kind = ConditionKind::AllContainersRestarting;
    match phase {
        Phase::Succeeded | Phase::Failed => {
            Condition { reason: terminal_reason(phase).map(str::to_owned), ..plain(kind, false) }
        }
        Phase::Pending | Phase::Running if view.restart_all.is_some() => Condition {
            reason: Some("RestartAllContainersStarted".to_owned()),
            message: Some("container exited with restart policy rule".to_owned()),
            ..plain(kind, true)
        },
        Phase::Pending | Phase::Running => plain(kind, false),
    }
}

fn terminal_reason(phase: Phase) -> Option<&'static str> {
    match phase {
        Phase::Succeeded => Some("PodCompleted"),
        Phase::Failed => Some("PodFailed"),
        Phase::Pending | Phase::Running => None,
    }
}

fn plain(kind: ConditionKind, status: bool) -> Condition {
    Condition { kind, status, reason: None, message: None }
}

fn initialized(view: &View<'_>, phase: Phase, init_containers: &[ContainerStatus]) -> Condition {
    let kind = ConditionKind::Initialized;
    if phase == Phase::Succeeded {
        return Condition { reason: terminal_reason(phase).map(str::to_owned), ..plain(kind, true) };
    }
    let incomplete = with_kinds(view, init_containers).filter(|(kind, c)| match kind {
        ContainerKind::Sidecar => !c.started,
        ContainerKind::Init | ContainerKind::App | ContainerKind::Ephemeral => !c.ready,
    });
    let names: Vec<&str> = incomplete.map(|(_, c)| c.name.as_str()).collect();
    if names.is_empty() || view.observed.was_initialized {
        return plain(kind, true);
    }
    Condition {
        kind,
        status: false,
        reason: Some("ContainersNotInitialized".to_owned()),
        message: Some(format!("containers with incomplete status: [{}]", names.join(" "))),
    }
}

fn containers_ready(
    view: &View<'_>,
    phase: Phase,
    init_containers: &[ContainerStatus],
    containers: &[ContainerStatus],
) -> Condition {
    let kind = ConditionKind::ContainersReady;
    let because = |reason: &str| Condition { reason: Some(reason.to_owned()), ..plain(kind, false) };
    if let Some(reason) = terminal_reason(phase) {
        return because(reason);
    }
    let sidecars = with_kinds(view, init_containers).filter(|(kind, _)| *kind == ContainerKind::Sidecar);
    let counted = sidecars.map(|(_, c)| c).chain(containers);
    let unready: Vec<&str> = counted.filter(|c| !c.ready).map(|c| c.name.as_str()).collect();
    if unready.is_empty() {
        return plain(kind, true);
    }
    Condition {
        message: Some(format!("containers with unready status: [{}]", unready.join(" "))),
        ..because("ContainersNotReady")
    }
}
