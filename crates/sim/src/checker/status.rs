//! Promises about statuses.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lifecycle::{ConditionKind, ContainerState, ContainerStatus, Phase, PodStatus};
use podspec::{Container, ContainerKind, ContainerName};

use super::process::{HookLife, Life};
use super::{Checker, Part, Why};

/// What later statuses must not take back.
#[derive(Clone, Hash, Debug, Default)]
pub(super) struct LastStatus {
    phase: Option<Phase>,
    /// Why the pod ended, once it has.
    reason: Option<String>,
    initialized: bool,
    restarts: BTreeMap<ContainerName, u32>,
}

impl LastStatus {
    pub(super) fn is_terminal(&self) -> bool {
        self.phase.is_some_and(terminal)
    }

    pub(super) fn keep(&mut self, status: &PodStatus) {
        self.phase = Some(status.phase);
        self.reason.clone_from(&status.reason);
        self.initialized |= condition(status, ConditionKind::Initialized);
        for container in status.all_containers() {
            self.restarts.insert(container.name.clone(), container.restart_count);
        }
    }
}

pub(super) fn check(checker: &Checker<'_>, at: Duration, status: &PodStatus) {
    let last = &checker.last;
    if let Some(phase) = last.phase.filter(|phase| terminal(*phase)) {
        assert_eq!(status.phase, phase, "a terminal phase was left");
        assert_eq!(status.reason, last.reason, "the reason of a terminal phase became another");
    }
    if terminal(status.phase) {
        checker.no_process_alive("say that the pod has ended");
        assert!(checker.stop.is_some(), "the pod has ended for no reason");
    }
    check_phase(checker, status);
    check_conditions(checker, status);
    for container in status.all_containers() {
        check_container(checker, container);
        check_exits(checker, at, container);
    }
    assert!(status.containers.is_sorted_by_key(|c| &c.name), "containerStatuses are sorted by name");
    let ephemeral = &status.ephemeral_containers;
    assert!(ephemeral.is_sorted_by_key(|c| &c.name), "ephemeralContainerStatuses are sorted by name");
    let told: BTreeSet<_> = status.all_containers().map(|c| &c.name).collect();
    assert!(checker.spec.all_containers().all(|c| told.contains(&c.name)), "a container is not told of");
}

/// One that has not ended is pending as long as an init container runs or has not run, a sidecar is not up
/// for the first time, or an app has not run.
fn check_phase(checker: &Checker<'_>, status: &PodStatus) {
    if terminal(status.phase) {
        let succeeded = checker.succeeds();
        assert_eq!(status.phase == Phase::Succeeded, succeeded, "how the pod ended");
        return;
    }
    let has_run =
        |c: &ContainerStatus| c.last_state.is_some() || !matches!(c.state, ContainerState::Waiting { .. });
    let initialized = checker.spec.containers.iter().any(|c| checker.of(c).ran_in_run());
    let pending = |c: &ContainerStatus| match checker.container(&c.name).kind {
        ContainerKind::App => !has_run(c),
        ContainerKind::Ephemeral => false,
        ContainerKind::Init => !has_run(c) || matches!(c.state, ContainerState::Running { .. }),
        ContainerKind::Sidecar => {
            let coming_up = matches!(c.state, ContainerState::Running { .. }) && !c.started;
            !initialized && (!has_run(c) || coming_up)
        }
    };
    let pending = status.init_containers.iter().chain(&status.containers).any(pending);
    assert_eq!(status.phase == Phase::Pending, pending, "Pending");
}

fn check_conditions(checker: &Checker<'_>, status: &PodStatus) {
    let is = |kind| condition(status, kind);
    let sandbox = is(ConditionKind::PodReadyToStartContainers);
    assert_eq!(sandbox, checker.sandbox == Part::Ready, "PodReadyToStartContainers");
    let counts = |c: &&ContainerStatus| checker.container(&c.name).kind != ContainerKind::Init;
    let all_ready = !terminal(status.phase)
        && status.init_containers.iter().chain(&status.containers).filter(counts).all(|c| c.ready);
    assert_eq!(is(ConditionKind::ContainersReady), all_ready, "ContainersReady");
    check_gates(checker, status, all_ready);
    let resizes = |c: &Container| checker.of(c).resize_shown(c);
    let resizing = !terminal(status.phase) && checker.spec.all_containers().any(resizes);
    assert_eq!(is(ConditionKind::PodResizeInProgress), resizing, "PodResizeInProgress");
    assert_eq!(is(ConditionKind::DisruptionTarget), checker.evicted.is_some(), "DisruptionTarget");
    let passed = checker.spec.init_containers.iter().all(|c| match c.kind {
        ContainerKind::Sidecar => checker.of(c).up(c),
        ContainerKind::Init | ContainerKind::App | ContainerKind::Ephemeral => checker.of(c).passed_in_run,
    });
    let passed = passed && !checker.restarting_all;
    let initialized = passed || checker.last.initialized || status.phase == Phase::Succeeded;
    assert!(!initialized || is(ConditionKind::Initialized), "Initialized went back, or does not come");
    assert!(initialized || !is(ConditionKind::Initialized) || checker.had_processes, "Initialized too early");
    assert_eq!(is(ConditionKind::AllContainersRestarting), checker.restarting_all, "AllContainersRestarting");
}

/// Ready means that all containers are, and that every gate is open.
fn check_gates(checker: &Checker<'_>, status: &PodStatus, all_ready: bool) {
    let gates = &checker.spec.readiness_gates;
    let closed = |gate: &&String| checker.gates.get(*gate).is_none_or(|said| said != "True");
    let closed: Vec<&String> = gates.iter().filter(closed).collect();
    let ready = status.conditions.iter().find(|c| c.kind == ConditionKind::Ready);
    let ready = ready.unwrap_or_else(|| panic!("no condition Ready"));
    assert_eq!(ready.status, all_ready && closed.is_empty(), "Ready");
    let held_by_gates = ready.reason.as_deref() == Some("ReadinessGatesNotReady");
    assert_eq!(held_by_gates, all_ready && !closed.is_empty(), "why it is not Ready");
    let message = ready.message.as_deref().unwrap_or_default();
    let told = closed.iter().all(|gate| message.contains(&format!("\"{gate}\"")));
    assert!(!held_by_gates || told, "a gate is closed and not told of");
}

/// The exits that are told are those that were seen.
fn check_exits(checker: &Checker<'_>, at: Duration, status: &ContainerStatus) {
    let name = &status.name;
    let (container, process) = (checker.container(name), &checker.processes[name]);
    let Some(exit) = process.last_exit.as_ref().filter(|_| process.life != Life::Starting) else { return };
    let told = match &status.state {
        ContainerState::Terminated(exit) => Some(exit.code),
        _ => status.last_state.as_ref().map(|exit| exit.code),
    };
    let hook_runs = process.life == Life::Running && container.post_start.is_some();
    assert!(told == Some(exit.code) || hook_runs, "{name} exited {}, not {told:?}", exit.code);
    let attempt = process.attempt.unwrap_or(0);
    assert!(status.restart_count == attempt || hook_runs, "{name} was not restarted {attempt} times");
    let goes_on = checker.stop.is_none() && !checker.restarting_all && process.life == Life::Exited;
    let waits = goes_on
        && process.is_restarted(container, checker.spec.restart_policy)
        && !process.backoff_is_over(at, checker.exit_behind(container));
    let reason = match &status.state {
        ContainerState::Waiting { reason, .. } => Some(reason.as_str()),
        _ => None,
    };
    assert!(!waits || reason == Some("CrashLoopBackOff"), "{name} backs off and says {reason:?}");
}

fn check_container(checker: &Checker<'_>, status: &ContainerStatus) {
    let name = &status.name;
    let (container, process) = (checker.container(name), &checker.processes[name]);
    let hook_over = container.post_start.is_none()
        || matches!(process.post_start, HookLife::Succeeded | HookLife::Failed);
    let runs = matches!(status.state, ContainerState::Running { .. });
    assert_eq!(runs, process.life == Life::Running && hook_over, "{name} is Running");
    assert_eq!(status.started, process.up(container), "{name} is started");
    if runs {
        assert_eq!(status.image, process.image, "the image of {name}");
        assert_eq!(status.resources, Some(process.resources), "the resources of {name}");
    }
    let succeeded = matches!(&status.state, ContainerState::Terminated(exit) if exit.code == 0);
    match container.kind {
        ContainerKind::Init => assert!(!status.ready || succeeded, "{name} is ready"),
        ContainerKind::Ephemeral => {
            assert!(!status.ready && status.restart_count == 0, "{name} is ready");
            let ended = matches!(status.state, ContainerState::Terminated(_));
            assert_eq!(ended, process.life == Life::Exited, "{name} ends once and for all");
        }
        ContainerKind::Sidecar | ContainerKind::App => {
            assert_eq!(status.ready, process.ready(container), "{name} ready");
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
    let expected = if checker.succeeds() { Phase::Succeeded } else { Phase::Failed };
    assert_eq!(status.phase, expected, "how the pod ended");
    let reason = checker.stop.and_then(|stop| match stop.why {
        Why::Overdue => Some("DeadlineExceeded"),
        Why::Evicted => Some("Evicted"),
        Why::Other => None,
    });
    assert_eq!(status.reason.as_deref(), reason, "why the pod ended");
}

impl Checker<'_> {
    fn succeeds(&self) -> bool {
        let succeeded = |c: &Container| self.of(c).last_exit.as_ref().is_some_and(|exit| exit.code == 0);
        let cut_short = self.stop.is_some_and(|stop| stop.why != Why::Other);
        self.spec.containers.iter().all(succeeded) && !cut_short && self.init_failed().is_none()
    }
}

fn terminal(phase: Phase) -> bool {
    matches!(phase, Phase::Succeeded | Phase::Failed)
}

fn condition(status: &PodStatus, kind: ConditionKind) -> bool {
    status.conditions.iter().any(|c| c.kind == kind && c.status)
}
