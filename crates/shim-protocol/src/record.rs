//! Records on disk, each in a file of its own, replaced by rename so that a reader sees all or nothing.
//!
//! Each says of which boot of the machine it is, for the boot clock's times in it mean nothing on another.
//! In the pod directory: `pod.json` ([`podspec::Pod`]), `sandbox.json` ([`SandboxRecord`]), `checkpoint.json`
//! ([`lifecycle::Observed`]) and, per attempt, `containers/NAME/ATTEMPT/record.json`
//! ([`lifecycle::ContainerRecord`]).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use podspec::ContainerName;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::VERSION;

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// What an engine that finds a pod directory must know to adopt or bury its sandbox.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SandboxRecord {
    pub attempt: u32,
    pub shim_pid: i32,
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
    /// `/proc/sys/kernel/random/boot_id` when it was written.
    boot_id: String,
    record: T,
}

/// A record, and whether the boot clock's times in it are those of now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dated<T> {
    pub record: T,
    pub of_this_boot: bool,
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

/// In the pod directory; locked by the pod's engine for as long as it lives. Whoever removes the directory
/// removes [`POD_RECORD_NAME`] first and this last.
pub const OWNER_LOCK_NAME: &str = "owner.lock";

/// In the pod directory: the pod itself, written before anything is made for it.
pub const POD_RECORD_NAME: &str = "pod.json";

/// In the pod directory; locked by the shim for as long as it lives.
pub const SHIM_LOCK_NAME: &str = "shim.lock";
/// What a shim has to say to people, in a pod's directory; the engine makes it.
pub const SHIM_LOG_NAME: &str = "shim.log";

/// [`POD_RECORD_NAME`] in this directory.
#[must_use]
pub fn pod_path(pod_dir: &Path) -> PathBuf {
    pod_dir.join(POD_RECORD_NAME)
}

/// What the engine knows of the pod, as it was last.
pub const CHECKPOINT_NAME: &str = "checkpoint.json";

/// What the engine knows of the pod, for whoever decides after it.
#[must_use]
pub fn checkpoint_path(pod_dir: &Path) -> PathBuf {
    pod_dir.join(CHECKPOINT_NAME)
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
    write_record_text(path, &record_text(path, record)?)
}

/// What [`write_record`] writes, for [`write_record_text`].
///
/// # Errors
/// When it cannot be written as JSON.
pub fn record_text<T: Serialize>(path: &Path, record: &T) -> Result<Vec<u8>, RecordError> {
    let failed = |source| RecordError::Write { path: path.to_owned(), source };
    let boot_id = this_boot().map_err(failed)?.to_owned();
    let envelope = Envelope { schema: u64::from(VERSION), boot_id, record };
    serde_json::to_vec(&envelope).map_err(|error| failed(io::Error::other(error)))
}

/// [`write_record`] of what is a text already.
///
/// # Errors
/// As there.
pub fn write_record_text(path: &Path, text: &[u8]) -> Result<(), RecordError> {
    let failed = |source| RecordError::Write { path: path.to_owned(), source };
    let temporary = path.with_extension("json.new");
    fs::write(&temporary, text).map_err(failed)?;
    replace(&temporary, path).map_err(failed)
}

/// By exchange, and not by a rename over the old file: for that, ext4 sends what the new one has to the disk at once, which
/// takes milliseconds when others write, too.
fn replace(new: &Path, path: &Path) -> io::Result<()> {
    match renameat_with(CWD, new, CWD, path, RenameFlags::EXCHANGE) {
        Ok(()) => fs::remove_file(new),
        // There is none yet, or the file system cannot.
        Err(Errno::NOENT | Errno::INVAL | Errno::NOSYS) => fs::rename(new, path),
        Err(error) => Err(error.into()),
    }
}

/// # Errors
/// When it cannot be read, is no record, or is of a version this program does not know.
pub fn read_record<T: DeserializeOwned>(path: &Path) -> Result<T, RecordError> {
    read_dated_record(path).map(|dated| dated.record)
}

/// [`read_record`] for records whose times count.
///
/// # Errors
/// As there.
pub fn read_dated_record<T: DeserializeOwned>(path: &Path) -> Result<Dated<T>, RecordError> {
    let text = fs::read(path).map_err(|source| RecordError::Read { path: path.to_owned(), source })?;
    let malformed = |source| RecordError::Malformed { path: path.to_owned(), source };
    let Schema { schema } = serde_json::from_slice(&text).map_err(malformed)?;
    if schema != u64::from(VERSION) {
        return Err(RecordError::UnknownVersion { path: path.to_owned(), found: schema });
    }
    let Envelope { boot_id, record, .. } = serde_json::from_slice::<Envelope<T>>(&text).map_err(malformed)?;
    let this_boot = this_boot().map_err(|source| RecordError::Read { path: BOOT_ID.into(), source })?;
    Ok(Dated { record, of_this_boot: boot_id == this_boot })
}

/// The same for as long as any process lives, so it is read once.
fn this_boot() -> io::Result<&'static str> {
    static THIS_BOOT: OnceLock<String> = OnceLock::new();
    if let Some(id) = THIS_BOOT.get() {
        return Ok(id);
    }
    let id = fs::read_to_string(BOOT_ID)?;
    Ok(THIS_BOOT.get_or_init(|| id.trim_end().to_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::{Dated, RecordError, SandboxRecord, VERSION, read_dated_record, read_record, write_record};

    fn record() -> SandboxRecord {
        SandboxRecord { attempt: 1, shim_pid: 2, cgroup: "c".to_owned() }
    }

    fn file(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("monopod-record-{name}-{}.json", std::process::id()))
    }

    #[test]
    fn every_record_cut_short_is_refused() {
        let path = file("cut");
        write_record(&path, &record()).unwrap();
        let text = fs::read(&path).unwrap();
        for length in 0..text.len() {
            fs::write(&path, &text[..length]).unwrap();
            let read = read_record::<SandboxRecord>(&path);
            assert!(matches!(read, Err(RecordError::Malformed { .. })), "{length} bytes: {read:?}");
        }
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn what_a_newer_version_wrote_is_named_whatever_is_in_it() {
        let path = file("newer");
        let newer = u64::from(VERSION) + 1;
        for text in [
            r#"{"schema":NEWER,"boot_id":"x","record":{"attempt":0}}"#,
            r#"{"schema":NEWER,"other":[1]}"#,
            r#"{"record":[],"schema":NEWER}"#,
        ] {
            fs::write(&path, text.replace("NEWER", &newer.to_string())).unwrap();
            let read = read_record::<SandboxRecord>(&path);
            assert!(
                matches!(read, Err(RecordError::UnknownVersion { found, .. }) if found == newer),
                "{text}: {read:?}"
            );
        }
        let of_now = format!(r#"{{"schema":{VERSION},"boot_id":"x","record":{{}}}}"#);
        for text in ["", "\0\0\0\0", "[]", "{}", r#"{"schema":"1"}"#, &of_now] {
            fs::write(&path, text).unwrap();
            let read = read_record::<SandboxRecord>(&path);
            assert!(matches!(read, Err(RecordError::Malformed { .. })), "{text}: {read:?}");
        }
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_record_knows_of_which_boot_it_is() {
        let path = file("boot");
        write_record(&path, &record()).unwrap();
        assert_eq!(read_dated_record(&path).unwrap(), Dated { record: record(), of_this_boot: true });
        let text = fs::read_to_string(&path).unwrap();
        let id = fs::read_to_string(super::BOOT_ID).unwrap();
        fs::write(&path, text.replace(id.trim_end(), "another")).unwrap();
        assert_eq!(read_dated_record(&path).unwrap(), Dated { record: record(), of_this_boot: false });
        fs::remove_file(&path).unwrap();
    }
}
