//! What is of the machine, and would be changed, is covered.

use std::ffi::CString;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use linux_sys::cgroup::{Hierarchies, Hierarchy};
use linux_sys::namespace::{self, Namespaces};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};

/// crun refuses a hybrid layout of cgroups whose v2 half has controllers.
const V2_HALF: &str = "/sys/fs/cgroup/unified";
/// Where podman has what is not to be below any of the directories that it is told: caches and locks.
const PODMANS: &str = "/var/lib/containers";
const COVERED: [&str; 4] = ["/run", "/dev/shm", PODMANS, V2_HALF];
/// Everything that runs in a place is below it.
const CGROUP: &str = "monopod-bench";
/// On v2 a group that has groups with controllers has no processes.
const LEAF: &str = "keeper";

/// What this process sees as the root of all hierarchies is a group of its own from now on.
pub(super) fn own_cgroups() -> Result<()> {
    let group = Hierarchies::detect()?.tracking_group(CGROUP);
    group.enter()?;
    namespace::unshare(Namespaces::MOUNT | Namespaces::CGROUP).context("cannot make namespaces")?;
    mount_change(c"/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    for (hierarchy, _) in group.directories() {
        mount_own(hierarchy).with_context(|| format!("cannot mount {} anew", hierarchy.mount.display()))?;
    }
    Ok(Hierarchies::detect()?.tracking_group(LEAF).enter()?)
}

/// In place of the one before, on which the same file system cannot be mounted.
fn mount_own(hierarchy: &Hierarchy) -> Result<()> {
    let (target, controllers) = (&hierarchy.mount, CString::new(hierarchy.controllers.join(","))?);
    unmount(target, UnmountFlags::DETACH)?;
    if controllers.is_empty() {
        return Ok(mount(c"cgroup2", target, c"cgroup2", MountFlags::empty(), None)?);
    }
    Ok(mount(c"cgroup", target, c"cgroup", MountFlags::empty(), controllers.as_c_str())?)
}

pub(super) fn cover() -> Result<()> {
    mount_change(c"/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    // Removed by [`clear`], unless it is somebody's.
    fs::create_dir_all(PODMANS).with_context(|| format!("cannot make {PODMANS}"))?;
    for path in COVERED.iter().filter(|path| Path::new(path).is_dir()) {
        mount(c"tmpfs", *path, c"tmpfs", MountFlags::empty(), c"mode=755")
            .with_context(|| format!("cannot cover {path}"))?;
    }
    Ok(())
}

/// Becomes a program with mounts of its own, but the network that this one is in.
pub(crate) fn apart(program: &str, args: &[&str]) -> Result<()> {
    namespace::unshare(Namespaces::MOUNT).context("cannot make a namespace")?;
    cover()?;
    Err(Command::new(program).args(args).exec()).with_context(|| format!("cannot become {program}"))
}

/// Ends what a bench that was killed has left, and removes what it would leave.
pub(crate) fn clear() -> Result<()> {
    // One with something in it is somebody's.
    let _ = fs::remove_dir(PODMANS);
    match Hierarchies::detect()?.tracking_group(CGROUP).remove().into_iter().next() {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}
