//! What the machine has to offer before a pod can be run, checked while nothing has been begun.

use anyhow::{Result, bail};
use linux_sys::cgroup::Hierarchies;
use rustix::fs::{Access, access};

/// Fails with the remedy when pods cannot be run here by this process.
pub(crate) fn check() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!(
            "monopod has to be run as root, since it makes namespaces, mounts and cgroups\n\
             remedy: run it with sudo"
        );
    }
    let hierarchies = Hierarchies::detect().map_err(|error| {
        anyhow::anyhow!(
            "this machine's cgroups cannot be used: {:#}\n{CGROUPS_REMEDY}",
            anyhow::Error::new(error)
        )
    })?;
    for hierarchy in hierarchies.limiting() {
        if access(&hierarchy.mount, Access::WRITE_OK).is_err() {
            bail!(
                "{} cannot be written to, so pods cannot be confined\n\
                 remedy: in a container, run it privileged or with its cgroup file system writable",
                hierarchy.mount.display()
            );
        }
    }
    Ok(())
}

const CGROUPS_REMEDY: &str =
    "remedy: mount cgroup v2 at /sys/fs/cgroup, and proc at /proc; in a container, run it privileged";
