//! When the startup probe runs, and what follows when it or the postStart hook fails.
//!
//! <https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/>

use std::time::Duration;

use podspec::{BootTime, Container};

use crate::action::Action;
use crate::decision::{Verdict, Wait};
use crate::observed::{Attempt, AttemptState, HookState, ProbeVerdict, StopReason};
use crate::plan::Draft;
use crate::termination::{self, Budget};
use crate::view::View;

/// Probes running containers and stops those whose probe or hook failed.
pub(crate) fn watch_running(view: &View<'_>, draft: &mut Draft) {
    for container in view.spec.all_containers() {
        let Some(attempt) = view.attempt(container) else { continue };
        let AttemptState::Running { since } = attempt.state else { continue };
        if let Some((reason, budget)) = lone_stop(view, container, attempt) {
            draft.decide(Some(container), Verdict::StopContainer(reason));
            termination::stop_container(container, attempt, &budget, None, draft);
        } else if attempt.post_start_passed(container) {
            run_startup_probe(container, attempt, since.boot, draft);
        }
    }
}

/// Why this container alone has to stop, and how long it has. The probe's own grace period may be
/// longer than the pod's.
pub(crate) fn lone_stop(
    view: &View<'_>,
    container: &Container,
    attempt: &Attempt,
) -> Option<(StopReason, Budget)> {
    if let HookState::Done { at, failure: Some(_) } = attempt.post_start {
        let budget = Budget::new(view, at, view.spec.termination_grace_period);
        return Some((StopReason::PostStartHookFailed, budget));
    }
    let probe = container.startup_probe.as_ref()?;
    let decided = attempt.startup.decided.filter(|_| attempt.startup.verdict == ProbeVerdict::Failure)?;
    let grace: Duration = probe.termination_grace_period.unwrap_or(view.spec.termination_grace_period);
    Some((StopReason::StartupProbeFailed, Budget::new(view, decided.boot, grace)))
}

fn run_startup_probe(container: &Container, attempt: &Attempt, since: BootTime, draft: &mut Draft) {
    let Some(probe) = &container.startup_probe else { return };
    if attempt.startup.verdict != ProbeVerdict::Unknown {
        return;
    }
    draft.wait(container, Wait::StartupProbe);
    if attempt.startup.in_flight {
        return;
    }
    let due = match attempt.startup.last_started {
        Some(last) => last.after(probe.period),
        None => since.after(probe.initial_delay),
    };
    if draft.due(due) {
        draft.act(Action::RunStartupProbe {
            container: container.name.clone(),
            attempt: attempt.number,
            timeout: probe.timeout,
        });
    }
}
