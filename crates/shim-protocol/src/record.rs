//! Records on disk, each in a file of its own, replaced by rename so that a reader sees all or nothing.
//!
//! In the pod directory: `sandbox.json` ([`SandboxRecord`]), `checkpoint.json`
//! ([`lifecycle::Observed`]) and, per attempt, `containers/NAME/ATTEMPT/record.json`
//! ([`lifecycle::ContainerRecord`]).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use podspec::ContainerName;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::VERSION;

/// What an engine that finds a pod directory must know to adopt or bury its sandbox.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SandboxRecord {
    pub attempt: u32,
    pub shim_pid: i32,
    /// `/proc/sys/kernel/random/boot_id` at creation: after a reboot nothing of it is alive.
    pub boot_id: String,
    /// The pod's cgroup, relative to each hierarchy's root.
    pub cgroup: String,
}

#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{} is not a record of monopod: move it away, or run `monopod reset`", path.display())]
    Malformed { path: PathBuf, source: serde_json::Error },
    #[error(
        "{} has schema version {found}, this monopod knows {VERSION}: use the version that wrote it, or `monopod reset`",
        path.display()
    )]
    UnknownVersion { path: PathBuf, found: u64 },
}

#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    schema: u64,
    record: T,
}

/// The schema alone, read first so that a newer record's body is never guessed at.
#[derive(Deserialize)]
struct Schema {
    schema: u64,
}

impl SandboxRecord {
    #[must_use]
    pub fn path(pod_dir: &Path) -> PathBuf {
        pod_dir.join("sandbox.json")
    }
}

/// In the pod directory; locked by the shim for as long as it lives.
pub const SHIM_LOCK_NAME: &str = "shim.lock";

/// The pod itself, for an engine that has no manifest of it.
#[must_use]
pub fn pod_path(pod_dir: &Path) -> PathBuf {
    pod_dir.join("pod.json")
}

/// What the engine knows of the pod, for whoever decides after it.
#[must_use]
pub fn checkpoint_path(pod_dir: &Path) -> PathBuf {
    pod_dir.join("checkpoint.json")
}

/// Holds a directory per container, and in it one per attempt.
#[must_use]
pub fn containers_dir(pod_dir: &Path) -> PathBuf {
    pod_dir.join("containers")
}

/// The directory of one attempt: its record, writable layers and termination message.
#[must_use]
pub fn attempt_dir(pod_dir: &Path, container: &ContainerName, attempt: u32) -> PathBuf {
    containers_dir(pod_dir).join(container.as_str()).join(attempt.to_string())
}

/// The record of the attempt that has this directory.
#[must_use]
pub fn attempt_record_path(attempt_dir: &Path) -> PathBuf {
    attempt_dir.join("record.json")
}

/// Replaces the record at `path`. Durable against the death of any process, not against power loss.
///
/// # Errors
/// When the file system refuses; the old record is then still there.
pub fn write_record<T: Serialize>(path: &Path, record: &T) -> Result<(), RecordError> {
    let failed = |source| RecordError::Write { path: path.to_owned(), source };
    let envelope = Envelope { schema: u64::from(VERSION), record };
    let text = serde_json::to_vec(&envelope).map_err(|error| failed(io::Error::other(error)))?;
    let temporary = path.with_extension("json.new");
    fs::write(&temporary, text).map_err(failed)?;
    fs::rename(&temporary, path).map_err(failed)
}

/// # Errors
/// When it cannot be read, is no record, or is of a version this program does not know.
pub fn read_record<T: DeserializeOwned>(path: &Path) -> Result<T, RecordError> {
    let text = fs::read(path).map_err(|source| RecordError::Read { path: path.to_owned(), source })?;
    let malformed = |source| RecordError::Malformed { path: path.to_owned(), source };
    let Schema { schema } = serde_json::from_slice(&text).map_err(malformed)?;
    if schema != u64::from(VERSION) {
        return Err(RecordError::UnknownVersion { path: path.to_owned(), found: schema });
    }
    serde_json::from_slice::<Envelope<T>>(&text).map(|envelope| envelope.record).map_err(malformed)
}
