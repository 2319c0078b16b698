//! The parameters of the kernel that a pod sets, in the namespaces that are its own.
//!
//! `/proc/sys` shows whoever opens it the values of its own namespaces. What is not of a namespace at all is the
//! whole machine's, so only what is known to be of one that the sandbox has made is ever written.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Component, Path, PathBuf};

use container_config::SandboxConfig;

use super::SandboxError;

const ROOT: &str = "/proc/sys";
const IPC: [&str; 8] = ["sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced", "msgmax", "msgmnb", "msgmni"];

pub(super) fn set(config: &SandboxConfig) -> Result<(), SandboxError> {
    for (name, value) in &config.sysctls {
        write(config, name, value).map_err(|source| SandboxError::Setup {
            what: format!("set sysctl {name} to {value:?}"),
            source,
        })?;
    }
    Ok(())
}

fn write(config: &SandboxConfig, name: &str, value: &str) -> io::Result<()> {
    let refused = |why: &'static str| Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    let Some(path) = path(name) else { return refused("no parameter has such a name") };
    if !is_own(config, &path) {
        return refused("it is the host's");
    }
    // One write, as the kernel has it.
    OpenOptions::new().write(true).open(Path::new(ROOT).join(path))?.write_all(value.as_bytes())
}

/// `net.ipv4.conf.eth0/1.forwarding` is at `net/ipv4/conf/eth0.1/forwarding`.
fn path(name: &str) -> Option<PathBuf> {
    let swapped: String = name
        .chars()
        .map(|c| match c {
            '.' => '/',
            '/' => '.',
            other => other,
        })
        .collect();
    let path = PathBuf::from(swapped);
    path.components().all(|part| matches!(part, Component::Normal(_))).then_some(path)
}

fn is_own(config: &SandboxConfig, path: &Path) -> bool {
    let of_ipc = |name: &Path| IPC.iter().any(|known| name == Path::new(known));
    if path.starts_with("net") {
        return !config.host_network;
    }
    let is_ipc = path.starts_with("fs/mqueue") || path.strip_prefix("kernel").is_ok_and(of_ipc);
    is_ipc && !config.host_ipc
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use container_config::{ResourceLimits, SandboxConfig};

    use super::{is_own, path};

    #[test]
    fn names_are_paths_below_the_root() {
        for (name, expected) in [
            ("net.ipv4.tcp_syncookies", Some("net/ipv4/tcp_syncookies")),
            ("net.ipv4.conf.eth0/1.forwarding", Some("net/ipv4/conf/eth0.1/forwarding")),
            ("net.//.//.kernel.core_pattern", None),
            (".kernel.sem", None),
        ] {
            assert_eq!(path(name), expected.map(PathBuf::from), "{name}");
        }
    }

    #[test]
    fn what_is_the_hosts_is_not_the_pods() {
        let mut config = SandboxConfig {
            hostname: String::new(),
            host_network: false,
            host_ipc: false,
            users: None,
            sysctls: Vec::new(),
            shared_proc: None,
            tmpfs: Vec::new(),
            cgroup: String::new(),
            resources: ResourceLimits::default(),
        };
        for (name, own) in [
            ("net/ipv4/ip_forward", true),
            ("kernel/shm_rmid_forced", true),
            ("fs/mqueue/msg_max", true),
            ("kernel/core_pattern", false),
            ("kernel/hostname", false),
            ("kernel/shmmax/x", false),
            ("vm/overcommit_memory", false),
            ("netx/y", false),
        ] {
            assert_eq!(is_own(&config, Path::new(name)), own, "{name}");
        }
        (config.host_network, config.host_ipc) = (true, true);
        assert!(!is_own(&config, Path::new("net/ipv4/ip_forward")));
        assert!(!is_own(&config, Path::new("kernel/shm_rmid_forced")));
    }
}
