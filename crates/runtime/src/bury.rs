//! What is left of a sandbox whose shim is dead, or no longer of use, found from the pod's directory alone.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use container_config::{pod_cgroup, shared_cgroups};
use lifecycle::{ContainerRecord, Observation};
use linux_sys::cgroup::Hierarchies;
use linux_sys::lock::try_exclusive;
use linux_sys::process::{pidfd_open, pidfd_send_signal};
use podspec::{Moment, PodUid};
use ports::PortError;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt::socket_peercred;
use shim_protocol::{
    Dated, RecordError, SHIM_LOCK_NAME, SOCKET_NAME, SandboxRecord, attempt_record_path, containers_dir,
    read_dated_record,
};

use crate::dirs;

const SIGKILL: i32 = 9;
/// A killed process is gone within milliseconds; one that is not is stuck in the kernel.
const SHIM_END_TIMEOUT: Duration = Duration::from_secs(10);

/// The pod's sandbox, if one was left behind.
pub(crate) fn sandbox_record(pod_dir: &Path) -> Result<Option<Dated<SandboxRecord>>, RecordError> {
    match read_dated_record(&SandboxRecord::path(pod_dir)) {
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

/// Kills the shim if it lives and everything in its sandbox, and removes what held it. Idempotent; goes
/// on past errors and returns them all. Nothing is done where the record of the sandbox cannot be read.
pub(crate) fn bury(pod_dir: &Path, run_dir: &Path) -> Vec<String> {
    let record = match sandbox_record(pod_dir) {
        Ok(record) => record,
        Err(error) => return vec![PortError::chain(&error).0],
    };
    let uid = pod_dir.file_name().and_then(|name| name.to_str()).map(PodUid::new);
    let Some(cgroup) = uid.map(|uid| pod_cgroup(&uid)) else { return Vec::new() };
    // Everything in the group is killed: a damaged record must not lead to another one.
    if let Some(Dated { record, .. }) = record.as_ref().filter(|dated| dated.record.cgroup != cgroup) {
        let path = SandboxRecord::path(pod_dir);
        return vec![format!(
            "{} names cgroup {:?}, which is not this pod's: end what is left of the pod and remove its directory",
            path.display(),
            record.cgroup
        )];
    }
    let recorded = record.filter(|dated| dated.of_this_boot).map(|dated| dated.record.shim_pid);
    bury_sandbox(pod_dir, run_dir, &cgroup, recorded)
}

/// [`bury`] without regard to what is on record.
pub(crate) fn bury_unread(pod_dir: &Path, run_dir: &Path) -> Vec<String> {
    let uid = pod_dir.file_name().and_then(|name| name.to_str()).map(PodUid::new);
    uid.map(|uid| bury_sandbox(pod_dir, run_dir, &pod_cgroup(&uid), None)).unwrap_or_default()
}

fn bury_sandbox(pod_dir: &Path, run_dir: &Path, cgroup: &str, recorded_shim: Option<i32>) -> Vec<String> {
    let mut errors = Vec::new();
    if let Err(error) = kill_shim(recorded_shim, pod_dir, run_dir) {
        errors.push(format!("cannot kill the shim of the pod in {}: {error}", pod_dir.display()));
    }
    match Hierarchies::detect() {
        Ok(hierarchies) => {
            let removed = hierarchies.group(cgroup).remove();
            errors.extend(removed.iter().map(|error| PortError::chain(error).0));
            shared_cgroups(Path::new(cgroup))
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

/// Every exit on record, as observations; times are on the boot clock of `now`.
///
/// # Errors
/// For each record that cannot be read.
pub(crate) fn recorded_exits(pod_dir: &Path, now: Moment) -> Vec<Result<Observation, RecordError>> {
    let containers = subdirectories(&containers_dir(pod_dir));
    let attempts = containers.iter().flat_map(|container| subdirectories(container));
    attempts.filter_map(|attempt| recorded_exit(&attempt, now).transpose()).collect()
}

/// `None` for an attempt that was removed, never started, or has no exit.
fn recorded_exit(attempt_dir: &Path, now: Moment) -> Result<Option<Observation>, RecordError> {
    let Dated { mut record, of_this_boot } =
        match read_dated_record::<ContainerRecord>(&attempt_record_path(attempt_dir)) {
            Err(RecordError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            read => read?,
        };
    if !of_this_boot {
        record.rebase(now);
    }
    let ContainerRecord { name: container, attempt, exit, .. } = record;
    Ok(exit.map(|exit| Observation::ContainerExited { container, attempt, exit }))
}

/// The process is the shim if it holds the pod's lock and works in the pod's run directory. Which one it is
/// says the record of this boot, or else its socket.
fn kill_shim(recorded: Option<i32>, pod_dir: &Path, run_dir: &Path) -> io::Result<()> {
    if !shim_is_alive(pod_dir)? {
        return Ok(());
    }
    let pid = match recorded {
        Some(pid) => pid,
        None => match listening_shim(run_dir) {
            // One that does not listen any more is about to be gone.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) =>
            {
                return Ok(());
            }
            found => found?,
        },
    };
    let pidfd = match pidfd_open(pid) {
        Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => return Ok(()),
        opened => opened?,
    };
    let works_in = fs::read_link(format!("/proc/{pid}/cwd"));
    if works_in.is_ok_and(|dir| fs::canonicalize(run_dir).is_ok_and(|run_dir| dir == run_dir)) {
        pidfd_send_signal(pidfd.as_fd(), SIGKILL)?;
        if !wait_for_end(&pidfd, SHIM_END_TIMEOUT)? {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
    Ok(())
}

/// Whoever made the socket, also if it does not answer.
fn listening_shim(run_dir: &Path) -> io::Result<i32> {
    Ok(socket_peercred(dirs::connect(run_dir)?)?.pid.as_raw_pid())
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
        let record = SandboxRecord { attempt: 0, shim_pid: 0, cgroup: cgroup.to_owned() };
        write_record(&SandboxRecord::path(&pod_dir), &record).unwrap();
        let errors = bury(&pod_dir, &dir.join("run"));
        assert!(matches!(&errors[..], [only] if only.contains(cgroup)), "{errors:?}");
        fs::remove_dir_all(dir).unwrap();
    }
}
