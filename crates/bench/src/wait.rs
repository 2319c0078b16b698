//! Waiting, never without end.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// How long anything may take on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Looks until there is something.
pub(crate) fn until<T>(what: &str, look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    until_every(LOOK_EVERY, what, look)
}

/// For what is measured as well as waited for.
pub(crate) fn until_every<T>(
    pause: Duration,
    what: &str,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let end = Instant::now() + SOON;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        ensure!(Instant::now() < end, "{what}: nothing within {} s", SOON.as_secs());
        std::thread::sleep(pause);
    }
}

/// Waits until `fd` can be read.
pub(crate) fn readable(fd: impl AsFd, what: &str) -> Result<()> {
    readable_within(SOON, fd, what)
}

pub(crate) fn readable_within(patience: Duration, fd: impl AsFd, what: &str) -> Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&timeout)) {
            Err(Errno::INTR) => {}
            ready => {
                ensure!(ready? > 0, "{what}: nothing within {} s", patience.as_secs());
                return Ok(());
            }
        }
    }
}
