//! App containers start one after another in spec order: the next one waits until the one before
//! is started and its postStart hook is done, not until it is ready. One that fails or backs off
//! does not hold up the next.

use podspec::Container;

use crate::decision::{Verdict, Wait};
use crate::observed::Attempt;
use crate::plan::Draft;
use crate::restart;
use crate::start;
use crate::view::View;

pub(crate) fn advance(view: &View<'_>, draft: &mut Draft) {
    let mut starting: Option<&Container> = None;
    for container in &view.spec.containers {
        if let Some(earlier) = starting.filter(|_| wants_start(view, container)) {
            draft.wait(container, Wait::EarlierContainer { name: earlier.name.clone() });
        } else if occupies(view, container, draft) {
            starting = Some(container);
        }
    }
}

/// An app container that has ended and will not be started again.
pub(crate) fn done(view: &View<'_>, container: &Container) -> bool {
    view.attempt(container).is_some_and(|attempt| ended_for_good(view, container, attempt))
}

/// Takes the container's next step; true while it is in the middle of starting.
fn occupies(view: &View<'_>, container: &Container, draft: &mut Draft) -> bool {
    match view.attempt(container) {
        Some(attempt) if attempt.alive() => {
            let running = matches!(attempt.state, crate::AttemptState::Running { .. });
            !(running && start::post_start_done(container, attempt, draft))
        }
        Some(attempt) if ended_for_good(view, container, attempt) => {
            draft.decide(Some(container), Verdict::Leave);
            false
        }
        _ => start::step(view, container, draft),
    }
}

fn wants_start(view: &View<'_>, container: &Container) -> bool {
    view.attempt(container).is_none_or(|a| !a.alive() && !ended_for_good(view, container, a))
}

/// An attempt of an earlier run in the same sandbox ended because all containers are restarted.
fn ended_for_good(view: &View<'_>, container: &Container, attempt: &Attempt) -> bool {
    let restarting_all = attempt.run != view.run && Some(attempt.sandbox) == view.observed.sandbox.attempt();
    !attempt.alive()
        && !restarting_all
        && !restart::should_restart(view.spec.restart_policy, container, attempt)
}
