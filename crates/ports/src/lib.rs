//! What the kubelet needs from the world, in CRI's words. Implementations hold no policy: they do
//! what they are told and say what happened.

mod images;
mod network;
mod objects;
mod paths;
mod session;

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpStream};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use container_config::{ContainerConfig, ResourceLimits, SandboxConfig, SandboxFacts, Tmpfs};
use lifecycle::{Exit, Observation, ProcessUser};
use podspec::{ContainerName, Moment, Pod, Volume, VolumeName};

pub use images::{
    FileSystemBytes, ImageError, ImageOnNode, ImageRequest, ImageService, LayerProgress, NoObserver,
    PullObserver, PullProgress, PullSecret, PullSecretKind, Reclaim, Reclaimed,
};
pub use network::{Attachment, NoNetwork, PodNetwork};
pub use objects::{Answer, ClaimedVolume, NoObjects, ObjectReader, Token};
pub use paths::Paths;
pub use session::{ExecExit, ExecIo, ExecSession, SessionError, Streams, Terminal};

/// What `localhost` means, in the order to try it.
pub const LOOPBACKS: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// A pod and where its things are. Cheap to share.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PodContext {
    pub pod: Pod,
    /// `DATA/pods/UID`: volumes, container directories, records, journal.
    pub pod_dir: PathBuf,
    /// `RUN/pods/UID`: the shim's socket.
    pub run_dir: PathBuf,
    /// `/var/log/pods/NS_NAME_UID` under the root.
    pub log_dir: PathBuf,
    /// The pod ends with this engine (`monopod run`).
    pub bound: bool,
}

/// Takes in what happens to a pod without being asked: exits, a lost sandbox. Never blocks.
pub trait Observer: Send + Sync + 'static {
    fn observe(&self, observation: Observation);
}

/// One error for what the kubelet reports but does not branch on. The message says what failed, on
/// what, and why; `Display` prints the whole chain.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct PortError(pub String);

impl PortError {
    /// The chain of an error in one line: `outer: inner: innermost`.
    #[must_use]
    pub fn chain(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        Self(text)
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StartedContainer {
    pub id: String,
    /// When its process was made.
    pub started: Moment,
    pub user: Option<ProcessUser>,
    /// As in [`lifecycle::ContainerRecord`].
    pub stop_signal: String,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StartContainerError {
    /// Before there was a process: `CreateContainerError` or `CreateContainerConfigError`.
    Create { reason: String, message: String },
    /// The process could not be set up or executed; it counts as an attempt.
    Start(Exit),
}

/// The result of a command run in a container.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExecResult {
    /// 128 + signal for a signalled process.
    pub exit_code: i32,
    /// Captured output, when it was to be captured.
    pub output: Vec<u8>,
    pub timed_out: bool,
}

/// Pod sandboxes and the containers in them.
pub trait RuntimeService: Send + Sync + 'static {
    /// Makes the sandbox and watches it: exits and its loss go to `observer` from now on.
    fn create_sandbox(
        &self,
        pod: &Arc<PodContext>,
        attempt: u32,
        config: SandboxConfig,
        observer: Arc<dyn Observer>,
    ) -> impl Future<Output = Result<SandboxFacts, PortError>> + Send;

    /// Connects to the living sandbox of an earlier engine; the observer gets `Adopted` first.
    /// `None` when there is none alive; then everything left of it is dead and its cgroup gone.
    fn adopt_sandbox(
        &self,
        pod: &Arc<PodContext>,
        observer: Arc<dyn Observer>,
    ) -> impl Future<Output = Result<Option<SandboxFacts>, PortError>> + Send;

    fn start_container(
        &self,
        pod: &Arc<PodContext>,
        attempt: u32,
        config: ContainerConfig,
    ) -> impl Future<Output = Result<StartedContainer, StartContainerError>> + Send;

    fn signal_container(
        &self,
        pod: &Arc<PodContext>,
        container: &ContainerName,
        attempt: u32,
    ) -> impl Future<Output = Result<(), PortError>> + Send;

    fn kill_container(
        &self,
        pod: &Arc<PodContext>,
        container: &ContainerName,
        attempt: u32,
    ) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Gives a running container other limits, and its pod those that go with them.
    fn resize_container(
        &self,
        pod: &Arc<PodContext>,
        container: &ContainerName,
        attempt: u32,
        limits: ResourceLimits,
        of_pod: ResourceLimits,
    ) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Runs a command to its end, keeping the first `output_bytes_max` of its output.
    fn exec_sync(
        &self,
        pod: &Arc<PodContext>,
        container: &ContainerName,
        attempt: u32,
        command: &[String],
        timeout: Option<Duration>,
        output_bytes_max: usize,
    ) -> impl Future<Output = Result<ExecResult, PortError>> + Send;

    /// Begins a command in the container's running attempt, as the container's main process was begun.
    fn exec(
        &self,
        pod: &Arc<PodContext>,
        container: &ContainerName,
        command: &[String],
        io: ExecIo,
    ) -> impl Future<Output = Result<ExecSession, SessionError>> + Send;

    /// Connects to the container's running attempt: its output from now on, and, with `stdin`, its input when it
    /// has one. The output ends when the container does, or when its reader is too far behind.
    fn attach(
        &self,
        pod: &Arc<PodContext>,
        container: &ContainerName,
        stdin: bool,
    ) -> impl Future<Output = Result<Streams, SessionError>> + Send;

    /// Connects to a TCP port from within the pod's network, at the first of `addresses` where somebody listens. The
    /// socket is non-blocking.
    fn dial(
        &self,
        pod: &Arc<PodContext>,
        addresses: &[IpAddr],
        port: u16,
    ) -> impl Future<Output = Result<TcpStream, SessionError>> + Send;

    /// Opens the directory (`O_PATH`) of an emptyDir of the pod, as its containers see it.
    fn open_volume(
        &self,
        pod: &Arc<PodContext>,
        volume: &VolumeName,
    ) -> impl Future<Output = Result<OwnedFd, PortError>> + Send;

    fn remove_container(
        &self,
        pod: &Arc<PodContext>,
        container: &ContainerName,
        attempt: u32,
    ) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Idempotent; goes on past errors. Afterwards no process, mount, namespace or cgroup is left.
    fn stop_sandbox(&self, pod: &Arc<PodContext>) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Removes the pod's directories and logs. Idempotent; the sandbox is stopped before.
    fn remove_pod(&self, pod: &Arc<PodContext>) -> impl Future<Output = Result<(), PortError>> + Send;
}

pub trait VolumeService: Send + Sync + 'static {
    /// Makes every volume of the pod. Idempotent: keeps what is there.
    fn set_up(&self, pod: &Arc<PodContext>) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Brings the files of volumes that are there up to date with what they are made of, each at once for all
    /// readers; one that cannot be keeps what it has. Says after how long to do so again, if nothing else happens:
    /// tokens end.
    fn refresh(
        &self,
        pod: &Arc<PodContext>,
    ) -> impl Future<Output = Result<Option<Duration>, PortError>> + Send;

    /// Removes what `set_up` made; never follows a link, never touches a hostPath. Idempotent.
    fn tear_down(&self, pod: &Arc<PodContext>) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Whether a volume of the pod may hold only so much and nothing but [`Self::over_limit`] sees to it.
    fn has_limits(&self, _pod: &PodContext) -> bool {
        false
    }

    /// Why the pod cannot stay, when a volume of it holds more than it may: as a kubelet says it. Looks at every file.
    fn over_limit(
        &self,
        _pod: &Arc<PodContext>,
    ) -> impl Future<Output = Result<Option<String>, PortError>> + Send {
        async { Ok(None) }
    }

    /// What a file in an open volume holds, at most `bytes_max`; `None` when it is not there. A link leads nowhere out
    /// of the volume.
    fn read_file(
        &self,
        volume: OwnedFd,
        path: &str,
        bytes_max: usize,
    ) -> impl Future<Output = Result<Option<Vec<u8>>, PortError>> + Send;

    /// Where a volume is on the host.
    fn host_path(&self, pod: &PodContext, volume: &Volume) -> PathBuf;

    /// The memory volumes the sandbox has to mount.
    fn tmpfs(&self, pod: &PodContext) -> Vec<Tmpfs>;
}

/// Both clocks, read together.
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Moment;
}
