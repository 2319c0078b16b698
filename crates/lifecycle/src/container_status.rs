//! One container's `state`, `lastState`, `started`, `ready` and restart count.
//!
//! <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-states>

use std::time::Duration;

use podspec::{Container, ContainerKind};

use crate::backoff;
use crate::observed::{Attempt, AttemptState, Exit, HookState, PullState};
use crate::restart;
use crate::start::PULL_ERROR_SHOWN;
use crate::status::{ContainerState, ContainerStatus};
use crate::termination;
use crate::view::View;

pub(crate) fn container_status(view: &View<'_>, container: &Container) -> ContainerStatus {
    let (attempt, before) = shown(view, container);
    let (state, last_state) = state(view, container, attempt, before);
    let started = attempt.is_some_and(|a| a.started(container));
    let ready = match container.kind {
        ContainerKind::Init => {
            matches!(&state, ContainerState::Terminated(exit) if !exit.failed(ContainerKind::Init))
        }
        ContainerKind::Sidecar | ContainerKind::App => started,
    };
    ContainerStatus {
        name: container.name.clone(),
        state,
        last_state,
        ready,
        started,
        restart_count: attempt.map_or(0, |a| a.number),
        image: container.image.clone(),
        image_id: attempt.map(|a| a.image_id.clone()).unwrap_or_default(),
        container_id: attempt
            .filter(|a| !a.id.is_empty())
            .map(|a| format!("monopod://{}", a.id))
            .unwrap_or_default(),
    }
}

/// The attempt a status speaks of and the one before it. An attempt counts once it has a process:
/// until then the status stays what it was.
fn shown<'a>(view: &View<'a>, container: &Container) -> (Option<&'a Attempt>, Option<&'a Attempt>) {
    let Some(observed) = view.container(container) else { return (None, None) };
    match &observed.current {
        Some(attempt) if attempt.state == AttemptState::Starting => {
            (observed.previous.as_ref(), observed.outgoing.as_ref())
        }
        current => (current.as_ref(), observed.previous.as_ref()),
    }
}

fn state(
    view: &View<'_>,
    container: &Container,
    attempt: Option<&Attempt>,
    before: Option<&Attempt>,
) -> (ContainerState, Option<Exit>) {
    let last = || before.and_then(Attempt::exit).cloned();
    let Some(attempt) = attempt else {
        return (waiting(view, container, None), None);
    };
    match &attempt.state {
        AttemptState::Starting => (default_waiting(view), last()),
        // A container does not count as running until its postStart hook is done.
        AttemptState::Running { .. }
            if container.post_start.is_some() && !matches!(attempt.post_start, HookState::Done { .. }) =>
        {
            (default_waiting(view), last())
        }
        AttemptState::Running { since } => (ContainerState::Running { since: *since }, last()),
        AttemptState::Exited(exit) if waits_to_start(view, container, attempt, exit) => {
            (waiting(view, container, Some(attempt)), Some(exit.clone()))
        }
        AttemptState::Exited(exit) => (ContainerState::Terminated(exit.clone()), last()),
    }
}

/// An exited container shows what it waits for when it waits for something that can be named;
/// otherwise it keeps showing its exit until it is started again.
fn waits_to_start(view: &View<'_>, container: &Container, attempt: &Attempt, exit: &Exit) -> bool {
    if view.observed.finished.is_some() || termination::pod_stop(view).is_some() {
        return false;
    }
    let begins_again = attempt.run != view.run && container.kind != ContainerKind::App;
    let policy = view.spec.restart_policy;
    begins_again
        || (restart::should_restart(policy, container, exit)
            && trouble(view, container, Some(attempt)).is_some())
}

fn waiting(view: &View<'_>, container: &Container, attempt: Option<&Attempt>) -> ContainerState {
    match trouble(view, container, attempt) {
        Some((reason, message)) => ContainerState::Waiting { reason, message: Some(message) },
        None => default_waiting(view),
    }
}

fn default_waiting(view: &View<'_>) -> ContainerState {
    let reason = if view.spec.init_containers.is_empty() { "ContainerCreating" } else { "PodInitializing" };
    ContainerState::Waiting { reason: reason.to_owned(), message: None }
}

/// `waiting.reason` and `.message` of what keeps a container from starting. The message of
/// `CrashLoopBackOff` lacks its end, ` pod=NAME_NAMESPACE(UID)`: a spec does not know its pod's name.
fn trouble(view: &View<'_>, container: &Container, attempt: Option<&Attempt>) -> Option<(String, String)> {
    let observed = view.container(container);
    let sandbox = view.observed.sandbox.attempt();
    // Shown until it runs again, also in the moments in which it is being started.
    let backing_off = attempt.and_then(|a| backoff::exit_behind(a, view.run, sandbox)).and_then(|finished| {
        let entry = observed?.backoff?;
        backoff::restart_at(Some(entry), finished).map(|_| entry.delay)
    });
    if let Some(delay) = backing_off {
        let message =
            format!("back-off {} restarting failed container={}", go_duration(delay), container.name);
        return Some(("CrashLoopBackOff".to_owned(), message));
    }
    if let Some(error) = observed.and_then(|o| o.start_error.as_ref()) {
        return Some((error.reason.clone(), error.message.clone()));
    }
    match view.observed.pulls.get(&container.image)? {
        PullState::Pulling { .. } => None,
        PullState::Failed { reason, message, at, .. } => {
            let shown_long_enough = view.now.boot >= at.boot.after(PULL_ERROR_SHOWN);
            if reason == "ErrImagePull" && shown_long_enough {
                let message = format!("Back-off pulling image \"{}\": {reason}: {message}", container.image);
                return Some(("ImagePullBackOff".to_owned(), message));
            }
            Some((reason.clone(), message.clone()))
        }
    }
}

/// `10s`, `1m20s`, `5m0s`: whole seconds as Go prints durations.
fn go_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    }
}
