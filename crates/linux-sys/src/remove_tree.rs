//! `rm -r` for trees whose content somebody else made.
//!
//! Follows no links, crosses no mounts, goes on past errors, and needs neither stack nor descriptors
//! in proportion to the depth of the tree. What was made immutable or append-only goes, too: a container may
//! have had the right to do that.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, IFlags, Mode, OFlags, ResolveFlags, ioctl_getflags, ioctl_setflags, openat,
    openat2, renameat, statat, unlinkat,
};
use rustix::io::Errno;

/// What could not be removed. Directories above it are kept without being mentioned.
#[derive(Debug, thiserror::Error)]
#[error("cannot remove {}", path.display())]
pub struct RemoveError {
    pub path: PathBuf,
    pub source: io::Error,
}

/// How many directories are open at once; what is deeper is moved up to the top first.
const DEPTH_MAX: usize = 64;
/// How many errors are reported; a full list says enough.
const ERRORS_MAX: usize = 32;

/// Removes the directory or file at `path` with everything in it; fine when there is nothing.
/// A file system mounted below is an error and stays as it is.
#[must_use]
pub fn remove_tree(path: &Path) -> Vec<RemoveError> {
    let mut errors = Vec::new();
    if let Err(error) = remove_at(path, &mut errors)
        && error != Errno::NOENT
    {
        report(&mut errors, path.to_owned(), error);
    }
    errors
}

/// [`remove_tree`] of a directory in which `first` goes before everything else and `last` after it: what a
/// removal that was cut short has left can be told by them.
#[must_use]
pub fn remove_tree_between(dir: &Path, first: &str, last: &str) -> Vec<RemoveError> {
    let mut errors = remove_tree(&dir.join(first));
    let is_dir = dir.symlink_metadata().is_ok_and(|found| found.is_dir());
    let entries = is_dir.then(|| std::fs::read_dir(dir)).and_then(Result::ok).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name() != last) {
        errors.extend(remove_tree(&entry.path()));
    }
    if errors.is_empty() { remove_tree(dir) } else { errors }
}

fn remove_at(path: &Path, errors: &mut Vec<RemoveError>) -> Result<(), Errno> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(CWD, path, flags, Mode::empty()) {
        Ok(top) => {
            let mut removal = Removal { top, path: path.to_owned(), moved: 0, errors };
            removal.empty()?;
            if !removal.errors.is_empty() {
                return Ok(());
            }
            match unlinkat(CWD, path, AtFlags::REMOVEDIR) {
                Err(Errno::PERM) if loosen(removal.top.as_fd()) => unlinkat(CWD, path, AtFlags::REMOVEDIR),
                other => other,
            }
        }
        // Not a directory, or a link.
        Err(Errno::NOTDIR | Errno::LOOP) => unlinkat(CWD, path, AtFlags::empty()),
        Err(error) => Err(error),
    }
}

struct Removal<'a> {
    top: OwnedFd,
    path: PathBuf,
    /// How many directories were moved up to `top`, for their names.
    moved: usize,
    errors: &'a mut Vec<RemoveError>,
}

/// One directory on the way down.
struct Level {
    fd: OwnedFd,
    name: CString,
    /// Directories still to go into.
    directories: Vec<CString>,
}

impl Removal<'_> {
    /// Empties `top`. A pass that moved directories up is followed by another one.
    fn empty(&mut self) -> Result<(), Errno> {
        loop {
            let moved_before = self.moved;
            self.pass()?;
            if self.moved == moved_before {
                return Ok(());
            }
        }
    }

    fn pass(&mut self) -> Result<(), Errno> {
        let top = self.top.try_clone().map_err(|_| Errno::MFILE)?;
        let mut levels = vec![self.enter(&[], top, c"".to_owned())?];
        while let Some(level) = levels.last_mut() {
            if let Some(name) = level.directories.pop() {
                self.descend(&mut levels, &name);
                continue;
            }
            let Some(emptied) = levels.pop() else { break };
            if let Some(parent) = levels.last()
                && let Err(error) = unlink(parent.fd.as_fd(), &emptied.name, AtFlags::REMOVEDIR)
                && error != Errno::NOENT
            {
                // When it is not empty, what is in it has been reported already.
                if error != Errno::NOTEMPTY || self.errors.is_empty() {
                    self.report(&levels, &emptied.name, error);
                }
            }
        }
        Ok(())
    }

    fn descend(&mut self, levels: &mut Vec<Level>, name: &CStr) {
        let Some(parent) = levels.last() else { return };
        if levels.len() >= DEPTH_MAX {
            self.moved += 1;
            let to =
                CString::new(format!(".removed-{}-{}", std::process::id(), self.moved)).unwrap_or_default();
            let mut moved = renameat(&parent.fd, name, &self.top, &to);
            if moved == Err(Errno::PERM) && loosen_all(parent.fd.as_fd(), name) | loosen(self.top.as_fd()) {
                moved = renameat(&parent.fd, name, &self.top, &to);
            }
            if let Err(error) = moved {
                self.moved -= 1;
                self.report(levels, name, error);
            }
            return;
        }
        let entered =
            open_below(parent.fd.as_fd(), name).and_then(|fd| self.enter(levels, fd, name.to_owned()));
        match entered {
            Ok(level) => levels.push(level),
            Err(Errno::NOENT) => {}
            Err(error) => self.report(levels, name, error),
        }
    }

    /// Removes the files of a directory and lists its directories.
    fn enter(&mut self, above: &[Level], fd: OwnedFd, name: CString) -> Result<Level, Errno> {
        let mut directories = Vec::new();
        for entry in Dir::read_from(&fd)? {
            let entry = entry?;
            let child = entry.file_name();
            if child == c"." || child == c".." {
                continue;
            }
            if entry.file_type() == FileType::Directory {
                directories.push(child.to_owned());
                continue;
            }
            match unlink(fd.as_fd(), child, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                // Some file systems do not say what an entry is.
                Err(Errno::ISDIR) => directories.push(child.to_owned()),
                Err(error) => {
                    let path = self.path_of(above, &name).join(as_path(child));
                    report(self.errors, path, error);
                }
            }
        }
        Ok(Level { fd, name, directories })
    }

    fn report(&mut self, above: &[Level], name: &CStr, error: Errno) {
        let path = self.path_of(above, name);
        report(self.errors, path, error);
    }

    fn path_of(&self, above: &[Level], name: &CStr) -> PathBuf {
        let below = above.iter().skip(1).map(|level| level.name.as_c_str()).chain([name]);
        below.filter(|name| !name.is_empty()).fold(self.path.clone(), |path, name| path.join(as_path(name)))
    }
}

fn open_below(parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH;
    openat2(parent, name, flags, Mode::empty(), resolve)
}

fn unlink(parent: BorrowedFd<'_>, name: &CStr, flags: AtFlags) -> Result<(), Errno> {
    match unlinkat(parent, name, flags) {
        Err(Errno::PERM) if loosen_all(parent, name) => unlinkat(parent, name, flags),
        other => other,
    }
}

/// Lets a directory and what it has under the name be changed; whether one of them could not be before.
fn loosen_all(parent: BorrowedFd<'_>, name: &CStr) -> bool {
    let loosened = loosen(parent);
    let Ok(found) = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) else { return loosened };
    // Nothing else has such flags, and opening a pipe or a device is not without effect.
    if !matches!(FileType::from_raw_mode(found.st_mode), FileType::RegularFile | FileType::Directory) {
        return loosened;
    }
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH;
    let child = openat2(parent, name, flags, Mode::empty(), resolve);
    child.is_ok_and(|child| loosen(child.as_fd())) | loosened
}

fn loosen(file: BorrowedFd<'_>) -> bool {
    let fixed = IFlags::IMMUTABLE | IFlags::APPEND;
    ioctl_getflags(file)
        .is_ok_and(|flags| flags.intersects(fixed) && ioctl_setflags(file, flags - fixed).is_ok())
}

fn as_path(name: &CStr) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(name.to_bytes()))
}

fn report(errors: &mut Vec<RemoveError>, path: PathBuf, error: Errno) {
    if errors.len() < ERRORS_MAX {
        errors.push(RemoveError { path, source: error.into() });
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use rustix::fs::{IFlags, inotify, ioctl_getflags, ioctl_setflags};

    use super::{DEPTH_MAX, remove_tree, remove_tree_between};

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("linux-sys-remove-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn links_are_removed_and_not_followed() {
        let (tree, outside) = (directory("links"), directory("links-outside"));
        fs::write(outside.join("kept"), "").unwrap();
        fs::create_dir_all(tree.join("a/b")).unwrap();
        symlink(&outside, tree.join("a/out")).unwrap();
        fs::write(tree.join("a/b/file"), "").unwrap();
        assert!(remove_tree(&tree).is_empty());
        assert!(!tree.exists() && outside.join("kept").exists());
        let link = outside.join("link");
        symlink(&outside, &link).unwrap();
        assert!(remove_tree(&link).is_empty());
        assert!(outside.join("kept").exists() && link.symlink_metadata().is_err());
        assert!(remove_tree(&outside).is_empty());
    }

    #[test]
    fn the_first_goes_first_and_the_last_goes_last() {
        let tree = directory("between");
        for name in ["a", "first", "last", "other", "z"] {
            fs::write(tree.join(name), "").unwrap();
        }
        let watch = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
        inotify::add_watch(&watch, &tree, inotify::WatchFlags::DELETE).unwrap();
        assert!(remove_tree_between(&tree, "first", "last").is_empty());
        assert!(!tree.exists());
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&watch, &mut buffer);
        let mut gone = Vec::new();
        while let Ok(event) = events.next() {
            gone.extend(event.file_name().map(|name| name.to_string_lossy().into_owned()));
        }
        assert_eq!((gone.len(), gone[0].as_str(), gone[4].as_str()), (5, "first", "last"), "{gone:?}");
        assert!(remove_tree_between(&tree, "first", "last").is_empty(), "nothing there is fine");
    }

    #[test]
    fn what_was_made_immutable_is_removed() {
        let tree = directory("fixed");
        fs::create_dir_all(tree.join("a/b")).unwrap();
        for name in ["a/file", "a/b/file", "log"] {
            fs::write(tree.join(name), "").unwrap();
        }
        for (name, flag) in [
            ("log", IFlags::APPEND),
            ("a/b/file", IFlags::IMMUTABLE),
            ("a/b", IFlags::APPEND),
            ("a", IFlags::IMMUTABLE),
            ("", IFlags::IMMUTABLE),
        ] {
            let file = fs::File::open(tree.join(name)).unwrap();
            let flags = ioctl_getflags(&file).unwrap_or(IFlags::empty());
            if let Err(error) = ioctl_setflags(&file, flags | flag) {
                println!("Skipped(no such flags here: {error})");
                assert!(remove_tree(&tree).is_empty());
                return;
            }
        }
        assert!(fs::remove_dir_all(&tree).is_err());
        let errors = remove_tree(&tree);
        assert!(errors.is_empty() && !tree.exists(), "{errors:?}");
    }

    #[test]
    fn nothing_there_is_fine() {
        assert!(remove_tree(&std::env::temp_dir().join("linux-sys-no-such-directory")).is_empty());
    }

    #[test]
    fn a_tree_deeper_than_a_path_can_name_is_removed() {
        let tree = directory("deep");
        let mut at = fs::File::open(&tree).unwrap().into();
        for _ in 0..DEPTH_MAX * 50 {
            rustix::fs::mkdirat(&at, "directory", rustix::fs::Mode::RWXU).unwrap();
            at =
                rustix::fs::openat(&at, "directory", super::OFlags::PATH, rustix::fs::Mode::empty()).unwrap();
        }
        let errors = remove_tree(&tree);
        assert!(errors.is_empty(), "{errors:?}");
        assert!(!tree.exists());
    }
}
