//! One container's `state`, `lastState`, `started`, `ready` and restart count.
//!
//! <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-states>

use podspec::{Container, ContainerKind, Moment};

use crate::observed::{Attempt, AttemptState, Exit, ExitReason, Finished, ProbeVerdict};
use crate::resize;
use crate::restart;
use crate::status::{ContainerState, ContainerStatus};
use crate::termination;
use crate::view::View;
use crate::waiting;

const EXIT_UNKNOWN: i32 = 137;
const UNKNOWN_MESSAGE: &str = "The container could not be located when the pod was terminated";

pub(crate) fn container_status(
    view: &View<'_>,
    container: &Container,
    ended: Option<&Finished>,
) -> ContainerStatus {
    let (attempt, before) = shown(view, container);
    let (state, last) = match (attempt, ended) {
        (None, Some(_)) if counts_as_lost(view, container) => {
            (ContainerState::Terminated(never_located(view)), None)
        }
        _ => state(view, container, attempt, before),
    };
    let started = attempt.is_some_and(|a| a.started(container));
    let ready = match container.kind {
        ContainerKind::Init => {
            matches!(&state, ContainerState::Terminated(exit) if !exit.failed(ContainerKind::Init))
        }
        ContainerKind::Sidecar | ContainerKind::App => {
            let probed = container.readiness_probe.is_none()
                || attempt.is_some_and(|a| a.readiness.verdict == ProbeVerdict::Success);
            started && probed
        }
        ContainerKind::Ephemeral => false,
    };
    ContainerStatus {
        name: container.name.clone(),
        restart_count: attempt.map_or(0, |a| a.number),
        state,
        last_state: last.and_then(Attempt::exit).cloned(),
        last_container_id: last.map(container_id).unwrap_or_default(),
        ready,
        started,
        image: (attempt.map(|a| &a.image).filter(|image| !image.is_empty()))
            .unwrap_or(&container.image)
            .clone(),
        resources: attempt.and_then(resize::given),
        image_id: attempt.map(|a| a.repo_digest.as_ref().unwrap_or(&a.image_id).clone()).unwrap_or_default(),
        user: attempt.and_then(|a| a.user.clone()),
        container_id: attempt.map(container_id).unwrap_or_default(),
    }
}

fn container_id(attempt: &Attempt) -> String {
    if attempt.id.is_empty() { String::new() } else { format!("monopod://{}", attempt.id) }
}

/// The attempt a status speaks of and the one before it. Until an attempt has a process and is past
/// its postStart hook the status stays what it was.
fn shown<'a>(view: &View<'a>, container: &Container) -> (Option<&'a Attempt>, Option<&'a Attempt>) {
    let Some(observed) = view.container(container) else { return (None, None) };
    match &observed.current {
        Some(attempt) if !attempt.shown(container) => {
            (observed.previous.as_deref(), observed.outgoing.as_deref())
        }
        current => (current.as_deref(), observed.previous.as_deref()),
    }
}

/// And the attempt that `lastState` speaks of.
fn state<'a>(
    view: &View<'_>,
    container: &Container,
    attempt: Option<&'a Attempt>,
    before: Option<&'a Attempt>,
) -> (ContainerState, Option<&'a Attempt>) {
    let last = || before.filter(|before| !before.alive());
    let Some(attempt) = attempt else {
        return (waiting::state(view, container, None), None);
    };
    match &attempt.state {
        AttemptState::Starting => (waiting::state(view, container, None), last()),
        AttemptState::Running { since } => (ContainerState::Running { since: *since }, last()),
        AttemptState::Exited(exit) if container.kind == ContainerKind::Ephemeral => {
            (ContainerState::Terminated(exit.clone()), last())
        }
        AttemptState::Exited(_) if restarting_all(view, attempt) => {
            (waiting::restarting_all(), Some(attempt))
        }
        AttemptState::Exited(_) if waits_to_start(view, container, attempt) => {
            (waiting::state(view, container, Some(attempt)), Some(attempt))
        }
        AttemptState::Exited(exit) => (ContainerState::Terminated(exit.clone()), last()),
    }
}

/// It has ended and is about to be started again with all others.
fn restarting_all(view: &View<'_>, attempt: &Attempt) -> bool {
    view.restart_all.is_some() && !attempt.alive()
}

/// An exited container shows what it waits for when it waits for something that can be named;
/// otherwise it keeps showing its exit until it is started again.
fn waits_to_start(view: &View<'_>, container: &Container, attempt: &Attempt) -> bool {
    if view.observed.finished.is_some() || termination::pod_stop(view).is_some() {
        return false;
    }
    let same_sandbox = Some(attempt.sandbox) == view.observed.sandbox.attempt();
    let begins_anew = attempt.run != view.run && (container.kind != ContainerKind::App || same_sandbox);
    begins_anew
        || (restart::should_restart(view.spec.restart_policy, container, attempt)
            && waiting::trouble(view, container, Some(attempt)).is_some())
}

/// Once a pod has ended, what should have run and is not known to have run counts as failed: app
/// containers of an initialised pod, and init containers up to the last that ran.
fn counts_as_lost(view: &View<'_>, container: &Container) -> bool {
    match container.kind {
        ContainerKind::App => return view.observed.was_initialized,
        ContainerKind::Ephemeral => return false,
        ContainerKind::Init | ContainerKind::Sidecar => {}
    }
    let init_containers = &view.spec.init_containers;
    let last_run = init_containers.iter().rposition(|c| view.attempt(c).is_some()).unwrap_or(0);
    init_containers.iter().take(last_run + 1).any(|c| c.name == container.name)
}

fn never_located(view: &View<'_>) -> Exit {
    let finished = view.observed.finished.as_ref().map(|f| f.at);
    let deleted = view.observed.deletion.map(|d| d.requested);
    let at: Moment = finished.or(deleted).unwrap_or(view.now);
    Exit {
        code: EXIT_UNKNOWN,
        signal: None,
        reason: ExitReason::ContainerStatusUnknown,
        message: UNKNOWN_MESSAGE.to_owned(),
        started: None,
        finished: at,
    }
}
