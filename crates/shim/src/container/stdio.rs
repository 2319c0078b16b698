//! Standard input, output and error of containers.

use std::fs::OpenOptions;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use linux_sys::mount;
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid, chownat, fchown, fstat, openat};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};

use super::error::c_string;
use super::file_system::new_mount;
use super::{Output, SpawnError};

/// As every distribution has it.
const TTY_GROUP: u32 = 5;

/// The child's descriptors and the shim's.
#[derive(Debug)]
pub(super) struct Stdio {
    pub(super) child: [OwnedFd; 3],
    pub(super) output: Output,
    /// The write end of standard input, when it is a pipe.
    pub(super) input: Option<OwnedFd>,
}

/// A terminal in a pts instance of its own, which is mounted nowhere yet.
#[derive(Debug)]
pub(super) struct Terminal {
    pub(super) stdio: Stdio,
    pub(super) devpts: OwnedFd,
    pub(super) slave: OwnedFd,
}

/// A pipe each for output and error, and for input if there is any, which belong to `uid`.
pub(super) fn pipes(uid: u32, stdin: bool) -> Result<Stdio, SpawnError> {
    let (child_stdin, input) = if stdin {
        let (child_stdin, input) = pipe()?;
        give_to(child_stdin.as_fd(), uid);
        (child_stdin, Some(input))
    } else {
        (null()?, None)
    };
    let (stdout, child_stdout) = pipe()?;
    let (stderr, child_stderr) = pipe()?;
    give_to(child_stdout.as_fd(), uid);
    give_to(child_stderr.as_fd(), uid);
    Ok(Stdio {
        child: [child_stdin, child_stdout, child_stderr],
        output: Output::Pipes { stdout, stderr },
        input,
    })
}

/// `first`: as for [`devpts`].
pub(super) fn terminal(uid: u32, attributes: u64, first: u32) -> Result<Terminal, SpawnError> {
    let devpts = devpts(attributes, first)?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let master =
        openat(&devpts, c"ptmx", flags, Mode::empty()).map_err(SpawnError::create("open a terminal"))?;
    let slave = slave_of(&master, uid)?;
    let stdio = Stdio { child: three(&slave)?, output: Output::Pty(master), input: None };
    Ok(Terminal { stdio, devpts, slave })
}

/// The end of a new terminal for the processes on it, which belongs to `uid`.
pub(super) fn slave_of(master: &OwnedFd, uid: u32) -> Result<OwnedFd, SpawnError> {
    let opened = || -> rustix::io::Result<_> {
        unlockpt(master)?;
        // CLOEXEC would stay among the flags of the open file, for the container to see.
        let slave = ioctl_tiocgptpeer(master, OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        fcntl_setfd(&slave, FdFlags::CLOEXEC)?;
        fchown(&slave, Some(Uid::from_raw(uid)), None)?;
        Ok(slave)
    };
    opened().map_err(SpawnError::create("open a terminal"))
}

/// Standard input, output and error.
pub(super) fn three(slave: &OwnedFd) -> Result<[OwnedFd; 3], SpawnError> {
    let copy = || slave.try_clone().map_err(SpawnError::create("open a terminal"));
    Ok([copy()?, copy()?, copy()?])
}

/// A new pts instance, which is mounted nowhere yet. `first`: the host's id for the container's root.
pub(super) fn devpts(attributes: u64, first: u32) -> Result<OwnedFd, SpawnError> {
    let mut options = Vec::new();
    let tty = first.saturating_add(TTY_GROUP).to_string();
    for (key, value) in [(c"gid", tty.as_str()), (c"mode", "620"), (c"ptmxmode", "666")] {
        options.push((key, c_string(value, "a mount option")?));
    }
    let failed = || SpawnError::create("make a devpts file system");
    let devpts = new_mount(c"devpts", &options, attributes).map_err(failed())?;
    if first != 0 {
        let (uid, gid) = (Some(Uid::from_raw(first)), Some(Gid::from_raw(first)));
        chownat(&devpts, c"", uid, gid, AtFlags::EMPTY_PATH).map_err(failed())?;
        chownat(&devpts, c"ptmx", uid, gid, AtFlags::SYMLINK_NOFOLLOW).map_err(failed())?;
    }
    Ok(devpts)
}

/// The host's, whose owner and mode nobody who gets it can change.
pub(super) fn null() -> Result<OwnedFd, SpawnError> {
    // Kept, because to close it is to wait for all processors.
    static LENT: OnceLock<OwnedFd> = OnceLock::new();
    let lent = match LENT.get() {
        Some(lent) => lent,
        None => {
            let lent = mount::lend(c"/dev/null").map_err(SpawnError::create("lend /dev/null"))?;
            LENT.get_or_init(|| lent)
        }
    };
    let path = format!("/proc/self/fd/{}", lent.as_raw_fd());
    let opened = OpenOptions::new().read(true).write(true).open(path);
    opened.map(OwnedFd::from).map_err(SpawnError::create("open /dev/null"))
}

/// The read end first.
pub(super) fn pipe() -> Result<(OwnedFd, OwnedFd), SpawnError> {
    pipe_with(PipeFlags::CLOEXEC).map_err(SpawnError::create("make a pipe"))
}

/// Lets a user open `/dev/stdout` and the like again by name. Pipes only: anything else is somebody's file.
pub(super) fn give_to(file: BorrowedFd<'_>, uid: u32) {
    let is_pipe = |mode| FileType::from_raw_mode(mode) == FileType::Fifo;
    if fstat(file).is_ok_and(|stat| is_pipe(stat.st_mode) && stat.st_uid != uid) {
        // Writing works without it.
        let _ = fchown(file, Some(Uid::from_raw(uid)), None);
    }
}
