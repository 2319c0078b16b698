//! What is mounted below a container's root, and what of it is hidden.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use podspec::{Container, PodSpec, VolumeName, VolumeSource};

use crate::config::{BindSource, Mount, MountKind, MountOptions, NodeFacts, SandboxFacts};
use crate::error::ConfigError;

const NONE: MountOptions = MountOptions { read_only: false, nosuid: false, nodev: false, noexec: false };
const INERT: MountOptions = MountOptions { read_only: false, nosuid: true, nodev: true, noexec: true };
const INERT_READ_ONLY: MountOptions = MountOptions { read_only: true, ..INERT };

/// Kernel interfaces first, then the pod's files and volumes by depth, so that none hides another.
/// A volume takes the place of what would be mounted at the same path; one at `/dev` also of
/// everything below it.
pub(crate) fn mounts(
    pod: &PodSpec,
    container: &Container,
    facts: &SandboxFacts,
) -> Result<Vec<Mount>, ConfigError> {
    let volumes = volume_mounts(pod, container, facts)?;
    let taken: BTreeSet<&str> = volumes.iter().map(|mount| mount.target.as_str()).collect();
    let is_taken = |mount: &Mount| taken.contains(mount.target.as_str());
    let is_in_volume = |mount: &Mount| taken.contains("/dev") && mount.target.starts_with("/dev/");
    let mut all = kernel_mounts().to_vec();
    all.retain(|mount| !is_taken(mount) && !is_in_volume(mount));
    let mut binds = pod_mounts(container, facts).to_vec();
    binds.retain(|mount| !is_taken(mount));
    binds.extend(volumes.iter().cloned());
    binds.sort_by_key(|mount| depth(&mount.target));
    all.extend(binds);
    Ok(all)
}

/// Hidden from the container, unless the kernel does not have it.
pub(crate) fn masked_paths(node: &NodeFacts) -> Vec<String> {
    const MASKED: [&str; 12] = [
        "/proc/asound",
        "/proc/acpi",
        "/proc/interrupts",
        "/proc/kcore",
        "/proc/keys",
        "/proc/latency_stats",
        "/proc/timer_list",
        "/proc/timer_stats",
        "/proc/sched_debug",
        "/proc/scsi",
        "/sys/firmware",
        "/sys/devices/virtual/powercap",
    ];
    MASKED.iter().map(|path| (*path).to_owned()).chain(node.thermal_throttle_paths.iter().cloned()).collect()
}

pub(crate) fn readonly_paths() -> Vec<String> {
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"].map(str::to_owned).to_vec()
}

fn kernel_mounts() -> [Mount; 6] {
    [
        Mount { target: "/proc".to_owned(), kind: MountKind::Proc, options: INERT },
        Mount {
            target: "/dev".to_owned(),
            kind: MountKind::Dev,
            options: MountOptions { nosuid: true, ..NONE },
        },
        Mount {
            target: "/dev/pts".to_owned(),
            kind: MountKind::Devpts,
            options: MountOptions { nosuid: true, noexec: true, ..NONE },
        },
        Mount { target: "/dev/mqueue".to_owned(), kind: MountKind::Mqueue, options: INERT },
        Mount { target: "/sys".to_owned(), kind: MountKind::Sysfs, options: INERT_READ_ONLY },
        Mount { target: "/sys/fs/cgroup".to_owned(), kind: MountKind::Cgroup, options: INERT_READ_ONLY },
    ]
}

/// Writable unless the root file system is read-only, as the kubelet and containerd have it.
fn pod_mounts(container: &Container, facts: &SandboxFacts) -> [Mount; 4] {
    let file_options = MountOptions { read_only: container.security.read_only_root_filesystem, ..NONE };
    [
        bind("/etc/hostname", &facts.etc_hostname, file_options),
        bind("/etc/hosts", &facts.etc_hosts, file_options),
        bind("/etc/resolv.conf", &facts.resolv_conf, file_options),
        bind("/dev/shm", &facts.shm, INERT),
    ]
}

fn volume_mounts(
    pod: &PodSpec,
    container: &Container,
    facts: &SandboxFacts,
) -> Result<Vec<Mount>, ConfigError> {
    // What a container wrote there, the next change would not know of.
    let is_ours = |name: &VolumeName| {
        let mut volumes = pod.volumes.iter().filter(|volume| volume.name == *name);
        volumes.any(|volume| matches!(volume.source, VolumeSource::Projected(_)))
    };
    let mount = |volume_mount: &podspec::VolumeMount| {
        let source =
            facts.volumes.get(volume_mount.name.as_str()).ok_or_else(|| ConfigError::UnknownVolume {
                mount_path: volume_mount.mount_path.clone(),
                volume: volume_mount.name.to_string(),
            })?;
        let target = absolute(&volume_mount.mount_path);
        if target == "/" || is_inside_proc(&target) {
            return Err(ConfigError::ForbiddenMountPath { mount_path: volume_mount.mount_path.clone() });
        }
        let read_only = volume_mount.read_only || is_ours(&volume_mount.name);
        let options = MountOptions { read_only, ..NONE };
        let source =
            BindSource { path: source.clone(), recursive: true, volume: Some(volume_mount.name.to_string()) };
        Ok(Mount { target, kind: MountKind::Bind(source), options })
    };
    container.volume_mounts.iter().map(mount).collect()
}

fn bind(target: &str, source: &Path, options: MountOptions) -> Mount {
    let source = BindSource { path: source.to_owned(), recursive: false, volume: None };
    Mount { target: target.to_owned(), kind: MountKind::Bind(source), options }
}

/// Whatever is mounted there could pass for the kernel: only what lxcfs provides may be.
fn is_inside_proc(target: &str) -> bool {
    const ALLOWED: [&str; 9] = [
        "/proc/cpuinfo",
        "/proc/diskstats",
        "/proc/loadavg",
        "/proc/meminfo",
        "/proc/net/dev",
        "/proc/slabinfo",
        "/proc/stat",
        "/proc/swaps",
        "/proc/uptime",
    ];
    (target == "/proc" || target.starts_with("/proc/")) && !ALLOWED.contains(&target)
}

/// The path as one below the root, without `.`, `..` and doubled or trailing slashes; a relative
/// `mountPath` counts from the root, as for the kubelet.
pub(crate) fn absolute(path: &str) -> String {
    let mut clean = PathBuf::from("/");
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean.to_string_lossy().into_owned()
}

fn depth(target: &str) -> usize {
    target.split('/').filter(|part| !part.is_empty()).count()
}
