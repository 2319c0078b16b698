//! The directory a layer is unpacked into, and the way to the directories in it.
//!
//! Everything is made in a directory that is open, by a name of one component. The way there is gone
//! one component at a time without following links: a link is read, and `/` in it is the root of the
//! layer, `..` closes a descriptor. So there is no way that leads out.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, Stat, Timestamps, XattrFlags, fchmod, fsetxattr, fstat, futimens,
    mkdirat, openat, readlinkat, statat, unlinkat,
};
use rustix::io::Errno;

use super::attributes::{OPAQUE, times_of};
use super::error::{LayerError, Refusal};
use super::{DEPTH_MAX, PATH_BYTES_MAX};

/// How many links are followed on the way to one entry; as in Linux.
const LINKS_MAX: usize = 40;
const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o755);
/// Opens a directory and nothing else.
pub(super) const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

#[derive(Debug)]
pub(super) struct Tree {
    /// The directory worked in, below those above it; the first is the root.
    levels: Vec<Level>,
    pub(super) implied: BTreeSet<PathBuf>,
    whiteouts: Vec<PathBuf>,
    /// Of both.
    noted_bytes: u64,
    noted_bytes_max: u64,
    /// Which content of the recipe a file holds, by inode.
    pub(super) contents: HashMap<u64, u64>,
}

#[derive(Debug)]
struct Level {
    name: CString,
    fd: OwnedFd,
    /// Given back when the directory is left, since making things in it changes them.
    times: Timestamps,
    path_bytes: usize,
}

/// Why an entry cannot be made.
#[derive(Debug)]
pub(super) enum Blocked {
    Refused(Refusal),
    Failed(LayerError),
}

impl From<Refusal> for Blocked {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<LayerError> for Blocked {
    fn from(error: LayerError) -> Self {
        Self::Failed(error)
    }
}

impl Tree {
    pub(super) fn open(fs_dir: &Path, noted_bytes_max: u64) -> Result<Self, LayerError> {
        let open = || {
            let fd = openat(CWD, fs_dir, DIRECTORY, Mode::empty())?;
            let times = times_of(&fstat(&fd)?);
            Ok(Level { name: CString::default(), fd, times, path_bytes: 0 })
        };
        let root = open().map_err(|error| failed("open", fs_dir.to_owned(), error))?;
        Ok(Self {
            levels: vec![root],
            implied: BTreeSet::from([PathBuf::new()]),
            whiteouts: vec![],
            noted_bytes: 0,
            noted_bytes_max,
            contents: HashMap::new(),
        })
    }

    /// Directories without an entry of their own, those above before those below; whiteouts, of which
    /// some may be gone.
    pub(super) fn finish(mut self) -> Result<(Vec<PathBuf>, Vec<PathBuf>), LayerError> {
        self.leave_to(1)?;
        let Level { fd, times, .. } = &self.levels[0];
        futimens(fd, times).map_err(|error| failed("set the times of", PathBuf::from("/"), error))?;
        Ok((self.implied.into_iter().collect(), self.whiteouts))
    }

    /// Makes the directory that `path` leads to the one worked in. What is missing is made.
    pub(super) fn enter(&mut self, path: &[&[u8]]) -> Result<(), Blocked> {
        let open = self.levels[1..].iter().map(|level| level.name.to_bytes());
        let shared = open.zip(path).take_while(|(name, component)| name == *component).count();
        self.leave_to(1 + shared)?;
        let mut pending: Vec<CString> = path[shared..].iter().rev().map(|name| c_string(name)).collect();
        let mut links = 0;
        while let Some(name) = pending.pop() {
            match name.to_bytes() {
                b"" | b"." => continue,
                b".." => {
                    self.leave_to((self.levels.len() - 1).max(1))?;
                    continue;
                }
                _ => {}
            }
            let Some(target) = self.step(&name)? else { continue };
            links += 1;
            if links > LINKS_MAX {
                return Err(Refusal::LinkCircle.into());
            }
            if target.to_bytes().starts_with(b"/") {
                self.leave_to(1)?;
            }
            pending.extend(target.to_bytes().rsplit(|&byte| byte == b'/').map(c_string));
        }
        Ok(())
    }

    /// Goes into a directory, or returns the target of the link that is in its place.
    fn step(&mut self, name: &CString) -> Result<Option<CString>, Blocked> {
        match openat(self.top(), name, DIRECTORY, Mode::empty()) {
            Ok(fd) => self.push(name, fd).map(|()| None),
            Err(Errno::NOENT) => self.push_implied(name, false).map(|()| None),
            Err(Errno::NOTDIR | Errno::LOOP) => match self.kind_of(name)? {
                Some(FileType::Symlink) => {
                    let target = readlinkat(self.top(), name, vec![]);
                    Ok(Some(target.map_err(|error| self.failed("read the link", name, error))?))
                }
                // What the layers below have by this name is gone, and this directory is new.
                Some(FileType::CharacterDevice) => {
                    let removed = unlinkat(self.top(), name, AtFlags::empty());
                    removed.map_err(|error| self.failed("remove the whiteout", name, error))?;
                    self.push_implied(name, true).map(|()| None)
                }
                _ => Err(Refusal::ParentNotDirectory { parent: self.path_of(name) }.into()),
            },
            Err(error) => Err(self.failed("open", name, error).into()),
        }
    }

    fn push_implied(&mut self, name: &CString, is_opaque: bool) -> Result<(), Blocked> {
        let path = self.noted(name)?;
        let fd = self.make_directory(name, is_opaque)?;
        self.implied.insert(path);
        self.push(name, fd)
    }

    pub(super) fn note_whiteout(&mut self, name: &CString) -> Result<(), LayerError> {
        let path = self.noted(name)?;
        self.whiteouts.push(path);
        Ok(())
    }

    fn noted(&mut self, name: &CString) -> Result<PathBuf, LayerError> {
        let path = self.path_of(name);
        self.noted_bytes += path.as_os_str().len() as u64;
        if self.noted_bytes > self.noted_bytes_max { Err(LayerError::TooMuchToNote) } else { Ok(path) }
    }

    pub(super) fn make_directory(&self, name: &CString, is_opaque: bool) -> Result<OwnedFd, Blocked> {
        self.check_depth(name)?;
        let make = || {
            mkdirat(self.top(), name, DIRECTORY_MODE)?;
            let fd = openat(self.top(), name, DIRECTORY, Mode::empty())?;
            // Whatever the umask is.
            fchmod(&fd, DIRECTORY_MODE)?;
            Ok(fd)
        };
        let fd = make().map_err(|error| self.failed("make the directory", name, error))?;
        if is_opaque {
            set_opaque(fd.as_fd()).map_err(|error| self.failed("make opaque", name, error))?;
        }
        Ok(fd)
    }

    fn push(&mut self, name: &CString, fd: OwnedFd) -> Result<(), Blocked> {
        self.check_depth(name)?;
        let times = times_of(&fstat(&fd).map_err(|error| self.failed("look at", name, error))?);
        let path_bytes = self.path_bytes_with(name);
        self.levels.push(Level { name: name.clone(), fd, times, path_bytes });
        Ok(())
    }

    /// Links make ways that are longer than the names of entries.
    pub(super) fn check_depth(&self, name: &CString) -> Result<(), Refusal> {
        if self.levels.len() - 1 > DEPTH_MAX {
            return Err(Refusal::TooDeep);
        }
        if self.path_bytes_with(name) > PATH_BYTES_MAX { Err(Refusal::PathTooLong) } else { Ok(()) }
    }

    fn path_bytes_with(&self, name: &CString) -> usize {
        self.levels.last().map_or(0, |level| level.path_bytes) + 1 + name.to_bytes().len()
    }

    fn leave_to(&mut self, count: usize) -> Result<(), LayerError> {
        while self.levels.len() > count.max(1) {
            let path = self.path();
            let Some(level) = self.levels.pop() else { break };
            futimens(&level.fd, &level.times).map_err(|error| failed("set the times of", path, error))?;
        }
        Ok(())
    }

    /// The root becomes the directory worked in; its times will be these.
    pub(super) fn enter_root(&mut self, times: Timestamps) -> Result<BorrowedFd<'_>, LayerError> {
        self.leave_to(1)?;
        self.levels[0].times = times;
        Ok(self.root())
    }

    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.levels[0].fd.as_fd()
    }

    /// The directory worked in.
    pub(super) fn top(&self) -> BorrowedFd<'_> {
        // The root is never left.
        self.levels[self.levels.len() - 1].fd.as_fd()
    }

    /// Of the directory worked in, in the layer.
    pub(super) fn path(&self) -> PathBuf {
        self.levels[1..].iter().map(|level| OsStr::from_bytes(level.name.to_bytes())).collect()
    }

    pub(super) fn path_of(&self, name: &CString) -> PathBuf {
        let mut path = self.path();
        path.push(OsStr::from_bytes(name.to_bytes()));
        path
    }

    pub(super) fn look_at(&self, name: &CString) -> Result<Option<Stat>, LayerError> {
        match statat(self.top(), name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(self.failed("look at", name, error)),
        }
    }

    /// A character device is a whiteout, as no other is made.
    pub(super) fn kind_of(&self, name: &CString) -> Result<Option<FileType>, LayerError> {
        Ok(self.look_at(name)?.map(|stat| FileType::from_raw_mode(stat.st_mode)))
    }

    pub(super) fn failed(&self, action: &'static str, name: &CString, error: Errno) -> LayerError {
        failed(action, self.path_of(name), error)
    }
}

pub(super) fn set_opaque(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    fsetxattr(fd, OPAQUE, b"y", XattrFlags::empty())
}

pub(super) fn failed(action: &'static str, path: PathBuf, error: Errno) -> LayerError {
    LayerError::File { action, path, source: error.into() }
}

/// Of a component, which has no NUL: [`super::name`] and the kernel see to that.
pub(super) fn c_string(name: &[u8]) -> CString {
    CString::new(name).unwrap_or_default()
}
