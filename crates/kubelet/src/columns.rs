//! The READY, STATUS and RESTARTS columns of `kubectl get pods`, as the API server prints them.

use std::time::Duration;

use lifecycle::{Condition, ConditionKind, ContainerState, ContainerStatus, Exit, Phase, PodStatus};
pub use podspec::time::human_duration;
use podspec::{ContainerKind, Moment, PodSpec, WallTime};

use crate::render::{phase_text, reason_text};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Columns {
    /// `1/2`: app containers and sidecars.
    pub ready: String,
    pub status: String,
    /// `3 (12s ago)`.
    pub restarts: String,
}

/// What the three columns say of a pod at `now`.
#[must_use]
pub fn columns(spec: &PodSpec, status: &PodStatus, deleting: bool, now: Moment) -> Columns {
    let init = init_columns(spec, status);
    let mut reason = init
        .reason
        .clone()
        .unwrap_or_else(|| status.reason.clone().unwrap_or_else(|| phase_text(status.phase).to_owned()));
    let mut ready = init.ready;
    let mut restarts = init.all_restarts;
    if init.reason.is_none() || condition(status, ConditionKind::Initialized) {
        let apps = app_columns(status);
        if let Some(said) = apps.reason {
            reason = said;
        }
        if reason == "Completed" {
            reason = completed_text(status, apps.running, apps.failure, reason);
        }
        ready += apps.ready;
        restarts = init.sidecar_restarts.and(apps.restarts);
    }
    if deleting && !matches!(status.phase, Phase::Succeeded | Phase::Failed) {
        "Terminating".clone_into(&mut reason);
    }
    let total = spec.containers.len() + spec.sidecars().count();
    Columns { ready: format!("{ready}/{total}"), status: reason, restarts: restarts.text(now) }
}

#[derive(Clone, Copy, Default)]
struct Restarts {
    count: u32,
    last_exit: Option<WallTime>,
}

struct InitColumns {
    /// Set while an entry of `initContainers` is not done, or not up.
    reason: Option<String>,
    ready: usize,
    all_restarts: Restarts,
    sidecar_restarts: Restarts,
}

#[derive(Default)]
struct AppColumns {
    reason: Option<String>,
    ready: usize,
    running: bool,
    failure: Option<String>,
    restarts: Restarts,
}

/// Stops at the first entry that is not done: entries after it are not counted.
fn init_columns(spec: &PodSpec, status: &PodStatus) -> InitColumns {
    let mut out = InitColumns {
        reason: None,
        ready: 0,
        all_restarts: Restarts::default(),
        sidecar_restarts: Restarts::default(),
    };
    for (index, container) in status.init_containers.iter().enumerate() {
        let sidecar = spec.container(&container.name).is_some_and(|spec| spec.kind == ContainerKind::Sidecar);
        out.all_restarts = out.all_restarts.and(Restarts::of(container));
        if sidecar {
            out.sidecar_restarts = out.sidecar_restarts.and(Restarts::of(container));
        }
        let reason = match &container.state {
            ContainerState::Terminated(exit) if exit.code == 0 => continue,
            _ if sidecar && container.started => {
                out.ready += usize::from(container.ready);
                continue;
            }
            ContainerState::Terminated(exit) => format!("Init:{}", exit_text(exit)),
            ContainerState::Waiting { reason, .. } if reason != "PodInitializing" && !reason.is_empty() => {
                format!("Init:{reason}")
            }
            _ => format!("Init:{index}/{}", spec.init_containers.len()),
        };
        out.reason = Some(reason);
        break;
    }
    out
}

/// From the last container to the first, so that of several that do not run the first one is said.
fn app_columns(status: &PodStatus) -> AppColumns {
    let mut out = AppColumns::default();
    for container in status.containers.iter().rev() {
        out.restarts = out.restarts.and(Restarts::of(container));
        match &container.state {
            ContainerState::Waiting { reason, .. } => out.reason = Some(reason.clone()),
            ContainerState::Terminated(exit) => {
                let text = exit_text(exit);
                if exit.code != 0 {
                    out.failure = Some(text.clone());
                }
                out.reason = Some(text);
            }
            ContainerState::Running { .. } if container.ready => {
                out.running = true;
                out.ready += 1;
            }
            ContainerState::Running { .. } => {}
        }
    }
    out
}

/// One container has completed: what of the pod as a whole?
fn completed_text(status: &PodStatus, running: bool, failure: Option<String>, completed: String) -> String {
    if running && condition(status, ConditionKind::Ready) {
        return "Running".to_owned();
    }
    match failure {
        Some(failure) => failure,
        None if running => "NotReady".to_owned(),
        None => completed,
    }
}

fn exit_text(exit: &Exit) -> String {
    match (reason_text(exit.reason), exit.signal) {
        (reason, _) if !reason.is_empty() => reason.to_owned(),
        (_, Some(signal)) => format!("Signal:{signal}"),
        (_, None) => format!("ExitCode:{}", exit.code),
    }
}

fn condition(status: &PodStatus, kind: ConditionKind) -> bool {
    status.conditions.iter().any(|Condition { kind: held, status, .. }| *held == kind && *status)
}

impl Restarts {
    fn of(container: &ContainerStatus) -> Self {
        let last_exit = container.last_state.as_ref().map(|exit| exit.finished.wall);
        Self { count: container.restart_count, last_exit }
    }

    fn and(self, other: Self) -> Self {
        Self { count: self.count + other.count, last_exit: self.last_exit.max(other.last_exit) }
    }

    fn text(self, now: Moment) -> String {
        match self.last_exit {
            Some(last) if self.count > 0 => {
                let ago = u64::try_from(now.wall.0.saturating_sub(last.0)).unwrap_or(0);
                format!("{} ({} ago)", self.count, human_duration(Duration::from_nanos(ago)))
            }
            _ => self.count.to_string(),
        }
    }
}
