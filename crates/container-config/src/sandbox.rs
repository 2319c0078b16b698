//! The sandbox of a pod.

use std::path::{Path, PathBuf};

use podspec::{Pod, PodSpec, PodUid};

use crate::config::{NodeFacts, ResourceLimits, SandboxConfig, Tmpfs};
use crate::etc::{HostnameTooLong, kernel_hostname};
use crate::resources::pod_resource_limits;

/// Of a pod's `/dev/shm`, which its containers share.
const SHM_BYTES: u64 = 64 << 20;
const SHM_MODE: u32 = 0o1777;

/// What the built-in runtime is called by RuntimeClasses: its own name, and those of what it does the same as.
const RUNTIME_HANDLERS: [&str; 3] = ["monopod", "runc", "crun"];

/// The message of the pod's `FailedCreatePodSandBox`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SandboxError {
    #[error(transparent)]
    HostnameTooLong(#[from] HostnameTooLong),
    #[error("no runtime for \"{handler}\" is configured: the built-in one is called {}", RUNTIME_HANDLERS.join(", "))]
    NoRuntime { handler: String },
    #[error("failed to get RuntimeClass \"{name}\": runtimeclass.node.k8s.io \"{name}\" not found")]
    NoRuntimeClass { name: String },
}

/// `memory_volumes` are the pod's emptyDir volumes of medium `Memory`.
///
/// # Errors
/// [`SandboxError`].
pub fn sandbox_config(
    pod: &Pod,
    pod_dir: &Path,
    memory_volumes: Vec<Tmpfs>,
    node: &NodeFacts,
) -> Result<SandboxConfig, SandboxError> {
    runtime(pod)?;
    let shm = Tmpfs {
        path: shm_path(pod_dir),
        size_bytes: Some(SHM_BYTES),
        mode: SHM_MODE,
        gid: None,
        no_swap: false,
    };
    let mut tmpfs = memory_volumes;
    if !pod.spec.host_ipc {
        tmpfs.push(shm);
    }
    Ok(SandboxConfig {
        hostname: kernel_hostname(pod)?,
        host_network: pod.spec.host_network,
        host_ipc: pod.spec.host_ipc,
        users: None,
        sysctls: pod.spec.sysctls.iter().map(|s| (s.name.clone(), s.value.clone())).collect(),
        shared_proc: pod.spec.share_process_namespace.then(|| pod_dir.join("proc")),
        tmpfs,
        cgroup: pod_cgroup(&pod.uid),
        resources: ResourceLimits { processes_max: node.pod_processes_max, ..pod_resource_limits(&pod.spec) },
    })
}

/// There is one, which a class may name.
fn runtime(pod: &Pod) -> Result<(), SandboxError> {
    let Some(class) = &pod.spec.runtime_class else { return Ok(()) };
    match &class.handler {
        None => Err(SandboxError::NoRuntimeClass { name: class.name.clone() }),
        Some(handler) if RUNTIME_HANDLERS.contains(&handler.as_str()) => Ok(()),
        Some(handler) => Err(SandboxError::NoRuntime { handler: handler.clone() }),
    }
}

/// The pod's cgroup, relative to each hierarchy's root.
#[must_use]
pub fn pod_cgroup(uid: &PodUid) -> String {
    format!("monopod/pod{uid}")
}

/// Where the pod's `/dev/shm` is mounted on the host, in the shim's mount namespace.
#[must_use]
pub fn shm_path(pod_dir: &Path) -> PathBuf {
    pod_dir.join("shm")
}

/// The `/dev/shm` of the pod's containers: its own, or the host's.
#[must_use]
pub fn shm_of(spec: &PodSpec, pod_dir: &Path) -> PathBuf {
    if spec.host_ipc { PathBuf::from("/dev/shm") } else { shm_path(pod_dir) }
}

/// The group of the shims, beside the groups of the pods.
#[must_use]
pub fn shims_cgroup(pod_cgroup: &Path) -> PathBuf {
    pod_cgroup.parent().unwrap_or(Path::new("")).join("shims")
}

/// The groups that a pod's shares with all others, in the order in which they can be removed: whoever
/// finds them empty does.
pub fn shared_cgroups(pod_cgroup: &Path) -> impl Iterator<Item = PathBuf> {
    let parent = pod_cgroup.parent().filter(|parent| !parent.as_os_str().is_empty());
    [shims_cgroup(pod_cgroup)].into_iter().chain(parent.map(Path::to_owned))
}
