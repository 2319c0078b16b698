//! Bytes with file descriptors over a Unix socket (`SCM_RIGHTS`).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

/// The most descriptors sent with one message.
pub const FDS_MAX: usize = 8;

/// Sends some of `bytes`, and all of `fds` with the first of them. Returns how many bytes were sent.
///
/// # Errors
/// `sendmsg(2)`'s; `InvalidInput` for more than [`FDS_MAX`] descriptors.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if fds.len() > FDS_MAX || (!fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds))) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?)
}

/// Receives into `buffer` and appends the descriptors that came, closed on exec, to `fds`. Returns
/// how many bytes came; 0 at the end.
///
/// # Errors
/// `recvmsg(2)`'s.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8], fds: &mut Vec<OwnedFd>) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    Ok(received.bytes)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::{FDS_MAX, receive, send};

    #[test]
    fn descriptors_arrive_with_the_bytes_they_were_sent_with() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let sent = std::fs::File::open("/dev/null").unwrap();
        let three = [sent.as_fd(), sent.as_fd(), sent.as_fd()];
        assert_eq!(send(ours.as_fd(), b"exec", &three).unwrap(), 4);
        let (mut buffer, mut fds) = ([0; 16], Vec::new());
        assert_eq!(receive(theirs.as_fd(), &mut buffer, &mut fds).unwrap(), 4);
        assert_eq!((&buffer[..4], fds.len()), (&b"exec"[..], 3));
        assert!(rustix::io::fcntl_getfd(&fds[0]).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        drop(ours);
        assert_eq!(receive(theirs.as_fd(), &mut buffer, &mut fds).unwrap(), 0);
    }

    #[test]
    fn more_descriptors_than_fit_are_refused() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let many = [ours.as_fd(); FDS_MAX + 1];
        assert!(send(ours.as_fd(), b"x", &many).is_err());
    }
}
