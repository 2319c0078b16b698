//! A connection that has to begin.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// By then the first head has to be there: whoever connects and says nothing, or says it drop by drop, holds a
/// place for others.
const FIRST_TIME: Duration = Duration::from_secs(10);

/// A stream whose first head is not waited for without end. The head of a request of HTTP/1.1 ends with an empty line;
/// there is one in the preface of HTTP/2, too.
pub(super) struct First<S> {
    stream: S,
    /// `None` once an empty line was there.
    deadline: Option<Pin<Box<Sleep>>>,
    at_line_start: bool,
}

impl<S> First<S> {
    pub(super) fn new(stream: S) -> Self {
        Self::within(stream, FIRST_TIME)
    }

    pub(super) fn within(stream: S, time: Duration) -> Self {
        Self { stream, deadline: Some(Box::pin(sleep(time))), at_line_start: false }
    }

    /// Whether a line ends in `bytes`, which go on where the last ones ended, that has nothing in it.
    fn has_empty_line(&mut self, bytes: &[u8]) -> bool {
        for byte in bytes {
            match byte {
                b'\n' if self.at_line_start => return true,
                b'\n' => self.at_line_start = true,
                b'\r' => {}
                _ => self.at_line_start = false,
            }
        }
        false
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
        if self.deadline.is_some() && self.has_empty_line(&buffer.filled()[before..]) {
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
