//! The order of the questions: is the pod to be stopped, restarted as a whole, or brought up?

use std::time::Duration;

use podspec::{BootTime, Container, Moment, PodSpec};

use crate::action::Action;
use crate::decision::{Decision, Verdict, Wait};
use crate::observed::{Observed, SandboxState, VolumesState};
use crate::restart::{RESTART_ALL_PAUSE, Trigger};
use crate::status::PodStatus;
use crate::view::View;
use crate::{alone, app, ephemeral, init, pod_status, probe, teardown, termination};

/// Before a lost sandbox is replaced, lest one that is lost at once over and over keeps the machine busy.
const RECREATE_PAUSE: Duration = Duration::from_secs(1);

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// In the order in which to begin them; they may run side by side.
    pub actions: Vec<Action>,
    pub status: PodStatus,
    /// Plan again after this even if nothing is observed.
    pub wake_after: Option<Duration>,
    pub decisions: Vec<Decision>,
    /// Everything the pod had is gone; a deleted pod can be forgotten, a finished one rests.
    pub at_rest: bool,
}

/// Decides what to do next for one pod and what to say of it.
#[must_use]
pub fn plan(spec: &PodSpec, observed: &Observed, now: Moment) -> Plan {
    let view = View::new(spec, observed, now);
    let mut draft = Draft::new(now);
    decide(&view, &mut draft);
    remove_garbage(&view, &mut draft);
    Plan {
        status: pod_status::pod_status(&view),
        actions: draft.actions,
        wake_after: draft.wake.map(|at| at.since(now.boot)),
        decisions: draft.decisions,
        at_rest: draft.at_rest,
    }
}

fn decide(view: &View<'_>, draft: &mut Draft) {
    if view.observed.finished.is_some() {
        return teardown::tear_down(view, draft);
    }
    probe::watch_readiness(view, draft);
    if let Some(stop) = termination::pod_stop(view) {
        draft.decide(None, Verdict::StopPod(stop.reason));
        return if termination::stop_containers(view, view.spec.all_containers(), &stop.budget, draft) {
            teardown::tear_down(view, draft);
        };
    }
    draft.wake_at_deadline(view);
    if let Some(Trigger { container, at, .. }) = view.restart_all {
        draft.decide(None, Verdict::RestartAllContainers { trigger: container.name.clone() });
        let restarted = view.spec.init_and_app_containers();
        let all_dead = termination::stop_containers(view, restarted, &termination::Budget::none(at), draft);
        if !all_dead || !draft.due(at.boot.after(RESTART_ALL_PAUSE)) {
            return;
        }
    }
    bring_up(view, draft);
}

fn bring_up(view: &View<'_>, draft: &mut Draft) {
    if !(volumes_ready(view, draft) && sandbox_ready(view, draft)) {
        return;
    }
    alone::watch_running(view, draft);
    ephemeral::advance(view, draft);
    if init::advance(view, draft) {
        app::advance(view, draft);
    }
}

fn volumes_ready(view: &View<'_>, draft: &mut Draft) -> bool {
    match &view.observed.volumes {
        VolumesState::Ready => return true,
        VolumesState::Absent | VolumesState::Removed => draft.act(Action::SetUpVolumes),
        VolumesState::Failed { at, delay, .. } => {
            let until = at.boot.after(*delay);
            if draft.wait_until(None, until, Wait::VolumesRetry { until }) {
                draft.act(Action::SetUpVolumes);
            }
        }
        VolumesState::SettingUp | VolumesState::TearingDown => {
            draft.decide(None, Verdict::Wait(Wait::Volumes));
        }
    }
    false
}

/// A lost sandbox is replaced by one with the next attempt number, in which initialisation begins
/// again; whether it is replaced at all is [`termination::pod_stop`]'s to say.
fn sandbox_ready(view: &View<'_>, draft: &mut Draft) -> bool {
    match &view.observed.sandbox {
        SandboxState::Ready { .. } => return true,
        SandboxState::Absent => draft.act(Action::CreateSandbox { attempt: 0 }),
        SandboxState::Lost { attempt, at } | SandboxState::Stopped { attempt, at } => {
            let until = at.boot.after(RECREATE_PAUSE);
            if draft.wait_until(None, until, Wait::SandboxRetry { until }) {
                draft.act(Action::CreateSandbox { attempt: attempt.saturating_add(1) });
            }
        }
        SandboxState::CreateFailed { attempt, at, delay, .. } => {
            let until = at.boot.after(*delay);
            if draft.wait_until(None, until, Wait::SandboxRetry { until }) {
                draft.act(Action::CreateSandbox { attempt: attempt.saturating_add(1) });
            }
        }
        SandboxState::Creating { .. } | SandboxState::Stopping { .. } => {
            draft.decide(None, Verdict::Wait(Wait::Sandbox));
        }
    }
    false
}

fn remove_garbage(view: &View<'_>, draft: &mut Draft) {
    if !matches!(view.observed.sandbox, SandboxState::Ready { .. }) {
        return;
    }
    for (container, attempt) in view.observed.garbage.difference(&view.observed.removing) {
        draft.act(Action::RemoveContainer { container: container.clone(), attempt: *attempt });
    }
}

/// A plan being made.
pub(crate) struct Draft {
    now: Moment,
    actions: Vec<Action>,
    decisions: Vec<Decision>,
    wake: Option<BootTime>,
    pub(crate) at_rest: bool,
}

impl Draft {
    fn new(now: Moment) -> Self {
        Self { now, actions: Vec::new(), decisions: Vec::new(), wake: None, at_rest: false }
    }

    pub(crate) fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    /// This very plan begins to pull it.
    pub(crate) fn pulls(&self, image: &str) -> bool {
        self.actions.iter().any(|action| matches!(action, Action::EnsureImage { image: i, .. } if i == image))
    }

    pub(crate) fn decide(&mut self, container: Option<&Container>, verdict: Verdict) {
        self.decisions.push(Decision { container: container.map(|c| c.name.clone()), verdict });
    }

    pub(crate) fn wait(&mut self, container: &Container, wait: Wait) {
        self.decide(Some(container), Verdict::Wait(wait));
    }

    /// True when `until` has come; otherwise notes the wait and asks to be woken then.
    pub(crate) fn wait_until(&mut self, container: Option<&Container>, until: BootTime, wait: Wait) -> bool {
        let due = self.due(until);
        if !due {
            self.decide(container, Verdict::Wait(wait));
        }
        due
    }

    /// True when `at` has come; otherwise asks to be woken then.
    pub(crate) fn due(&mut self, at: BootTime) -> bool {
        if self.now.boot >= at {
            return true;
        }
        self.wake = Some(self.wake.map_or(at, |earlier| earlier.min(at)));
        false
    }

    /// The time from now until `at`.
    pub(crate) fn until(&self, at: BootTime) -> Duration {
        at.since(self.now.boot)
    }

    fn wake_at_deadline(&mut self, view: &View<'_>) {
        if let Some(deadline) = view.deadline() {
            self.due(deadline.boot);
        }
    }
}
