//! What is known of a pod from the files in its directory alone, for whoever looks: nothing is locked, moved or written, so the
//! pod's engine may be at work on them.

use std::path::{Path, PathBuf};

use journal::{Entry, JournalError, Record};
use podspec::Moment;

use crate::checkpoint::{self, CheckpointError};

/// A journal that its writer begins a new generation of while it is read is read again, so often at most.
const READS_MAX: usize = 4;

#[derive(Debug, thiserror::Error)]
pub enum ReadRecordError {
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("cannot read the pod's journal")]
    Journal(#[source] JournalError),
    #[error("{} has entries missing in the middle", pod_dir.display())]
    Torn { pod_dir: PathBuf },
}

/// Without what only an engine can see, and without logs. Of a journal that cannot be read no entry is there, for everything
/// else is known without it.
///
/// # Errors
/// When there is no record of the pod, or one that this version cannot read.
pub fn read_record(pod_dir: &Path, now: Moment) -> Result<Record, ReadRecordError> {
    let pod = checkpoint::load_pod(pod_dir)?;
    // Before what it led to, so that this is never older.
    let entries = read_entries(pod_dir).unwrap_or_else(|error| {
        tracing::warn!("{}", ports::PortError::chain(&error));
        Vec::new()
    });
    let observed = checkpoint::load_observed(pod_dir, now)?;
    Ok(Record { pod, observed, entries, now, live: None, logs: Default::default() })
}

/// The pod's journal, without a gap.
///
/// # Errors
/// When it cannot be read.
pub fn read_entries(pod_dir: &Path) -> Result<Vec<Entry>, ReadRecordError> {
    for _ in 0..READS_MAX {
        let entries = journal::read(pod_dir).map_err(ReadRecordError::Journal)?;
        if entries.windows(2).all(|pair| pair[1].seq == pair[0].seq + 1) {
            return Ok(entries);
        }
    }
    Err(ReadRecordError::Torn { pod_dir: pod_dir.to_owned() })
}
