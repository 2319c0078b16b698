//! What this machine and this process have to offer to pods.

use std::fs;
use std::io::{self, Read as _};
use std::net::Ipv4Addr;
use std::path::Path;

use container_config::{LogLimits, NodeFacts};
use linux_sys::credentials::permitted_capabilities;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, capability_is_in_bounding_set};

/// `RLIMIT_NOFILE`, by the number it has on every architecture this builds for.
const RLIMIT_NOFILE: u32 = 7;
/// The largest profiles have tens of kilobytes.
const PROFILE_BYTES_MAX: u64 = 1 << 20;
const CPUS: &str = "/sys/devices/system/cpu";

pub(crate) fn read() -> io::Result<NodeFacts> {
    Ok(NodeFacts {
        name: rustix::system::uname().nodename().to_string_lossy().to_lowercase(),
        addresses: vec![Ipv4Addr::LOCALHOST.into()],
        cluster_dns: Vec::new(),
        cpu_milli: std::thread::available_parallelism()?.get() as u64 * 1_000,
        storage_bytes: 0,
        pod_processes_max: None,
        log_limits: LogLimits::default(),
        memory_bytes: memory_bytes(&fs::read_to_string("/proc/meminfo")?),
        capabilities: permitted_capabilities()? & bounding_set(),
        thermal_throttle_paths: thermal_throttle_paths(Path::new(CPUS)),
        se_linux: fs::read_to_string("/proc/filesystems").is_ok_and(|all| all.contains("selinuxfs")),
        app_armor: fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|on| on.starts_with(b"Y")),
        open_files: Some(open_files()),
    })
}

/// The administrator's, for `seccompProfile.localhostProfile`.
pub(crate) fn seccomp_profile(path: &Path) -> Result<String, String> {
    let read = || {
        let mut text = String::new();
        fs::File::open(path)?.take(PROFILE_BYTES_MAX + 1).read_to_string(&mut text)?;
        Ok(text)
    };
    let text = read().map_err(|error: io::Error| format!("{}: {error}", path.display()))?;
    if text.len() as u64 > PROFILE_BYTES_MAX {
        return Err(format!("{} is larger than {PROFILE_BYTES_MAX} bytes", path.display()));
    }
    Ok(text)
}

/// Engine and shims hold several descriptors for each container: as many as they may have at all.
/// To be called after the facts were read, for containers keep what this process was started with.
pub fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!("many pods at once may run out of open files: {error}");
    }
}

fn open_files() -> container_config::Rlimit {
    let limit = getrlimit(Resource::Nofile);
    // No number is no limit.
    let number = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
    let (soft, hard) = (number(limit.current), number(limit.maximum));
    container_config::Rlimit { resource: RLIMIT_NOFILE, soft, hard }
}

/// `MemTotal:       24612345 kB`; 0 when it is not there, as if there were none to share.
fn memory_bytes(meminfo: &str) -> u64 {
    let kib = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1_024
}

/// Capabilities this kernel does not know are in no set.
fn bounding_set() -> u64 {
    let known = |number: &u32| {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        capability_is_in_bounding_set(capability).unwrap_or(false)
    };
    (0..u64::BITS).filter(known).fold(0, |set, number| set | 1 << number)
}

/// Machines without the directory, or that hide it, have nothing to hide from containers.
fn thermal_throttle_paths(cpus: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(cpus) else { return Vec::new() };
    let mut paths: Vec<String> = entries
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix("cpu"));
            number.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        })
        .map(|entry| entry.path().join("thermal_throttle"))
        .filter(|path| path.is_dir())
        .filter_map(|path| path.to_str().map(str::to_owned))
        .collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::{memory_bytes, read};

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(memory_bytes("MemFree: 1 kB\nMemTotal:       2048 kB\n"), 2 << 20);
        assert_eq!(memory_bytes("nothing"), 0);
    }

    #[test]
    fn this_machine_can_be_read() {
        assert!(read().unwrap().memory_bytes > 0);
    }
}
