//! Reads the host's files. Every path is resolved inside the root, so that tests can use another.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::{HostImageError, on_host};

/// A certificate bundle has a few hundred kilobytes; what is larger than this is none.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Debian's directory of certificates has 300 entries, its alternatives a few thousand.
const ENTRIES_MAX: usize = 16_384;
const WORLD_READABLE: u32 = 0o004;

#[derive(Debug)]
pub(super) struct Source {
    root: File,
    path: PathBuf,
}

/// An entry of a directory, by what it is itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Listed {
    Link { name: String, target: String },
    Directory { name: String },
    Other { name: String },
}

impl Source {
    pub(super) fn open(root: &Path) -> Result<Self, HostImageError> {
        let file =
            File::open(root).map_err(|source| HostImageError::OpenRoot { path: root.to_owned(), source })?;
        Ok(Self { root: file, path: root.to_owned() })
    }

    pub(super) fn on_host(&self, path: &str) -> PathBuf {
        on_host(&self.path, path)
    }

    /// Where the link itself leads; `None` when there is no link.
    pub(super) fn link(&self, path: &str) -> Option<String> {
        fs::read_link(self.on_host(path)).ok().and_then(|target| target.to_str().map(str::to_owned))
    }

    /// Whether the path itself is a directory and not a link to one.
    pub(super) fn is_directory(&self, path: &str) -> bool {
        fs::symlink_metadata(self.on_host(path)).is_ok_and(|found| found.is_dir())
    }

    /// The content of a regular file that everybody may read, links followed; `None` when there is
    /// none. What the host keeps from its own users is nothing for containers.
    pub(super) fn public_file(&self, path: &str) -> Result<Option<Vec<u8>>, HostImageError> {
        let failed = |source| HostImageError::Read { path: self.on_host(path), source };
        // Opened without access first: opening a device or pipe can block or act.
        let Some(handle) = self.resolve(path, OFlags::PATH) else { return Ok(None) };
        let found = handle.metadata().map_err(failed)?;
        if !found.is_file() || found.mode() & WORLD_READABLE == 0 || found.size() > FILE_BYTES_MAX {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        let file = File::open(format!("/proc/self/fd/{}", handle.as_raw_fd())).map_err(failed)?;
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?;
        Ok(Some(bytes))
    }

    /// The entries of a directory, links to it followed, in order of their names; none when it is
    /// not there. Names that are not UTF-8 are left out.
    pub(super) fn list(&self, path: &str) -> Result<Vec<Listed>, HostImageError> {
        let failed = |source| HostImageError::List { path: self.on_host(path), source };
        let Some(handle) = self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY) else {
            return Ok(Vec::new());
        };
        let mut listed = Vec::new();
        for entry in fs::read_dir(format!("/proc/self/fd/{}", handle.as_raw_fd())).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if listed.len() == ENTRIES_MAX {
                tracing::warn!(path, ENTRIES_MAX, "too many entries, the rest is left out of the image");
                break;
            }
            let Ok(name) = entry.file_name().into_string() else { continue };
            let kind = entry.file_type().map_err(failed)?;
            if !kind.is_symlink() {
                listed.push(if kind.is_dir() { Listed::Directory { name } } else { Listed::Other { name } });
            } else if let Some(target) =
                fs::read_link(entry.path()).ok().and_then(|t| t.to_str().map(str::to_owned))
            {
                listed.push(Listed::Link { name, target });
            }
        }
        listed.sort_unstable();
        Ok(listed)
    }

    fn resolve(&self, path: &str, flags: OFlags) -> Option<File> {
        let path = CString::new(Path::new(path).as_os_str().as_bytes()).ok()?;
        linux_sys::in_root::open(self.root.as_fd(), &path, flags).ok().map(File::from)
    }
}
