//! Stopping: which pods stop and why, and the order and time its containers get.
//!
//! All containers begin to stop at once: preStop hooks run from the first moment and count against
//! the grace period. App containers and running init containers get their stop signal as soon as
//! their hook is done; a sidecar waits for every app container and every later sidecar, so sidecars
//! end in reverse order. All share one budget: when it is spent, everyone still waiting gets the
//! signal, and SIGKILL no earlier than [`GRACE_FLOOR`] after it.
//!
//! <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination>, KEP-753.

use std::time::Duration;

use podspec::{BootTime, Container, ContainerKind, ContainerName, Moment, RestartPolicy};

use crate::action::Action;
use crate::alone;
use crate::app;
use crate::decision::{StopPodReason, Wait};
use crate::observation::Hook;
use crate::observed::{Attempt, HookState, SandboxState};
use crate::plan::Draft;
use crate::restart;
use crate::view::{Progress, View};

/// Every container has at least this long between its stop signal and SIGKILL.
pub(crate) const GRACE_FLOOR: Duration = Duration::from_secs(2);
/// The shortest grace a pod that is deleted or has failed is stopped with: preStop hooks and turns get
/// no less than this.
pub(crate) const GRACE_MIN: Duration = Duration::from_secs(1);

/// The pod has to stop.
#[derive(Clone, Copy)]
pub(crate) struct PodStop {
    pub(crate) reason: StopPodReason,
    pub(crate) began: BootTime,
    pub(crate) budget: Budget,
}

/// The time a stop has: until then hooks and turns are waited for, then SIGKILL may come. With no time
/// at all preStop hooks are not run.
#[derive(Clone, Copy)]
pub(crate) struct Budget {
    kill_at: BootTime,
}

impl Budget {
    /// Counted from `began`, or from when an engine learned of it that took the pod over.
    pub(crate) fn new(view: &View<'_>, began: BootTime, grace: Duration) -> Self {
        let learned = view.observed.resumed.map_or(began, |at| at.boot.max(began));
        Self { kill_at: learned.after(grace) }
    }

    /// No grace but the floor.
    pub(crate) fn none(began: Moment) -> Self {
        Self { kill_at: began.boot }
    }

    fn shorter(self, other: Option<Self>) -> Self {
        Self { kill_at: other.map_or(self.kill_at, |other| other.kill_at.min(self.kill_at)) }
    }
}

/// Whether the pod has to stop: it was deleted, its containers are done or cannot go on, or its time
/// is up. Of several causes the earliest counts, for the later ones follow from it: what is stopped
/// at its deadline ends, too. A deletion and an eviction shorten a stop that has begun and never prolong it.
pub(crate) fn pod_stop(view: &View<'_>) -> Option<PodStop> {
    let grace = view.spec.termination_grace_period;
    let stop = |reason, began: Moment, grace| PodStop {
        reason,
        began: began.boot,
        budget: Budget::new(view, began.boot, grace),
    };
    let deleted = view.observed.deletion.map(|deletion| PodStop {
        reason: StopPodReason::Deleted,
        began: deletion.requested.boot,
        budget: Budget { kill_at: deletion.kill_at },
    });
    let overdue = view.deadline().filter(|deadline| view.now.boot >= deadline.boot);
    let evicted = view.observed.eviction.as_ref().map(|e| stop(StopPodReason::Evicted, e.at, GRACE_MIN));
    let first = [
        deleted,
        overdue.map(|at| stop(StopPodReason::DeadlineExceeded, at, grace.max(GRACE_MIN))),
        evicted,
        lost_for_good(view).map(|at| stop(StopPodReason::SandboxLost, at, grace)),
        completed(view).map(|at| stop(StopPodReason::Completed, at, grace)),
        failed_init(view).map(|(_, at)| stop(StopPodReason::InitFailed, at, grace.max(GRACE_MIN))),
    ]
    .into_iter()
    .flatten()
    .min_by_key(|stop| stop.began)?;
    let budget = first.budget.shorter(deleted.map(|d| d.budget)).shorter(evicted.map(|e| e.budget));
    Some(PodStop { budget, ..first })
}

/// The init container that failed and may not be restarted, and when.
pub(crate) fn failed_init<'a>(view: &View<'a>) -> Option<(&'a Container, Moment)> {
    view.spec.init_containers.iter().filter(|c| c.kind == ContainerKind::Init).find_map(|container| {
        let Progress::Exited(attempt, exit) = view.progress(container) else { return None };
        let stays = exit.failed(container.kind)
            && !restart::should_restart(view.spec.restart_policy, container, attempt);
        stays.then_some((container, exit.finished))
    })
}

/// When the last app container ended for good, or began to be stopped for good, if all have.
fn completed(view: &View<'_>) -> Option<Moment> {
    let ends: Option<Vec<Moment>> = view.spec.containers.iter().map(|c| end_for_good(view, c)).collect();
    ends?.into_iter().max()
}

/// One whose probe failed and that will not run again is as good as ended: the pod stops with it. With rules
/// nobody knows before it has an exit code.
fn end_for_good(view: &View<'_>, container: &Container) -> Option<Moment> {
    let attempt = view.attempt(container)?;
    let stays = container.restart.rules.is_empty() && !restart::expects_restart(view.spec, container);
    let told = alone::failed_probe(attempt).filter(|_| stays && attempt.superseded.is_none());
    match attempt.exit() {
        None => told,
        Some(exit) if app::done(view, container) => Some(told.unwrap_or(exit.finished)),
        Some(_) => None,
    }
}

/// A pod that is never restarted does not get a second sandbox once it had containers.
fn lost_for_good(view: &View<'_>) -> Option<Moment> {
    let SandboxState::Lost { at, .. } = view.observed.sandbox else { return None };
    let had_containers = view.spec.init_and_app_containers().any(|c| view.attempt(c).is_some());
    (view.spec.restart_policy == RestartPolicy::Never && had_containers).then_some(at)
}

/// Takes the next step of stopping every one of `containers` that lives. True when none does.
pub(crate) fn stop_containers<'a>(
    view: &View<'_>,
    containers: impl Iterator<Item = &'a Container>,
    budget: &Budget,
    draft: &mut Draft,
) -> bool {
    let mut all_dead = true;
    for container in containers {
        let Some(attempt) = view.attempt(container).filter(|a| a.alive()) else { continue };
        all_dead = false;
        if matches!(attempt.state, crate::AttemptState::Starting) {
            draft.wait(container, Wait::EarlierContainer { name: container.name.clone() });
            continue;
        }
        let lone = alone::lone_stop(view, container, attempt).map(|(_, budget)| budget);
        let before = goes_after(view, container);
        let turn = (!before.is_empty()).then_some(before);
        stop_container(container, attempt, &budget.shorter(lone), turn, draft);
    }
    all_dead
}

/// Takes the next step of stopping one running container: preStop hook, its turn, stop signal, SIGKILL.
pub(crate) fn stop_container(
    container: &Container,
    attempt: &Attempt,
    budget: &Budget,
    turn_after: Option<Vec<ContainerName>>,
    draft: &mut Draft,
) {
    if attempt.kill_sent.is_some() {
        return;
    }
    let name = &container.name;
    if let Some(sent) = attempt.stop_signal_sent {
        let kill_at = budget.kill_at.max(sent.after(GRACE_FLOOR));
        if draft.wait_until(Some(container), kill_at, Wait::Exit { kill_at }) {
            draft.act(Action::KillContainer { container: name.clone(), attempt: attempt.number });
        }
        return;
    }
    if pre_stop_runs(container, attempt, budget, draft) {
        return;
    }
    if let Some(after) = turn_after
        && !draft.wait_until(Some(container), budget.kill_at, Wait::Turn { after })
    {
        return;
    }
    draft.act(Action::SignalContainer { container: name.clone(), attempt: attempt.number });
}

/// True while the preStop hook runs within its budget; begins it when it has not run.
fn pre_stop_runs(container: &Container, attempt: &Attempt, budget: &Budget, draft: &mut Draft) -> bool {
    if container.pre_stop.is_none() || matches!(attempt.pre_stop, HookState::Done { .. }) {
        return false;
    }
    if draft.wait_until(Some(container), budget.kill_at, Wait::PreStopHook) {
        return false;
    }
    if attempt.pre_stop == HookState::NotRun {
        draft.act(Action::RunHook {
            container: container.name.clone(),
            attempt: attempt.number,
            hook: Hook::PreStop,
            timeout: Some(draft.until(budget.kill_at)),
        });
    }
    true
}

/// The living containers that must have exited before this one gets its stop signal.
fn goes_after(view: &View<'_>, container: &Container) -> Vec<ContainerName> {
    if container.kind != ContainerKind::Sidecar {
        return Vec::new();
    }
    let later_sidecars = view.spec.sidecars().skip_while(|c| c.name != container.name).skip(1);
    let names = view.spec.containers.iter().chain(later_sidecars);
    names.filter(|c| view.attempt(c).is_some_and(Attempt::alive)).map(|c| c.name.clone()).collect()
}
