//! Files of a running container, as a process in it finds them. A child fetches them from the container's mount
//! namespace, so no link of the container's leads out of it; what they are is seen to here.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;

use linux_sys::fd_passing;
use linux_sys::mount::{Extent, set_private};
use linux_sys::namespace::{self, Namespaces};
use linux_sys::process::{self, ExitStatus};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, fstat, fstatfs, major, minor, open};
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};

use super::{SpawnError, child};

/// Of `statfs(2)`.
const DEVPTS_MAGIC: i64 = 0x1cd1;
const PROC_MAGIC: i64 = 0x9fa0;
/// `/dev/ptmx`.
const PTMX: (u32, u32) = (5, 2);
/// The container may have put a file system there that hangs.
const FETCH_MAX: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// A new terminal of the container that `process` is in: its master.
pub(super) fn terminal_master(process: BorrowedFd<'_>) -> Result<OwnedFd, SpawnError> {
    let fetched = fetch(process, || {
        open(c"/dev/pts/ptmx", OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
    });
    let opened = fetched.and_then(|ptmx| {
        let device = fstat(&ptmx)?.st_rdev;
        if !is_of(&ptmx, DEVPTS_MAGIC)? || (major(device), minor(device)) != PTMX {
            return Err(io::Error::other("the container's /dev/pts/ptmx makes no terminals"));
        }
        let flags = (OFlags::NOCTTY | OFlags::CLOEXEC).bits().cast_signed();
        let path = format!("/proc/self/fd/{}", ptmx.as_raw_fd());
        let master = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
        Ok(OwnedFd::from(master))
    });
    opened.map_err(SpawnError::create("open a terminal in the container"))
}

/// The `/proc` of the container that `process` is in, mounted nowhere and without what is mounted on it.
pub(super) fn proc_of(process: BorrowedFd<'_>) -> Result<OwnedFd, SpawnError> {
    let fetched = fetch(process, || {
        open_tree(CWD, c"/proc", OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)
    });
    let copied = fetched.and_then(|copy| {
        if !is_of(&copy, PROC_MAGIC)? {
            return Err(io::Error::other("the target container has something else there"));
        }
        set_private(copy.as_fd(), Extent::Mount)?;
        Ok(copy)
    });
    copied.map_err(SpawnError::create("use the target container's /proc"))
}

fn is_of(file: &OwnedFd, magic: i64) -> io::Result<bool> {
    #[expect(clippy::useless_conversion, reason = "its width is another on other machines")]
    let found = i64::from(fstatfs(file)?.f_type);
    Ok(found == magic)
}

/// What `open` opens in the mount namespace of `process`. It runs in a child, which may allocate: this process has
/// one thread.
fn fetch(process: BorrowedFd<'_>, open: impl FnOnce() -> rustix::io::Result<OwnedFd>) -> io::Result<OwnedFd> {
    let (ours, theirs) = UnixStream::pair()?;
    let child = process::clone_child(Namespaces::NONE, None, || {
        let fetched = namespace::setns(process, Namespaces::MOUNT).and_then(|()| open());
        match fetched {
            Ok(file) => fd_passing::send(theirs.as_fd(), &[0], &[file.as_fd()])
                .map_or(Errno::IO.raw_os_error(), |_| 0),
            Err(errno) => errno.raw_os_error(),
        }
    })?;
    drop(theirs);
    if poll(&mut [PollFd::new(&child.pidfd, PollFlags::IN)], Some(&FETCH_MAX)).is_ok_and(|ended| ended == 0) {
        child::end(&child);
        return Err(io::ErrorKind::TimedOut.into());
    }
    match process::wait(child.pidfd.as_fd())? {
        ExitStatus::Code(0) => {}
        ExitStatus::Code(errno) => return Err(io::Error::from_raw_os_error(errno)),
        ExitStatus::Signal(_) => return Err(io::ErrorKind::Interrupted.into()),
    }
    let mut files = Vec::new();
    fd_passing::receive(ours.as_fd(), &mut [0], &mut files)?;
    files.pop().ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}
