//! What the pod itself does: its volumes, its sandbox, its end.

use std::collections::BTreeMap;

use lifecycle::{
    Action, Decision, Observation, Observed, SandboxState, StopPodReason, Verdict, VolumesState,
};
use podspec::Moment;
use podspec::time::go_duration;

use super::lane::{Drawing, Shown};
use super::{Lane, MarkKind, SpanKind};

#[derive(Debug)]
pub(crate) struct PodFold {
    drawing: Drawing,
    stage: Stage,
    /// Of the sandbox.
    attempt: u32,
    is_deleted: bool,
    /// An engine has taken it before.
    accepted: bool,
    stop: Option<StopPodReason>,
    /// `readinessGates` that all have to be `True`.
    gates: Vec<String>,
    gates_open: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Absent,
    Volumes,
    VolumesFailed,
    VolumesReady,
    Sandbox,
    SandboxFailed,
    Up,
    Teardown,
    Gone,
}

impl PodFold {
    /// `accepted`: what comes first is not the beginning.
    pub(crate) fn new(gates: &[String], cut: bool) -> Self {
        Self {
            drawing: Drawing::new(None, cut),
            stage: Stage::Absent,
            attempt: 0,
            is_deleted: false,
            accepted: cut,
            stop: None,
            gates: gates.to_vec(),
            gates_open: gates.is_empty(),
        }
    }

    /// With a state that the entries so far may not have led to.
    pub(crate) fn catch_up(&mut self, observed: &Observed, begin: Moment) {
        self.see_gates(&observed.gates);
        self.is_deleted |= observed.deletion.is_some();
        self.accepted |= observed.accepted.is_some();
        self.stage = match (&observed.sandbox, &observed.volumes) {
            (_, VolumesState::Removed) => Stage::Gone,
            (SandboxState::Stopping { .. }, _) | (_, VolumesState::TearingDown) => Stage::Teardown,
            (SandboxState::Ready { .. }, _) => Stage::Up,
            (SandboxState::Creating { .. }, _) => Stage::Sandbox,
            (SandboxState::CreateFailed { .. } | SandboxState::Lost { .. }, _) => Stage::SandboxFailed,
            (_, VolumesState::Absent) => Stage::Absent,
            (_, VolumesState::SettingUp) => Stage::Volumes,
            (_, VolumesState::Failed { .. }) => Stage::VolumesFailed,
            (_, VolumesState::Ready) => Stage::VolumesReady,
        };
        if let SandboxState::Ready { attempt, since, .. } = observed.sandbox {
            self.attempt = attempt;
            let shown = Shown { kind: SpanKind::Running, attempt, detail: String::new() };
            if since.boot < begin.boot {
                self.drawing.ran_before(begin, shown);
            } else if self.drawing.is_unknown() {
                self.drawing.show(since, Some(shown), true);
            }
        }
    }

    pub(crate) fn observed(&mut self, observation: &Observation, at: Moment) {
        let mark = match observation {
            Observation::Accepted if !std::mem::replace(&mut self.accepted, true) => return,
            Observation::Accepted => (MarkKind::EngineRestarted, "a new engine took the pod over".to_owned()),
            Observation::DeletionRequested { grace } => {
                self.is_deleted = true;
                (MarkKind::Deletion, format!("grace period {}", go_duration(*grace)))
            }
            Observation::SpecChanged => (MarkKind::Changed, String::new()),
            Observation::Evicted { message } => (MarkKind::Evicted, message.clone()),
            Observation::Rejected { message, .. } => {
                self.stage = Stage::Gone;
                (MarkKind::Rejected, message.clone())
            }
            Observation::VolumesFailed { message } => {
                self.stage = Stage::VolumesFailed;
                (MarkKind::VolumesFailed, message.clone())
            }
            Observation::SandboxCreateFailed { attempt, message } => {
                (self.stage, self.attempt) = (Stage::SandboxFailed, *attempt);
                (MarkKind::SandboxFailed, message.clone())
            }
            Observation::SandboxLost { attempt } => {
                (self.stage, self.attempt) = (Stage::SandboxFailed, *attempt);
                (MarkKind::SandboxLost, "everything in it was killed".to_owned())
            }
            _ => return self.stage_of(observation),
        };
        self.drawing.mark(mark.0, at, self.attempt, None, &mark.1);
    }

    fn stage_of(&mut self, observation: &Observation) {
        match observation {
            Observation::GatesChanged { gates } => self.see_gates(gates),
            Observation::VolumesReady => self.stage = Stage::VolumesReady,
            Observation::SandboxCreated { attempt, .. } => {
                (self.stage, self.attempt) = (Stage::Up, *attempt);
            }
            Observation::Adopted(snapshot) => (self.stage, self.attempt) = (Stage::Up, snapshot.attempt),
            Observation::VolumesRemoved => self.stage = Stage::Gone,
            _ => {}
        }
    }

    pub(crate) fn issued(&mut self, action: &Action) {
        match action {
            Action::SetUpVolumes => self.stage = Stage::Volumes,
            Action::CreateSandbox { attempt } => {
                (self.stage, self.attempt) = (Stage::Sandbox, *attempt);
            }
            Action::StopSandbox { .. } | Action::RemoveVolumes => self.stage = Stage::Teardown,
            _ => {}
        }
    }

    pub(crate) fn decided(&mut self, decisions: &[Decision], at: Moment) {
        let stop = decisions.iter().find_map(|decision| match decision.verdict {
            Verdict::StopPod(reason) => Some(reason),
            _ => None,
        });
        if stop == Some(StopPodReason::DeadlineExceeded) && self.stop != stop {
            self.drawing.mark(MarkKind::DeadlineExceeded, at, self.attempt, None, "");
        }
        self.stop = stop.or(self.stop);
    }

    /// No container of it begins any more.
    pub(crate) fn stops(&self) -> bool {
        self.stop.is_some() || matches!(self.stage, Stage::Teardown | Stage::Gone)
    }

    /// What containers wait for of which the plan says nothing.
    pub(crate) fn turn(&self) -> Option<&'static str> {
        match self.stage {
            Stage::Absent | Stage::Volumes | Stage::VolumesFailed => Some("for the pod's volumes"),
            Stage::VolumesReady | Stage::Sandbox | Stage::SandboxFailed => Some("for the pod's sandbox"),
            Stage::Up | Stage::Teardown | Stage::Gone => None,
        }
    }

    /// `containers_ready`: all that count are.
    pub(crate) fn show(&mut self, at: Moment, containers_ready: bool, provisional: bool) {
        let (kind, detail) = match self.stage {
            Stage::Gone => return self.drawing.show(at, None, provisional),
            Stage::Absent | Stage::VolumesReady => (SpanKind::Waiting, String::new()),
            Stage::Volumes => (SpanKind::Volumes, String::new()),
            Stage::VolumesFailed => (SpanKind::Backoff, "volumes are tried again later".to_owned()),
            Stage::Sandbox => (SpanKind::Sandbox, String::new()),
            Stage::SandboxFailed => (SpanKind::Backoff, "a new sandbox is made later".to_owned()),
            Stage::Teardown => (SpanKind::Teardown, String::new()),
            Stage::Up if self.is_deleted || self.stop.is_some() => (SpanKind::Terminating, self.stop_text()),
            Stage::Up if containers_ready && self.gates_open => (SpanKind::Ready, String::new()),
            Stage::Up => (SpanKind::Running, String::new()),
        };
        self.drawing.show(at, Some(Shown { kind, attempt: self.attempt, detail }), provisional);
    }

    fn see_gates(&mut self, gates: &BTreeMap<String, String>) {
        self.gates_open = self.gates.iter().all(|gate| gates.get(gate).is_some_and(|said| said == "True"));
    }

    pub(crate) fn finish(self, end: Moment) -> Lane {
        self.drawing.finish(end)
    }

    fn stop_text(&self) -> String {
        let text = match self.stop {
            None => "",
            Some(StopPodReason::Deleted) => "deleted",
            Some(StopPodReason::Completed) => "every app container has ended",
            Some(StopPodReason::InitFailed) => "an init container failed",
            Some(StopPodReason::DeadlineExceeded) => "deadline exceeded",
            Some(StopPodReason::Evicted) => "evicted",
            Some(StopPodReason::SandboxLost) => "the sandbox was lost",
        };
        text.to_owned()
    }
}
