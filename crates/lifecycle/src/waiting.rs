//! `state.waiting`: what a container that does not run waits for.

use podspec::Container;
use podspec::time::go_duration;

use crate::backoff;
use crate::init;
use crate::observed::{Attempt, AttemptState, ContainerObserved, ExitReason, HookState, PullState};
use crate::start;
use crate::status::ContainerState;
use crate::termination;
use crate::view::View;

pub(crate) fn state(view: &View<'_>, container: &Container, attempt: Option<&Attempt>) -> ContainerState {
    let stopping = view.observed.finished.is_some() || termination::pod_stop(view).is_some();
    match trouble(view, container, attempt).filter(|_| !stopping) {
        Some((reason, message)) => ContainerState::Waiting { reason, message: Some(message) },
        None => {
            let plain = view.spec.init_containers.is_empty();
            let reason = if plain { "ContainerCreating" } else { "PodInitializing" };
            ContainerState::Waiting { reason: reason.to_owned(), message: None }
        }
    }
}

/// KEP-5532.
pub(crate) fn restarting_all() -> ContainerState {
    ContainerState::Waiting {
        reason: "RestartingAllContainers".to_owned(),
        message: Some("The container is removed because RestartAllContainers in place".to_owned()),
    }
}

/// `waiting.reason` and `.message` of what keeps a container from starting: what went wrong last.
/// It is said until the container runs, also in the moments in which it is being started. `attempt`
/// is the one its status speaks of.
pub(crate) fn trouble(
    view: &View<'_>,
    container: &Container,
    attempt: Option<&Attempt>,
) -> Option<(String, String)> {
    let backing_off = attempt.and_then(|attempt| backing_off(view, container, attempt));
    if let Some(BackingOff { text, pending: true }) = backing_off {
        return Some(text);
    }
    let observed = view.container(container);
    let create = observed.and_then(|o| o.start_error.as_ref()).map(|e| (e.reason.clone(), e.message.clone()));
    create
        .or_else(|| image_trouble(view, container))
        .or_else(|| backing_off.map(|b| b.text))
        .or_else(|| attempt.and_then(start_trouble))
}

struct BackingOff {
    text: (String, String),
    /// Its time has not come yet.
    pending: bool,
}

/// The message lacks its end, ` pod=NAME_NAMESPACE(UID)`: a spec does not know its pod's name.
fn backing_off(view: &View<'_>, container: &Container, attempt: &Attempt) -> Option<BackingOff> {
    let observed = view.container(container)?;
    let finished = backoff::exit_behind(container.kind, attempt, view.run, view.observed.sandbox.attempt())?;
    let entry = observed.backoff?;
    let until = backoff::restart_at(Some(entry), finished)?;
    // Once the next attempt has a process, the entry is about the restart after it.
    let delay = if has_moved_on(observed) { entry.waited? } else { entry.delay };
    let message = format!("back-off {} restarting failed container={}", go_duration(delay), container.name);
    let pending = !has_moved_on(observed) && view.now.boot < until;
    Some(BackingOff { text: ("CrashLoopBackOff".to_owned(), message), pending })
}

fn has_moved_on(observed: &ContainerObserved) -> bool {
    observed.current.as_ref().is_some_and(|a| matches!(a.state, AttemptState::Running { .. }))
}

/// Images are shared: only a container whose turn it is has anything to do with a failed pull.
fn image_trouble(view: &View<'_>, container: &Container) -> Option<(String, String)> {
    let of_volumes = view.spec.volume_images(container).map(|(image, _)| image);
    let mut images = of_volumes.chain([container.image.as_str()]);
    images.find_map(|image| pull_trouble(view, image)).filter(|_| init::reached(view, container))
}

fn pull_trouble(view: &View<'_>, image: &str) -> Option<(String, String)> {
    let pull = view.observed.pulls.get(image)?;
    let (reason, message, backing_off) = match pull {
        PullState::Pulling { failure, .. } => {
            let failure = failure.as_ref()?;
            (&failure.reason, &failure.message, true)
        }
        PullState::Failed { reason, message, at, .. } => {
            (reason, message, view.now.boot >= at.boot.after(start::PULL_ERROR_SHOWN))
        }
    };
    let message = pull_message(image, reason, message);
    if backing_off && start::backs_off(reason) {
        let message = format!("Back-off pulling image \"{image}\": {reason}: {message}");
        return Some(("ImagePullBackOff".to_owned(), message));
    }
    Some((reason.clone(), message))
}

/// CRI's own errors are told in words, others as they are.
fn pull_message(image: &str, reason: &str, message: &str) -> String {
    let why = match reason {
        "RegistryUnavailable" => "the registry is unavailable",
        "SignatureValidationFailed" => "the signature validation failed",
        _ => return message.to_owned(),
    };
    format!("image pull failed for {image} because {why}: {message}")
}

fn start_trouble(attempt: &Attempt) -> Option<(String, String)> {
    let exit = attempt.exit()?;
    if exit.reason == ExitReason::StartError {
        return Some(("RunContainerError".to_owned(), exit.message.clone()));
    }
    match &attempt.post_start {
        HookState::Done { failure: Some(failure), .. } => {
            Some(("PostStartHookError".to_owned(), failure.clone()))
        }
        _ => None,
    }
}
