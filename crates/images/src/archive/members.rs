//! The files of an archive by name, wherever they stand in it: in a tar, or in a directory.
//!
//! A name from an archive is looked up among the archive's own; for a directory the kernel resolves it
//! inside (`RESOLVE_IN_ROOT`).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use linux_sys::in_root;
use rustix::fs::OFlags;

use super::error::ArchiveError;
use super::tar_index::{self, Kind};

/// Far more than a thousand images have.
pub(super) const MEMBERS_MAX: usize = 100_000;
pub(super) const MEMBER_NAMES_BYTES_MAX: usize = 16 << 20;
/// From link to link.
const LINKS_MAX: usize = 8;

#[derive(Debug)]
pub(super) enum Members {
    Tar { file: Arc<File>, by_name: BTreeMap<String, Member> },
    Directory(OwnedFd),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Member {
    File {
        offset: u64,
        bytes: u64,
    },
    /// The full name of another member.
    Link(String),
}

/// The bytes of one file.
#[derive(Debug)]
pub(super) struct Content {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Members {
    /// Of a tar archive that is a regular file, not compressed.
    pub(super) fn of_tar(file: File) -> Result<Self, ArchiveError> {
        let mut by_name = BTreeMap::new();
        let mut names_bytes = 0;
        tar_index::read(&file, |name, kind| {
            let Some(name) = normalized("", name) else { return Ok(()) };
            let member = match kind {
                Kind::File { offset, bytes } => Some(Member::File { offset, bytes }),
                Kind::HardLink(target) => normalized("", &target).map(Member::Link),
                Kind::SymbolicLink(target) => normalized(parent(&name), &target).map(Member::Link),
            };
            names_bytes += name.len() + member.as_ref().map_or(0, Member::name_bytes);
            // As in unpacking, the last one of a name counts.
            by_name.extend(member.map(|member| (name, member)));
            if by_name.len() > MEMBERS_MAX {
                return Err(ArchiveError::TooManyMembers);
            }
            if names_bytes > MEMBER_NAMES_BYTES_MAX {
                return Err(ArchiveError::NamesTooLong);
            }
            Ok(())
        })?;
        Ok(Self::Tar { file: Arc::new(file), by_name })
    }

    /// `None` when there is no regular file of this name.
    pub(super) fn open(&self, name: &str) -> Result<Option<Content>, ArchiveError> {
        match self {
            Self::Tar { file, by_name } => {
                let found = find(by_name, name);
                Ok(found.map(|(at, bytes)| Content { file: Arc::clone(file), at, end: at + bytes }))
            }
            Self::Directory(directory) => open_in(directory, name),
        }
    }
}

impl Member {
    fn name_bytes(&self) -> usize {
        match self {
            Self::File { .. } => 0,
            Self::Link(target) => target.len(),
        }
    }
}

impl Content {
    pub(super) fn length_bytes(&self) -> u64 {
        self.end - self.at
    }
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        let count = self.file.read_at(&mut buffer[..length], self.at)?;
        if count == 0 && length > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive is cut off"));
        }
        self.at += count as u64;
        Ok(count)
    }
}

/// Offset and size.
fn find(by_name: &BTreeMap<String, Member>, name: &str) -> Option<(u64, u64)> {
    let mut name = normalized("", name)?;
    for _ in 0..=LINKS_MAX {
        match by_name.get(&name)? {
            Member::File { offset, bytes } => return Some((*offset, *bytes)),
            Member::Link(target) => name.clone_from(target),
        }
    }
    None
}

fn open_in(directory: &OwnedFd, name: &str) -> Result<Option<Content>, ArchiveError> {
    let Ok(path) = std::ffi::CString::new(name) else { return Ok(None) };
    // A pipe must not hold anybody up.
    let opened = in_root::open(directory.as_fd(), &path, OFlags::RDONLY | OFlags::NONBLOCK);
    let Ok(file) = opened.map(File::from) else { return Ok(None) };
    let found = file.metadata().map_err(|source| ArchiveError::Read { source })?;
    Ok(found.is_file().then(|| Content { at: 0, end: found.len(), file: Arc::new(file) }))
}

/// `name` seen from `directory`, without `.` and `..`; `None` when it leads out of the archive.
fn normalized(directory: &str, name: &str) -> Option<String> {
    let mut parts: Vec<&str> = if name.starts_with('/') { vec![] } else { components(directory).collect() };
    for part in components(name) {
        if part == ".." {
            parts.pop()?;
        } else {
            parts.push(part);
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

fn components(name: &str) -> impl Iterator<Item = &str> {
    name.split('/').filter(|part| !matches!(*part, "" | "."))
}

fn parent(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(parent, _)| parent)
}

#[cfg(test)]
mod tests {
    use super::normalized;

    #[test]
    fn no_name_leads_out_of_the_archive() {
        for (directory, name, expected) in [
            ("", "manifest.json", Some("manifest.json")),
            ("", "./a//b/./c/", Some("a/b/c")),
            ("", "/a", Some("a")),
            ("a/b", "../c/layer.tar", Some("a/c/layer.tar")),
            ("a", "/c", Some("c")),
            ("", "../a", None),
            ("", "a/../../b", None),
            ("a", "../../b", None),
            ("", "..", None),
            ("", "", None),
        ] {
            assert_eq!(normalized(directory, name).as_deref(), expected, "{directory:?} {name:?}");
        }
    }
}
