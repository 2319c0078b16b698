//! Requests that upgrade: what they are answered with, and what their connection becomes.
//!
//! The server negotiates from the request's headers, answers with [`response`](ExecUpgrade::response), and hands the upgraded
//! connection to `accept`.

use std::time::Duration;

use http::{HeaderMap, Response};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::exec::{ExecSession, Wanted};
use crate::forward::ForwardSession;
use crate::negotiate::{self, Transport};
use crate::refusal::Refusal;

/// A connection that was upgraded.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Connection for T {}

/// How long a connection is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A connection on which no data moves for so long ends. Kubernetes' default is four hours.
    pub idle: Duration,
    /// A SPDY client has to have made its streams by then. Kubernetes' default is 30 s.
    pub stream_creation: Duration,
    /// A client that is silent for so long is pinged, so that one that has vanished is noticed.
    pub ping: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            idle: Duration::from_secs(4 * 60 * 60),
            stream_creation: Duration::from_secs(30),
            ping: Duration::from_secs(30),
        }
    }
}

/// Why an upgraded connection did not become a session.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// The server could not hand the connection over.
    #[error("cannot take over the connection of the request")]
    Upgrade {
        /// What hyper says.
        source: hyper::Error,
    },
    /// A SPDY client made only some of the streams its request asks for.
    #[error(
        "the client made {made} of {expected} streams within {within:?}; the missing one first: {missing}"
    )]
    StreamsMissing {
        /// Streams that came.
        made: usize,
        /// Streams of the request.
        expected: usize,
        /// The time it had.
        within: Duration,
        /// The type of a stream that did not come.
        missing: &'static str,
    },
    /// The client closed the connection, or broke the protocol, before the session began.
    #[error("the connection ended before the session began")]
    Gone,
}

/// The connection under a request that was answered with 101.
///
/// # Errors
///
/// When the connection ended before the answer was written.
pub async fn upgraded(on: OnUpgrade) -> Result<TokioIo<Upgraded>, AcceptError> {
    on.await.map(TokioIo::new).map_err(|source| AcceptError::Upgrade { source })
}

/// The versions of the protocol of exec and attach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ExecVersion {
    /// Errors as text.
    V1,
    /// As V1, without its mistakes.
    V2,
    /// With sizes of the terminal.
    V3,
    /// With a Status on the error stream, which has the exit code.
    V4,
    /// With the end of standard input over WebSockets.
    V5,
}

/// A request for exec or attach that can be served.
#[derive(Debug)]
pub struct ExecUpgrade {
    transport: Transport,
    version: ExecVersion,
    is_base64: bool,
    response: Response<()>,
}

/// Names, versions and whether the payload is in base64, of exec and attach over WebSockets.
const EXEC_WEBSOCKET: [(&str, ExecVersion, bool); 6] = [
    ("v5.channel.k8s.io", ExecVersion::V5, false),
    ("v4.channel.k8s.io", ExecVersion::V4, false),
    ("v4.base64.channel.k8s.io", ExecVersion::V4, true),
    ("channel.k8s.io", ExecVersion::V1, false),
    ("base64.channel.k8s.io", ExecVersion::V1, true),
    ("", ExecVersion::V1, false),
];

/// The same over SPDY.
const EXEC_SPDY: [(&str, ExecVersion); 5] = [
    ("v5.channel.k8s.io", ExecVersion::V5),
    ("v4.channel.k8s.io", ExecVersion::V4),
    ("v3.channel.k8s.io", ExecVersion::V3),
    ("v2.channel.k8s.io", ExecVersion::V2),
    ("channel.k8s.io", ExecVersion::V1),
];

impl ExecUpgrade {
    /// Chooses the protocol for the request with these headers.
    ///
    /// # Errors
    ///
    /// 400 when the request is none to upgrade, 403 when it offers no protocol of ours.
    pub fn negotiate(headers: &HeaderMap) -> Result<ExecUpgrade, Refusal> {
        let transport = negotiate::need_transport(headers)?;
        match transport {
            Transport::WebSocket => {
                let name = negotiate::websocket_protocol(headers, &EXEC_WEBSOCKET.map(|(name, ..)| name))?;
                let response = negotiate::websocket_response(headers, name);
                let chosen = EXEC_WEBSOCKET.iter().find(|entry| entry.0 == name);
                let &(_, version, is_base64) = chosen.expect("chosen from this table");
                Ok(ExecUpgrade { transport, version, is_base64, response })
            }
            Transport::Spdy => {
                let name = negotiate::spdy_protocol(headers, &EXEC_SPDY.map(|(name, _)| name))?;
                let response = negotiate::spdy_response(name);
                let chosen = EXEC_SPDY.iter().find(|entry| entry.0 == name);
                let &(_, version) = chosen.expect("chosen from this table");
                Ok(ExecUpgrade { transport, version, is_base64: false, response })
            }
        }
    }

    /// The 101 to answer with.
    pub fn response(&self) -> Response<()> {
        self.response.clone()
    }

    /// Makes the upgraded connection a session. A task drives it until it is finished or the client has gone.
    ///
    /// # Errors
    ///
    /// Over SPDY, when the client does not make the streams it asked for.
    pub async fn accept(
        self,
        io: impl Connection,
        wanted: Wanted,
        limits: Limits,
    ) -> Result<ExecSession, AcceptError> {
        match self.transport {
            Transport::WebSocket => {
                Ok(crate::websocket::exec::serve(io, self.version, self.is_base64, wanted, limits))
            }
            Transport::Spdy => crate::spdy::exec::serve(io, self.version, wanted, limits).await,
        }
    }
}

/// How the connections of a port-forward are told apart.
#[derive(Debug, Clone)]
enum ForwardKind {
    Spdy,
    Tunnel,
    Channels { is_base64: bool, ports: Vec<u16> },
}

/// A request for port-forward that can be served.
#[derive(Debug)]
pub struct ForwardUpgrade {
    kind: ForwardKind,
    response: Response<()>,
}

const PORT_FORWARD: &str = "portforward.k8s.io";
pub(crate) const TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";
const FORWARD_WEBSOCKET: [&str; 4] = [TUNNEL, "v4.channel.k8s.io", "v4.base64.channel.k8s.io", ""];
/// Ports of one request of the WebSocket protocol, which numbers its channels with one byte.
const CHANNEL_PORTS_MAX: usize = 127;

impl ForwardUpgrade {
    /// Chooses the protocol for the request with these headers. `ports` are the values of its query parameter `ports`, each one
    /// port or more with commas; only the old WebSocket protocol has them.
    ///
    /// # Errors
    ///
    /// 400 when the request is none to upgrade or lacks ports, 403 when it offers no protocol of ours.
    pub fn negotiate(headers: &HeaderMap, ports: &[impl AsRef<str>]) -> Result<ForwardUpgrade, Refusal> {
        match negotiate::need_transport(headers)? {
            Transport::Spdy => {
                let name = negotiate::spdy_protocol(headers, &[PORT_FORWARD])?;
                Ok(ForwardUpgrade { kind: ForwardKind::Spdy, response: negotiate::spdy_response(name) })
            }
            Transport::WebSocket => {
                let name = negotiate::websocket_protocol(headers, &FORWARD_WEBSOCKET)?;
                let kind = if name == TUNNEL {
                    ForwardKind::Tunnel
                } else {
                    ForwardKind::Channels { is_base64: name.contains("base64"), ports: parse_ports(ports)? }
                };
                Ok(ForwardUpgrade { kind, response: negotiate::websocket_response(headers, name) })
            }
        }
    }

    /// The 101 to answer with.
    pub fn response(&self) -> Response<()> {
        self.response.clone()
    }

    /// Makes the upgraded connection a session. A task drives it until it is dropped or the client has gone.
    pub async fn accept(self, io: impl Connection, limits: Limits) -> ForwardSession {
        match self.kind {
            ForwardKind::Spdy => crate::spdy::forward::serve(io, limits),
            ForwardKind::Tunnel => crate::spdy::forward::serve(
                crate::websocket::tunnel::Tunnel::new(io, Role::Server).await,
                limits,
            ),
            ForwardKind::Channels { is_base64, ports } => {
                crate::websocket::forward::serve(io, is_base64, &ports, limits)
            }
        }
    }
}

fn parse_ports(values: &[impl AsRef<str>]) -> Result<Vec<u16>, Refusal> {
    let mut ports = vec![];
    for value in values.iter().flat_map(|value| value.as_ref().split(',')) {
        match value.trim().parse() {
            Ok(0) | Err(_) => {
                let message = format!("query parameter \"ports\": {value:?} is no port; give 1 to 65535");
                return Err(Refusal::bad_request(message));
            }
            Ok(port) => ports.push(port),
        }
        if ports.len() > CHANNEL_PORTS_MAX {
            let message =
                format!("query parameter \"ports\": at most {CHANNEL_PORTS_MAX} ports in a request");
            return Err(Refusal::bad_request(message));
        }
    }
    if ports.is_empty() {
        return Err(Refusal::bad_request("query parameter \"ports\" is required"));
    }
    Ok(ports)
}

/// A request for a log over a WebSocket.
#[derive(Debug)]
pub struct LogUpgrade {
    is_base64: bool,
    response: Response<()>,
}

const LOG_WEBSOCKET: [&str; 3] = ["binary.k8s.io", "base64.binary.k8s.io", ""];

impl LogUpgrade {
    /// Chooses the protocol for the request with these headers.
    ///
    /// # Errors
    ///
    /// 400 when the request is none for a WebSocket, 403 when it offers no protocol of ours.
    pub fn negotiate(headers: &HeaderMap) -> Result<LogUpgrade, Refusal> {
        if negotiate::need_transport(headers)? != Transport::WebSocket {
            return Err(Refusal::bad_request(
                "a log can be had over a WebSocket or plain HTTP, not over SPDY",
            ));
        }
        let name = negotiate::websocket_protocol(headers, &LOG_WEBSOCKET)?;
        let response = negotiate::websocket_response(headers, name);
        Ok(LogUpgrade { is_base64: name.contains("base64"), response })
    }

    /// The 101 to answer with.
    pub fn response(&self) -> Response<()> {
        self.response.clone()
    }

    /// Sends all of `log`, and closes. Returns early when the client has gone.
    pub async fn send(self, io: impl Connection, log: impl AsyncRead + Send + Unpin, limits: Limits) {
        crate::websocket::log::send(io, self.is_base64, log, limits).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_a_query() {
        for (values, expected) in [
            (vec!["80"], Some(vec![80])),
            (vec!["80,443", "8080"], Some(vec![80, 443, 8080])),
            (vec![], None),
            (vec![""], None),
            (vec!["0"], None),
            (vec!["65536"], None),
            (vec!["80,"], None),
        ] {
            assert_eq!(parse_ports(&values).ok(), expected, "{values:?}");
        }
        assert!(parse_ports(&vec!["1"; CHANNEL_PORTS_MAX]).is_ok());
        assert!(parse_ports(&vec!["1"; CHANNEL_PORTS_MAX + 1]).is_err());
    }
}
