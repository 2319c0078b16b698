//! When probes run. What follows from their verdicts is said where it matters: [`crate::alone`] stops a
//! container, [`crate::init`] lets the next one start, [`crate::container_status`] calls one ready.
//!
//! A startup probe runs until it has a verdict; the two others from then on, or from the start where there
//! is none. Stopping ends the startup and the liveness probe, never the readiness probe.
//!
//! <https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/>

use podspec::{Container, Probe};

use crate::action::Action;
use crate::decision::Wait;
use crate::observation::ProbeKind;
use crate::observed::{Attempt, AttemptState, ProbeVerdict, SandboxState};
use crate::plan::Draft;
use crate::view::View;

/// Runs the readiness probes of whatever runs, also while it is being stopped.
pub(crate) fn watch_readiness(view: &View<'_>, draft: &mut Draft) {
    if !matches!(view.observed.sandbox, SandboxState::Ready { .. }) {
        return;
    }
    for container in view.spec.init_and_app_containers() {
        let Some(attempt) = view.attempt(container).filter(|a| a.started(container)) else { continue };
        if container.readiness_probe.is_some() && attempt.readiness.verdict != ProbeVerdict::Success {
            draft.wait(container, Wait::ReadinessProbe);
        }
        run(container, attempt, ProbeKind::Readiness, draft);
    }
}

/// Runs the startup or the liveness probe of a container that nobody stops.
pub(crate) fn watch_life(container: &Container, attempt: &Attempt, draft: &mut Draft) {
    if attempt.started(container) {
        run(container, attempt, ProbeKind::Liveness, draft);
    } else if attempt.post_start_passed(container) {
        draft.wait(container, Wait::StartupProbe);
        run(container, attempt, ProbeKind::Startup, draft);
    }
}

fn run(container: &Container, attempt: &Attempt, kind: ProbeKind, draft: &mut Draft) {
    let Some(probe) = kind.of(container) else { return };
    let AttemptState::Running { since } = attempt.state else { return };
    let state = attempt.probe(kind);
    if state.in_flight || state.settled(kind) {
        return;
    }
    let due = match state.last_started {
        Some(last) => last.after(period(probe)),
        None => since.boot.after(probe.initial_delay),
    };
    if draft.due(due) {
        draft.act(Action::RunProbe {
            container: container.name.clone(),
            attempt: attempt.number,
            probe: kind,
            timeout: probe.timeout,
        });
    }
}

/// A period of nothing, which validation refuses, would keep the machine busy.
fn period(probe: &Probe) -> std::time::Duration {
    probe.period.max(std::time::Duration::from_secs(1))
}
