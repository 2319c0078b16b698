//! rtnetlink: requests, and what the kernel answers (rtnetlink(7), RFC 3549).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with,
};

pub(crate) const AF_INET: u8 = 2;
pub(crate) const AF_INET6: u8 = 10;

pub(crate) const ACK: u16 = 0x4;
pub(crate) const DUMP: u16 = 0x300;
pub(crate) const REPLACE: u16 = 0x100;
pub(crate) const EXCLUSIVE: u16 = 0x200;
pub(crate) const CREATE: u16 = 0x400;

const REQUEST: u16 = 0x1;
const HEADER_BYTES: usize = 16;
const ATTRIBUTE_HEADER_BYTES: usize = 4;
const ATTRIBUTE_NESTED: u16 = 0x8000;
const ATTRIBUTE_TYPE: u16 = 0x3fff;
const MESSAGE_ERROR: u16 = 2;
const MESSAGE_DONE: u16 = 3;
/// The kernel's own limit of one part of a dump.
const RECEIVE_BYTES: usize = 32 << 10;

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    bytes: Vec<u8>,
}

impl Request {
    /// `body` is the structure that the type begins with.
    pub(crate) fn new(kind: u16, flags: u16, body: &[u8]) -> Self {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(REQUEST | flags).to_ne_bytes());
        bytes.extend_from_slice(body);
        let mut request = Self { bytes };
        request.pad();
        request
    }

    pub(crate) fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        let start = self.begin(kind);
        self.bytes.extend_from_slice(value);
        self.end(start);
        self
    }

    /// With its final NUL, as names have it.
    pub(crate) fn text(self, kind: u16, text: &str) -> Self {
        let bytes: Vec<u8> = text.bytes().chain([0]).collect();
        self.attribute(kind, &bytes)
    }

    pub(crate) fn number(self, kind: u16, number: u32) -> Self {
        self.attribute(kind, &number.to_ne_bytes())
    }

    pub(crate) fn nested(mut self, kind: u16, fill: impl FnOnce(Self) -> Self) -> Self {
        let start = self.begin(kind | ATTRIBUTE_NESTED);
        let mut filled = fill(self);
        filled.end(start);
        filled
    }

    /// Bytes in the middle of a nested attribute: the structure that it begins with.
    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self.pad();
        self
    }

    fn begin(&mut self, kind: u16) -> usize {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        start
    }

    fn end(&mut self, start: usize) {
        let length = u16::try_from(self.bytes.len() - start).unwrap_or(u16::MAX);
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn finish(&mut self, sequence: u32) -> &[u8] {
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        &self.bytes
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
    pub(crate) fn attributes(&self, head_bytes: usize) -> impl Iterator<Item = (u16, &[u8])> {
        let mut rest = self.body.get(head_bytes.next_multiple_of(4)..).unwrap_or_default();
        std::iter::from_fn(move || {
            let length = usize::from(u16::from_ne_bytes(rest.get(..2)?.try_into().ok()?));
            let kind = u16::from_ne_bytes(rest.get(2..4)?.try_into().ok()?);
            let value = rest.get(ATTRIBUTE_HEADER_BYTES..length)?;
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            Some((kind & ATTRIBUTE_TYPE, value))
        })
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
        let mut bytes = Vec::new();
        let count = requests.len();
        for mut request in requests {
            self.sequence = self.sequence.wrapping_add(1);
            let flags = u16::from_ne_bytes([request.bytes[6], request.bytes[7]]) | ACK;
            request.bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
            bytes.extend_from_slice(request.finish(self.sequence));
        }
        send(&self.socket, &bytes, SendFlags::empty()).map_err(|error| (0, error))?;
        let mut failure = None;
        let mut done = 0;
        while done < count {
            self.receive(&mut |sequence, kind, body| {
                let which = usize::try_from(sequence.wrapping_sub(first)).unwrap_or(usize::MAX);
                if kind == MESSAGE_ERROR && which < count {
                    done += 1;
                    if let Some(errno) = error_of(body) {
                        failure.get_or_insert((which, errno));
                    }
                }
            })
            .map_err(|error| (done, error))?;
        }
        failure.map_or(Ok(()), Err)
    }

    /// The answer to a request for one thing or, with [`DUMP`], for all.
    pub(crate) fn ask(&mut self, mut request: Request, dump: bool) -> Result<Vec<Reply>, Errno> {
        self.sequence = self.sequence.wrapping_add(1);
        let own = self.sequence;
        send(&self.socket, request.finish(own), SendFlags::empty())?;
        let mut replies = Vec::new();
        let mut outcome = None;
        while outcome.is_none() {
            self.receive(&mut |sequence, kind, body| {
                if sequence != own {
                    return;
                }
                match kind {
                    MESSAGE_DONE => outcome = Some(Ok(())),
                    MESSAGE_ERROR => outcome = Some(error_of(body).map_or(Ok(()), Err)),
                    kind => {
                        replies.push(Reply { kind, body: body.to_vec() });
                        if !dump {
                            outcome = Some(Ok(()));
                        }
                    }
                }
            })?;
        }
        outcome.unwrap_or(Ok(())).map(|()| replies)
    }

    fn receive(&self, each: &mut dyn FnMut(u32, u16, &[u8])) -> Result<(), Errno> {
        let mut buffer = vec![0; RECEIVE_BYTES];
        let received = loop {
            match recv(&self.socket, &mut buffer[..], RecvFlags::empty()) {
                Err(Errno::INTR) => {}
                received => break received?.0,
            }
        };
        messages(&buffer[..received], each);
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

/// `None` for an acknowledgement.
fn error_of(body: &[u8]) -> Option<Errno> {
    let number = body.first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
    (number != 0).then(|| Errno::from_raw_os_error(number.saturating_neg()))
}

fn messages(mut bytes: &[u8], each: &mut dyn FnMut(u32, u16, &[u8])) {
    while let Some(header) = bytes.first_chunk::<HEADER_BYTES>() {
        let [l0, l1, l2, l3, k0, k1, _, _, s0, s1, s2, s3, ..] = *header;
        let length = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
        let Some(body) = bytes.get(HEADER_BYTES..length) else { return };
        each(u32::from_ne_bytes([s0, s1, s2, s3]), u16::from_ne_bytes([k0, k1]), body);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::{ACK, Reply, Request, messages};

    #[test]
    fn attributes_are_padded_and_nested() {
        let mut request = Request::new(16, ACK, &[1, 2, 3, 4])
            .text(3, "eth0")
            .nested(18, |inner| inner.number(1, 7).attribute(2, &[9]));
        let bytes = request.finish(5).to_vec();
        let mut seen = Vec::new();
        messages(&bytes, &mut |sequence, kind, body| seen.push((sequence, kind, body.to_vec())));
        let [(5, 16, body)] = &seen[..] else { panic!("{seen:?}") };
        let reply = Reply { kind: 16, body: body.clone() };
        assert_eq!(reply.head(4), Some(&[1, 2, 3, 4][..]));
        let attributes: Vec<_> = reply.attributes(4).collect();
        assert_eq!(attributes[0], (3, &b"eth0\0"[..]));
        let inner = Reply { kind: 0, body: attributes[1].1.to_vec() };
        assert_eq!(inner.attributes(0).collect::<Vec<_>>(), [(1, &7_u32.to_ne_bytes()[..]), (2, &[9][..])]);
    }

    #[test]
    fn what_is_cut_off_is_no_message() {
        let mut request = Request::new(16, 0, &[0; 16]);
        let bytes = request.finish(1).to_vec();
        for cut in 0..bytes.len() {
            messages(&bytes[..cut], &mut |_, _, _| panic!("at {cut}"));
        }
        let short = Reply { kind: 0, body: vec![8, 0, 1, 0, 1] };
        assert_eq!(short.attributes(0).count(), 0);
    }
}
