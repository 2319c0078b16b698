//! The client of port-forward.

use tokio::io::{AsyncRead, AsyncWrite};

use crate::client::handshake::{ClientError, Target};
use crate::upgrade::Connection;

/// A session with a server that forwards to ports of a pod.
#[derive(Debug)]
pub struct PortForward {}

impl PortForward {
    /// Begins a session over `io`: SPDY through a WebSocket.
    ///
    /// # Errors
    ///
    /// When the server refuses or the connection breaks.
    pub async fn connect(io: impl Connection, target: &Target) -> Result<PortForward, ClientError> {
        let _ = (io, target);
        Err(ClientError::Lost)
    }

    /// Copies both ways between `local` and a port of the pod until both are done. `Ok(Some(why))` is what the server says
    /// when it cannot connect.
    ///
    /// # Errors
    ///
    /// When the connection to the server has ended.
    pub async fn forward(
        &self,
        port: u16,
        local: &mut (impl AsyncRead + AsyncWrite + Unpin),
    ) -> Result<Option<String>, ClientError> {
        let _ = (port, local);
        Err(ClientError::Lost)
    }
}
