//! Why a plan is as it is, as data: what the journal, `run`'s steps and later `why` are read from.

use std::time::Duration;

use podspec::{BootTime, ContainerName};
use serde::{Deserialize, Serialize};

use crate::observed::StopReason;

/// One decision about one container, or about the pod when `container` is `None`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Decision {
    pub container: Option<ContainerName>,
    pub verdict: Verdict,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Verdict {
    /// Started for the first time.
    Start,
    /// Started again after an exit.
    Restart {
        attempt: u32,
    },
    /// Stays exited: its policy and rules do not restart it.
    Leave,
    Wait(Wait),
    /// This container alone is stopped.
    StopContainer(StopReason),
    /// All containers are stopped.
    StopPod(StopPodReason),
    /// Every container is stopped and started again from the first init container.
    RestartAllContainers {
        trigger: ContainerName,
    },
    Finish {
        succeeded: bool,
    },
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Wait {
    Volumes,
    /// The last set-up of the volumes failed; tried again at `until`.
    VolumesRetry {
        until: BootTime,
    },
    Sandbox,
    SandboxRetry {
        until: BootTime,
    },
    ImagePull,
    ImagePullBackOff {
        #[serde(default)]
        image: String,
        until: BootTime,
        delay: Duration,
    },
    CrashLoopBackOff {
        until: BootTime,
        delay: Duration,
    },
    CreateRetry {
        until: BootTime,
    },
    /// An ordinary init container has to exit with 0 first.
    InitContainer {
        name: ContainerName,
    },
    /// A sidecar has to be running and past its startup probe first.
    SidecarStartup {
        name: ContainerName,
    },
    /// App containers start in spec order: an earlier one is still starting.
    EarlierContainer {
        name: ContainerName,
    },
    PostStartHook,
    StartupProbe,
    /// It is started, and others are not told of it before its readiness probe succeeds.
    ReadinessProbe,
    /// It is being given other resources.
    Resize,
    /// That failed; tried again at `until`.
    ResizeRetry {
        until: BootTime,
    },
    /// Stopping: its preStop hook runs.
    PreStopHook,
    /// Stopping: a sidecar waits until these have exited.
    Turn {
        after: Vec<ContainerName>,
    },
    /// Stopping: it has its stop signal and gets SIGKILL at `kill_at`.
    Exit {
        kill_at: BootTime,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum StopPodReason {
    Deleted,
    /// Every app container has ended for good.
    Completed,
    /// An init container failed and may not be restarted.
    InitFailed,
    DeadlineExceeded,
    Evicted,
    SandboxLost,
}
