//! What a change of the spec means to containers that run: another image needs another attempt, other
//! resources are given to the running one, unless its policy wants a restart for them.
//!
//! The spec that is planned with holds what the node has granted: whether a resize fits is decided before.
//!
//! <https://kubernetes.io/docs/tasks/configure-pod-container/resize-container-resources/>, KEP-1287.

use podspec::{Container, ContainerKind, Moment, PodSpec, Resources};

use crate::action::Action;
use crate::decision::Wait;
use crate::observed::{Attempt, AttemptState, Observed, ResizeState, StopReason, Superseded};
use crate::plan::Draft;
use crate::view::{RETRY_DELAY, View};

impl Observed {
    /// Marks the attempts that cannot go on under `spec`, which is in force since `at`; and forgets the
    /// backoff of containers that are others now.
    pub(crate) fn supersede(&mut self, spec: &PodSpec, at: Moment) {
        for container in spec.init_and_app_containers() {
            let Some(observed) = self.containers.get_mut(&container.name) else { continue };
            let Some(attempt) = observed.current.as_mut() else { continue };
            if attempt.image != container.image || attempt.resources != container.resources {
                observed.backoff = None;
            }
            // What is stopped because of it cannot be kept any more.
            let stays = container.kind == ContainerKind::Init || attempt.being_stopped();
            if attempt.alive() && !stays {
                let since = attempt.superseded.map_or(at, |held| held.at);
                attempt.superseded = reason(container, attempt).map(|why| Superseded { at: since, why });
            }
        }
    }
}

fn reason(container: &Container, attempt: &Attempt) -> Option<StopReason> {
    if attempt.image != container.image {
        return Some(StopReason::DefinitionChanged);
    }
    needs_restart(container, attempt).then_some(StopReason::ResizeRestarts)
}

fn needs_restart(container: &Container, attempt: &Attempt) -> bool {
    let (is, wanted) = (attempt.resources, container.resources);
    let cpu = (is.cpu_request, is.cpu_limit) != (wanted.cpu_request, wanted.cpu_limit);
    let memory = (is.memory_request, is.memory_limit) != (wanted.memory_request, wanted.memory_limit);
    let restarts = container.resize_restarts;
    (cpu && restarts.cpu) || (memory && restarts.memory)
}

/// Gives a running container the resources of the spec, and its pod those of the pod.
pub(crate) fn advance(view: &View<'_>, container: &Container, attempt: &Attempt, draft: &mut Draft) {
    // Who has to be restarted for it, now or when it is started, gets it then.
    if !wanted(view, container, attempt) || attempt.superseded.is_some() {
        return;
    }
    match &attempt.resize {
        ResizeState::UnderWay { .. } => return draft.wait(container, Wait::Resize),
        ResizeState::Failed { at, .. } => {
            let until = at.boot.after(RETRY_DELAY);
            if !draft.wait_until(Some(container), until, Wait::ResizeRetry { until }) {
                return;
            }
        }
        ResizeState::Idle | ResizeState::Interrupted => {}
    }
    draft.act(Action::ResizeContainer {
        container: container.name.clone(),
        attempt: attempt.number,
        resources: container.resources,
    });
}

/// Those of ephemeral containers never change, and an ordinary init container is not restarted for its own.
fn wanted(view: &View<'_>, container: &Container, attempt: &Attempt) -> bool {
    let may = match container.kind {
        ContainerKind::App | ContainerKind::Sidecar => true,
        ContainerKind::Init => !needs_restart(container, attempt),
        ContainerKind::Ephemeral => false,
    };
    let has = (attempt.resources, attempt.of_pod) == (container.resources, view.spec.resources);
    let changing = matches!(attempt.resize, ResizeState::UnderWay { .. } | ResizeState::Interrupted);
    may && (!has || changing)
}

/// Some container does not have yet what the spec gives it; and why not, if that failed.
pub(crate) fn in_progress<'a>(view: &View<'a>) -> Option<Option<&'a str>> {
    let mut unfinished = view.spec.init_and_app_containers().filter_map(|container| {
        let attempt = unfinished(view, container)?;
        Some(match &attempt.resize {
            ResizeState::Failed { message, .. } => Some(message.as_str()),
            ResizeState::Idle | ResizeState::UnderWay { .. } | ResizeState::Interrupted => None,
        })
    });
    let first = unfinished.next()?;
    Some(first.or_else(|| unfinished.flatten().next()))
}

/// The attempt that does not have it: the running one, or the one that the next shall replace.
fn unfinished<'a>(view: &View<'a>, container: &Container) -> Option<&'a Attempt> {
    let observed = view.container(container)?;
    let current = observed.current.as_deref()?;
    let begins = current.state == AttemptState::Starting;
    let before = observed.previous.as_deref().filter(|_| begins);
    let mut attempts = [Some(current), before].into_iter().flatten();
    attempts.find(|a| (a.alive() || a.superseded.is_some()) && wanted(view, container, a))
}

/// What a container that runs has been given.
pub(crate) fn given(attempt: &Attempt) -> Option<Resources> {
    attempt.alive().then_some(attempt.resources)
}
