//! The types between the pure configuration and the code that spawns.

use core::net::IpAddr;
use std::path::PathBuf;

use podspec::{ContainerName, TerminationMessagePolicy};
use serde::{Deserialize, Serialize};

/// What an image says of the containers made from it (the OCI image config), and where its files are.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ImageConfig {
    /// What the node knows it by.
    pub id: String,
    /// `REPOSITORY@DIGEST` in the registry it came from, if it came from one: `status.imageID`. Else that is its id.
    #[serde(default)]
    pub repo_digest: Option<String>,
    pub entrypoint: Vec<String>,
    pub cmd: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    pub working_dir: String,
    /// `user`, `uid`, `user:group`, `uid:gid` or empty.
    pub user: String,
    /// A signal's name or number, or empty.
    pub stop_signal: String,
    /// Paths where its containers are to have a directory of their own: `VOLUME` of a Dockerfile.
    #[serde(default)]
    pub volumes: Vec<String>,
    /// The overlays that make its root file system; the first is mounted at `/`.
    pub layers: Vec<Layer>,
    /// The text of its `/etc/passwd`; empty when it has none.
    pub passwd: String,
    /// The text of its `/etc/group`; empty when it has none.
    pub group: String,
}

/// One overlay mount inside the container: `lower` directories, topmost first, below a private
/// writable directory. `target` is absolute inside the container.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Layer {
    pub target: String,
    pub lower: Vec<PathBuf>,
}

/// What the sandbox of a pod offers its containers. Paths are on the host.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SandboxFacts {
    pub hostname: String,
    pub etc_hosts: PathBuf,
    pub etc_hostname: PathBuf,
    pub resolv_conf: PathBuf,
    /// The pod's `/dev/shm`: [`crate::shm_path`] of the pod's directory.
    pub shm: PathBuf,
    /// Host path of each pod volume by name.
    pub volumes: std::collections::BTreeMap<String, PathBuf>,
    /// cgroup v2 is mounted at /sys/fs/cgroup.
    pub cgroup_v2: bool,
    /// Of the pod, IPv4 first.
    pub ips: Vec<IpAddr>,
}

/// What the node offers its pods; read once, when an engine starts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NodeFacts {
    /// The name of its Node object.
    pub name: String,
    /// Of the machine itself, IPv4 first.
    pub addresses: Vec<IpAddr>,
    /// Whom pods ask for names of the cluster; none: nobody.
    pub cluster_dns: Vec<IpAddr>,
    pub cpu_milli: u64,
    /// Of the file system that holds the pods.
    pub storage_bytes: u64,
    /// `MemTotal`.
    pub memory_bytes: u64,
    /// The capabilities this process may pass on: its permitted and bounding sets, by number.
    pub capabilities: u64,
    /// The `/sys/devices/system/cpu/cpu*/thermal_throttle` that exist: hidden from containers.
    pub thermal_throttle_paths: Vec<String>,
    /// The kernel enforces AppArmor.
    pub app_armor: bool,
    /// The kernel enforces SELinux, or would.
    pub se_linux: bool,
    /// How many processes and threads a pod may have.
    pub pod_processes_max: Option<u64>,
    pub log_limits: LogLimits,
    /// The limit on open files this process was started with, which containers get too: its own, and
    /// so its shims', may be raised since.
    pub open_files: Option<Rlimit>,
}

/// The sandbox of a pod: namespaces shared by its containers, and file systems held for it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SandboxConfig {
    /// A pod on the host's network keeps the host's name instead.
    pub hostname: String,
    pub host_network: bool,
    /// The host's System V and POSIX IPC.
    pub host_ipc: bool,
    /// The pod's users, in a user namespace of its own; `None` for the host's. The runtime's to say.
    pub users: Option<IdRange>,
    /// Names as in [`podspec::Sysctl`], and values: of the sandbox's own namespaces.
    pub sysctls: Vec<(String, String)>,
    /// Where the shim mounts the `/proc` of the process namespace that the containers share; `None` when
    /// each has a namespace of its own.
    pub shared_proc: Option<PathBuf>,
    /// Mounted by the shim in its own mount namespace, so that they end with the sandbox.
    pub tmpfs: Vec<Tmpfs>,
    /// The pod's cgroup, relative to each hierarchy's root, as `monopod/pod<uid>`.
    pub cgroup: String,
    /// Of that cgroup; devices are confined per container.
    pub resources: ResourceLimits,
}

/// The ids that a pod's users and groups are on the host: 0 in the pod is `first`, and so on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct IdRange {
    pub first: u32,
    /// [`IDS_PER_POD`].
    pub count: u32,
}

/// Every pod with users of its own has as many: those that images and Kubernetes count on.
pub const IDS_PER_POD: u32 = 1 << 16;

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Tmpfs {
    /// On the host; made when it is missing.
    pub path: PathBuf,
    pub size_bytes: Option<u64>,
    pub mode: u32,
    pub gid: Option<u32>,
    /// Never written to swap, where the kernel can do that.
    pub no_swap: bool,
}

/// What is kept of one attempt's log: `containerLogMaxSize` and `containerLogMaxFiles` of a kubelet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LogLimits {
    /// A file that would grow over this is rotated first.
    pub file_bytes_max: u64,
    /// The one being written among them.
    pub files_max: usize,
}

/// The kubelet's, which an engine meant that knew of no others.
impl Default for LogLimits {
    fn default() -> Self {
        Self { file_bytes_max: 10 << 20, files_max: 5 }
    }
}

/// Everything needed to spawn one container.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ContainerConfig {
    pub name: ContainerName,
    pub process: Process,
    pub root: Root,
    /// In the order in which to mount them, below the root.
    pub mounts: Vec<Mount>,
    /// Hidden: files behind /dev/null, directories behind an empty read-only tmpfs.
    pub masked_paths: Vec<String>,
    pub readonly_paths: Vec<String>,
    /// Gets every device node of the host, and on cgroup v2 sees all groups.
    pub privileged: bool,
    pub pid_namespace: PidNamespace,
    pub resources: ResourceLimits,
    /// Of the pod's cgroup, which may have been resized since it was made.
    pub of_pod: ResourceLimits,
    /// Sent by `SignalContainer`.
    pub stop_signal: i32,
    /// Absolute path inside the container of the termination message file.
    pub termination_message_path: String,
    pub termination_message_policy: TerminationMessagePolicy,
    pub tty: bool,
    /// Standard input is open, for whoever attaches.
    pub stdin: bool,
    /// It ends with the first attachment.
    pub stdin_once: bool,
    #[serde(default)]
    pub log_limits: LogLimits,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Process {
    /// `args[0]` is looked up on the container's PATH when it has no slash.
    pub args: Vec<String>,
    /// `NAME=value`, in order.
    pub env: Vec<String>,
    /// Made when it is missing, as containerd does.
    pub cwd: String,
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    pub umask: u32,
    pub capabilities: CapabilitySets,
    pub no_new_privileges: bool,
    pub rlimits: Vec<Rlimit>,
    pub oom_score_adj: i32,
    /// The AppArmor profile it is confined by, which the kernel has.
    pub app_armor: Option<String>,
    /// A compiled seccomp program; empty for none.
    pub seccomp: Vec<SockFilter>,
}

/// Bit sets by capability number. None is inheritable or ambient: Kubernetes has no field for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct CapabilitySets {
    pub bounding: u64,
    pub effective: u64,
    pub permitted: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rlimit {
    /// `RLIMIT_*`.
    pub resource: u32,
    pub soft: u64,
    pub hard: u64,
}

/// One classic BPF instruction (`struct sock_filter`): code, jt, jf, k.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SockFilter(pub u16, pub u8, pub u8, pub u32);

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Root {
    pub layers: Vec<Layer>,
    pub read_only: bool,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Mount {
    /// Absolute inside the container; resolved there without following links out of it, and made
    /// when it is missing.
    pub target: String,
    pub kind: MountKind,
    pub options: MountOptions,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum MountKind {
    Proc,
    Sysfs,
    Mqueue,
    /// A private pts instance with `gid=5,mode=620,ptmxmode=666`.
    Devpts,
    /// tmpfs with the standard device nodes and links; nothing of the host's /dev.
    Dev,
    /// The container's own cgroup subtree, in the layout of the host (v1 or v2).
    Cgroup,
    Bind(BindSource),
    /// The files of an image.
    Image(ImageSource),
    /// What the container's own image has at the target, in a layer that is the attempt's and writable whatever the
    /// root is. All of one container are in the same layer.
    OwnImage,
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct BindSource {
    pub path: PathBuf,
    /// With everything mounted below it.
    pub recursive: bool,
    /// The pod's volume that it is, for errors.
    pub volume: Option<String>,
    /// Below `path`, whose content is the pod's: never followed out of it. Made, as directories with the
    /// mode of `path`, where it is missing.
    pub sub_path: Option<String>,
    /// `read_only` also for what is mounted below it.
    pub recursive_read_only: bool,
    /// What is mounted below it on the host later, or by another container of the pod, shows up in the container.
    pub receives_mounts: bool,
    /// What the container mounts below it shows up in the others that ask for it. Of the pod's own volumes.
    pub shares_mounts: bool,
    /// It is the pod's own directory, which is mounted nowhere else.
    pub of_pod: bool,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ImageSource {
    /// As of a container's root, without anything to write to.
    pub layers: Vec<Layer>,
    pub volume: String,
    /// As in [`BindSource`]; nothing is made.
    pub sub_path: Option<String>,
}

/// The images of a container's volumes, by their reference as the pod has it.
pub type VolumeImages = std::collections::BTreeMap<String, std::sync::Arc<ImageConfig>>;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct MountOptions {
    pub read_only: bool,
    pub nosuid: bool,
    pub nodev: bool,
    pub noexec: bool,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum PidNamespace {
    Container,
    /// The pod's, whose PID 1 is the shim's own init.
    Pod,
    Host,
    /// Of this container's running attempt.
    Of(ContainerName),
}

/// cgroup values; `None` leaves the kernel's default.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ResourceLimits {
    /// v1 `cpu.shares`, 2..=262144; the shim converts it to `cpu.weight` on v2.
    pub cpu_shares: Option<u64>,
    /// Microseconds of CPU per period.
    pub cpu_quota_us: Option<u64>,
    pub cpu_period_us: Option<u64>,
    pub memory_limit_bytes: Option<u64>,
    /// Processes and threads.
    #[serde(default)]
    pub processes_max: Option<u64>,
    /// Out of memory, all processes end and not one of them (v2 only).
    pub oom_ends_all: bool,
    /// In order; an empty list leaves devices unconfined.
    pub devices: Vec<DeviceRule>,
}

/// One device cgroup rule, as in the OCI runtime spec.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DeviceRule {
    pub allow: bool,
    /// `a`, `b` or `c`.
    pub kind: char,
    pub major: Option<u32>,
    pub minor: Option<u32>,
    /// Of `rwm`.
    pub access: String,
}
