//! Closing what the kernel waits to be rid of.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;

use crate::fd_passing;

/// A descriptor whose end nobody waits for. At the last close of an inotify instance, a socket of netfilter or a trigger of
/// pressure the kernel waits for a grace period of RCU, some milliseconds, and so does the end of a process that has one still.
///
/// When it is dropped it is put into a socket that is nobody's but its own, which the kernel's collector of such finds and
/// empties. A kernel before 6.10 does that at once, and is waited for as ever.
#[derive(Debug)]
pub struct ClosedLater(Option<OwnedFd>);

impl From<OwnedFd> for ClosedLater {
    fn from(fd: OwnedFd) -> Self {
        Self(Some(fd))
    }
}

impl AsFd for ClosedLater {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_ref().expect("it is there until it is dropped").as_fd()
    }
}

impl AsRawFd for ClosedLater {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl Drop for ClosedLater {
    fn drop(&mut self) {
        if let Some(fd) = self.0.take() {
            // Where it cannot be sent, it is closed here.
            let _ = leave(fd.as_fd());
        }
    }
}

fn leave(fd: BorrowedFd<'_>) -> io::Result<()> {
    let (own, other) = UnixDatagram::pair()?;
    fd_passing::send(other.as_fd(), b"x", &[own.as_fd(), fd])?;
    // In this order: the collector is called at the end of a socket, and `own`, which waits in its own queue, has none.
    drop(own);
    drop(other);
    Ok(())
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::pipe::{PipeFlags, pipe_with};

    use super::ClosedLater;

    #[test]
    fn what_is_closed_later_is_closed() {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        drop(ClosedLater::from(write));
        let mut end = [PollFd::new(&read, PollFlags::IN)];
        let soon = Timespec { tv_sec: 60, tv_nsec: 0 };
        assert_eq!(poll(&mut end, Some(&soon)).unwrap(), 1, "the writing end is still open");
        assert!(end[0].revents().contains(PollFlags::HUP));
    }
}
