//! Promises about statuses.

use std::collections::BTreeMap;

use lifecycle::{ConditionKind, ContainerState, ContainerStatus, Phase, PodStatus};
use podspec::{ContainerKind, ContainerName};

use super::process::{HookLife, Life};
use super::{Checker, Part};

/// What later statuses must not take back.
#[derive(Clone, Hash, Debug, Default)]
pub(super) struct LastStatus {
    phase: Option<Phase>,
    initialized: bool,
    restarts: BTreeMap<ContainerName, u32>,
}

impl LastStatus {
    pub(super) fn keep(&mut self, status: &PodStatus) {
        self.phase = Some(status.phase);
        self.initialized |= condition(status, ConditionKind::Initialized);
        for container in status.init_containers.iter().chain(&status.containers) {
            self.restarts.insert(container.name.clone(), container.restart_count);
        }
    }
}

pub(super) fn check(checker: &Checker<'_>, status: &PodStatus) {
    let last = &checker.last;
    if let Some(phase) = last.phase.filter(|phase| terminal(*phase)) {
        assert_eq!(status.phase, phase, "a terminal phase was left");
    }
    if terminal(status.phase) {
        checker.no_process_alive("say that the pod has ended");
        assert!(checker.stop.is_some(), "the pod has ended for no reason");
    }
    assert!(condition(status, ConditionKind::Initialized) || !last.initialized, "Initialized went back");
    let sandbox = condition(status, ConditionKind::PodReadyToStartContainers);
    assert_eq!(sandbox, checker.sandbox == Part::Ready, "PodReadyToStartContainers");
    let mut all_ready = !terminal(status.phase);
    for container in status.init_containers.iter().chain(&status.containers) {
        check_container(checker, container);
        let init = checker.container(&container.name).kind == ContainerKind::Init;
        all_ready &= init || container.ready;
    }
    assert_eq!(condition(status, ConditionKind::Ready), all_ready, "Ready");
    assert_eq!(condition(status, ConditionKind::ContainersReady), all_ready, "ContainersReady");
    assert!(status.containers.is_sorted_by_key(|c| &c.name), "containerStatuses are sorted by name");
}

fn check_container(checker: &Checker<'_>, status: &ContainerStatus) {
    let name = &status.name;
    let (container, process) = (checker.container(name), &checker.processes[name]);
    let hook_over = container.post_start.is_none()
        || matches!(process.post_start, HookLife::Succeeded | HookLife::Failed);
    let runs = matches!(status.state, ContainerState::Running { .. });
    assert_eq!(runs, process.life == Life::Running && hook_over, "{name} is Running");
    assert_eq!(status.started, process.up(container), "{name} is started");
    let succeeded = matches!(&status.state, ContainerState::Terminated(exit) if exit.code == 0);
    match container.kind {
        ContainerKind::Init => assert!(!status.ready || succeeded, "{name} is ready"),
        ContainerKind::Sidecar | ContainerKind::App => {
            assert_eq!(status.ready, status.started, "{name} ready");
        }
    }
    if let ContainerState::Waiting { reason, .. } = &status.state {
        assert!(!reason.is_empty(), "{name} waits for no reason");
    }
    let before = checker.last.restarts.get(name).copied().unwrap_or(0);
    assert!(
        status.restart_count >= before,
        "{name}'s restarts went from {before} to {}",
        status.restart_count
    );
}

/// The pod succeeded if every app did, nobody failed to initialise it, and it was in time.
pub(super) fn check_outcome(checker: &Checker<'_>, status: &PodStatus) {
    let spec = &checker.spec;
    let apps =
        spec.containers.iter().all(|c| checker.of(c).last_exit.as_ref().is_some_and(|exit| exit.code == 0));
    let overdue = checker.stop.is_some_and(|stop| stop.overdue);
    let succeeded = apps && !overdue && checker.init_failed().is_none();
    let expected = if succeeded { Phase::Succeeded } else { Phase::Failed };
    assert_eq!(status.phase, expected, "how the pod ended");
    let reason = overdue.then_some("DeadlineExceeded");
    assert_eq!(status.reason.as_deref(), reason, "why the pod ended");
}

fn terminal(phase: Phase) -> bool {
    matches!(phase, Phase::Succeeded | Phase::Failed)
}

fn condition(status: &PodStatus, kind: ConditionKind) -> bool {
    status.conditions.iter().any(|c| c.kind == kind && c.status)
}
