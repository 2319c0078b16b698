//! Connections to ports of the pod, from within its network namespace. Never waited for.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use podspec::BootTime;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, connect, getpeername, getsockname, socket_with, sockopt,
};
use shim_protocol::ReplyBody;

use crate::clock;
use crate::poll::{Poller, Source};
use crate::supervisor::Shim;

/// Connections under way at one time in one pod.
const DIALS_MAX: usize = 64;
/// A loopback answers at once, unless its listener does not keep up.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// That are tried for one connection.
const ADDRESSES_MAX: usize = 8;

#[derive(Debug)]
pub(crate) struct Dialing {
    socket: OwnedFd,
    wanted: Wanted,
    pub(crate) deadline: BootTime,
}

/// A connection that is to be made.
#[derive(Debug)]
struct Wanted {
    request: u64,
    addresses: Vec<IpAddr>,
    port: u16,
    /// Of `addresses`: the next to try.
    next: usize,
    failures: Vec<String>,
}

enum Attempt {
    Connected(OwnedFd),
    UnderWay(OwnedFd),
    /// Nobody on any address.
    Failed,
}

impl Shim {
    pub(crate) fn begin_dial(&mut self, request: u64, mut addresses: Vec<IpAddr>, port: u16) {
        if self.dials.len() >= DIALS_MAX {
            let message = format!("{DIALS_MAX} connections into the pod are being made: try again");
            return self.reply(request, ReplyBody::Failed { message });
        }
        addresses.truncate(ADDRESSES_MAX);
        let deadline = clock::boot().after(DIAL_TIMEOUT);
        self.go_on_dialing(Wanted { request, addresses, port, next: 0, failures: Vec::new() }, deadline);
    }

    fn go_on_dialing(&mut self, mut wanted: Wanted, deadline: BootTime) {
        let key = self.next_key();
        match wanted.attempt(&self.poller, key) {
            Attempt::Connected(socket) => self.reply_with(wanted.request, ReplyBody::Dialed, vec![socket]),
            Attempt::UnderWay(socket) => _ = self.dials.insert(key, Dialing { socket, wanted, deadline }),
            Attempt::Failed => self.fail_dial(&wanted),
        }
    }

    /// The socket of a connection has something to say.
    pub(crate) fn serve_dial(&mut self, key: u32) {
        let Some(Dialing { socket, mut wanted, deadline }) = self.dials.remove(&key) else { return };
        match outcome(&socket) {
            Ok(()) => {
                self.poller.forget(&socket);
                self.reply_with(wanted.request, ReplyBody::Dialed, vec![socket]);
            }
            Err(error) => {
                drop(socket);
                wanted.fail(&error);
                self.go_on_dialing(wanted, deadline);
            }
        }
    }

    pub(crate) fn expire_dials(&mut self) {
        if self.dials.is_empty() {
            return;
        }
        let now = clock::boot();
        let late: Vec<u32> =
            self.dials.iter().filter(|(_, dialing)| dialing.deadline <= now).map(|(key, _)| *key).collect();
        for key in late {
            let Some(Dialing { mut wanted, .. }) = self.dials.remove(&key) else { continue };
            wanted.fail(&io::ErrorKind::TimedOut.into());
            self.fail_dial(&wanted);
        }
    }

    fn fail_dial(&mut self, Wanted { request, port, failures, .. }: &Wanted) {
        let message = format!("cannot connect to port {port} of the pod: {}", failures.join("; "));
        self.reply(*request, ReplyBody::DialFailed { message });
    }
}

impl Wanted {
    /// Tries one address after the other until there is something to wait for, or nothing left to try.
    fn attempt(&mut self, poller: &Poller, key: u32) -> Attempt {
        while let Some(address) = self.addresses.get(self.next) {
            let address = SocketAddr::new(*address, self.port);
            self.next += 1;
            let tried = begin(address).and_then(|(socket, is_connected)| {
                if is_connected {
                    outcome(&socket)?;
                    return Ok(Attempt::Connected(socket));
                }
                poller.add_output(&socket, Source::Dial(key))?;
                Ok(Attempt::UnderWay(socket))
            });
            match tried {
                Ok(attempt) => return attempt,
                Err(error) => self.fail(&error),
            }
        }
        Attempt::Failed
    }

    /// What became of the one tried last.
    fn fail(&mut self, error: &io::Error) {
        let address = self.next.checked_sub(1).and_then(|last| self.addresses.get(last));
        let address = address.map_or_else(String::new, ToString::to_string);
        self.failures.push(match error.kind() {
            io::ErrorKind::ConnectionRefused => format!("{address}: connection refused"),
            io::ErrorKind::TimedOut => format!("{address}: no answer within {} s", DIAL_TIMEOUT.as_secs()),
            _ => format!("{address}: {error}"),
        });
    }
}

/// A socket, and whether it is connected already.
fn begin(address: SocketAddr) -> io::Result<(OwnedFd, bool)> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    match connect(&socket, &address) {
        Ok(()) => Ok((socket, true)),
        Err(Errno::INPROGRESS) => Ok((socket, false)),
        Err(error) => Err(error.into()),
    }
}

fn outcome(socket: &OwnedFd) -> io::Result<()> {
    sockopt::socket_error(socket)??;
    // Where nobody listens, a socket that was given this very port would be connected to itself.
    let is_own = getpeername(socket)? == Some(getsockname(socket)?);
    if is_own { Err(io::ErrorKind::ConnectionRefused.into()) } else { Ok(()) }
}
