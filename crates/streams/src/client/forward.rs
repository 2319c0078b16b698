//! The client of port-forward.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::Role as SocketRole;

use crate::client::handshake::{ClientError, Target, handshake};
use crate::closed::Closed;
use crate::forward::{Decisive, splice};
use crate::spdy::{ForwardClient, SpdyStream};
use crate::upgrade::{Connection, Limits, TUNNEL};
use crate::websocket::tunnel::Tunnel;

/// Bytes of what the server says of a connection that cannot be made.
const ERROR_BYTES_MAX: u64 = 64 * 1024;
/// It is said by then, counted from the end of the data.
const ERROR_WAIT: Duration = Duration::from_secs(5);

/// A session with a server that forwards to ports of a pod.
#[derive(Debug)]
pub struct PortForward {
    client: ForwardClient,
    next_request: AtomicU64,
}

impl PortForward {
    /// Begins a session over `io`: SPDY through a WebSocket.
    ///
    /// # Errors
    ///
    /// When the server refuses or the connection breaks.
    pub async fn connect(io: impl Connection, target: &Target) -> Result<PortForward, ClientError> {
        let io = handshake(io, target, TUNNEL).await?;
        let tunnel = Tunnel::new(io, SocketRole::Client).await;
        let client = ForwardClient::start(tunnel, Limits::default());
        Ok(PortForward { client, next_request: AtomicU64::new(0) })
    }

    /// When the connection to the server has ended.
    pub fn closed(&self) -> Closed {
        self.client.closed()
    }

    /// Copies both ways between `local` and a port of the pod until one of them ends. `Ok(Some(why))` is what the server says
    /// when it cannot connect.
    ///
    /// # Errors
    ///
    /// When the connection to the server has ended.
    pub async fn forward(
        &self,
        port: u16,
        local: impl AsyncRead + AsyncWrite,
    ) -> Result<Option<String>, ClientError> {
        let request = self.next_request.fetch_add(1, Ordering::Relaxed);
        let (mut error, data) = self.client.open(port, request).await.map_err(|_| ClientError::Lost)?;
        // Nothing is said on the error stream by this side.
        error.shutdown().await.map_err(|_| ClientError::Lost)?;
        if let Err(error) = splice(data, local, Decisive::Stream, SpdyStream::reset).await {
            tracing::debug!(%error, port, "a forwarded connection broke");
        }
        let mut why = vec![];
        match timeout(ERROR_WAIT, error.take(ERROR_BYTES_MAX).read_to_end(&mut why)).await {
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionAborted => Err(ClientError::Lost),
            // A server that has nothing to say may be slow to end the stream on which it would.
            Ok(_) | Err(_) => Ok((!why.is_empty()).then(|| String::from_utf8_lossy(&why).into_owned())),
        }
    }
}
