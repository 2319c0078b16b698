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
        splice(self.data, pod, ForwardData::reset).await
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

/// Copies both ways between a forwarded stream and a socket on either side of a port-forward. `reset` is called on the stream when
/// the socket breaks.
pub(crate) async fn splice<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    socket: impl AsyncRead + AsyncWrite,
    reset: impl FnOnce(&mut S),
) -> io::Result<()> {
    let (mut stream_read, mut stream_write) = split(stream);
    let (mut socket_read, mut socket_write) = split(socket);
    let up = async {
        copy(&mut stream_read, &mut socket_write).await?;
        socket_write.shutdown().await
    };
    let down = async {
        copy(&mut socket_read, &mut stream_write).await?;
        stream_write.shutdown().await
    };
    let result = join(up, down).await;
    if result.is_err() {
        reset(&mut stream_read.unsplit(stream_write));
    }
    result
}

/// Waits for `down`, the direction from the pod. What still comes from the client after it has [`GRACE`]; and so has what comes from
/// the pod when nothing more can be sent to it.
async fn join(
    up: impl Future<Output = io::Result<()>>,
    down: impl Future<Output = io::Result<()>>,
) -> io::Result<()> {
    tokio::pin!(up, down);
    tokio::select! {
        result = &mut down => {
            if result.is_ok() {
                let _ = timeout(GRACE, up).await;
            }
            result
        }
        result = &mut up => match result {
            Ok(()) => down.await,
            Err(error) => timeout(GRACE, down).await.unwrap_or(Err(error)),
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
