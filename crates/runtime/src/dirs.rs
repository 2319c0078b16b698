//! Directories made and removed for a pod.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use cri_log::LogName;
use linux_sys::remove_tree::{RemoveError, remove_tree, remove_tree_between};
use podspec::ContainerName;
use ports::{PodContext, PortError};
use rustix::fs::{Mode, OFlags};
use shim_protocol::{CHECKPOINT_NAME, OWNER_LOCK_NAME, POD_RECORD_NAME, SOCKET_NAME, attempt_dir};

use crate::clock;
use crate::error::RuntimeError;

/// The socket in it gives power over the pod.
const RUN_DIR_MODE: u32 = 0o700;
pub(crate) const DATA_DIR_MODE: u32 = 0o750;
const LOG_DIR_MODE: u32 = 0o755;

pub(crate) fn make_pod_dirs(pod: &PodContext) -> Result<(), RuntimeError> {
    for (path, mode) in
        [(&pod.pod_dir, DATA_DIR_MODE), (&pod.run_dir, RUN_DIR_MODE), (&pod.log_dir, LOG_DIR_MODE)]
    {
        make(path, mode).map_err(|source| RuntimeError::Directory { path: path.clone(), source })?;
    }
    Ok(())
}

/// `mode` is for the last directory; those above it are open to be looked through.
pub(crate) fn make(path: &Path, mode: u32) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made,
    }
}

/// So that the pod can be explained when it is gone. That this fails is no reason to leave the pod where it is.
pub(crate) fn keep_explained(pod_dir: &Path) {
    let records = [POD_RECORD_NAME, CHECKPOINT_NAME];
    if let Err(error) = journal::keep(pod_dir, records, clock::now().wall) {
        tracing::warn!("nothing is kept of the pod in {}: {error}", pod_dir.display());
    }
}

/// The pod's directory last: as long as it is there, the rest can be found from it.
pub(crate) fn remove_pod_dirs(pod: &PodContext) -> Vec<String> {
    let mut errors: Vec<String> =
        [&pod.log_dir, &pod.run_dir].into_iter().flat_map(|dir| remove(dir)).collect();
    errors.extend(remove_pod_dir(&pod.pod_dir));
    errors
}

/// The pod's own record goes first: what is left without it is no pod that has yet to begin. Its lock goes last:
/// what has it was a pod's.
pub(crate) fn remove_pod_dir(pod_dir: &Path) -> Vec<String> {
    texts(&remove_tree_between(pod_dir, POD_RECORD_NAME, OWNER_LOCK_NAME))
}

/// To the shim that listens in `run_dir`. Through a short name: the whole path may be longer than a socket
/// address holds.
pub(crate) fn connect(run_dir: &Path) -> io::Result<UnixStream> {
    let dir = rustix::fs::open(run_dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    UnixStream::connect(format!("/proc/self/fd/{}/{SOCKET_NAME}", dir.as_raw_fd()))
}

/// Removes the files and all logs of one attempt.
pub(crate) fn remove_attempt(pod: &PodContext, container: &ContainerName, attempt: u32) -> Vec<String> {
    let mut errors = remove(&attempt_dir(&pod.pod_dir, container, attempt));
    let logs = pod.log_dir.join(container.as_str());
    let Ok(entries) = fs::read_dir(&logs) else { return errors };
    for entry in entries.flatten() {
        let name = entry.file_name().to_str().and_then(LogName::parse);
        if name.is_some_and(|name| name.attempt == attempt) {
            errors.extend(remove(&entry.path()));
        }
    }
    errors
}

pub(crate) fn remove(path: &Path) -> Vec<String> {
    texts(&remove_tree(path))
}

fn texts(errors: &[RemoveError]) -> Vec<String> {
    errors.iter().map(|error| PortError::chain(error).0).collect()
}
