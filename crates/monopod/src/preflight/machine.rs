//! The kernel, this process's rights, the cgroups.

use std::fs;

use anyhow::{Result, anyhow, bail};
use linux_sys::cgroup::Hierarchies;
use linux_sys::credentials::permitted_capabilities;
use rustix::fs::{Access, access, makedev};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

/// For an engine and the shim of a small pod.
const OPEN_FILES_MIN: u64 = 64;

/// Without these an engine, a shim or the start of a container fails (capabilities(7)).
const CAPABILITIES: [(u32, &str); 11] = [
    (0, "CAP_CHOWN"),
    (1, "CAP_DAC_OVERRIDE"),
    (3, "CAP_FOWNER"),
    (5, "CAP_KILL"),
    (6, "CAP_SETGID"),
    (7, "CAP_SETUID"),
    (8, "CAP_SETPCAP"),
    (12, "CAP_NET_ADMIN"),
    (18, "CAP_SYS_CHROOT"),
    (21, "CAP_SYS_ADMIN"),
    (27, "CAP_MKNOD"),
];

/// In the order in which one is the reason of the next.
pub(super) fn check() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!(
            "monopod has to be run as root, since it makes namespaces, mounts and cgroups\n\
             remedy: run it with sudo"
        );
    }
    let uid_map = fs::read_to_string("/proc/self/uid_map").map_err(|error| {
        anyhow!("/proc cannot be read: {error}\nremedy: mount it (mount -t proc proc /proc)")
    })?;
    if !is_whole(&uid_map) {
        bail!(
            "this is root in a user namespace, where the kernel lets nobody make devices or confine their use\n\
             remedy: run monopod with sudo and outside of unshare -r, rootless and unprivileged containers"
        );
    }
    check_capabilities()?;
    check_own_program()?;
    check_cgroups()?;
    if !rustix::fs::stat("/dev/null").is_ok_and(|found| found.st_rdev == makedev(1, 3)) {
        bail!(
            "/dev/null is not there, or not what it should be\nremedy: mount /dev (mount -t devtmpfs dev /dev)"
        );
    }
    match getrlimit(Resource::Nofile).maximum {
        Some(limit) if limit < OPEN_FILES_MIN => bail!(
            "the limit on open files is {limit}, and at least {OPEN_FILES_MIN} are needed\n\
             remedy: raise it (ulimit -Hn, or LimitNOFILE= of the service)"
        ),
        _ => Ok(()),
    }
}

/// Whether all user ids are what they are outside, user_namespaces(7).
fn is_whole(uid_map: &str) -> bool {
    uid_map.split_whitespace().eq(["0", "0", "4294967295"])
}

fn check_capabilities() -> Result<()> {
    let missing = missing_capabilities(permitted_capabilities()?);
    if missing.is_empty() {
        return Ok(());
    }
    bail!(
        "this process is root without {}\n\
         remedy: run it with sudo; in a container, run it privileged; in a service, leave \
         CapabilityBoundingSet= out",
        missing.join(", ")
    )
}

fn missing_capabilities(permitted: u64) -> Vec<&'static str> {
    let lacks = |(number, _): &&(u32, &str)| permitted & 1 << number == 0;
    CAPABILITIES.iter().filter(lacks).map(|(_, name)| *name).collect()
}

/// Shims are started from a copy of this program's mount, which takes what all other mounts take.
fn check_own_program() -> Result<()> {
    match linux_sys::mount::lend(c"/proc/self/exe") {
        Ok(_) => Ok(()),
        Err(Errno::INVAL) => bail!(
            "the file of this program is in no mount of this mount namespace, so no shim can be started from it\n\
             remedy: start monopod by the path of its file, not from a descriptor"
        ),
        Err(Errno::NOSYS) => bail!(
            "Linux {} lacks system calls that monopod needs\nremedy: use Linux 5.14 or newer",
            rustix::system::uname().release().to_string_lossy()
        ),
        Err(error) => bail!(
            "this process may not make mounts: {error}\n\
             remedy: in a container, run it privileged; otherwise see what forbids it (seccomp, AppArmor, SELinux)"
        ),
    }
}

fn check_cgroups() -> Result<()> {
    let hierarchies = Hierarchies::detect().map_err(|error| {
        anyhow!(
            "this machine's cgroups cannot be used: {:#}\n\
             remedy: mount cgroup v2 at /sys/fs/cgroup; in a container, run it privileged",
            anyhow::Error::new(error)
        )
    })?;
    for hierarchy in hierarchies.limiting() {
        if access(&hierarchy.mount, Access::WRITE_OK).is_err() {
            bail!(
                "{} cannot be written to, so pods cannot be confined\n\
                 remedy: remount it writable (mount -o remount,rw); in a container, run it privileged",
                hierarchy.mount.display()
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{CAPABILITIES, is_whole, missing_capabilities};

    #[test]
    fn only_the_machines_own_user_namespace_has_all_ids() {
        assert!(is_whole("         0          0 4294967295\n"));
        assert!(!is_whole("         0      65534          1\n"));
        assert!(!is_whole("0 100000 65536\n"));
        assert!(!is_whole(""));
    }

    #[test]
    fn missing_capabilities_are_named() {
        assert!(missing_capabilities(u64::MAX).is_empty());
        assert_eq!(missing_capabilities(!(1 << 21 | 1 << 27)), ["CAP_SYS_ADMIN", "CAP_MKNOD"]);
        assert_eq!(missing_capabilities(0).len(), CAPABILITIES.len());
    }
}
