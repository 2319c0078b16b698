//! Connections to ports of a pod, from within its network namespace. The engine makes the socket there and connects it itself,
//! so that no probe wakes the shim.

use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::OnceLock;
use std::time::Duration;

use linux_sys::namespace::tcp_socket;
use rustix::io::Errno;
use rustix::net::{AddressFamily, connect, getpeername, getsockname, sockopt};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, timeout_at};

use crate::client::Client;
use crate::error::RuntimeError;

/// A loopback answers at once, unless its listener does not keep up.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// That are tried for one connection.
const ADDRESSES_MAX: usize = 8;

/// The network namespace of the engine.
#[derive(Debug, Default)]
pub(crate) struct Home(OnceLock<OwnedFd>);

impl Home {
    /// Connects to the first of `addresses` where somebody listens.
    pub(crate) async fn dial(
        &self,
        client: &Client,
        addresses: &[IpAddr],
        port: u16,
    ) -> Result<TcpStream, RuntimeError> {
        let deadline = Instant::now() + DIAL_TIMEOUT;
        let mut failures = Vec::new();
        for address in addresses.iter().take(ADDRESSES_MAX) {
            let address = SocketAddr::new(*address, port);
            let error = match self.socket(client, address).await? {
                Ok(socket) => match timeout_at(deadline, connected(socket, address)).await {
                    Ok(Ok(socket)) => return Ok(socket.into()),
                    Ok(Err(error)) => error,
                    Err(_) => io::ErrorKind::TimedOut.into(),
                },
                Err(error) => error,
            };
            failures.push(failure(address.ip(), &error));
            if Instant::now() >= deadline {
                break;
            }
        }
        let message = format!("cannot connect to port {port} of the pod: {}", failures.join("; "));
        Err(RuntimeError::Dial { message })
    }

    /// One of the pod's network. The namespace is not held any longer than that, for it ends with its sandbox.
    async fn socket(
        &self,
        client: &Client,
        address: SocketAddr,
    ) -> Result<io::Result<OwnedFd>, RuntimeError> {
        let netns = client.netns().await?;
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let made = self.get().and_then(|home| Ok(tcp_socket(netns.as_fd(), home.as_fd(), family)?));
        Ok(made)
    }

    fn get(&self) -> io::Result<&OwnedFd> {
        match self.0.get() {
            Some(home) => Ok(home),
            None => {
                let home = File::open("/proc/thread-self/ns/net")?.into();
                Ok(self.0.get_or_init(|| home))
            }
        }
    }
}

/// Within the machine a connection is made, or refused, before `connect` returns, although it says that it is under way.
async fn connected(socket: OwnedFd, address: SocketAddr) -> io::Result<OwnedFd> {
    match connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    if is_connected(&socket)? {
        return Ok(socket);
    }
    #[expect(
        deprecated,
        reason = "the successor is unsafe because a foreign type may change its descriptor; an OwnedFd cannot"
    )]
    let socket = AsyncFd::with_interest(socket, Interest::WRITABLE)?;
    loop {
        let mut ready = socket.writable().await?;
        if is_connected(socket.get_ref())? {
            break;
        }
        ready.clear_ready();
    }
    Ok(socket.into_inner())
}

/// `false` as long as it is under way.
fn is_connected(socket: &OwnedFd) -> io::Result<bool> {
    sockopt::socket_error(socket)??;
    let peer = match getpeername(socket) {
        Err(Errno::NOTCONN) => return Ok(false),
        peer => peer?,
    };
    // Where nobody listens, a socket that was given this very port would be connected to itself.
    let is_own = peer == Some(getsockname(socket)?);
    if is_own { Err(io::ErrorKind::ConnectionRefused.into()) } else { Ok(true) }
}

fn failure(address: IpAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => format!("{address}: connection refused"),
        io::ErrorKind::TimedOut => format!("{address}: no answer within {} s", DIAL_TIMEOUT.as_secs()),
        _ => format!("{address}: {error}"),
    }
}
