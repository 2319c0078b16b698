//! What is left of a sandbox whose shim is dead, or no longer of use, found from the pod's directory alone.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use container_config::{pod_cgroup, shared_cgroups};
use lifecycle::{ContainerRecord, Observation};
use linux_sys::cgroup::Hierarchies;
use linux_sys::clock::boot_id;
use linux_sys::lock::try_exclusive;
use linux_sys::process::{pidfd_open, pidfd_send_signal};
use podspec::PodUid;
use ports::PortError;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use shim_protocol::{
    RecordError, SHIM_LOCK_NAME, SOCKET_NAME, SandboxRecord, attempt_record_path, containers_dir, read_record,
};

const SIGKILL: i32 = 9;
/// A killed process is gone within milliseconds; one that is not is stuck in the kernel.
const SHIM_END_TIMEOUT: Duration = Duration::from_secs(10);
/// From a process's closed connections to its end.
const SHIM_DYING_TIMEOUT: Duration = Duration::from_secs(2);

/// The pod's sandbox, if one was left behind.
pub(crate) fn sandbox_record(pod_dir: &Path) -> Result<Option<SandboxRecord>, RecordError> {
    match read_record(&SandboxRecord::path(pod_dir)) {
        Ok(record) => Ok(Some(record)),
        Err(RecordError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a shim holds the pod.
pub(crate) fn shim_is_alive(pod_dir: &Path) -> io::Result<bool> {
    match try_exclusive(&pod_dir.join(SHIM_LOCK_NAME)) {
        Ok(lock) => Ok(lock.is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Waits until a shim that no longer answers has ended. False when it goes on.
pub(crate) fn shim_ends_soon(record: &SandboxRecord, pod_dir: &Path) -> io::Result<bool> {
    match pidfd_open(record.shim_pid) {
        Ok(pidfd) => drop(wait_for_end(&pidfd, SHIM_DYING_TIMEOUT)?),
        Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => {}
        Err(error) => return Err(error),
    }
    Ok(!shim_is_alive(pod_dir)?)
}

/// Kills the shim if it lives and everything in its sandbox, and removes what held it. Idempotent; goes
/// on past errors and returns them all.
pub(crate) fn bury(pod_dir: &Path, run_dir: &Path) -> Vec<String> {
    let record = match sandbox_record(pod_dir) {
        Ok(Some(record)) => record,
        Ok(None) => return Vec::new(),
        Err(error) => return vec![PortError::chain(&error).0],
    };
    // Everything in the group is killed: a damaged record must not lead to another one.
    let uid = pod_dir.file_name().and_then(|name| name.to_str()).map(PodUid::new);
    if uid.is_none_or(|uid| record.cgroup != pod_cgroup(&uid)) {
        let path = SandboxRecord::path(pod_dir);
        return vec![format!(
            "{} names cgroup {:?}, which is not this pod's: end what is left of the pod and remove its directory",
            path.display(),
            record.cgroup
        )];
    }
    let mut errors = Vec::new();
    if let Err(error) = kill_shim(&record, pod_dir, run_dir) {
        errors.push(format!("cannot kill the pod's shim (process {}): {error}", record.shim_pid));
    }
    match Hierarchies::detect() {
        Ok(hierarchies) => {
            let removed = hierarchies.group(&record.cgroup).remove();
            errors.extend(removed.iter().map(|error| PortError::chain(error).0));
            shared_cgroups(Path::new(&record.cgroup))
                .for_each(|group| hierarchies.tracking_group(group).remove_if_empty());
        }
        Err(error) => errors.push(PortError::chain(&error).0),
    }
    // As long as something is left, the record says where.
    if errors.is_empty() {
        for path in [run_dir.join(SOCKET_NAME), SandboxRecord::path(pod_dir)] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    errors.push(format!("cannot remove {}: {error}", path.display()));
                }
                _ => {}
            }
        }
    }
    errors
}

/// Every exit on record, as observations.
pub(crate) fn recorded_exits(pod_dir: &Path) -> Vec<Observation> {
    let containers = subdirectories(&containers_dir(pod_dir));
    let attempts = containers.iter().flat_map(|container| subdirectories(container));
    let records = attempts.filter_map(|attempt| {
        match read_record::<ContainerRecord>(&attempt_record_path(&attempt)) {
            Ok(record) => Some(record),
            // Removed, or never started.
            Err(RecordError::Read { .. }) => None,
            Err(error) => {
                tracing::warn!("{}", PortError::chain(&error));
                None
            }
        }
    });
    records
        .filter_map(|ContainerRecord { name: container, attempt, exit, .. }| {
            Some(Observation::ContainerExited { container, attempt, exit: exit? })
        })
        .collect()
}

/// The process of the record is the shim if it holds the pod's lock, was started since this boot, and
/// works in the pod's run directory.
fn kill_shim(record: &SandboxRecord, pod_dir: &Path, run_dir: &Path) -> io::Result<()> {
    if record.boot_id != boot_id()? || !shim_is_alive(pod_dir)? {
        return Ok(());
    }
    let pidfd = match pidfd_open(record.shim_pid) {
        Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => return Ok(()),
        opened => opened?,
    };
    let works_in = fs::read_link(format!("/proc/{}/cwd", record.shim_pid));
    if works_in.is_ok_and(|dir| fs::canonicalize(run_dir).is_ok_and(|run_dir| dir == run_dir)) {
        pidfd_send_signal(pidfd.as_fd(), SIGKILL)?;
        if !wait_for_end(&pidfd, SHIM_END_TIMEOUT)? {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
    Ok(())
}

fn wait_for_end(pidfd: &OwnedFd, limit: Duration) -> io::Result<bool> {
    let limit = Timespec { tv_sec: limit.as_secs().cast_signed(), tv_nsec: 0 };
    Ok(poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&limit))? > 0)
}

fn subdirectories(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(dir).map(|entries| entries.flatten().map(|entry| entry.path()).collect());
    entries.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use shim_protocol::{SandboxRecord, write_record};

    use super::bury;

    #[test]
    fn a_record_that_names_a_foreign_cgroup_buries_nothing() {
        let dir = std::env::temp_dir().join(format!("monopod-bury-{}", std::process::id()));
        let pod_dir = dir.join("uid");
        fs::create_dir_all(&pod_dir).unwrap();
        let cgroup = "monopod/podother";
        let record =
            SandboxRecord { attempt: 0, shim_pid: 0, boot_id: String::new(), cgroup: cgroup.to_owned() };
        write_record(&SandboxRecord::path(&pod_dir), &record).unwrap();
        let errors = bury(&pod_dir, &dir.join("run"));
        assert!(matches!(&errors[..], [only] if only.contains(cgroup)), "{errors:?}");
        fs::remove_dir_all(dir).unwrap();
    }
}
