//! rtnetlink: requests, and what the kernel answers (rtnetlink(7), RFC 3549).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nftables::netlink::{Attributes, Header, Message, NLM_F_ACK, Writer, messages};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with,
};

pub(crate) const AF_INET: u8 = 2;
pub(crate) const AF_INET6: u8 = 10;

/// The kernel's own limit of one part of a dump.
const RECEIVE_BYTES: usize = 32 << 10;

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    kind: u16,
    flags: u16,
    body: Writer,
}

impl Request {
    /// `head` is the structure that the kind begins with.
    pub(crate) fn new(kind: u16, flags: u16, head: &[u8]) -> Self {
        let mut body = Writer::default();
        body.raw(head);
        Self { kind, flags, body }
    }

    pub(crate) fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        self.body.bytes(kind, value);
        self
    }

    pub(crate) fn text(mut self, kind: u16, text: &str) -> Self {
        self.body.text(kind, text);
        self
    }

    pub(crate) fn number(mut self, kind: u16, number: u32) -> Self {
        self.body.native_u32(kind, number);
        self
    }

    pub(crate) fn nested(mut self, kind: u16, fill: impl FnOnce(&mut Writer)) -> Self {
        self.body.nested(kind, fill);
        self
    }

    fn write(&self, writer: &mut Writer, sequence: u32, more_flags: u16) {
        let header = Header { kind: self.kind, flags: self.flags | more_flags, sequence };
        writer.message(header, self.body.as_bytes(), |_| {});
    }
}

/// One message of an answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) kind: u16,
    body: Vec<u8>,
}

impl Reply {
    /// The structure it begins with, of so many bytes; `None` when it is shorter.
    pub(crate) fn head(&self, bytes: usize) -> Option<&[u8]> {
        self.body.get(..bytes)
    }

    /// The attributes after a structure of so many bytes.
    pub(crate) fn attributes(&self, head_bytes: usize) -> Attributes<'_> {
        self.body.get(head_bytes.next_multiple_of(4)..).unwrap_or_default().into()
    }
}

/// A connection to the network namespace in which it was opened, whoever uses it.
#[derive(Debug)]
pub(crate) struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

impl Netlink {
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self { socket: socket(0, SocketFlags::CLOEXEC)?, sequence: 0 })
    }

    /// Sends all in one go, and returns when all are done; the first error, and which request's it is.
    pub(crate) fn send(&mut self, requests: Vec<Request>) -> Result<(), (usize, Errno)> {
        let first = self.sequence.wrapping_add(1);
        let mut writer = Writer::default();
        let count = requests.len();
        for request in requests {
            self.sequence = self.sequence.wrapping_add(1);
            request.write(&mut writer, self.sequence, NLM_F_ACK);
        }
        send(&self.socket, writer.as_bytes(), SendFlags::empty()).map_err(|error| (0, error))?;
        let mut failure = None;
        let mut done = 0;
        while done < count {
            self.receive(&mut |message| {
                let which = usize::try_from(message.sequence.wrapping_sub(first)).unwrap_or(usize::MAX);
                if let Some(outcome) = message.outcome().filter(|_| which < count) {
                    done += 1;
                    if let Err(errno) = outcome {
                        failure.get_or_insert((which, errno));
                    }
                }
            })
            .map_err(|error| (done, error))?;
        }
        failure.map_or(Ok(()), Err)
    }

    /// The answer to a request for one thing or, with [`DUMP`], for all.
    pub(crate) fn ask(&mut self, request: &Request, dump: bool) -> Result<Vec<Reply>, Errno> {
        self.sequence = self.sequence.wrapping_add(1);
        let own = self.sequence;
        let mut writer = Writer::default();
        request.write(&mut writer, own, 0);
        send(&self.socket, writer.as_bytes(), SendFlags::empty())?;
        let mut replies = Vec::new();
        let mut outcome = None;
        while outcome.is_none() {
            self.receive(&mut |message| {
                if message.sequence != own {
                    return;
                }
                if let Some(ended) = message.done().or(message.outcome()) {
                    outcome = Some(ended);
                    return;
                }
                replies.push(Reply { kind: message.kind, body: message.body().to_vec() });
                if !dump {
                    outcome = Some(Ok(()));
                }
            })?;
        }
        outcome.unwrap_or(Ok(())).map(|()| replies)
    }

    fn receive(&self, each: &mut dyn FnMut(&Message<'_>)) -> Result<(), Errno> {
        let mut buffer = vec![0; RECEIVE_BYTES];
        let received = loop {
            match recv(&self.socket, &mut buffer[..], RecvFlags::empty()) {
                Err(Errno::INTR) => {}
                received => break received?.0,
            }
        };
        messages(&buffer[..received]).for_each(|message| each(&message));
        Ok(())
    }
}

/// Tells of changes, until it is closed. Non-blocking.
#[derive(Debug)]
pub(crate) struct Notices(OwnedFd);

impl Notices {
    /// `groups`: of `RTMGRP_*`.
    pub(crate) fn open(groups: u32) -> io::Result<Self> {
        Ok(Self(socket(groups, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?))
    }

    /// Drops what has been told, and says whether anything was. What could not be kept was, too.
    pub(crate) fn drain(&self) -> io::Result<bool> {
        let mut buffer = vec![0; RECEIVE_BYTES];
        let mut any = false;
        loop {
            match recv(&self.0, &mut buffer[..], RecvFlags::empty()) {
                Ok(_) | Err(Errno::NOBUFS) => any = true,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(any),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Notices {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Notices {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

fn socket(groups: u32, flags: SocketFlags) -> io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    Ok(socket)
}
