//! File systems, and what pods have on them.

use std::io;
use std::path::Path;

use linux_sys::tree_usage::{TreeUsage, tree_usage};
use rustix::fs::{StatVfs, stat, statvfs};

/// Names that are looked at in one tree to answer one question. More than that is not worth waiting for.
pub(crate) const ENTRIES_MAX: usize = 100_000;

/// A file system.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct FileSystem {
    pub(crate) capacity_bytes: u64,
    /// For users other than root.
    pub(crate) available_bytes: u64,
    /// 0 where there is no such limit.
    pub(crate) inodes: u64,
    pub(crate) inodes_free: u64,
}

impl FileSystem {
    /// The one that `path` is on.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        Ok(Self::from(&statvfs(path)?))
    }

    pub(crate) fn used_bytes(&self) -> u64 {
        self.capacity_bytes.saturating_sub(self.available_bytes)
    }
}

impl From<&StatVfs> for FileSystem {
    fn from(stat: &StatVfs) -> Self {
        Self {
            capacity_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
            available_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
            inodes: stat.f_files,
            inodes_free: stat.f_ffree,
        }
    }
}

/// Whether `other` is on a file system of its own; when it is not there, it will be on the same one.
pub(crate) fn is_apart(path: &Path, other: &Path) -> bool {
    match (stat(path), stat(other)) {
        (Ok(one), Ok(two)) => one.st_dev != two.st_dev,
        _ => false,
    }
}

/// What a tree holds; `None` when that cannot be said at little cost.
pub(crate) fn held(path: &Path) -> Option<TreeUsage> {
    tree_usage(path, ENTRIES_MAX, u64::MAX).ok()
}
