//! Owner, mode, times and extended attributes of files.

use std::ffi::{CStr, CString};
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, Gid, Mode, Stat, Timespec, Timestamps, Uid, XattrFlags, chmodat, chownat, fchmod, fchown,
    fgetxattr, flistxattr, fsetxattr, fstat, futimens, utimensat,
};
use rustix::io::Errno;

/// Marks a directory that hides those of the layers below.
pub(super) const OPAQUE: &CStr = c"trusted.overlay.opaque";
/// Of the mode: permissions, setuid, setgid, sticky.
pub(super) const MODE_BITS: u32 = 0o7777;

/// Linux's own limits on the list of extended attributes and on a value.
const XATTR_BYTES_MAX: usize = 64 * 1024;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Attributes {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) modified: Timespec,
    /// Only those that [`is_kept`].
    pub(super) xattrs: Vec<(CString, Vec<u8>)>,
}

impl Attributes {
    /// Of a directory nobody says anything about.
    pub(super) fn of_implied() -> Self {
        Self { mode: 0o755, uid: 0, gid: 0, modified: Timespec { tv_sec: 0, tv_nsec: 0 }, xattrs: vec![] }
    }

    /// Without extended ones.
    pub(super) fn of(stat: &Stat) -> Self {
        let modified = times_of(stat).last_modification;
        let mode = stat.st_mode & MODE_BITS;
        Self { mode, uid: stat.st_uid, gid: stat.st_gid, modified, xattrs: vec![] }
    }

    /// `is` is what the file has now. An error is with what could not be done.
    pub(super) fn give(&self, fd: BorrowedFd<'_>, is: &Stat) -> Result<(), (&'static str, Errno)> {
        // Changing the owner takes capabilities and setuid away, so it comes first.
        let has_owner = (is.st_uid, is.st_gid) == (self.uid, self.gid);
        if !has_owner {
            fchown(fd, Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid))).map_err(OWNER)?;
        }
        if !has_owner || is.st_mode & MODE_BITS != self.mode {
            fchmod(fd, Mode::from_raw_mode(self.mode)).map_err(MODE)?;
        }
        for (name, value) in &self.xattrs {
            match fsetxattr(fd, name, value, XattrFlags::empty()) {
                // What a file system cannot keep a program can do without, but not its capabilities.
                Err(Errno::OPNOTSUPP) if name.to_bytes().starts_with(b"user.") => {}
                result => result.map_err(XATTR)?,
            }
        }
        futimens(fd, &self.times()).map_err(TIMES)
    }

    /// For what is not opened: links, whose mode means nothing, and FIFOs. Neither has extended
    /// attributes of the kinds that are kept.
    pub(super) fn give_at(
        &self,
        parent: BorrowedFd<'_>,
        name: &CStr,
        has_mode: bool,
    ) -> Result<(), (&'static str, Errno)> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).map_err(OWNER)?;
        if has_mode {
            chmodat(parent, name, Mode::from_raw_mode(self.mode), AtFlags::empty()).map_err(MODE)?;
        }
        utimensat(parent, name, &self.times(), AtFlags::SYMLINK_NOFOLLOW).map_err(TIMES)
    }

    fn times(&self) -> Timestamps {
        Timestamps { last_access: self.modified, last_modification: self.modified }
    }
}

const OWNER: fn(Errno) -> (&'static str, Errno) = |error| ("set the owner of", error);
const MODE: fn(Errno) -> (&'static str, Errno) = |error| ("set the mode of", error);
const XATTR: fn(Errno) -> (&'static str, Errno) = |error| ("set extended attributes of", error);
const TIMES: fn(Errno) -> (&'static str, Errno) = |error| ("set the times of", error);

/// Whether an extended attribute is part of an image: what overlayfs reads, and what belongs to the
/// machine (labels, `trusted.*`), is not.
pub(super) fn is_kept(name: &[u8]) -> bool {
    name == b"security.capability" || name.starts_with(b"user.") && !name.starts_with(b"user.overlay.")
}

pub(super) fn times_of(stat: &Stat) -> Timestamps {
    // The types of the fields differ between targets.
    #[expect(clippy::unnecessary_cast, reason = "they do not on this one")]
    let time = |seconds, nanoseconds| Timespec { tv_sec: seconds as i64, tv_nsec: nanoseconds as _ };
    Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    }
}

/// Of an open file.
pub(super) fn attributes_of(fd: &OwnedFd) -> Result<Attributes, Errno> {
    Ok(Attributes { xattrs: xattrs(fd)?, ..Attributes::of(&fstat(fd)?) })
}

/// Those an image keeps, by name.
fn xattrs(fd: &OwnedFd) -> Result<Vec<(CString, Vec<u8>)>, Errno> {
    let mut names = vec![0_u8; XATTR_BYTES_MAX];
    let length = match flistxattr(fd, &mut names[..]) {
        Err(Errno::OPNOTSUPP) => 0,
        length => length?,
    };
    let mut found = vec![];
    for name in names[..length].split_inclusive(|&byte| byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
        if !is_kept(name.to_bytes()) {
            continue;
        }
        let mut value = vec![0_u8; XATTR_BYTES_MAX];
        let length = fgetxattr(fd, name, &mut value[..])?;
        value.truncate(length);
        found.push((name.to_owned(), value));
    }
    found.sort();
    Ok(found)
}
