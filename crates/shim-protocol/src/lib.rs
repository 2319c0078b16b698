//! Messages and on-disk records between the engine and a pod's shim.
//!
//! Transport: a Unix stream socket; each message is a little-endian `u32` length and that many bytes
//! of JSON, at most [`MESSAGE_BYTES_MAX`]. File descriptors of a [`RequestBody::Exec`], of a launch ([`Netns::Given`]) and of replies
//! ([`ReplyBody::descriptors`]) travel as `SCM_RIGHTS` with the first byte of their message. The first connection is the shim's descriptor 0; later
//! ones come through [`SOCKET_NAME`], and a new one takes the place of the one before.
//!
//! The engine may be gone at any moment and a newer one may come back, so both sides name their
//! [`VERSION`], and a record or peer of an unknown version is refused, never guessed at.

mod frame;
mod record;
mod times;

use std::net::IpAddr;
use std::path::PathBuf;

use container_config::{ContainerConfig, ResourceLimits, SandboxConfig};
use lifecycle::{ContainerRecord, Exit, SandboxSnapshot};
use podspec::{ContainerName, Pod, VolumeName};
use serde::{Deserialize, Serialize};

pub use frame::{FrameBuffer, FrameError, encode};
pub use record::{
    CHECKPOINT_NAME, Dated, OWNER_LOCK_NAME, POD_RECORD_NAME, RecordError, SHIM_LOCK_NAME, SHIM_LOG_NAME,
    SandboxRecord, attempt_dir, attempt_record_path, checkpoint_path, containers_dir, pod_path,
    read_dated_record, read_record, record_text, write_record, write_record_text,
};
pub use times::{StepTime, Times};

/// The version of messages and records; raised whenever either changes shape. A field that may be absent, and that means
/// nothing to who does not know it, is no such change.
pub const VERSION: u32 = 7;
/// The largest message either side accepts.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// The shim's listening socket, in the pod's run directory.
pub const SOCKET_NAME: &str = "shim.sock";

/// Engine to shim. `id` is echoed by the [`Reply`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    pub id: u64,
    pub body: RequestBody,
    /// The reply to a `CreateSandbox` or `StartContainer` is to say what its steps took.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub timed: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum RequestBody {
    /// The first message on descriptor 0: makes the sandbox. -> `SandboxCreated`
    CreateSandbox(Box<SandboxLaunch>),
    /// The first message of an adopting engine. -> `Adopted`
    Adopt { version: u32 },
    /// -> `Started`, `CreateFailed` or `StartFailed`
    StartContainer { attempt: u32, config: Box<ContainerConfig> },
    /// The configured stop signal to the main process. -> `Done`
    SignalContainer { container: ContainerName, attempt: u32 },
    /// SIGKILL to every process of the container. -> `Done`
    KillContainer { container: ContainerName, attempt: u32 },
    /// Other limits for a running container, and for the pod's cgroup around it. -> `Done`
    ResizeContainer { container: ContainerName, attempt: u32, limits: ResourceLimits, of_pod: ResourceLimits },
    /// Runs a command in a running container. -> `ExecFinished` when it has ended, for one whose output is captured;
    /// for the others `ExecStarted`, and [`Message::ExecEnded`] later. Or `ExecFailed`
    Exec(Exec),
    /// The output of a running container from now on, and its input. -> `Attached`, or `NotRunning`
    Attach { container: ContainerName, stdin: bool },
    /// Opens the pod's network namespace, from where its ports are connected to. -> `NetworkOpened`
    OpenNetwork,
    /// Opens the directory of one of the pod's own volumes, which for a memory volume only the sandbox sees.
    /// -> `VolumeOpened`
    OpenVolume { volume: VolumeName },
    /// Forgets an exited attempt and removes its record; its files and logs are then the engine's to
    /// remove, so that no container's output waits for a large tree. -> `Done`
    RemoveContainer { container: ContainerName, attempt: u32 },
    /// Kills what still runs, removes the cgroups, and ends the shim. -> `Done`, then end of file
    StopSandbox,
}

/// Everything the shim has to know of its pod, also to stop it in order without an engine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SandboxLaunch {
    pub version: u32,
    pub pod: Pod,
    pub attempt: u32,
    pub config: SandboxConfig,
    pub netns: Netns,
    /// Of the pod, IPv4 first.
    pub addresses: Vec<IpAddr>,
    /// Holds the pod's volumes, container directories and records.
    pub pod_dir: PathBuf,
    /// Holds the shim's socket.
    pub run_dir: PathBuf,
    /// `/var/log/pods/NS_NAME_UID` under the root.
    pub log_dir: PathBuf,
    /// The pod ends with its engine: when the connection ends without `StopSandbox`, the shim stops
    /// the pod in order, removes everything and exits.
    pub bound: bool,
}

/// Where the network namespace of a pod comes from that has one of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Netns {
    /// It came with the message.
    Given,
    /// The shim makes it, so that it is that of the pod's users, and it comes with the reply.
    Returned,
    /// The shim makes it, and nobody else has to do with it.
    Made,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Exec {
    pub container: ContainerName,
    /// `None` for the one that runs.
    pub attempt: Option<u32>,
    pub args: Vec<String>,
    /// SIGKILL after this; `None` for no limit.
    pub timeout_ms: Option<u64>,
    pub stdio: ExecStdio,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ExecStdio {
    /// No input; standard output and error together, the first `limit_bytes` of them.
    Capture { limit_bytes: usize },
    /// Standard input, output and error are the three descriptors that came with the message.
    Passed,
    /// All three are a new terminal of the container, whose master comes with the reply.
    Terminal,
}

/// Shim to engine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Message {
    Reply(Reply),
    /// Sent after the exit is on disk.
    ContainerExited {
        container: ContainerName,
        attempt: u32,
        exit: Exit,
    },
    /// The command that `request` started has ended.
    ExecEnded {
        request: u64,
        exit_code: i32,
    },
    /// Output is lost from here on, for as long as the log cannot be written; sent once per attempt.
    OutputLost {
        container: ContainerName,
        attempt: u32,
        message: String,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reply {
    pub id: u64,
    pub body: ReplyBody,
    /// To a request that was `timed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<Times>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ReplyBody {
    /// With the network namespace, if that was asked for.
    SandboxCreated {
        netns: bool,
    },
    Adopted {
        version: u32,
        snapshot: SandboxSnapshot,
    },
    Started(ContainerRecord),
    /// Before there was a process; nothing is left behind.
    CreateFailed {
        message: String,
        /// It is the kubelet's own part that failed, which the runtime does not come to.
        #[serde(default)]
        of_volumes: bool,
    },
    /// The process could not be set up or executed; the exit (`StartError`) is on disk.
    StartFailed(Exit),
    ExecFinished {
        exit_code: i32,
        output: Vec<u8>,
        timed_out: bool,
    },
    /// With the terminal's master, if it has one.
    ExecStarted {
        terminal: bool,
    },
    /// It could not be executed, or not be begun; nothing of it is left.
    ExecFailed(ExecFailure),
    /// With the read end of a pipe for output; then for a terminal its master, else the read end of a pipe for errors,
    /// and, when there is input, the write end of its pipe.
    Attached {
        terminal: bool,
        input: bool,
    },
    /// With the namespace.
    NetworkOpened,
    /// With the directory (`O_PATH`).
    VolumeOpened,
    /// The container that is meant does not run.
    NotRunning {
        message: String,
    },
    Done,
    /// The request could not be carried out; nothing changed.
    Failed {
        message: String,
    },
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ExecFailure {
    pub message: String,
    /// A shell's for a command that cannot be executed: 127 when it is not there, 126 otherwise. `None` when it
    /// did not come to that.
    pub exit_code: Option<i32>,
}

impl ReplyBody {
    /// How many descriptors come with it.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        match self {
            Self::ExecStarted { terminal: one } | Self::SandboxCreated { netns: one } => usize::from(*one),
            Self::Attached { terminal, input } => 2 + usize::from(*input && !*terminal),
            Self::NetworkOpened | Self::VolumeOpened => 1,
            _ => 0,
        }
    }
}
