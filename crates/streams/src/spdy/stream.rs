//! One stream of a SPDY connection, to be read and written.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::spdy::core::Core;
use crate::spdy::headers::Headers;

/// A connection's state, shared by its task and its streams.
#[derive(Debug)]
pub(super) struct Shared(Mutex<Core>);

impl Shared {
    pub(super) fn new(core: Core) -> Arc<Shared> {
        Arc::new(Shared(Mutex::new(core)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Core> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream of a SPDY connection.
///
/// It reads to its end when the peer has ended or reset it, and fails when the connection is lost. Dropping it ends it: what was
/// written is still sent, and what comes is dropped.
#[derive(Debug)]
pub struct SpdyStream {
    id: u32,
    headers: Headers,
    shared: Arc<Shared>,
}

impl SpdyStream {
    pub(super) fn new(id: u32, headers: Headers, shared: Arc<Shared>) -> SpdyStream {
        SpdyStream { id, headers, shared }
    }

    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// The value of a header the stream was made with; `name` is in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.value(name)
    }

    /// Accepts a stream of the peer.
    pub(super) fn reply(&self) {
        if self.shared.lock().reply(self.id).is_err() {
            self.shared.lock().close(true);
        }
    }

    /// Waits until the peer has accepted the stream.
    pub(super) async fn replied(&self) -> io::Result<()> {
        std::future::poll_fn(|cx| self.shared.lock().poll_replied(self.id, cx)).await
    }

    /// Ends both directions at once; what was not sent is dropped.
    pub fn reset(&mut self) {
        self.shared.lock().reset(self.id);
    }
}

impl Drop for SpdyStream {
    fn drop(&mut self) {
        self.shared.lock().abandon(self.id);
    }
}

impl AsyncRead for SpdyStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let part = std::task::ready!(self.shared.lock().poll_read(self.id, buf.remaining(), cx))?;
        buf.put_slice(&part);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for SpdyStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.shared.lock().poll_write(self.id, bytes, cx)
    }

    /// What was written is sent without being asked for.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.lock().poll_shutdown(self.id, cx)
    }
}
