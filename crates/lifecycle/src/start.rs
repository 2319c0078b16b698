//! One container's start: wait out its backoff, make its image present, start it, run postStart.

use std::time::Duration;

use podspec::{Container, PullPolicy};

use crate::action::Action;
use crate::backoff;
use crate::decision::{Verdict, Wait};
use crate::observation::Hook;
use crate::observed::{Attempt, HookState, PullState};
use crate::plan::Draft;
use crate::view::View;

/// How long a failed pull is shown as `ErrImagePull` before it is shown as `ImagePullBackOff`.
pub(crate) const PULL_ERROR_SHOWN: Duration = Duration::from_secs(1);

/// Errors that are found out before anything is pulled, and that no waiting mends.
const CHECK_ERRORS: [&str; 3] = ["ErrImageNeverPull", "InvalidImageName", "ImageInspectError"];

/// Whether a failure with this reason backs off more and more, as failed pulls do; the check of an
/// image is repeated at an even pace.
pub(crate) fn backs_off(reason: &str) -> bool {
    !CHECK_ERRORS.contains(&reason)
}

/// Takes the next step of a start. True while the start occupies its pod, so that a container that
/// has to start after it must wait; false when it is only waiting for a time to come.
pub(crate) fn step(view: &View<'_>, container: &Container, draft: &mut Draft) -> bool {
    let observed = view.container(container);
    let attempt = observed.and_then(|o| o.current.as_deref());
    if in_backoff(view, container, attempt, draft) {
        return false;
    }
    let same_run = view.run == view.observed.run;
    if let Some(error) = observed.and_then(|o| o.start_error.as_ref()).filter(|_| same_run) {
        let until = error.at.boot.after(error.delay);
        if !draft.wait_until(Some(container), until, Wait::CreateRetry { until }) {
            return false;
        }
    }
    let resolved = |image: &str| observed.is_some_and(|o| o.volume_images.contains_key(image));
    // The kubelet has those of volumes first, too.
    let missing = view.spec.volume_images(container).find(|(image, _)| !resolved(image));
    match (missing, observed.and_then(|o| Some((o.image_id.as_ref()?, &o.volume_images)))) {
        (Some(image), _) => ensure_image(view, container, image, draft),
        (None, None) => ensure_image(view, container, (&container.image, container.pull_policy), draft),
        (None, Some((image_id, volume_images))) => {
            let number = attempt.map_or(0, |a| a.number.saturating_add(1));
            draft.decide(Some(container), verdict(attempt.is_some(), number));
            draft.act(Action::StartContainer {
                container: container.name.clone(),
                attempt: number,
                run: view.run,
                image_id: image_id.clone(),
                volume_images: volume_images.clone(),
            });
            true
        }
    }
}

/// Runs the postStart hook of a running container. True once it is done, and when there is none.
pub(crate) fn post_start_done(container: &Container, attempt: &Attempt, draft: &mut Draft) -> bool {
    if container.post_start.is_none() {
        return true;
    }
    match attempt.post_start {
        HookState::Done { .. } => return true,
        HookState::Running { .. } => {}
        HookState::NotRun => draft.act(Action::RunHook {
            container: container.name.clone(),
            attempt: attempt.number,
            hook: Hook::PostStart,
            timeout: None,
        }),
    }
    draft.wait(container, Wait::PostStartHook);
    false
}

fn verdict(again: bool, attempt: u32) -> Verdict {
    if again { Verdict::Restart { attempt } } else { Verdict::Start }
}

fn in_backoff(view: &View<'_>, container: &Container, attempt: Option<&Attempt>, draft: &mut Draft) -> bool {
    let sandbox = view.observed.sandbox.attempt();
    let behind = attempt.and_then(|a| backoff::exit_behind(container.kind, a, view.run, sandbox));
    let Some(finished) = behind else { return false };
    let Some(entry) = view.container(container).and_then(|o| o.backoff) else { return false };
    let Some(until) = backoff::restart_at(Some(entry), finished) else { return false };
    !draft.wait_until(Some(container), until, Wait::CrashLoopBackOff { until, delay: entry.delay })
}

fn ensure_image(
    view: &View<'_>,
    container: &Container,
    (image, policy): (&str, PullPolicy),
    draft: &mut Draft,
) -> bool {
    let pull = view.observed.pulls.get(image);
    if matches!(pull, Some(PullState::Pulling { .. })) || draft.pulls(image) {
        draft.wait(container, Wait::ImagePull);
        return true;
    }
    if let Some(PullState::Failed { reason, at, delay, .. }) = pull {
        draft.due(at.boot.after(PULL_ERROR_SHOWN));
        let until = at.boot.after(*delay);
        let wait = if backs_off(reason) {
            Wait::ImagePullBackOff { image: image.to_owned(), until, delay: *delay }
        } else {
            Wait::CreateRetry { until }
        };
        if !draft.wait_until(Some(container), until, wait) {
            return false;
        }
    }
    draft.act(Action::EnsureImage { container: container.name.clone(), image: image.to_owned(), policy });
    true
}
