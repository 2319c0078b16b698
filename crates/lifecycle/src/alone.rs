//! Containers that have to stop alone, whatever the pod does: their probe or hook failed, or the spec has
//! become another.

use podspec::{BootTime, Container, ContainerKind, Moment};

use crate::decision::Verdict;
use crate::observed::{Attempt, AttemptState, HookState, ProbeState, ProbeVerdict, StopReason};
use crate::plan::Draft;
use crate::probe;
use crate::resize;
use crate::termination::{self, Budget};
use crate::view::View;

/// Stops running containers that cannot go on; probes and resizes the others.
pub(crate) fn watch_running(view: &View<'_>, draft: &mut Draft) {
    for container in view.spec.all_containers() {
        let Some(attempt) = view.attempt(container) else { continue };
        if !matches!(attempt.state, AttemptState::Running { .. }) {
            continue;
        }
        if let Some((reason, budget)) = lone_stop(view, container, attempt) {
            draft.decide(Some(container), Verdict::StopContainer(reason));
            termination::stop_container(container, attempt, &budget, None, draft);
        } else {
            probe::watch_life(container, attempt, draft);
            resize::advance(view, container, attempt, draft);
        }
    }
}

/// Why this container alone has to stop, and how long it has. A probe's own grace period may be longer
/// than the pod's.
pub(crate) fn lone_stop(
    view: &View<'_>,
    container: &Container,
    attempt: &Attempt,
) -> Option<(StopReason, Budget)> {
    let grace = view.spec.termination_grace_period;
    if let HookState::Done { at, failure: Some(_) } = attempt.post_start {
        return Some((StopReason::PostStartHookFailed, Budget::new(view, at, grace)));
    }
    // A sidecar's definition does not count before it is started, as in the kubelet.
    let counts = container.kind != ContainerKind::Sidecar || attempt.started(container);
    if let Some(superseded) = attempt.superseded.filter(|_| counts) {
        let began = superseded.at.boot.max(counts_since(container, attempt));
        return Some((superseded.why, Budget::new(view, began, grace)));
    }
    let probes = [
        (&attempt.liveness, &container.liveness_probe, StopReason::LivenessProbeFailed),
        (&attempt.startup, &container.startup_probe, StopReason::StartupProbeFailed),
    ];
    probes.into_iter().find_map(|(state, probe, reason)| {
        let own_grace = probe.as_ref()?.termination_grace_period;
        Some((reason, Budget::new(view, failure(state)?.boot, own_grace.unwrap_or(grace))))
    })
}

/// Since when a running container's definition counts, so that the time it was not stopped for it is no part of
/// its grace.
fn counts_since(container: &Container, attempt: &Attempt) -> BootTime {
    let runs = match attempt.state {
        AttemptState::Running { since } => since.boot,
        AttemptState::Starting | AttemptState::Exited(_) => BootTime::default(),
    };
    if container.kind != ContainerKind::Sidecar {
        return runs;
    }
    let hook = match attempt.post_start {
        HookState::Done { at, .. } => at,
        HookState::NotRun | HookState::Running { .. } => runs,
    };
    attempt.startup.decided.map_or(runs, |at| at.boot).max(runs).max(hook)
}

/// When a probe whose failure stops the container failed.
pub(crate) fn failed_probe(attempt: &Attempt) -> Option<Moment> {
    failure(&attempt.liveness).or_else(|| failure(&attempt.startup))
}

fn failure(state: &ProbeState) -> Option<Moment> {
    state.decided.filter(|_| state.verdict == ProbeVerdict::Failure)
}
