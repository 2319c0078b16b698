//! A connection that has to begin.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// By then the first bytes have to be there: whoever connects and says nothing holds a place for others.
const FIRST_TIME: Duration = Duration::from_secs(10);
/// The preface of HTTP/2; no request of HTTP/1.1 is shorter.
const FIRST_BYTES: usize = 24;

/// A stream whose first bytes are not waited for without end.
pub(super) struct First<S> {
    stream: S,
    deadline: Option<Pin<Box<Sleep>>>,
    bytes: usize,
}

impl<S> First<S> {
    pub(super) fn new(stream: S) -> Self {
        Self::within(stream, FIRST_TIME)
    }

    pub(super) fn within(stream: S, time: Duration) -> Self {
        Self { stream, deadline: Some(Box::pin(sleep(time))), bytes: 0 }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for First<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let Poll::Ready(outcome) = Pin::new(&mut self.stream).poll_read(cx, buffer) else {
            let Some(deadline) = &mut self.deadline else { return Poll::Pending };
            ready!(deadline.as_mut().poll(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        };
        self.bytes += buffer.filled().len() - before;
        if self.bytes >= FIRST_BYTES {
            self.deadline = None;
        }
        Poll::Ready(outcome)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for First<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
