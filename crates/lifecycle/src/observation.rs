//! What can happen to a pod. Effects report only through these.

use core::net::IpAddr;
use std::collections::BTreeMap;
use std::time::Duration;

use podspec::{Container, ContainerName, HookHandler, Moment, Probe, Resources};
use serde::{Deserialize, Serialize};

use crate::admission::RejectionReason;
use crate::backoff::BackoffLimits;
use crate::observed::{Exit, ProcessUser, SandboxSnapshot};

/// One observation; the moment it was made travels beside it. One that speaks of an attempt that is
/// no longer current is ignored.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Observation {
    /// The node took the pod. Again: a new engine took it over, and what was in flight is to be
    /// done again; all of it bears that (hooks run at least once).
    Accepted,
    /// How this node delays restarts; without it as Kubernetes does by default.
    Configured {
        backoff: BackoffLimits,
    },
    /// Somebody asked for the pod's deletion; a later one can only shorten the grace.
    DeletionRequested {
        grace: Duration,
    },
    /// The pod is another from here on: its spec is the one that this is observed with.
    SpecChanged,
    /// Something that the pod names is another: what could not be had of it may be there now.
    ObjectsChanged,
    /// What others say of the pod's readiness gates, all of it: the condition's status, `True`, `False` or
    /// `Unknown`; one that is missing was not set.
    GatesChanged {
        gates: BTreeMap<String, String>,
    },
    /// The node cannot bear the pod any longer: `status.reason` is `Evicted`.
    Evicted {
        message: String,
    },
    /// The node does not take the pod ([`crate::rejection`]): it has failed before anything of it was begun.
    Rejected {
        reason: RejectionReason,
        message: String,
    },
    VolumesReady,
    VolumesFailed {
        message: String,
    },
    VolumesRemoved,
    SandboxCreated {
        attempt: u32,
        /// Of the pod, IPv4 first.
        ips: Vec<IpAddr>,
    },
    SandboxCreateFailed {
        attempt: u32,
        message: String,
    },
    /// The shim is gone and every process of the sandbox is dead; exits it recorded come first.
    SandboxLost {
        attempt: u32,
    },
    SandboxStopped {
        attempt: u32,
    },
    /// A new engine found the sandbox alive.
    Adopted(SandboxSnapshot),
    /// A registry is asked for an image. It changes nothing: the image is awaited either way.
    ImagePulling {
        container: ContainerName,
        image: String,
    },
    /// A pull is still going on. It changes nothing, either.
    ImageProgress {
        container: ContainerName,
        image: String,
        progress: PullAmount,
    },
    ImageReady {
        container: ContainerName,
        /// As the action named it: the container may have another by now.
        image: String,
        image_id: String,
        /// `REPOSITORY@DIGEST`, of an image that came from a registry.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        repo_digest: Option<String>,
        pulled: Option<Pulled>,
    },
    ImageFailed {
        container: ContainerName,
        image: String,
        reason: String,
        message: String,
    },
    ContainerStarted {
        container: ContainerName,
        attempt: u32,
        id: String,
        started: Moment,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        user: Option<ProcessUser>,
    },
    /// It failed before there was a process: no attempt is counted.
    ContainerCreateFailed {
        container: ContainerName,
        attempt: u32,
        reason: String,
        message: String,
    },
    /// Also for a process that could not be executed (`ExitReason::StartError`).
    ContainerExited {
        container: ContainerName,
        attempt: u32,
        exit: Exit,
    },
    ContainerRemoved {
        container: ContainerName,
        attempt: u32,
    },
    HookFinished {
        container: ContainerName,
        attempt: u32,
        hook: Hook,
        failure: Option<String>,
    },
    /// Something about a hook that goes on all the same.
    HookWarned {
        container: ContainerName,
        attempt: u32,
        message: String,
    },
    ProbeFinished {
        container: ContainerName,
        attempt: u32,
        probe: ProbeKind,
        outcome: ProbeOutcome,
    },
    /// With the resources that it was to get; when that failed it may have some of them.
    ContainerResized {
        container: ContainerName,
        attempt: u32,
        resources: Resources,
        failure: Option<String>,
    },
}

/// An image that was asked for in its registry, and fetched as far as it was not there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pulled {
    /// The pull itself.
    pub took: Duration,
    /// Before it began: for others, or for a place among those that pull.
    #[serde(default)]
    pub waited: Duration,
    /// Of the whole image.
    pub bytes: u64,
}

/// How far a pull is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct PullAmount {
    pub bytes: u64,
    pub bytes_done: u64,
    pub layers: usize,
    pub layers_done: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Hook {
    PostStart,
    PreStop,
}

impl Hook {
    /// Of its field in `v1.Lifecycle`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PostStart => "postStart",
            Self::PreStop => "preStop",
        }
    }

    #[must_use]
    pub fn handler(self, container: &Container) -> Option<&HookHandler> {
        match self {
            Self::PostStart => container.post_start.as_ref(),
            Self::PreStop => container.pre_stop.as_ref(),
        }
    }

    /// The `failure` of a command that has run; `None` when it succeeded.
    #[must_use]
    pub fn failure(exit_code: i32, timed_out: bool, output: &[u8]) -> Option<String> {
        let output = String::from_utf8_lossy(output);
        match (timed_out, exit_code, output.trim_end()) {
            (true, ..) => Some("it was cut off at the end of its time".to_owned()),
            (false, 0, _) => None,
            (false, code, "") => Some(format!("exit code {code}")),
            (false, code, said) => Some(format!("exit code {code}: {said}")),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum ProbeKind {
    Startup,
    Liveness,
    Readiness,
}

impl ProbeKind {
    pub const ALL: [Self; 3] = [Self::Startup, Self::Liveness, Self::Readiness];

    /// As events name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Liveness => "Liveness",
            Self::Readiness => "Readiness",
        }
    }

    #[must_use]
    pub fn of(self, container: &Container) -> Option<&Probe> {
        match self {
            Self::Startup => container.startup_probe.as_ref(),
            Self::Liveness => container.liveness_probe.as_ref(),
            Self::Readiness => container.readiness_probe.as_ref(),
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ProbeOutcome {
    Success,
    /// A success that somebody should know more about.
    Warning(String),
    /// With the probe's output.
    Failure(String),
    /// The probe itself could not be run.
    Error(String),
}
