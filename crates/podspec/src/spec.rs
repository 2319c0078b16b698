//! The domain types: a defaulted, validated pod. Field names follow `v1.PodSpec`
//! (<https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/>).
//! A field of v1.Pod that has no place here is refused by its name, never dropped.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{ContainerName, PodUid, VolumeName};
use crate::quantity::Quantity;
use crate::source::{EnvFrom, EnvVar, Projected};

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pod {
    pub namespace: String,
    pub name: String,
    pub uid: PodUid,
    /// `metadata.generation`: counts the changes of the spec, from 1.
    pub generation: i64,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub spec: PodSpec,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PodSpec {
    pub restart_policy: RestartPolicy,
    /// `terminationGracePeriodSeconds`.
    pub termination_grace_period: Duration,
    /// `activeDeadlineSeconds`, measured from the pod's start time.
    pub active_deadline: Option<Duration>,
    /// The pod's host name, at most 63 characters: `hostnameOverride`, `hostname`, or the pod's name.
    pub hostname: String,
    /// `subdomain`; empty for none, and with `hostnameOverride`.
    pub subdomain: String,
    /// `setHostnameAsFQDN`: the kernel's host name is the whole one, where there is a subdomain.
    pub hostname_as_fqdn: bool,
    pub dns_policy: DnsPolicy,
    pub dns_config: DnsConfig,
    pub host_network: bool,
    pub host_pid: bool,
    pub host_ipc: bool,
    /// `hostUsers: false`: its users are none of the host's (KEP-127).
    pub own_users: bool,
    /// `securityContext.sysctls`, their names with dots.
    pub sysctls: Vec<Sysctl>,
    /// A container, or the pod, has an `appArmorProfile` other than `Unconfined`.
    pub app_armor: bool,
    /// A container, or the pod, has `seLinuxOptions` that say something.
    pub se_linux: bool,
    pub share_process_namespace: bool,
    /// Init containers and restartable init containers (sidecars), in start order.
    pub init_containers: Vec<Container>,
    /// App containers, in spec order.
    pub containers: Vec<Container>,
    /// Added to a pod that is there, in order; none is ever removed.
    pub ephemeral_containers: Vec<Container>,
    pub volumes: Vec<Volume>,
    /// `securityContext.supplementalGroups`.
    pub supplemental_groups: Vec<u32>,
    /// `supplementalGroupsPolicy: Strict`: the image's `/etc/group` adds none.
    pub strict_groups: bool,
    /// `securityContext.fsGroup`: every process is in it, and the pod's own volumes are its.
    pub fs_group: Option<u32>,
    /// `fsGroupChangePolicy: OnRootMismatch`: a claim whose root is the group's already is taken to be so as a whole.
    #[serde(default)]
    pub fs_group_trusts_root: bool,
    /// `serviceAccountName`; empty where nobody gave the pod one.
    pub service_account: String,
    /// `imagePullSecrets`: the names of those that have one.
    #[serde(default)]
    pub image_pull_secrets: Vec<String>,
    /// `enableServiceLinks`: variables tell of the Services of the namespace.
    #[serde(default = "on")]
    pub service_links: bool,
    pub host_aliases: Vec<HostAlias>,
    /// `readinessGates`: the condition types that somebody else has to set before the pod is ready.
    pub readiness_gates: Vec<String>,
    /// `resources` of the pod as a whole (KEP-2837).
    pub resources: Option<Resources>,
    /// `overhead`: what its runtime takes beside the containers.
    #[serde(default)]
    pub overhead: Overhead,
    #[serde(default)]
    pub runtime_class: Option<RuntimeClass>,
    /// `os.name`, where somebody says.
    #[serde(default)]
    pub os: Option<String>,
}

/// What a record of a version without the field means.
fn on() -> bool {
    true
}

/// In the units of [`Resources`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Overhead {
    pub cpu: u64,
    pub memory: u64,
}

/// `runtimeClassName`, and what it stands for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RuntimeClass {
    pub name: String,
    /// The `handler` of the class. `None`: there is no such class, or nobody has looked it up.
    pub handler: Option<String>,
}

/// Whose resolvers a pod asks, before `dnsConfig` adds some.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum DnsPolicy {
    /// The cluster's; for a pod on the host's network the host's.
    #[default]
    ClusterFirst,
    ClusterFirstWithHostNet,
    /// The host's.
    Default,
    None,
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct DnsConfig {
    pub nameservers: Vec<String>,
    pub searches: Vec<String>,
    /// Names, each with its value.
    pub options: Vec<(String, Option<String>)>,
}

/// A parameter of the kernel, as `net.ipv4.tcp_syncookies`; a slash stands for a dot within a part.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Sysctl {
    pub name: String,
    pub value: String,
}

/// One line of `/etc/hosts`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HostAlias {
    pub ip: String,
    pub hostnames: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum ContainerKind {
    /// Runs to completion before the next container starts.
    Init,
    /// A restartable init container (KEP-753): its own `restartPolicy` is `Always`.
    Sidecar,
    /// An entry of `containers`.
    App,
    /// An entry of `ephemeralContainers`: started once, whatever the others do.
    Ephemeral,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum RestartPolicy {
    Always,
    OnFailure,
    Never,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Container {
    pub name: ContainerName,
    pub kind: ContainerKind,
    /// As the user wrote it.
    pub image: String,
    pub pull_policy: PullPolicy,
    /// Replaces the image's entrypoint.
    pub command: Option<Vec<String>>,
    /// Replaces the image's command.
    pub args: Option<Vec<String>>,
    pub working_dir: Option<String>,
    pub env_from: Vec<EnvFrom>,
    /// Later than `env_from`, so that these count.
    pub env: Vec<EnvVar>,
    pub ports: Vec<ContainerPort>,
    pub resources: Resources,
    /// Of what is not CPU or memory.
    #[serde(default)]
    pub other_resources: OtherResources,
    pub volume_mounts: Vec<VolumeMount>,
    pub restart: ProcessRestartPolicy,
    pub startup_probe: Option<Probe>,
    pub liveness_probe: Option<Probe>,
    pub readiness_probe: Option<Probe>,
    pub post_start: Option<HookHandler>,
    pub pre_stop: Option<HookHandler>,
    /// `lifecycle.stopSignal`, as `SIGUSR1`; `None`: the image's, or SIGTERM.
    pub stop_signal: Option<String>,
    /// Absolute path inside the container.
    pub termination_message_path: String,
    pub termination_message_policy: TerminationMessagePolicy,
    pub resize_restarts: ResizeRestarts,
    pub security: SecurityContext,
    pub tty: bool,
    pub stdin: bool,
    pub stdin_once: bool,
    /// `targetContainerName` of an ephemeral container: whose process namespace it joins.
    pub target: Option<ContainerName>,
}

/// The container's own `restartPolicy` and `restartPolicyRules` (KEP-5307).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ProcessRestartPolicy {
    /// `None`: the pod's policy decides.
    pub policy: Option<RestartPolicy>,
    /// The first rule that matches an exit code decides before any policy.
    pub rules: Vec<RestartRule>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RestartRule {
    pub action: RestartRuleAction,
    pub operator: ExitCodeOperator,
    pub values: Vec<i32>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum RestartRuleAction {
    Restart,
    RestartAllContainers,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ExitCodeOperator {
    In,
    NotIn,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum PullPolicy {
    Always,
    IfNotPresent,
    Never,
}

/// Informational, as in Kubernetes, but for `host_port`: nothing else is opened or closed by it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ContainerPort {
    pub name: Option<String>,
    pub container_port: u16,
    pub protocol: PortProtocol,
    /// The port of the machine that leads here.
    pub host_port: Option<u16>,
    /// `host_port` is one of this address only.
    pub host_ip: Option<IpAddr>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum PortProtocol {
    Tcp,
    Udp,
    Sctp,
}

/// CPU in millicores, memory in bytes. Requests default to limits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Resources {
    pub cpu_request: Option<u64>,
    pub cpu_limit: Option<u64>,
    pub memory_request: Option<u64>,
    pub memory_limit: Option<u64>,
}

/// Disk space, and what only the scheduler counts: amounts by name, as Kubernetes writes them. None of them can be
/// changed.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct OtherResources {
    pub requests: BTreeMap<String, String>,
    pub limits: BTreeMap<String, String>,
}

impl OtherResources {
    /// Disk space for a container's layer, its logs, and the pod's volumes on disk.
    pub const STORAGE: &str = "ephemeral-storage";

    #[must_use]
    pub fn storage_request(&self) -> Option<Quantity> {
        Quantity::parse(self.requests.get(Self::STORAGE)?).ok()
    }

    #[must_use]
    pub fn storage_limit(&self) -> Option<Quantity> {
        Quantity::parse(self.limits.get(Self::STORAGE)?).ok()
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VolumeMount {
    pub name: VolumeName,
    /// Absolute path inside the container.
    pub mount_path: String,
    pub read_only: bool,
    /// `recursiveReadOnly`, `Enabled` or `IfPossible`: also what is mounted below it.
    pub recursive_read_only: bool,
    pub sub_path: Option<SubPath>,
    /// `mountPropagation: HostToContainer`, or `Bidirectional`.
    pub receives_mounts: bool,
    /// `mountPropagation: Bidirectional`.
    pub shares_mounts: bool,
}

/// What of a volume is mounted, relative to the volume.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum SubPath {
    Literal(String),
    /// `subPathExpr`, before `$(VAR)` expansion.
    Expression(String),
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Volume {
    pub name: VolumeName,
    pub source: VolumeSource,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum VolumeSource {
    /// `size_limit` in bytes: of the memory medium the tmpfs has it; a pod whose directory on disk holds more is evicted.
    EmptyDir {
        medium: EmptyDirMedium,
        size_limit: Option<u64>,
    },
    HostPath {
        path: String,
        kind: HostPathType,
    },
    /// `configMap`, `secret`, `downwardAPI` and `projected`. Read-only in every container.
    Projected(Projected),
    /// What a claim in the pod's namespace is bound to (`persistentVolumeClaim`), or one that the pod itself brings
    /// (`ephemeral`).
    Claim {
        claim: String,
        read_only: bool,
        /// The claim is the pod's own, and goes with it.
        ephemeral: bool,
    },
    /// The files of an image. Read-only in every container.
    Image {
        /// As the user wrote it.
        reference: String,
        pull_policy: PullPolicy,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum EmptyDirMedium {
    Disk,
    Memory,
}

/// `hostPath.type`; the empty string is `Unset`: no check before mounting.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum HostPathType {
    Unset,
    DirectoryOrCreate,
    Directory,
    FileOrCreate,
    File,
    Socket,
    CharDevice,
    BlockDevice,
}

impl HostPathType {
    /// `hostPath.type`; what is no type is none.
    #[must_use]
    pub fn parse(kind: &str) -> Self {
        match kind {
            "DirectoryOrCreate" => Self::DirectoryOrCreate,
            "Directory" => Self::Directory,
            "FileOrCreate" => Self::FileOrCreate,
            "File" => Self::File,
            "Socket" => Self::Socket,
            "CharDevice" => Self::CharDevice,
            "BlockDevice" => Self::BlockDevice,
            _ => Self::Unset,
        }
    }
}

/// A startup, liveness or readiness probe
/// (<https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/>).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Probe {
    pub handler: ProbeHandler,
    pub initial_delay: Duration,
    pub period: Duration,
    pub timeout: Duration,
    pub success_threshold: u32,
    pub failure_threshold: u32,
    /// The probe's own `terminationGracePeriodSeconds`.
    pub termination_grace_period: Option<Duration>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ProbeHandler {
    Exec(ExecAction),
    HttpGet(HttpGetAction),
    TcpSocket(TcpSocketAction),
    Grpc(GrpcAction),
}

/// What a postStart or preStop hook does
/// (<https://kubernetes.io/docs/concepts/containers/container-lifecycle-hooks/>).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum HookHandler {
    Exec(ExecAction),
    HttpGet(HttpGetAction),
    Sleep(Duration),
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ExecAction {
    pub command: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HttpGetAction {
    /// `None`: the pod itself. Otherwise reached from the host.
    pub host: Option<String>,
    pub port: PortRef,
    /// As it was written, with its query.
    pub path: String,
    pub scheme: HttpScheme,
    /// In order; a name may come more than once.
    pub headers: Vec<HttpHeader>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum HttpScheme {
    Http,
    Https,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HttpHeader {
    pub name: String,
    pub value: String,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TcpSocketAction {
    /// As in [`HttpGetAction`].
    pub host: Option<String>,
    pub port: PortRef,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GrpcAction {
    pub port: u16,
    /// Of the health check request; empty for the server as a whole.
    pub service: String,
}

/// A port by its number, or by its name among the container's `ports`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum PortRef {
    Number(u16),
    Name(String),
}

/// Where `state.terminated.message` comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum TerminationMessagePolicy {
    #[default]
    File,
    /// The end of the log when the file is empty and the container failed.
    FallbackToLogsOnError,
}

/// `resizePolicy`: whether a change of the resource restarts the container.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ResizeRestarts {
    pub cpu: bool,
    pub memory: bool,
}

/// The container's security context merged over the pod's.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SecurityContext {
    pub run_as_user: Option<u32>,
    pub run_as_group: Option<u32>,
    pub run_as_non_root: bool,
    pub read_only_root_filesystem: bool,
    /// `None` is as `Some(true)`: `no_new_privs` stays off.
    pub allow_privilege_escalation: Option<bool>,
    pub capabilities: Capabilities,
    /// All capabilities and devices, and nothing hidden.
    pub privileged: bool,
    /// `procMount: Unmasked`: nothing of `/proc` is hidden or read-only.
    pub unmasked_proc: bool,
    pub seccomp: SeccompProfile,
    pub app_armor: AppArmorProfile,
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum AppArmorProfile {
    #[default]
    Unconfined,
    RuntimeDefault,
    /// The one of this name, which the kernel has.
    Localhost(String),
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum SeccompProfile {
    #[default]
    RuntimeDefault,
    Unconfined,
    /// The profile in this file, below the node's directory of profiles.
    Localhost(String),
}

/// Names without `CAP_`; `ALL` allowed.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Capabilities {
    pub add: Vec<String>,
    pub drop: Vec<String>,
}

impl PodSpec {
    /// Every container: init containers and sidecars in order, then app containers, then ephemeral ones.
    pub fn all_containers(&self) -> impl DoubleEndedIterator<Item = &Container> {
        self.init_containers.iter().chain(&self.containers).chain(&self.ephemeral_containers)
    }

    /// The containers that make the pod what it is.
    pub fn init_and_app_containers(&self) -> impl DoubleEndedIterator<Item = &Container> {
        self.init_containers.iter().chain(&self.containers)
    }

    /// The images of the volumes that a container mounts, each once, in the order of its mounts.
    pub fn volume_images<'a>(
        &'a self,
        container: &'a Container,
    ) -> impl Iterator<Item = (&'a str, PullPolicy)> {
        let mounts = &container.volume_mounts;
        let image_of = |name: &VolumeName| {
            let volume = self.volumes.iter().find(|volume| volume.name == *name)?;
            match &volume.source {
                VolumeSource::Image { reference, pull_policy } => Some((reference.as_str(), *pull_policy)),
                _ => None,
            }
        };
        mounts.iter().enumerate().filter_map(move |(i, mount)| {
            let image = image_of(&mount.name)?;
            let is_first = mounts[..i].iter().all(|m| image_of(&m.name).is_none_or(|(i, _)| i != image.0));
            is_first.then_some(image)
        })
    }

    /// Whether one of its containers is made from this image, or mounts it.
    #[must_use]
    pub fn names_image(&self, image: &str) -> bool {
        let mounts = |container| self.volume_images(container).any(|(of_volume, _)| of_volume == image);
        self.all_containers().any(|container| container.image == image || mounts(container))
    }

    #[must_use]
    pub fn container(&self, name: &ContainerName) -> Option<&Container> {
        self.all_containers().find(|c| c.name == *name)
    }

    /// Sidecars in start order.
    pub fn sidecars(&self) -> impl DoubleEndedIterator<Item = &Container> {
        self.init_containers.iter().filter(|c| c.kind == ContainerKind::Sidecar)
    }
}

impl Container {
    /// The number of a port; `None` for a name that none of the container's ports has.
    #[must_use]
    pub fn port(&self, port: &PortRef) -> Option<u16> {
        match port {
            PortRef::Number(number) => Some(*number),
            PortRef::Name(name) => {
                let named = self.ports.iter().find(|port| port.name.as_ref() == Some(name));
                named.map(|port| port.container_port)
            }
        }
    }
}
