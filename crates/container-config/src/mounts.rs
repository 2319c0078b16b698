//! What is mounted below a container's root, and what of it is hidden.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use podspec::{Container, PodSpec, SubPath, VolumeMount, VolumeSource};

use crate::config::{
    BindSource, ImageConfig, ImageSource, Mount, MountKind, MountOptions, NodeFacts, SandboxFacts,
    VolumeImages,
};
use crate::environment::Variable;
use crate::error::ConfigError;
use crate::expansion::expand;

const NONE: MountOptions = MountOptions { read_only: false, nosuid: false, nodev: false, noexec: false };
const INERT: MountOptions = MountOptions { read_only: false, nosuid: true, nodev: true, noexec: true };
const INERT_READ_ONLY: MountOptions = MountOptions { read_only: true, ..INERT };
/// Of one image.
pub(crate) const IMAGE_VOLUMES_MAX: usize = 64;

/// Kernel interfaces first, then the pod's files and volumes by depth, so that none hides another.
/// A volume takes the place of what would be mounted at the same path; one at `/dev` also of
/// everything below it.
pub(crate) fn mounts(
    pod: &PodSpec,
    container: &Container,
    image: &ImageConfig,
    facts: &SandboxFacts,
    env: &[Variable],
    images: &VolumeImages,
) -> Result<Vec<Mount>, ConfigError> {
    let mounts = container.volume_mounts.iter();
    let volumes: Vec<Mount> =
        mounts.map(|mount| volume_mount(pod, mount, facts, env, images)).collect::<Result<_, _>>()?;
    let taken: BTreeSet<&str> = volumes.iter().map(|mount| mount.target.as_str()).collect();
    let is_taken = |mount: &Mount| taken.contains(mount.target.as_str());
    let is_in_volume = |mount: &Mount| taken.contains("/dev") && mount.target.starts_with("/dev/");
    let mut all = kernel_mounts(container.security.privileged).to_vec();
    all.retain(|mount| !is_taken(mount) && !is_in_volume(mount));
    let mut binds = pod_mounts(container, facts).to_vec();
    binds.retain(|mount| !is_taken(mount));
    binds.extend(image_volumes(image)?.into_iter().filter(|mount| !is_taken(mount)));
    binds.extend(volumes.iter().cloned());
    binds.sort_by_key(|mount| depth(&mount.target));
    all.extend(binds);
    Ok(all)
}

/// Volumes that the image asks for. Where the kernel or the pod's files are, those stay: some images declare
/// `/sys/fs/cgroup` to get it from whoever runs them.
fn image_volumes(image: &ImageConfig) -> Result<Vec<Mount>, ConfigError> {
    const KEPT: [&str; 6] = ["/proc", "/dev", "/sys", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf"];
    if image.volumes.len() > IMAGE_VOLUMES_MAX {
        return Err(ConfigError::TooManyImageVolumes { found: image.volumes.len() });
    }
    let mut targets = BTreeSet::new();
    for path in &image.volumes {
        let target = absolute(path);
        if target == "/" || path.contains('\0') {
            return Err(ConfigError::ForbiddenImageVolume { path: path.replace('\0', "") });
        }
        if !KEPT.iter().any(|kept| Path::new(&target).starts_with(kept)) {
            targets.insert(target);
        }
    }
    let mount = |target| Mount { target, kind: MountKind::OwnImage, options: NONE };
    Ok(targets.into_iter().map(mount).collect())
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

/// A privileged container may change what is in sysfs and cgroups.
fn kernel_mounts(privileged: bool) -> [Mount; 6] {
    let inert = if privileged { INERT } else { INERT_READ_ONLY };
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
        Mount { target: "/sys".to_owned(), kind: MountKind::Sysfs, options: inert },
        Mount { target: "/sys/fs/cgroup".to_owned(), kind: MountKind::Cgroup, options: inert },
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

fn volume_mount(
    pod: &PodSpec,
    mount: &VolumeMount,
    facts: &SandboxFacts,
    env: &[Variable],
    images: &VolumeImages,
) -> Result<Mount, ConfigError> {
    let unknown = || ConfigError::UnknownVolume {
        mount_path: mount.mount_path.clone(),
        volume: mount.name.to_string(),
    };
    let target = absolute(&mount.mount_path);
    if target == "/" || is_inside_proc(&target) {
        return Err(ConfigError::ForbiddenMountPath { mount_path: mount.mount_path.clone() });
    }
    let sub_path = sub_path(mount, env)?;
    let volume = mount.name.to_string();
    let source = pod.volumes.iter().find(|volume| volume.name == mount.name).map(|volume| &volume.source);
    if let Some(VolumeSource::Image { reference, .. }) = source {
        let layers = images.get(reference).ok_or_else(unknown)?.layers.clone();
        let options = MountOptions { read_only: true, nodev: true, ..NONE };
        return Ok(Mount {
            target,
            kind: MountKind::Image(ImageSource { layers, volume, sub_path }),
            options,
        });
    }
    // What a container wrote to files of ours, the next change would not know of.
    let read_only = mount.read_only
        || matches!(source, Some(VolumeSource::Projected(_) | VolumeSource::Claim { read_only: true, .. }));
    let source = BindSource {
        path: facts.volumes.get(mount.name.as_str()).ok_or_else(unknown)?.clone(),
        recursive: true,
        volume: Some(volume),
        sub_path,
        recursive_read_only: mount.read_only && mount.recursive_read_only,
        receives_mounts: mount.receives_mounts,
        shares_mounts: mount.shares_mounts,
        of_pod: matches!(source, Some(VolumeSource::EmptyDir { .. })),
    };
    Ok(Mount { target, kind: MountKind::Bind(source), options: MountOptions { read_only, ..NONE } })
}

/// A path that stays below where it begins, as far as its text goes.
fn sub_path(mount: &VolumeMount, env: &[Variable]) -> Result<Option<String>, ConfigError> {
    let path = match &mount.sub_path {
        None => return Ok(None),
        Some(SubPath::Literal(path)) => path.clone(),
        Some(SubPath::Expression(text)) => {
            let mut missing = BTreeSet::new();
            let expanded = expand(text, |name| {
                let value = env.iter().find(|known| known.name == name).map(|known| known.value.as_str());
                if value.is_none_or(str::is_empty) {
                    missing.insert(name.to_owned());
                }
                value
            });
            if !missing.is_empty() {
                let names = missing.into_iter().collect::<Vec<_>>().join(", ");
                return Err(ConfigError::SubPathWithoutValue { names });
            }
            expanded
        }
    };
    if path.starts_with('/') {
        return Err(ConfigError::AbsoluteSubPath { path });
    }
    if path.split('/').any(|part| part == "..") {
        return Err(ConfigError::BackstepsInSubPath { path });
    }
    if path.contains('\0') {
        return Err(ConfigError::NulByte { field: "subPath".to_owned(), value: path });
    }
    Ok(Some(path).filter(|path| !path.is_empty()))
}

fn bind(target: &str, source: &Path, options: MountOptions) -> Mount {
    let source = BindSource { path: source.to_owned(), ..BindSource::default() };
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
