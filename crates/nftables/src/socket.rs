//! The socket: what is sent, and what comes back.

use std::os::fd::{AsFd, BorrowedFd};

use linux_sys::close::ClosedLater;
use rustix::io::{Errno, Result, retry_on_intr};
use rustix::net::netlink::{NETFILTER, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};

use crate::netlink::{Attributes, Header, Message, NLM_F_DUMP, NLM_F_DUMP_INTR, Writer, messages};

/// A datagram of a dump is at most 32 KiB long; a notification fits, too.
const RECEIVED_BYTES_MAX: usize = 64 << 10;
/// Errors and acknowledgements of a transaction wait here; the kernel counts them with their overhead.
const RECEIVE_BUFFER_BYTES: usize = 1 << 20;
/// A dump that was disturbed is begun again so many times.
pub(crate) const DUMP_TRIES_MAX: u32 = 8;

/// `struct nfgenmsg`, with which every message of netfilter begins.
pub(crate) fn head(family: u8, resource: u16) -> [u8; 4] {
    let [high, low] = resource.to_be_bytes();
    [family, 0, high, low]
}

pub(crate) fn family_of(message: &Message<'_>) -> u8 {
    message.head().map_or(0, |[family]| *family)
}

pub(crate) fn attributes_of<'a>(message: &Message<'a>) -> Attributes<'a> {
    message.attributes(head(0, 0).len())
}

#[derive(Debug)]
pub(crate) struct Socket {
    /// What a table that was changed a moment ago has left is waited for at its last close.
    fd: ClosedLater,
    port: u32,
    /// How much can be sent at once.
    send_bytes: usize,
    sequence: u32,
}

/// How a dump ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Dump {
    Complete,
    /// It changed all the time.
    Unsteady,
}

impl Socket {
    /// In this thread's network namespace; hears of what happens in `groups`, as bits.
    pub(crate) fn open(groups: u32) -> Result<Self> {
        let fd = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(NETFILTER),
        )?;
        rustix::net::bind(&fd, &SocketAddrNetlink::new(0, groups))?;
        let port = SocketAddrNetlink::try_from(rustix::net::getsockname(&fd)?)?.pid();
        // In a user namespace the usual bound holds, which suffices for small tables.
        let _ = sockopt::set_socket_recv_buffer_size_force(&fd, RECEIVE_BUFFER_BYTES);
        let send_bytes = sockopt::socket_send_buffer_size(&fd)?;
        Ok(Self { fd: fd.into(), port, send_bytes, sequence: 1 })
    }

    /// Who it is to the kernel.
    pub(crate) fn port(&self) -> u32 {
        self.port
    }

    pub(crate) fn sequence(&self) -> u32 {
        self.sequence
    }

    /// Sends `bytes` in one datagram, after which `next` is the next sequence number.
    pub(crate) fn send(&mut self, bytes: &[u8], next: u32) -> Result<()> {
        /// What the kernel keeps of the buffer for itself.
        const RESERVE_BYTES: usize = 4096;
        self.sequence = next;
        if bytes.len() + RESERVE_BYTES > self.send_bytes {
            let _ = sockopt::set_socket_send_buffer_size_force(&self.fd, bytes.len() + RESERVE_BYTES);
            self.send_bytes = sockopt::socket_send_buffer_size(&self.fd)?;
        }
        let kernel = SocketAddrNetlink::new(0, 0);
        retry_on_intr(|| rustix::net::sendto(&self.fd, bytes, SendFlags::empty(), &kernel)).map(|_| ())
    }

    /// The next datagram, waiting for it.
    pub(crate) fn receive<'a>(&self, buffer: &'a mut Vec<u8>) -> Result<&'a [u8]> {
        self.receive_with(buffer, RecvFlags::empty())
    }

    /// The next datagram of those that are there. The kernel answers a transaction before its `send` returns.
    pub(crate) fn received<'a>(&self, buffer: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>> {
        match self.receive_with(buffer, RecvFlags::DONTWAIT) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Errno::AGAIN) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks for a list, and hands over each of its messages; from the begin again, after `restart`, when it was disturbed.
    pub(crate) fn dump<T>(
        &mut self,
        kind: u16,
        family: u8,
        request: impl Fn(&mut Writer),
        read: impl Fn(&Message<'_>) -> Option<T>,
    ) -> Result<(Vec<T>, Dump)> {
        for _ in 0..DUMP_TRIES_MAX {
            let sequence = self.sequence;
            let mut writer = Writer::default();
            let header = Header { kind, flags: NLM_F_DUMP, sequence };
            writer.message(header, &head(family, 0), &request);
            self.send(&writer.into_bytes(), sequence.wrapping_add(1))?;
            let (found, steady) = self.answers(sequence, &read)?;
            if steady {
                return Ok((found, Dump::Complete));
            }
        }
        Ok((vec![], Dump::Unsteady))
    }

    /// Everything up to the end of the list, and whether it was steady.
    fn answers<T>(&self, sequence: u32, read: impl Fn(&Message<'_>) -> Option<T>) -> Result<(Vec<T>, bool)> {
        let mut found = vec![];
        let mut is_steady = true;
        let mut buffer = vec![];
        loop {
            let bytes = self.receive(&mut buffer)?;
            for message in messages(bytes).filter(|message| message.sequence == sequence) {
                is_steady &= message.flags & NLM_F_DUMP_INTR == 0;
                if let Some(done) = message.done() {
                    return done.map(|()| (found, is_steady));
                }
                match message.outcome() {
                    Some(outcome) => outcome?,
                    None => found.extend(read(&message)),
                }
            }
        }
    }

    fn receive_with<'a>(&self, buffer: &'a mut Vec<u8>, flags: RecvFlags) -> Result<&'a [u8]> {
        buffer.resize(RECEIVED_BYTES_MAX, 0);
        let (_, length) = retry_on_intr(|| rustix::net::recv(&self.fd, buffer.as_mut_slice(), flags))?;
        Ok(&buffer[..length.min(RECEIVED_BYTES_MAX)])
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
