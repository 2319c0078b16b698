//! A session of port-forward, free of the transport it came by.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf, copy_bidirectional};
use tokio::sync::mpsc;

use crate::closed::Closed;
use crate::spdy::SpdyStream;

/// The connections a client makes to ports of a pod.
#[derive(Debug)]
pub struct ForwardSession {
    pub(crate) connections: mpsc::Receiver<ForwardConnection>,
    pub(crate) closed: Closed,
}

impl ForwardSession {
    /// The next connection; `None` when the client has gone.
    pub async fn next(&mut self) -> Option<ForwardConnection> {
        self.connections.recv().await
    }

    /// Whether and when the client has gone.
    pub fn closed(&self) -> Closed {
        self.closed.clone()
    }
}

/// A connection to one port of a pod.
#[derive(Debug)]
pub struct ForwardConnection {
    /// The port to dial.
    pub port: u16,
    /// What the client sends and receives.
    pub data: ForwardData,
    pub(crate) error: ForwardData,
}

impl ForwardConnection {
    /// Copies both ways between the client and `pod`, until both are done or one breaks.
    ///
    /// # Errors
    ///
    /// When reading or writing either side fails.
    pub async fn pump(&mut self, pod: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<(u64, u64)> {
        copy_bidirectional(&mut self.data, pod).await
    }

    /// Tells the client why its connection cannot be made or broke, in the words clients of Kubernetes know.
    pub async fn fail(mut self, pod: &str, uid: &str, why: &str) {
        let message = format!("error forwarding port {} to pod {pod}, uid {uid}: {why}", self.port);
        // A client that has gone is not told.
        if self.error.write_all(message.as_bytes()).await.is_ok() {
            let _ = self.error.shutdown().await;
        }
        self.data.reset();
    }
}

/// Either stream of a connection.
#[derive(Debug)]
pub enum ForwardData {
    /// A stream of its own.
    Spdy(SpdyStream),
    /// A channel of a WebSocket.
    Channel(DuplexStream),
}

impl ForwardData {
    /// Ends both directions at once, and drops what was not sent.
    pub fn reset(&mut self) {
        match self {
            ForwardData::Spdy(stream) => stream.reset(),
            ForwardData::Channel(_) => {}
        }
    }
}

impl AsyncRead for ForwardData {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            ForwardData::Spdy(stream) => Pin::new(stream).poll_read(cx, buf),
            ForwardData::Channel(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for ForwardData {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            ForwardData::Spdy(stream) => Pin::new(stream).poll_write(cx, buf),
            ForwardData::Channel(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            ForwardData::Spdy(stream) => Pin::new(stream).poll_flush(cx),
            ForwardData::Channel(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            ForwardData::Spdy(stream) => Pin::new(stream).poll_shutdown(cx),
            ForwardData::Channel(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
