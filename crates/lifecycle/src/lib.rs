//! The heart: [`plan`] decides everything about one pod's lifecycle.
//!
//! Total and deterministic: no I/O, no clock, no globals, no hash maps, and it never fails.
//! [`Observed`] is a fold: [`Observed::observe`] takes in what happened, [`Observed::issue`] marks
//! what was decided, so that the same plan is not issued twice. At the fixpoint `actions` is empty.
//!
//! Rules follow Kubernetes 1.36
//! (<https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/>, KEP-753, KEP-5307, KEP-5532).

mod action;
mod decision;
mod observation;
mod observed;
mod status;

use std::time::Duration;

pub use action::Action;
pub use decision::{Decision, StopPodReason, Verdict, Wait};
pub use observation::{Hook, Observation, ProbeOutcome, Pulled};
pub use observed::{
    Attempt, AttemptState, Backoff, ContainerObserved, ContainerRecord, Deletion, Exit, ExitReason, Finished,
    HookState, Observed, ProbeState, ProbeVerdict, PullState, RestartAll, SandboxSnapshot, SandboxState,
    StartError, Stop, StopReason, VolumesState,
};
pub use status::{Condition, ConditionKind, ContainerState, ContainerStatus, Phase, PodStatus};

use podspec::{Moment, PodSpec};

/// The version of [`Observed`] and of the journal on disk; raised when either changes shape.
pub const SCHEMA_VERSION: u32 = 1;

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
    let _ = (spec, observed, now);
    unreachable!("written next")
}

impl Observed {
    /// Takes in one observation.
    pub fn observe(&mut self, spec: &PodSpec, observation: &Observation, at: Moment) {
        let _ = (spec, observation, at);
    }

    /// Marks an action as issued at `now`.
    pub fn issue(&mut self, spec: &PodSpec, action: &Action, now: Moment) {
        let _ = (spec, action, now);
    }
}
