//! One connection to an engine. Never blocks: what cannot be sent now is queued, up to a limit.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use linux_sys::fd_passing;
use shim_protocol::{FrameBuffer, FrameError, Message, Request, encode};

/// Descriptors that come with one exec: standard input, output and error.
pub(crate) const DESCRIPTORS_PER_EXEC: usize = 3;
/// Bytes an engine may leave unread before it is taken for dead.
const OUTGOING_BYTES_MAX: usize = 32 << 20;
/// Descriptors an engine may leave in messages it has not read.
const OUTGOING_DESCRIPTORS_MAX: usize = 256;
/// Descriptors received for messages that have not been read whole yet.
const DESCRIPTORS_MAX: usize = 16 * DESCRIPTORS_PER_EXEC;
/// On the stack; longer requests take several reads.
const READ_BYTES: usize = 8 << 10;

#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionError {
    #[error("the engine closed the connection")]
    Closed,
    #[error("cannot read from the engine")]
    Read(#[source] io::Error),
    #[error("cannot write to the engine")]
    Write(#[source] io::Error),
    #[error("the engine sent what is no message")]
    Frame(#[from] FrameError),
    #[error(
        "the engine left more than {OUTGOING_BYTES_MAX} bytes or {OUTGOING_DESCRIPTORS_MAX} descriptors unread"
    )]
    NotReading,
    #[error("the engine sent more than {DESCRIPTORS_MAX} descriptors at once")]
    Descriptors,
}

#[derive(Debug)]
pub(crate) struct Connection {
    socket: UnixStream,
    incoming: FrameBuffer,
    descriptors: Vec<OwnedFd>,
    outgoing: VecDeque<Outgoing>,
    /// Of all messages in `outgoing`.
    outgoing_bytes: usize,
}

/// A message that is being sent.
#[derive(Debug)]
struct Outgoing {
    frame: Vec<u8>,
    sent_bytes: usize,
    /// They go with the first byte.
    descriptors: Vec<OwnedFd>,
}

impl Connection {
    pub(crate) fn new(socket: UnixStream) -> Self {
        Self {
            socket,
            incoming: FrameBuffer::default(),
            descriptors: Vec::new(),
            outgoing: VecDeque::new(),
            outgoing_bytes: 0,
        }
    }

    /// Takes in what has arrived, one read of it.
    pub(crate) fn receive(&mut self) -> Result<(), ConnectionError> {
        let mut bytes = [0; READ_BYTES];
        let received = match fd_passing::receive(self.socket.as_fd(), &mut bytes, &mut self.descriptors) {
            Ok(received) => received,
            Err(error) if is_transient(&error) => return Ok(()),
            Err(error) => return Err(ConnectionError::Read(error)),
        };
        if received == 0 {
            return Err(ConnectionError::Closed);
        }
        if self.descriptors.len() > DESCRIPTORS_MAX {
            return Err(ConnectionError::Descriptors);
        }
        self.incoming.push(&bytes[..received]);
        Ok(())
    }

    pub(crate) fn next_request(&mut self) -> Result<Option<Request>, ConnectionError> {
        Ok(self.incoming.next_message()?)
    }

    /// The descriptors that came with the oldest message that has some.
    pub(crate) fn take_descriptors(&mut self) -> Option<[OwnedFd; DESCRIPTORS_PER_EXEC]> {
        if self.descriptors.len() < DESCRIPTORS_PER_EXEC {
            return None;
        }
        self.descriptors.drain(..DESCRIPTORS_PER_EXEC).collect::<Vec<_>>().try_into().ok()
    }

    /// The oldest one that came.
    pub(crate) fn take_descriptor(&mut self) -> Option<OwnedFd> {
        (!self.descriptors.is_empty()).then(|| self.descriptors.remove(0))
    }

    /// Sends as much as goes now and queues the rest.
    pub(crate) fn send(
        &mut self,
        message: &Message,
        descriptors: Vec<OwnedFd>,
    ) -> Result<(), ConnectionError> {
        let frame = encode(message)?;
        let held: usize = self.outgoing.iter().map(|outgoing| outgoing.descriptors.len()).sum();
        if self.outgoing_bytes + frame.len() > OUTGOING_BYTES_MAX
            || held + descriptors.len() > OUTGOING_DESCRIPTORS_MAX
        {
            return Err(ConnectionError::NotReading);
        }
        self.outgoing_bytes += frame.len();
        self.outgoing.push_back(Outgoing { frame, sent_bytes: 0, descriptors });
        self.flush()
    }

    pub(crate) fn flush(&mut self) -> Result<(), ConnectionError> {
        while let Some(Outgoing { frame, sent_bytes, descriptors }) = self.outgoing.front_mut() {
            let rights: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
            match fd_passing::send(self.socket.as_fd(), &frame[*sent_bytes..], &rights) {
                Ok(sent) => {
                    *sent_bytes += sent;
                    descriptors.clear();
                    if *sent_bytes == frame.len() {
                        self.outgoing_bytes -= frame.len();
                        self.outgoing.pop_front();
                    }
                }
                Err(error) if is_transient(&error) => return Ok(()),
                Err(error) => return Err(ConnectionError::Write(error)),
            }
        }
        Ok(())
    }

    /// Gives back what large messages took.
    pub(crate) fn release_memory(&mut self) {
        self.incoming.release_memory();
        self.descriptors.shrink_to_fit();
        self.outgoing.shrink_to_fit();
    }

    pub(crate) fn has_output(&self) -> bool {
        !self.outgoing.is_empty()
    }

    pub(crate) fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.socket.set_nonblocking(nonblocking)
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The loop comes back to it.
fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use linux_sys::fd_passing;
    use shim_protocol::{Message, Reply, ReplyBody, Request, RequestBody, encode};

    use super::{Connection, ConnectionError};

    fn pair() -> (UnixStream, Connection) {
        let (engine, shim) = UnixStream::pair().unwrap();
        shim.set_nonblocking(true).unwrap();
        (engine, Connection::new(shim))
    }

    fn reply(bytes: usize) -> Message {
        let body = ReplyBody::ExecFinished { exit_code: 0, output: vec![7; bytes], timed_out: false };
        Message::Reply(Reply { id: 1, body, times: None })
    }

    #[test]
    fn descriptors_arrive_with_their_message() {
        let (engine, mut connection) = pair();
        let (a, b) = UnixStream::pair().unwrap();
        let frame = encode(&Request { id: 3, body: RequestBody::StopSandbox, timed: false }).unwrap();
        let rights = [a.as_fd(), b.as_fd(), a.as_fd()];
        let sent = fd_passing::send(engine.as_fd(), &frame, &rights).unwrap();
        assert_eq!(sent, frame.len());
        connection.receive().unwrap();
        assert_eq!(connection.next_request().unwrap().unwrap().id, 3);
        assert!(connection.take_descriptors().is_some());
        assert!(connection.take_descriptors().is_none());
    }

    #[test]
    fn an_engine_that_does_not_read_is_given_up_and_never_waited_for() {
        let (_engine, mut connection) = pair();
        let message = reply(1 << 20);
        let outcome = (0..100).find_map(|_| connection.send(&message, Vec::new()).err());
        assert!(matches!(outcome, Some(ConnectionError::NotReading)));
    }

    #[test]
    fn what_was_queued_goes_out_whole() {
        let (mut engine, mut connection) = pair();
        let message = reply(1 << 20);
        let frame = encode(&message).unwrap();
        connection.send(&message, Vec::new()).unwrap();
        connection.send(&message, Vec::new()).unwrap();
        assert!(connection.has_output());
        let mut received = vec![0; 2 * frame.len()];
        let mut filled = 0;
        while filled < received.len() {
            filled += engine.read(&mut received[filled..]).unwrap();
            connection.flush().unwrap();
        }
        assert_eq!(received, [frame.clone(), frame].concat());
        assert!(!connection.has_output());
    }

    #[test]
    fn a_closed_or_foreign_peer_is_an_error() {
        let (engine, mut connection) = pair();
        drop(engine);
        assert!(matches!(connection.receive(), Err(ConnectionError::Closed)));
        let (mut engine, mut connection) = pair();
        engine.write_all(b"GET / HTTP/1.1\r\n").unwrap();
        connection.receive().unwrap();
        assert!(matches!(connection.next_request(), Err(ConnectionError::Frame(_))));
    }
}
