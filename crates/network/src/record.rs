//! What is on record of networks (`DATA/network/NAME.json`) and of pods' addresses (`network.json` in a pod's directory).

use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use linux_sys::lock::{self, Lock, try_exclusive};
use podspec::PodUid;
use serde::{Deserialize, Serialize};
use shim_protocol::{Dated, RecordError, read_dated_record, read_record, write_record};

use crate::Ranges;

const DIRECTORY: &str = "network";
const POD_RECORD: &str = "network.json";

/// A network, from before it is made until after it is gone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct NetworkRecord {
    pub(crate) ranges: Ranges,
    /// Its table of rules.
    pub(crate) table: String,
    /// The inode of the network namespace that it is in.
    pub(crate) namespace: u64,
    /// What was changed for it, and what was there before.
    pub(crate) sysctls: Vec<Changed>,
}

/// A parameter of the kernel that was changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Changed {
    pub(crate) path: PathBuf,
    pub(crate) before: String,
    pub(crate) now: String,
}

/// What a pod has of a network.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct PodRecord {
    pub(crate) network: String,
    /// Its interface on the host.
    pub(crate) interface: String,
    pub(crate) addresses: Vec<IpAddr>,
}

/// The directory of networks under a data directory.
pub(crate) fn directory(data_dir: &Path) -> PathBuf {
    data_dir.join(DIRECTORY)
}

pub(crate) fn path(data_dir: &Path, name: &str) -> PathBuf {
    directory(data_dir).join(format!("{name}.json"))
}

/// Held as long as the network's engine lives; `None` when another does.
pub(crate) fn lock(data_dir: &Path, name: &str) -> io::Result<Option<Lock>> {
    fs::create_dir_all(directory(data_dir))?;
    try_exclusive(&lock_path(data_dir, name))
}

fn lock_path(data_dir: &Path, name: &str) -> PathBuf {
    directory(data_dir).join(format!("{name}.lock"))
}

/// Whoever holds the lock removes both.
pub(crate) fn remove(data_dir: &Path, name: &str) -> io::Result<()> {
    for path in [path(data_dir, name), lock_path(data_dir, name)] {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    // The last one removes the directory.
    let _ = fs::remove_dir(directory(data_dir));
    Ok(())
}

/// The names of the networks on record.
pub(crate) fn names(data_dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory(data_dir)).into_iter().flatten().flatten();
    let name = |entry: fs::DirEntry| Some(entry.file_name().to_str()?.strip_suffix(".json")?.to_owned());
    let mut names: Vec<String> = entries.filter_map(name).collect();
    names.sort();
    names
}

impl NetworkRecord {
    pub(crate) fn write(&self, data_dir: &Path, name: &str) -> Result<(), RecordError> {
        write_record(&path(data_dir, name), self)
    }

    /// `None` when there is none.
    pub(crate) fn read(data_dir: &Path, name: &str) -> Result<Option<Dated<Self>>, RecordError> {
        match read_dated_record(&path(data_dir, name)) {
            Err(RecordError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }

    /// Somebody may have changed one back: what was there first is what counts.
    pub(crate) fn add(&mut self, changes: &[Changed]) {
        for changed in changes {
            if !self.sysctls.iter().any(|known| known.path == changed.path) {
                self.sysctls.push(changed.clone());
            }
        }
    }
}

/// Changes a record that is there, while no other process does.
pub(crate) fn change(
    data_dir: &Path,
    name: &str,
    change: impl FnOnce(&mut NetworkRecord),
) -> Result<(), RecordError> {
    let directory = directory(data_dir);
    let failed = |source| RecordError::Read { path: directory.clone(), source };
    let _lock = lock::directory(&directory).map_err(failed)?;
    let Some(Dated { mut record, .. }) = NetworkRecord::read(data_dir, name)? else { return Ok(()) };
    change(&mut record);
    record.write(data_dir, name)
}

impl PodRecord {
    pub(crate) fn write(&self, pod_dir: &Path) -> Result<(), RecordError> {
        write_record(&pod_dir.join(POD_RECORD), self)
    }

    /// `None` when there is none.
    pub(crate) fn read(pod_dir: &Path) -> Result<Option<Self>, RecordError> {
        match read_record(&pod_dir.join(POD_RECORD)) {
            Err(RecordError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }

    /// Idempotent.
    pub(crate) fn remove(pod_dir: &Path) -> io::Result<()> {
        match fs::remove_file(pod_dir.join(POD_RECORD)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }
}

/// What every pod under a directory of pods has on record.
pub(crate) fn pods(pods_dir: &Path) -> Vec<(PodUid, Result<PodRecord, RecordError>)> {
    let entries = fs::read_dir(pods_dir).into_iter().flatten().flatten();
    let record = |entry: fs::DirEntry| {
        let uid = PodUid::new(entry.file_name().to_str()?);
        PodRecord::read(&entry.path()).transpose().map(|record| (uid, record))
    };
    entries.filter_map(record).collect()
}

/// Which network namespace this thread is in.
pub(crate) fn namespace() -> io::Result<u64> {
    Ok(fs::metadata("/proc/thread-self/ns/net")?.ino())
}
