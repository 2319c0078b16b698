//! The files of /etc that a pod's containers share, on disk.

use std::fs::{self, Permissions};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use container_config::{EtcFiles, SandboxFacts, etc_files};
use linux_sys::cgroup::Hierarchies;
use ports::PodContext;

use crate::error::RuntimeError;

/// Every user of a container looks names up in them, whatever the umask.
const MODE: u32 = 0o644;

/// Writes the files and says where they are. The volumes are the kubelet's to add.
pub(crate) fn write(
    pod: &PodContext,
    ips: &[IpAddr],
    cluster_dns: &[IpAddr],
) -> Result<SandboxFacts, RuntimeError> {
    let dir = pod.pod_dir.join("etc");
    fs::create_dir_all(&dir).map_err(|source| RuntimeError::Directory { path: dir.clone(), source })?;
    let files = etc_files(&pod.pod, ips, cluster_dns, of_host);
    let facts = SandboxFacts {
        hostname: files.hostname.clone(),
        etc_hosts: dir.join("hosts"),
        etc_hostname: dir.join("hostname"),
        resolv_conf: dir.join("resolv.conf"),
        shm: container_config::shm_of(&pod.pod.spec, &pod.pod_dir),
        volumes: std::collections::BTreeMap::new(),
        cgroup_v2: Hierarchies::detect().is_ok_and(|hierarchies| hierarchies.is_v2()),
        ips: ips.to_vec(),
    };
    write_file(&facts.etc_hosts, &files.hosts)?;
    write_file(&facts.etc_hostname, &format!("{}\n", files.hostname))?;
    write_file(&facts.resolv_conf, &files.resolv_conf)?;
    Ok(facts)
}

fn of_host() -> EtcFiles {
    EtcFiles {
        hosts: host_file("/etc/hosts"),
        hostname: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        resolv_conf: host_resolv_conf(),
    }
}

/// The resolvers of the machine, as they are asked from elsewhere: systemd-resolved listens on the loopback of the machine
/// alone, and says in a file of its own whom it asks.
#[must_use]
pub fn host_resolv_conf() -> String {
    let text = host_file("/etc/resolv.conf");
    let is_stub = |line: &str| line.split_whitespace().eq(["nameserver", "127.0.0.53"]);
    if text.lines().any(is_stub) {
        let behind = host_file("/run/systemd/resolve/resolv.conf");
        if !behind.is_empty() {
            return behind;
        }
    }
    text
}

/// Empty where the host has no such file.
fn host_file(path: &str) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn write_file(path: &Path, text: &str) -> Result<(), RuntimeError> {
    let written =
        fs::write(path, text).and_then(|()| fs::set_permissions(path, Permissions::from_mode(MODE)));
    written.map_err(|source| RuntimeError::EtcFile { path: path.to_owned(), source })
}
