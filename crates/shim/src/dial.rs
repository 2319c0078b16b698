//! Connections to ports of the pod, from within its network namespace. Never waited for.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
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
/// What `localhost` means, in the order to try it.
const LOOPBACKS: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

#[derive(Debug)]
pub(crate) struct Dialing {
    request: u64,
    port: u16,
    socket: OwnedFd,
    /// The next of [`LOOPBACKS`].
    next: usize,
    failures: Vec<String>,
    pub(crate) deadline: BootTime,
}

enum Attempt {
    Connected(OwnedFd),
    UnderWay(OwnedFd),
    /// Nobody on any address.
    Failed,
}

impl Shim {
    pub(crate) fn begin_dial(&mut self, request: u64, port: u16) {
        if self.dials.len() >= DIALS_MAX {
            let message = format!("{DIALS_MAX} connections into the pod are being made: try again");
            return self.reply(request, ReplyBody::Failed { message });
        }
        let deadline = clock::boot().after(DIAL_TIMEOUT);
        self.go_on_dialing(request, port, 0, Vec::new(), deadline);
    }

    fn go_on_dialing(
        &mut self,
        request: u64,
        port: u16,
        mut next: usize,
        mut failures: Vec<String>,
        deadline: BootTime,
    ) {
        let key = self.next_key();
        match attempt(&self.poller, key, port, &mut next, &mut failures) {
            Attempt::Connected(socket) => self.reply_with(request, ReplyBody::Dialed, vec![socket]),
            Attempt::UnderWay(socket) => {
                self.dials.insert(key, Dialing { request, port, socket, next, failures, deadline });
            }
            Attempt::Failed => self.fail_dial(request, port, &failures),
        }
    }

    /// The socket of a connection has something to say.
    pub(crate) fn serve_dial(&mut self, key: u32) {
        let Some(Dialing { request, port, socket, next, mut failures, deadline }) = self.dials.remove(&key)
        else {
            return;
        };
        match outcome(&socket) {
            Ok(()) => {
                self.poller.forget(&socket);
                self.reply_with(request, ReplyBody::Dialed, vec![socket]);
            }
            Err(error) => {
                drop(socket);
                failures.push(failure(next - 1, &error));
                self.go_on_dialing(request, port, next, failures, deadline);
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
            let Some(Dialing { request, port, next, mut failures, .. }) = self.dials.remove(&key) else {
                continue;
            };
            failures.push(failure(next - 1, &io::ErrorKind::TimedOut.into()));
            self.fail_dial(request, port, &failures);
        }
    }

    fn fail_dial(&mut self, request: u64, port: u16, failures: &[String]) {
        let message = format!("cannot connect to port {port} of the pod: {}", failures.join("; "));
        self.reply(request, ReplyBody::DialFailed { message });
    }
}

/// Tries one address after the other until there is something to wait for, or nothing left to try.
fn attempt(poller: &Poller, key: u32, port: u16, next: &mut usize, failures: &mut Vec<String>) -> Attempt {
    while let Some(address) = LOOPBACKS.get(*next) {
        *next += 1;
        match begin(SocketAddr::new(*address, port)) {
            Ok((socket, true)) => match outcome(&socket) {
                Ok(()) => return Attempt::Connected(socket),
                Err(error) => failures.push(failure(*next - 1, &error)),
            },
            Ok((socket, false)) => match poller.add_output(&socket, Source::Dial(key)) {
                Ok(()) => return Attempt::UnderWay(socket),
                Err(error) => failures.push(failure(*next - 1, &error)),
            },
            Err(error) => failures.push(failure(*next - 1, &error)),
        }
    }
    Attempt::Failed
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

fn failure(which: usize, error: &io::Error) -> String {
    let address = LOOPBACKS.get(which).map_or_else(String::new, ToString::to_string);
    match error.kind() {
        io::ErrorKind::ConnectionRefused => format!("{address}: connection refused"),
        io::ErrorKind::TimedOut => format!("{address}: no answer within {} s", DIAL_TIMEOUT.as_secs()),
        _ => format!("{address}: {error}"),
    }
}
