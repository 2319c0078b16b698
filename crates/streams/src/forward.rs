//! A session of port-forward, free of the transport it came by.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf, copy, split};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::closed::Closed;
use crate::spdy::SpdyStream;

/// For the other direction of a connection when one has ended for good.
const GRACE: Duration = Duration::from_secs(1);

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
    /// Copies both ways between the client and `pod` until the pod has ended its side, or one of them has gone. What fails here is for
    /// a log: told to the client, it would end all of its connections.
    ///
    /// # Errors
    ///
    /// When the pod's side breaks; the client's data is reset then.
    pub async fn pump(self, pod: impl AsyncRead + AsyncWrite) -> io::Result<()> {
        splice(self.data, pod, Decisive::Socket, ForwardData::reset).await
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

/// Whose end is the end of a connection: the side that is dialled answers, and may do so long after the other has ended its side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decisive {
    /// The server's case.
    Socket,
    /// The client's.
    Stream,
}

/// Copies both ways between a forwarded stream and a socket, on either side of a port-forward. `reset` is called on the stream when the
/// socket breaks.
pub(crate) async fn splice<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    socket: impl AsyncRead + AsyncWrite,
    decisive: Decisive,
    reset: impl FnOnce(&mut S),
) -> io::Result<()> {
    let (mut stream_read, mut stream_write) = split(stream);
    let (mut socket_read, mut socket_write) = split(socket);
    let from_stream = copy_to_end(&mut stream_read, &mut socket_write);
    let from_socket = copy_to_end(&mut socket_read, &mut stream_write);
    let result = match decisive {
        Decisive::Socket => join(from_socket, from_stream).await,
        Decisive::Stream => join(from_stream, from_socket).await,
    };
    if result.is_err() {
        reset(&mut stream_read.unsplit(stream_write));
    }
    result
}

async fn copy_to_end(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    copy(from, to).await?;
    to.shutdown().await
}

/// Waits for the decisive direction. The other one has [`GRACE`] after it, and so has the decisive one after the other has failed.
async fn join(
    decisive: impl Future<Output = io::Result<()>>,
    other: impl Future<Output = io::Result<()>>,
) -> io::Result<()> {
    tokio::pin!(decisive, other);
    tokio::select! {
        result = &mut decisive => {
            if result.is_ok() {
                let _ = timeout(GRACE, other).await;
            }
            result
        }
        result = &mut other => match result {
            Ok(()) => decisive.await,
            Err(error) => timeout(GRACE, decisive).await.unwrap_or(Err(error)),
        }
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
