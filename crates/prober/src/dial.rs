//! Connections: into the pod by whoever can reach it, to hosts from here.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::net::TcpStream;

use crate::error::errno;

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 16;

/// Connects to a TCP port of the pod. An error's kind says why, where the system said so; a port that nobody
/// listens on is [`ConnectionRefused`](io::ErrorKind::ConnectionRefused).
pub trait Dial: Sync {
    fn dial(&self, port: u16) -> impl Future<Output = io::Result<TcpStream>> + Send;
}

/// A pod as requests see it: the address that is spoken of, and the way there.
#[derive(Debug)]
pub struct Pod<D> {
    /// `status.podIP`. It is in URLs, `Host` headers and texts.
    pub ip: IpAddr,
    pub dial: D,
}

/// Where a request goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'a> {
    /// The handler names no host.
    Pod,
    Host(&'a str),
}

impl<'a> Place<'a> {
    pub(crate) fn of(host: Option<&'a str>) -> Self {
        host.filter(|host| !host.is_empty()).map_or(Self::Pod, Self::Host)
    }
}

impl<D: Dial> Pod<D> {
    /// An error is what Go says about it.
    pub(crate) async fn connect(&self, place: Place<'_>, port: u16) -> Result<TcpStream, String> {
        let stream = match place {
            Place::Pod => {
                let failed = |error| refused(SocketAddr::new(self.ip, port), &error);
                self.dial.dial(port).await.map_err(failed)?
            }
            Place::Host(host) => connect_host(host, port).await?,
        };
        // Where it cannot be set, a request is slower, no more.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }

    /// Host and port as texts have it.
    pub(crate) fn authority(&self, place: Place<'_>, port: u16) -> String {
        match place {
            Place::Pod => SocketAddr::new(self.ip, port).to_string(),
            Place::Host(host) if host.contains(':') => format!("[{host}]:{port}"),
            Place::Host(host) => format!("{host}:{port}"),
        }
    }
}

async fn connect_host(host: &str, port: u16) -> Result<TcpStream, String> {
    let mut first_error = None;
    for address in addresses(host, port).await? {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => _ = first_error.get_or_insert_with(|| refused(address, &error)),
        }
    }
    Err(first_error.unwrap_or_else(|| format!("dial tcp: lookup {host}: no such host")))
}

async fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    if let Ok(ip) = host.parse() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    match tokio::net::lookup_host((host, port)).await {
        Ok(addresses) => Ok(addresses.take(ADDRESSES_MAX).collect()),
        Err(error) => Err(format!("dial tcp: lookup {host}: {}", lookup_failure(&error))),
    }
}

/// The resolver of each C library has its own words for a name that is not there.
fn lookup_failure(error: &io::Error) -> String {
    let text = error.to_string();
    let is_unknown = ["not known", "does not resolve", "No address", "has no usable address"];
    if is_unknown.iter().any(|part| text.contains(part)) { "no such host".to_owned() } else { text }
}

fn refused(address: SocketAddr, error: &io::Error) -> String {
    format!("dial tcp {address}: connect: {}", errno(error))
}
