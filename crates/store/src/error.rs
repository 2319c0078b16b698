//! What can fail, each with what to do about it.

use std::path::PathBuf;
use std::sync::Arc;

use crate::object::ObjectKey;
use crate::{OBJECT_BYTES_MAX, OBJECTS_MAX, STORE_BYTES_MAX};

/// Why a store could not be opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot open the object store {file}: another process has it open; stop that process, or choose another --data-dir", file = file.display())]
    Locked { file: PathBuf },
    #[error("cannot create or read the object store {file}; check the permissions and the free space of its directory", file = file.display())]
    Io { file: PathBuf, source: std::io::Error },
    #[error("the object store {file} has format version {found}, this program knows version {known}; use the program that wrote it, or move the file away to begin with an empty store", file = file.display())]
    Version { file: PathBuf, found: u64, known: u64 },
    #[error("the object store {file} is damaged: {what}; restore it from a backup, or move it away to begin with an empty store", file = file.display())]
    Damaged { file: PathBuf, what: String },
    #[error("cannot start the thread of the object store")]
    Thread { source: std::io::Error },
}

/// Why a write left no trace. What the closure itself refused is not among these.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteError {
    #[error("{key} is too large: {bytes} bytes of JSON, at most {OBJECT_BYTES_MAX} are stored")]
    TooLarge { key: ObjectKey, bytes: usize },
    #[error(
        "the object store is full: at most {OBJECTS_MAX} objects and {STORE_BYTES_MAX} bytes are stored; delete some first"
    )]
    Full,
    #[error("the key or the uid of {key} contains a NUL byte, which names cannot have")]
    Key { key: ObjectKey },
    /// The disk did not take it. A crash before the store's next successful write may still bring the change back, as whenever
    /// an answer is lost.
    #[error(
        "cannot write to the object store: {source}; nothing was changed, free some space or check the disk and try again"
    )]
    Disk { source: Arc<DiskError> },
    /// The closure panicked; a defect of the program.
    #[error("the change was abandoned by a panic: {what}")]
    Panicked { what: String },
    #[error("the object store is closed")]
    Closed,
}

/// What the disk said.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct DiskError {
    pub(crate) what: String,
}

/// Why a watch cannot begin or go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// The changes after the revision asked for are no longer known; list, and watch from the list's revision.
    #[error("too old resource version, the oldest known is {oldest}")]
    Expired { oldest: u64 },
    /// The revision asked for has not been given yet.
    #[error("too large resource version, current: {current}")]
    Future { current: u64 },
}
