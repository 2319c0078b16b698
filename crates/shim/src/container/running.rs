use std::io;
use std::os::fd::BorrowedFd;

use super::TeardownError;

/// A container whose main process was started; kept until the attempt's cgroup is removed.
#[derive(Debug)]
pub struct Container {}

impl Container {
    /// The main process, as this process sees it.
    #[must_use]
    pub fn pid(&self) -> i32 {
        unimplemented!()
    }

    /// Readable when the main process has ended.
    #[must_use]
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        unimplemented!()
    }

    /// Sends a signal to the main process; fine when it has ended.
    ///
    /// # Errors
    /// When the kernel refuses, as for an unknown signal number.
    pub fn signal(&self, _signal: i32) -> io::Result<()> {
        unimplemented!()
    }

    /// SIGKILL to every process of the container. They may take a moment to be gone.
    ///
    /// # Errors
    /// When the cgroup cannot be read or written.
    pub fn kill_all(&self) -> io::Result<()> {
        unimplemented!()
    }

    /// Whether the kernel's out-of-memory killer ended a process of this container. Ask before
    /// [`Self::remove_cgroup`].
    ///
    /// # Errors
    /// When the cgroup cannot be read.
    pub fn oom_killed(&self) -> io::Result<bool> {
        unimplemented!()
    }

    /// Kills what is left in the cgroup and removes it. Idempotent.
    #[must_use]
    pub fn remove_cgroup(&self) -> Vec<TeardownError> {
        unimplemented!()
    }
}
