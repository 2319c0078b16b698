//! The log files of one container, opened in the order in which they were written.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirEntryExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cri_log::LogName;
use rustix::fs::OFlags;
use tokio::sync::Notify;

/// Unread files that rotation has removed and that are held open for one follower, and what they take of the disk. A
/// reader that falls further behind loses the oldest, and is told.
const REMOVED_FILES_MAX: usize = 64;
const REMOVED_BYTES_MAX: u64 = 640 << 20;
/// Listings until two in a row agree; a writer takes far longer to fill a file than a listing takes.
const LISTINGS_MAX: usize = 100;

#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    /// What is asked for: from the first attempt to the last.
    first_attempt: u32,
    last_attempt: u32,
    files: Mutex<Files>,
    /// There may be something new to read. Has one waiter.
    pub(crate) changed: Notify,
}

/// One file to be read to its end.
#[derive(Debug)]
pub(crate) struct LogFile {
    pub(crate) attempt: u32,
    pub(crate) file: Arc<File>,
    /// Files before this one may have been missed.
    pub(crate) after_gap: bool,
}

#[derive(Debug, Default)]
struct Files {
    unread: VecDeque<LogFile>,
    /// The last one opened. Held open, so that its inode number is nobody else's.
    newest: Option<(u64, Arc<File>)>,
}

impl Files {
    /// Rotation removes the oldest first: what is removed is read next.
    fn holds_too_much(&self) -> io::Result<bool> {
        let (mut count, mut bytes) = (0, 0);
        for unread in &self.unread {
            let metadata = unread.file.metadata()?;
            if metadata.nlink() > 0 {
                break;
            }
            count += 1;
            bytes += metadata.len();
        }
        // However large, one is the next to be read.
        Ok(count > REMOVED_FILES_MAX || (count > 1 && bytes > REMOVED_BYTES_MAX))
    }
}

type Listing = Vec<(LogName, u64)>;

struct Opened {
    attempt: u32,
    inode: u64,
    file: File,
}

impl Directory {
    pub(crate) fn new(path: &Path, first_attempt: u32, last_attempt: u32) -> Self {
        let (files, changed) = (Mutex::default(), Notify::new());
        Self { path: path.to_owned(), first_attempt, last_attempt, files, changed }
    }

    /// The attempts that have a log there, in order.
    pub(crate) fn attempts(path: &Path) -> io::Result<Vec<u32>> {
        let names = Self::new(path, 0, u32::MAX).list()?;
        let mut attempts: Vec<u32> = names.into_iter().map(|(name, _)| name.attempt).collect();
        attempts.dedup();
        Ok(attempts)
    }

    /// Opens what has appeared since the last scan.
    pub(crate) fn scan(&self) -> io::Result<()> {
        let mut files = self.files();
        let newest = files.newest.as_ref().map(|(inode, _)| *inode);
        let (opened, gap) = self.open_newer(newest)?;
        for (index, Opened { attempt, inode, file }) in opened.into_iter().enumerate() {
            let file = Arc::new(file);
            files.newest = Some((inode, Arc::clone(&file)));
            files.unread.push_back(LogFile { attempt, file, after_gap: gap && index == 0 });
        }
        while files.holds_too_much()? {
            files.unread.pop_front();
            if let Some(oldest) = files.unread.front_mut() {
                oldest.after_gap = true;
            }
        }
        Ok(())
    }

    pub(crate) fn next_file(&self) -> Option<LogFile> {
        self.files().unread.pop_front()
    }

    pub(crate) fn has_unread(&self) -> bool {
        !self.files().unread.is_empty()
    }

    #[cfg(test)]
    pub(crate) fn unread(&self) -> usize {
        self.files().unread.len()
    }

    /// The files after `newest`, opened; and whether some between may be gone. A rotation may happen while
    /// the directory is read, so a listing counts only when the next one is the same.
    fn open_newer(&self, newest: Option<u64>) -> io::Result<(Vec<Opened>, bool)> {
        for _ in 0..LISTINGS_MAX {
            let listing = self.list()?;
            let known = newest.and_then(|newest| listing.iter().position(|(_, inode)| *inode == newest));
            // Without the one known, all were written after it: rotation removes the oldest first.
            let newer = &listing[known.map_or(0, |known| known + 1)..];
            if let Some(opened) = self.open_all(newer)?
                && self.list()? == listing
            {
                let gap = newest.is_some() && known.is_none() && !opened.is_empty();
                return Ok((opened, gap));
            }
        }
        Ok((Vec::new(), false))
    }

    /// `None` when a name stands for another file by now.
    fn open_all(&self, listing: &[(LogName, u64)]) -> io::Result<Option<Vec<Opened>>> {
        let mut opened = Vec::with_capacity(listing.len());
        for (name, inode) in listing {
            let file = match open(&self.path.join(name.to_string())) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                file => file?,
            };
            if file.metadata()?.ino() != *inode {
                return Ok(None);
            }
            opened.push(Opened { attempt: name.attempt, inode: *inode, file });
        }
        Ok(Some(opened))
    }

    /// In the order of writing.
    fn list(&self) -> io::Result<Listing> {
        let mut listing = Vec::new();
        let entries = match fs::read_dir(&self.path) {
            // Removed with its pod.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(listing),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_str().and_then(LogName::parse);
            let asked = |name: &LogName| (self.first_attempt..=self.last_attempt).contains(&name.attempt);
            listing.extend(name.filter(asked).map(|name| (name, entry.ino())));
        }
        listing.sort();
        Ok(listing)
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Its writer made a file. What somebody put in its place is neither followed nor waited for.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Directory, REMOVED_FILES_MAX};

    #[test]
    fn parts_that_are_kept_are_all_read_and_of_removed_ones_the_newest() {
        const FILES: usize = REMOVED_FILES_MAX + 20;
        let dir = std::env::temp_dir().join(format!("monopod-log-many-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let name = |n: usize| dir.join(format!("0.log.20161006-001709-{:03}", n + 1));
        (0..FILES).for_each(|n| fs::write(name(n), "x").unwrap());
        let logs = Directory::new(&dir, 0, u32::MAX);
        logs.scan().unwrap();
        assert_eq!(logs.unread(), FILES);
        (0..=REMOVED_FILES_MAX).for_each(|n| fs::remove_file(name(n)).unwrap());
        logs.scan().unwrap();
        assert_eq!(logs.unread(), FILES - 1);
        assert!(logs.next_file().unwrap().after_gap && !logs.next_file().unwrap().after_gap);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_link_in_a_files_place_is_not_followed() {
        let dir = std::env::temp_dir().join(format!("monopod-log-link-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("secret"), "x").unwrap();
        std::os::unix::fs::symlink("secret", dir.join("0.log")).unwrap();
        let logs = Directory::new(&dir, 0, u32::MAX);
        assert!(logs.scan().is_err() && logs.next_file().is_none());
        fs::remove_dir_all(&dir).unwrap();
    }
}
