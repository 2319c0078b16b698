//! What is known of one pod: a fold over [`crate::Observation`]s and issued [`crate::Action`]s.
//!
//! Plain data. The kubelet writes it to disk after every change; after a crash it is read back and
//! brought up to date by [`crate::Observation::Accepted`] and [`crate::Observation::Adopted`].

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use podspec::{BootTime, ContainerName, Moment, Resources};
use serde::{Deserialize, Serialize};

use crate::backoff::BackoffLimits;
use crate::observation::ProbeKind;
use crate::status::{ConditionKind, PodStatus};

#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Observed {
    /// When this node took the pod: `status.startTime`.
    pub accepted: Option<Moment>,
    /// When an engine took the pod over that nobody was stopping. What came to pass before that and stops
    /// the pod was learned then, and its grace is counted from then.
    #[serde(default)]
    pub resumed: Option<Moment>,
    /// `activeDeadlineSeconds` as it was last seen.
    #[serde(default)]
    pub active_deadline: Option<Duration>,
    /// When the pod is overdue. Who is told of a deadline that is over already is overdue from then on.
    #[serde(default)]
    pub deadline: Option<Moment>,
    pub deletion: Option<Deletion>,
    #[serde(default)]
    pub eviction: Option<Eviction>,
    /// The node did not take the pod: nothing is said of its containers.
    #[serde(default)]
    pub rejected: bool,
    /// How this node delays restarts.
    #[serde(default)]
    pub backoff_limits: BackoffLimits,
    /// What others said of the pod's readiness gates: the status of each condition.
    #[serde(default)]
    pub gates: BTreeMap<String, String>,
    pub volumes: VolumesState,
    pub sandbox: SandboxState,
    /// Counts runs of the initialisation sequence: a new sandbox, and every restart of all
    /// containers, begins the next. Attempts of earlier runs do not count for ordering.
    pub run: u32,
    /// An app container was started in this run, so initialisation is complete. Stored, not derived
    /// from what is alive: the kubelet's derivation loses it (kubernetes#120247, #137146).
    pub initialized: bool,
    /// Initialisation was complete once, in whatever run: the condition `Initialized` never goes back.
    #[serde(default)]
    pub was_initialized: bool,
    /// The conditions of the newest status, and since when they are so. Nothing is decided from it.
    #[serde(default)]
    pub conditions: BTreeMap<ConditionKind, ConditionSince>,
    pub containers: BTreeMap<ContainerName, ContainerObserved>,
    /// Image pulls by image reference; one that succeeded leaves no entry.
    pub pulls: BTreeMap<String, PullState>,
    /// Attempts that are no longer kept and not yet removed.
    pub garbage: BTreeSet<(ContainerName, u32)>,
    /// Of `garbage`, those whose removal has been issued.
    pub removing: BTreeSet<(ContainerName, u32)>,
    /// The pod reached `Succeeded` or `Failed` and never leaves it.
    pub finished: Option<Finished>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct ConditionSince {
    pub status: bool,
    /// `lastTransitionTime`: of the last change of `status` alone, as in Kubernetes.
    pub since: Moment,
}

/// A deletion with the shortest grace asked for so far.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Deletion {
    pub requested: Moment,
    /// The pod's containers get SIGKILL here, but never less than the floor after their stop signal.
    pub kill_at: BootTime,
    pub grace: Duration,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Eviction {
    pub at: Moment,
    pub message: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Finished {
    pub at: Moment,
    pub succeeded: bool,
    /// `status.reason`, as `DeadlineExceeded`.
    pub reason: Option<String>,
    pub message: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub enum VolumesState {
    #[default]
    Absent,
    SettingUp,
    Ready,
    Failed {
        message: String,
        at: Moment,
        delay: Duration,
    },
    TearingDown,
    Removed,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub enum SandboxState {
    /// None was ever made.
    #[default]
    Absent,
    Creating {
        attempt: u32,
    },
    Ready {
        attempt: u32,
        since: Moment,
        ips: Vec<IpAddr>,
    },
    CreateFailed {
        attempt: u32,
        message: String,
        at: Moment,
        delay: Duration,
    },
    /// Its shim died; every process in it is dead.
    Lost {
        attempt: u32,
        at: Moment,
    },
    Stopping {
        attempt: u32,
    },
    Stopped {
        attempt: u32,
        at: Moment,
    },
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct ContainerObserved {
    /// The image resolved for the next start; taken by that start.
    pub image_id: Option<String>,
    /// As in [`Attempt`].
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub repo_digest: Option<String>,
    /// And those of its volumes, by what the pod calls them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub volume_images: BTreeMap<String, String>,
    /// The newest attempt.
    pub current: Option<Box<Attempt>>,
    /// The attempt before it: `lastState`, `logs --previous`.
    pub previous: Option<Box<Attempt>>,
    /// The attempt that is let go once the newest is known to have had a process.
    pub outgoing: Option<Box<Attempt>>,
    /// The last start failed before there was a process. Kept until one succeeds.
    pub start_error: Option<StartError>,
    pub backoff: Option<Backoff>,
}

/// The restart backoff of one container: `delay` applies to the next restart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Backoff {
    pub delay: Duration,
    /// When the last restart was decided.
    pub decided: BootTime,
    /// The delay before the last restart; none when it came at once.
    #[serde(default)]
    pub waited: Option<Duration>,
}

/// `waiting.reason` and `.message` of a container that could not be made.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct StartError {
    /// `CreateContainerError`, `CreateContainerConfigError`.
    pub reason: String,
    pub message: String,
    pub at: Moment,
    pub delay: Duration,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum PullState {
    /// `after` is the backoff of the failed pull before it, `failure` what is said of it meanwhile.
    Pulling {
        after: Option<Duration>,
        #[serde(default)]
        failure: Option<PullFailure>,
    },
    Failed {
        /// `ErrImagePull`, `RegistryUnavailable`, `ErrImageNeverPull`, `InvalidImageName`, ...
        reason: String,
        message: String,
        at: Moment,
        delay: Duration,
    },
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct PullFailure {
    pub reason: String,
    pub message: String,
}

/// One start of one container. `number` is also its restart count and its log file's.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Attempt {
    pub number: u32,
    /// The initialisation run it belongs to.
    pub run: u32,
    pub sandbox: u32,
    /// Empty until started.
    pub id: String,
    pub image_id: String,
    /// The image as the spec named it when the attempt was begun.
    #[serde(default)]
    pub image: String,
    /// `REPOSITORY@DIGEST` of its image, when that came from a registry.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub repo_digest: Option<String>,
    /// As in [`ContainerObserved`].
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub volume_images: BTreeMap<String, String>,
    /// `None` until it has started.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub user: Option<ProcessUser>,
    /// What it was given: with its start, or by a resize.
    #[serde(default)]
    pub resources: Resources,
    /// What its pod as a whole had then: it bounds containers, and the group around them.
    #[serde(default)]
    pub of_pod: Option<Resources>,
    pub state: AttemptState,
    pub startup: ProbeState,
    #[serde(default)]
    pub liveness: ProbeState,
    #[serde(default)]
    pub readiness: ProbeState,
    /// The spec has become one that it cannot go on under.
    #[serde(default)]
    pub superseded: Option<Superseded>,
    #[serde(default)]
    pub resize: ResizeState,
    pub post_start: HookState,
    pub pre_stop: HookState,
    pub stop_signal_sent: Option<BootTime>,
    pub kill_sent: Option<BootTime>,
}

/// Who a container's first process was when it began.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct ProcessUser {
    pub uid: u32,
    pub gid: u32,
    /// The primary group is one of them.
    pub groups: Vec<u32>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum AttemptState {
    Starting,
    Running { since: Moment },
    Exited(Exit),
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Exit {
    /// 128 + signal for a signalled process.
    pub code: i32,
    pub signal: Option<i32>,
    pub reason: ExitReason,
    /// The termination message, or why the container could not run.
    pub message: String,
    pub started: Option<Moment>,
    pub finished: Moment,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum ExitReason {
    Completed,
    Error,
    OOMKilled,
    /// The process could not be executed: exit code 128.
    StartError,
    ContainerStatusUnknown,
    RestartingAllContainers,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum StopReason {
    StartupProbeFailed,
    LivenessProbeFailed,
    PostStartHookFailed,
    /// Its image is another in the spec.
    DefinitionChanged,
    /// The resize of one of its resources needs a restart.
    ResizeRestarts,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Superseded {
    pub at: Moment,
    pub why: StopReason,
}

/// The change of a running container's resources to those of the spec.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub enum ResizeState {
    #[default]
    Idle,
    UnderWay {
        of_pod: Option<Resources>,
    },
    /// Nobody heard how it went: it is done again, whatever the spec says by now.
    Interrupted,
    Failed {
        message: String,
        at: Moment,
    },
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct ProbeState {
    /// Not on record, as [`Self::last_started`]: a probe that changes nothing costs no write, and the next
    /// engine probes at once.
    #[serde(skip)]
    pub in_flight: bool,
    #[serde(skip)]
    pub last_started: Option<BootTime>,
    /// In a row, up to the threshold; as `failures`.
    pub successes: u32,
    pub failures: u32,
    /// Errors (not failures) in a row; such results are thrown away.
    pub errors: u32,
    pub verdict: ProbeVerdict,
    /// When the verdict became what it is.
    pub decided: Option<Moment>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub enum ProbeVerdict {
    #[default]
    Unknown,
    Success,
    Failure,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub enum HookState {
    #[default]
    NotRun,
    Running {
        since: BootTime,
    },
    Done {
        at: BootTime,
        /// `None` when it succeeded.
        failure: Option<String>,
    },
}

impl Attempt {
    #[must_use]
    pub fn probe(&self, kind: ProbeKind) -> &ProbeState {
        match kind {
            ProbeKind::Startup => &self.startup,
            ProbeKind::Liveness => &self.liveness,
            ProbeKind::Readiness => &self.readiness,
        }
    }

    pub(crate) fn forget_probes_under_way(&mut self) {
        for kind in ProbeKind::ALL {
            let probe = self.probe_mut(kind);
            (probe.in_flight, probe.last_started) = (false, None);
        }
    }

    pub(crate) fn probe_mut(&mut self, kind: ProbeKind) -> &mut ProbeState {
        match kind {
            ProbeKind::Startup => &mut self.startup,
            ProbeKind::Liveness => &mut self.liveness,
            ProbeKind::Readiness => &mut self.readiness,
        }
    }
}

impl Observed {
    /// As a record of it is read back: without the probes that are under way.
    #[must_use]
    pub fn as_recorded(&self) -> Self {
        let mut recorded = self.clone();
        for container in recorded.containers.values_mut() {
            let ContainerObserved { current, previous, outgoing, .. } = container;
            [current, previous, outgoing]
                .into_iter()
                .flatten()
                .for_each(|attempt| attempt.forget_probes_under_way());
        }
        recorded
    }

    /// Keeps the moments at which conditions changed, which a plan alone cannot know. To be called with the
    /// status of each plan. Whether any of them is another than before.
    pub fn keep_conditions(&mut self, status: &PodStatus, now: Moment) -> bool {
        let before = std::mem::take(&mut self.conditions);
        for condition in &status.conditions {
            let kept = before.get(&condition.kind).filter(|before| before.status == condition.status);
            let since = ConditionSince { status: condition.status, since: now };
            self.conditions.insert(condition.kind, kept.copied().unwrap_or(since));
        }
        self.conditions != before
    }
}

/// What the shim of a living sandbox knows, from its memory and its records on disk.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SandboxSnapshot {
    pub attempt: u32,
    pub ips: Vec<IpAddr>,
    pub containers: Vec<ContainerRecord>,
}

/// The shim's durable record of one attempt.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct ContainerRecord {
    pub name: ContainerName,
    pub attempt: u32,
    pub id: String,
    pub started: Moment,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub user: Option<ProcessUser>,
    /// What it is asked to end with, as `SIGTERM`; empty when that has no name in Kubernetes.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub stop_signal: String,
    /// When the shim sent the stop signal, and SIGKILL.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stop_signal_sent: Option<BootTime>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub kill_sent: Option<BootTime>,
    /// `None` while it runs.
    pub exit: Option<Exit>,
}
