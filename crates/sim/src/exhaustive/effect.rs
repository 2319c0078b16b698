//! What an engine has begun, and how it can turn out.

use std::time::Duration;

use lifecycle::{Action, Exit, ExitReason, Hook, Observation, ProbeKind, ProbeOutcome};
use podspec::{ContainerName, Resources};

use simulation::moment;

pub(super) const EXIT_TERMINATED: i32 = 143;
pub(super) const EXIT_KILLED: i32 = 137;
const EXIT_NOT_EXECUTED: i32 = 128;

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Effect {
    SetUpVolumes,
    CreateSandbox {
        attempt: u32,
    },
    EnsureImage {
        container: ContainerName,
        image: String,
    },
    Start {
        container: ContainerName,
        attempt: u32,
    },
    Hook {
        container: ContainerName,
        attempt: u32,
        hook: Hook,
        timeout: Option<Duration>,
    },
    Probe {
        container: ContainerName,
        attempt: u32,
        probe: ProbeKind,
    },
    Resize {
        container: ContainerName,
        attempt: u32,
        resources: Resources,
    },
    /// A process was told to end, or killed, and ends with this code.
    End {
        container: ContainerName,
        code: i32,
    },
    Remove {
        container: ContainerName,
        attempt: u32,
    },
    StopSandbox {
        attempt: u32,
    },
    RemoveVolumes,
}

/// How a process ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) code: i32,
    pub(super) oom: bool,
}

impl Effect {
    pub(super) fn of(action: Action) -> Self {
        match action {
            Action::SetUpVolumes => Self::SetUpVolumes,
            Action::CreateSandbox { attempt } => Self::CreateSandbox { attempt },
            Action::EnsureImage { container, image, .. } => Self::EnsureImage { container, image },
            Action::StartContainer { container, attempt, .. } => Self::Start { container, attempt },
            Action::RunHook { container, attempt, hook, timeout } => {
                Self::Hook { container, attempt, hook, timeout }
            }
            Action::RunProbe { container, attempt, probe, .. } => Self::Probe { container, attempt, probe },
            Action::ResizeContainer { container, attempt, resources } => {
                Self::Resize { container, attempt, resources }
            }
            Action::SignalContainer { container, .. } => Self::End { container, code: EXIT_TERMINATED },
            Action::KillContainer { container, .. } => Self::End { container, code: EXIT_KILLED },
            Action::RemoveContainer { container, attempt } => Self::Remove { container, attempt },
            Action::StopSandbox { attempt } => Self::StopSandbox { attempt },
            Action::RemoveVolumes => Self::RemoveVolumes,
        }
    }

    pub(super) fn ends(&self, name: &ContainerName) -> bool {
        matches!(self, Self::End { container, .. } if container == name)
    }

    pub(super) fn can_fail(&self) -> bool {
        !matches!(
            self,
            Self::End { .. } | Self::Remove { .. } | Self::StopSandbox { .. } | Self::RemoveVolumes
        )
    }

    /// The sandbox may have been asked for it, and does it whoever asked.
    pub(super) fn outlives_the_engine(&self) -> bool {
        matches!(
            self,
            Self::CreateSandbox { .. } | Self::Start { .. } | Self::End { .. } | Self::StopSandbox { .. }
        )
    }

    /// Nobody tells how it turned out once the sandbox is gone.
    pub(super) fn is_in_sandbox(&self) -> bool {
        !matches!(
            self,
            Self::SetUpVolumes | Self::RemoveVolumes | Self::CreateSandbox { .. } | Self::EnsureImage { .. }
        )
    }

    /// What is observed when it fails.
    pub(super) fn failure(&self) -> Observation {
        let message = "it fails".to_owned();
        match self.clone() {
            Self::SetUpVolumes => Observation::VolumesFailed { message },
            Self::CreateSandbox { attempt } => Observation::SandboxCreateFailed { attempt, message },
            Self::EnsureImage { container, image } => {
                Observation::ImageFailed { container, image, reason: "ErrImagePull".to_owned(), message }
            }
            Self::Start { container, attempt } => {
                let reason = "CreateContainerError".to_owned();
                Observation::ContainerCreateFailed { container, attempt, reason, message }
            }
            Self::Hook { container, attempt, hook, timeout: _ } => {
                Observation::HookFinished { container, attempt, hook, failure: Some(message) }
            }
            Self::Probe { container, attempt, probe } => {
                let outcome = ProbeOutcome::Failure(message);
                Observation::ProbeFinished { container, attempt, probe, outcome }
            }
            Self::Resize { container, attempt, resources } => {
                let failure = Some(message);
                Observation::ContainerResized { container, attempt, resources, failure }
            }
            Self::End { .. } | Self::Remove { .. } | Self::StopSandbox { .. } | Self::RemoveVolumes => {
                unreachable!("{self:?} does not fail")
            }
        }
    }
}

impl End {
    pub(super) const SUCCESS: Self = Self { code: 0, oom: false };
    pub(super) const FAILURE: Self = Self { code: 1, oom: false };
    /// A child was killed, and the main process did not mind.
    pub(super) const OOM_OF_A_CHILD: Self = Self { code: 0, oom: true };

    pub(super) fn exit(self, now: Duration) -> Exit {
        let reason = match self {
            Self { oom: true, .. } => ExitReason::OOMKilled,
            Self { code: 0, .. } => ExitReason::Completed,
            Self { .. } => ExitReason::Error,
        };
        let signal = (self.code > 128).then_some(self.code - 128);
        Exit { code: self.code, signal, reason, message: String::new(), started: None, finished: moment(now) }
    }

    /// The program could not be executed.
    pub(super) fn not_executed(now: Duration) -> Exit {
        let exit = Self { code: EXIT_NOT_EXECUTED, oom: false }.exit(now);
        Exit { reason: ExitReason::StartError, ..exit }
    }
}
