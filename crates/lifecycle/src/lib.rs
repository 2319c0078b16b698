//! The heart: [`plan`] decides everything about one pod's lifecycle.
//!
//! Total and deterministic: no I/O, no clock, no globals, no hash maps, and it never fails.
//! [`Observed`] is a fold: [`Observed::observe`] takes in what happened, [`Observed::issue`] marks
//! what was decided, so that the same plan is not issued twice. At the fixpoint `actions` is empty.
//!
//! Rules follow Kubernetes 1.36
//! (<https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/>, KEP-753, KEP-5307, KEP-5532).

mod action;
mod admission;
mod adopt;
mod alone;
mod app;
mod backoff;
mod condition;
mod container_status;
mod decision;
mod ephemeral;
mod fold;
mod init;
mod issue;
mod observation;
mod observed;
mod phase;
mod plan;
mod pod_status;
mod probe;
mod rebase;
mod resize;
mod restart;
mod start;
mod status;
mod teardown;
mod termination;
mod view;
mod waiting;

pub use action::Action;
pub use admission::{Rejection, RejectionReason, rejection};
pub use backoff::{BACKOFF_INITIAL, BACKOFF_MAX, BackoffLimits};
pub use decision::{Decision, StopPodReason, Verdict, Wait};
pub use observation::{Hook, Observation, ProbeKind, ProbeOutcome, PullAmount, Pulled};
pub use observed::{
    Attempt, AttemptState, Backoff, ConditionSince, ContainerObserved, ContainerRecord, Deletion, Eviction,
    Exit, ExitReason, Finished, HookState, Observed, ProbeState, ProbeVerdict, ProcessUser, PullFailure,
    PullState, ResizeState, SandboxSnapshot, SandboxState, StartError, StopReason, Superseded, VolumesState,
};
pub use plan::{Plan, plan};
pub use restart::expects_restart;
pub use status::{Condition, ConditionKind, ContainerState, ContainerStatus, Phase, PodStatus};

/// The version of [`Observed`] and of the journal on disk; raised when either changes shape.
pub const SCHEMA_VERSION: u32 = 6;
