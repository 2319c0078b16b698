//! Resolving paths inside a root whose content somebody else controls.
//!
//! The kernel resolves every path (`openat2(2)` with `RESOLVE_IN_ROOT`), so that a link, however
//! it changes meanwhile, leads back into the root; magic links (`/proc/PID/fd`) are refused.
//! Everything here is async-signal-safe.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, mkdirat, openat, openat2, readlinkat_raw, statat,
};
use rustix::io::Errno;

/// What to make where a path leads to nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Missing {
    Directory,
    /// An empty file.
    File,
}

/// The longest path, with its final NUL.
const PATH_BYTES_MAX: usize = 4096;
/// How many links to nothing are followed to make what they name.
const DANGLING_MAX: usize = 8;
const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o755);
const FILE_MODE: Mode = Mode::from_raw_mode(0o644);

/// Opens what `path` names inside `root`, without access to its content unless `flags` ask for it.
///
/// # Errors
/// `openat2(2)`'s.
pub fn open(root: BorrowedFd<'_>, path: &CStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    loop {
        match openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            // A rename or mount elsewhere made the walk ambiguous.
            Err(Errno::AGAIN) => {}
            other => return other,
        }
    }
}

/// Opens (`O_PATH`) what `path` names inside `root`; makes it, and the directories above it, where
/// it is missing. A link to nothing is followed, inside `root`, and what it names is made.
///
/// # Errors
/// `ENOTDIR` when a file stands where a directory is needed; `ELOOP` for links without end.
pub fn open_or_make(root: BorrowedFd<'_>, path: &CStr, missing: Missing) -> Result<OwnedFd, Errno> {
    match open(root, path, OFlags::PATH) {
        Err(Errno::NOENT) => {}
        other => return other,
    }
    let mut walk = Path::new(path.to_bytes())?;
    for _ in 0..=DANGLING_MAX {
        match make(root, &mut walk, missing)? {
            Made::Opened(fd) => return Ok(fd),
            Made::Dangling { start, end } => walk.follow(root, start, end)?,
        }
    }
    Err(Errno::LOOP)
}

enum Made {
    Opened(OwnedFd),
    /// The component at these offsets is a link that leads to nothing.
    Dangling {
        start: usize,
        end: usize,
    },
}

fn make(root: BorrowedFd<'_>, path: &mut Path, missing: Missing) -> Result<Made, Errno> {
    let mut parent = open(root, c"/", OFlags::PATH | OFlags::DIRECTORY)?;
    let mut position = 0;
    while let Some((start, end)) = path.component(position) {
        position = end;
        match path.up_to(end, |prefix| open(root, prefix, OFlags::PATH)) {
            Ok(found) => {
                parent = found;
                continue;
            }
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
        let is_last = path.component(end).is_none();
        let kind = if is_last { missing } else { Missing::Directory };
        match path.name(start, end, |name| make_one(parent.as_fd(), name, kind)) {
            Ok(made) => parent = made,
            Err(Errno::EXIST) => {
                let is_link = path.name(start, end, |name| is_symlink(parent.as_fd(), name))?;
                return if is_link { Ok(Made::Dangling { start, end }) } else { Err(Errno::AGAIN) };
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Made::Opened(parent))
}

fn make_one(parent: BorrowedFd<'_>, name: &CStr, kind: Missing) -> Result<OwnedFd, Errno> {
    match kind {
        Missing::Directory => mkdirat(parent, name, DIRECTORY_MODE)?,
        Missing::File => {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::WRONLY;
            drop(openat(parent, name, flags, FILE_MODE)?);
        }
    }
    openat(parent, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

fn is_symlink(parent: BorrowedFd<'_>, name: &CStr) -> Result<bool, Errno> {
    let stat = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
}

/// A path on the stack, cut at a component by a NUL put there for the time of one call.
struct Path {
    bytes: [u8; PATH_BYTES_MAX],
    length: usize,
}

impl Path {
    fn new(path: &[u8]) -> Result<Self, Errno> {
        let mut new = Self { bytes: [0; PATH_BYTES_MAX], length: 0 };
        new.push(path)?;
        Ok(new)
    }

    /// Leaves room for the final NUL.
    fn push(&mut self, more: &[u8]) -> Result<(), Errno> {
        let end = self.length + more.len();
        if end >= PATH_BYTES_MAX {
            return Err(Errno::NAMETOOLONG);
        }
        self.bytes[self.length..end].copy_from_slice(more);
        self.bytes[end] = 0;
        self.length = end;
        Ok(())
    }

    /// Start and end of the first component at or after `position`.
    fn component(&self, position: usize) -> Option<(usize, usize)> {
        let rest = &self.bytes[position..self.length];
        let start = position + rest.iter().position(|&byte| byte != b'/')?;
        let length = self.bytes[start..self.length].iter().position(|&byte| byte == b'/');
        Some((start, length.map_or(self.length, |length| start + length)))
    }

    fn up_to<T>(&mut self, end: usize, call: impl FnOnce(&CStr) -> Result<T, Errno>) -> Result<T, Errno> {
        self.name(0, end, call)
    }

    fn name<T>(
        &mut self,
        start: usize,
        end: usize,
        call: impl FnOnce(&CStr) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let cut = std::mem::replace(&mut self.bytes[end], 0);
        let result =
            CStr::from_bytes_until_nul(&self.bytes[start..]).map_err(|_| Errno::INVAL).and_then(call);
        self.bytes[end] = cut;
        result
    }

    /// Puts the target of the link at `start..end` in its place.
    fn follow(&mut self, root: BorrowedFd<'_>, start: usize, end: usize) -> Result<(), Errno> {
        let parent = if start == 0 {
            open(root, c"/", OFlags::PATH)?
        } else {
            self.up_to(start, |parent| open(root, parent, OFlags::PATH))?
        };
        let mut target = [0; PATH_BYTES_MAX];
        let length = self.name(start, end, |link| readlinkat_raw(parent, link, &mut target[..]))?;
        let target = &target[..length];
        let rest = Self::new(&self.bytes[end..self.length])?;
        self.length = if target.first() == Some(&b'/') { 0 } else { start };
        self.push(target)?;
        self.push(&rest.bytes[..rest.length])
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::fs;
    use std::os::fd::{AsFd, OwnedFd};
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use rustix::fs::OFlags;
    use rustix::io::Errno;

    use super::{Missing, open, open_or_make};

    struct Fixture {
        base: PathBuf,
        root: OwnedFd,
    }

    /// `base/root` is the root; `base/outside` must stay as it is.
    fn fixture(name: &str) -> Fixture {
        let base = std::env::temp_dir().join(format!("linux-sys-in-root-{name}-{}", std::process::id()));
        fs::create_dir_all(base.join("root")).unwrap();
        fs::create_dir_all(base.join("outside")).unwrap();
        let root = fs::File::open(base.join("root")).unwrap().into();
        Fixture { base, root }
    }

    impl Fixture {
        fn make(&self, path: &str, missing: Missing) -> Result<OwnedFd, Errno> {
            open_or_make(self.root.as_fd(), &CString::new(path).unwrap(), missing)
        }

        fn inside(&self, path: &str) -> PathBuf {
            self.base.join("root").join(path)
        }
    }

    impl Drop for Fixture {
        fn drop(&mut self) {
            assert_eq!(fs::read_dir(self.base.join("outside")).unwrap().count(), 0, "escaped");
            fs::remove_dir_all(&self.base).unwrap();
        }
    }

    #[test]
    fn missing_directories_and_the_file_below_them_are_made() {
        let fixture = fixture("make");
        fixture.make("/a//b/./c/file", Missing::File).unwrap();
        assert!(fixture.inside("a/b/c/file").is_file());
        fixture.make("/a/dir/", Missing::Directory).unwrap();
        assert!(fixture.inside("a/dir").is_dir());
    }

    #[test]
    fn links_stay_inside_the_root() {
        let fixture = fixture("links");
        symlink("../../../../outside", fixture.inside("up")).unwrap();
        symlink(fixture.base.join("outside"), fixture.inside("absolute")).unwrap();
        fixture.make("/up/x", Missing::File).unwrap();
        assert!(fixture.inside("outside/x").is_file());
        fixture.make("/absolute/y/z", Missing::Directory).unwrap();
        fixture.make("/../../outside/w", Missing::Directory).unwrap();
        assert!(fixture.inside("outside/w").is_dir());
    }

    #[test]
    fn a_link_to_nothing_gets_what_it_names() {
        let fixture = fixture("dangling");
        fs::create_dir(fixture.inside("etc")).unwrap();
        symlink("../run/systemd/resolve/stub.conf", fixture.inside("etc/resolv.conf")).unwrap();
        symlink("/run/lock", fixture.inside("lock")).unwrap();
        fixture.make("/etc/resolv.conf", Missing::File).unwrap();
        assert!(fixture.inside("run/systemd/resolve/stub.conf").is_file());
        fixture.make("/lock/a", Missing::Directory).unwrap();
        assert!(fixture.inside("run/lock/a").is_dir());
    }

    #[test]
    fn links_in_a_circle_and_magic_links_are_refused() {
        let fixture = fixture("circle");
        symlink("b", fixture.inside("a")).unwrap();
        symlink("a", fixture.inside("b")).unwrap();
        assert_eq!(fixture.make("/a/x", Missing::File).unwrap_err(), Errno::LOOP);
        let proc = fs::File::open("/proc").unwrap();
        assert_eq!(open(proc.as_fd(), c"/self/root/etc", OFlags::PATH).unwrap_err(), Errno::LOOP);
    }

    #[test]
    fn a_file_in_the_way_of_a_directory_is_an_error() {
        let fixture = fixture("file");
        fs::write(fixture.inside("f"), "").unwrap();
        assert_eq!(fixture.make("/f/x", Missing::File).unwrap_err(), Errno::NOTDIR);
    }

    #[test]
    fn a_path_too_long_is_an_error() {
        let fixture = fixture("long");
        let path = "/abc".repeat(2000);
        assert_eq!(fixture.make(&path, Missing::Directory).unwrap_err(), Errno::NAMETOOLONG);
    }
}
