//! What the executor is told to do. An action is complete: applying it never branches on policy or
//! time, and its outcome comes back as an [`crate::Observation`].

use std::collections::BTreeMap;
use std::time::Duration;

use podspec::{ContainerName, PullPolicy, Resources};
use serde::{Deserialize, Serialize};

use crate::observation::{Hook, ProbeKind};

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Action {
    /// -> `VolumesReady` or `VolumesFailed`
    SetUpVolumes,
    /// -> `SandboxCreated` or `SandboxCreateFailed`
    CreateSandbox { attempt: u32 },
    /// Makes `image`, the container's own or a volume's, present as `policy` allows. -> `ImageReady` or
    /// `ImageFailed`
    EnsureImage { container: ContainerName, image: String, policy: PullPolicy },
    /// Creates and starts one attempt, in initialisation run `run`. -> `ContainerStarted`,
    /// `ContainerCreateFailed`, or `ContainerExited` with `StartError`
    StartContainer {
        container: ContainerName,
        attempt: u32,
        run: u32,
        image_id: String,
        /// Of its volumes, by what the pod calls them.
        #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
        volume_images: BTreeMap<String, String>,
    },
    /// Runs the container's hook, cut off at `timeout`; for postStart there is none. -> `HookFinished`
    RunHook { container: ContainerName, attempt: u32, hook: Hook, timeout: Option<Duration> },
    /// Probes the container once. -> `ProbeFinished`
    RunProbe { container: ContainerName, attempt: u32, probe: ProbeKind, timeout: Duration },
    /// Gives a running container these resources. -> `ContainerResized`
    ResizeContainer { container: ContainerName, attempt: u32, resources: Resources },
    /// The container's stop signal to its main process. -> in the end `ContainerExited`
    SignalContainer { container: ContainerName, attempt: u32 },
    /// SIGKILL to every process of the container. -> in the end `ContainerExited`
    KillContainer { container: ContainerName, attempt: u32 },
    /// Removes the files and logs of an attempt. -> `ContainerRemoved`
    RemoveContainer { container: ContainerName, attempt: u32 },
    /// Ends the shim and everything it holds. -> `SandboxStopped`
    StopSandbox { attempt: u32 },
    /// -> `VolumesRemoved`
    RemoveVolumes,
}
