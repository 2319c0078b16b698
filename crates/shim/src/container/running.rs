//! A container that was started, until its last process is gone.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use container_config::Process;
use linux_sys::cgroup::CgroupError;
use linux_sys::process::{self, Child};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::TeardownError;
use super::resize::Limited;

/// A container whose main process was started; kept until the attempt's cgroup is removed.
#[derive(Debug)]
pub struct Container {
    pub(super) main: Child,
    pub(super) limited: Limited,
    /// The host's id for the container's root, when its users are not the host's.
    pub(super) first_id: Option<u32>,
    /// What a further process in it is like.
    pub(super) process: Process,
}

impl Container {
    /// The main process, as this process sees it.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.main.pid
    }

    /// Readable when the main process has ended.
    #[must_use]
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.main.pidfd.as_fd()
    }

    /// Whether the main process has ended, or does within `limit`, less than a second.
    pub(super) fn ends_within(&self, limit: Duration) -> bool {
        let limit = Timespec { tv_sec: 0, tv_nsec: limit.subsec_nanos().into() };
        poll(&mut [PollFd::new(&self.main.pidfd, PollFlags::IN)], Some(&limit)).is_ok_and(|ended| ended > 0)
    }

    /// Sends a signal to the main process; fine when it has ended.
    ///
    /// # Errors
    /// When the kernel refuses, as for an unknown signal number.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        process::pidfd_send_signal(self.pidfd(), signal)
    }

    /// SIGKILL to every process of the container. They may take a moment to be gone.
    ///
    /// # Errors
    /// When the cgroup cannot be read or written.
    pub fn kill_all(&self) -> io::Result<()> {
        // The end of a pid namespace's first process ends the others, and the kernel misses none.
        let main = self.signal(KILL);
        self.limited.group.kill().map_err(as_io)?;
        main
    }

    /// Whether the kernel's out-of-memory killer ended a process of this container. Ask before
    /// [`Self::remove_cgroup`].
    ///
    /// # Errors
    /// When the cgroup cannot be read.
    pub fn oom_killed(&self) -> io::Result<bool> {
        Ok(self.limited.group.oom_kills().map_err(as_io)? > 0)
    }

    /// Kills what is left in the cgroup and removes it. Idempotent.
    #[must_use]
    pub fn remove_cgroup(&self) -> Vec<TeardownError> {
        // Not there any more the second time, and only in the way of a pod that is to shrink.
        let _ = self.limited.group.retire(&self.limited.limits);
        self.limited.group.remove().into_iter().map(TeardownError::from).collect()
    }
}

const KILL: i32 = rustix::process::Signal::KILL.as_raw();

fn as_io(error: CgroupError) -> io::Error {
    io::Error::other(error)
}
