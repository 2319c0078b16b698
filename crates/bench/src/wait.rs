//! Waiting for a descriptor, never without end.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// How long anything may take on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(120);

/// Waits until `fd` can be read.
pub(crate) fn readable(fd: impl AsFd, what: &str) -> Result<()> {
    let deadline = Instant::now() + SOON;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&timeout)) {
            Err(Errno::INTR) => {}
            ready => {
                ensure!(ready? > 0, "{what}: nothing within {} s", SOON.as_secs());
                return Ok(());
            }
        }
    }
}
