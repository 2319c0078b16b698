//! The descriptors of a process as asynchronous streams, and the copying between them and a client.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

/// What is on its way in one direction at most.
const COPY_BYTES: usize = 32 << 10;

/// A pipe or a terminal, non-blocking.
#[derive(Debug)]
pub(crate) struct Descriptor(AsyncFd<OwnedFd>);

impl Descriptor {
    #[expect(
        deprecated,
        reason = "the successor is unsafe because a foreign type may change its descriptor; an OwnedFd cannot"
    )]
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Self> {
        AsyncFd::new(fd).map(Self)
    }
}

impl AsyncRead for Descriptor {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.0.poll_read_ready(cx))?;
            let read = guard.try_io(|fd| {
                rustix::io::read(fd.get_ref(), buffer.initialize_unfilled()).map_err(Into::into)
            });
            match read {
                Ok(Ok(count)) => {
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                // A terminal ends so when nobody has its other side open any more.
                Ok(Err(error)) if Errno::from_io_error(&error) == Some(Errno::IO) => {
                    return Poll::Ready(Ok(()));
                }
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_would_block) => {}
            }
        }
    }
}

impl AsyncWrite for Descriptor {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.0.poll_write_ready(cx))?;
            let written = guard.try_io(|fd| rustix::io::write(fd.get_ref(), bytes).map_err(Into::into));
            if let Ok(result) = written {
                return Poll::Ready(result);
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Closing is what ends the input of a process, and comes with the drop.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Copies until the reader ends or the writer takes no more; without a writer what is read is dropped. Each part
/// is passed on before more is read, so a slow client slows the process down and costs no memory.
pub(crate) async fn copy<R, W>(reader: &mut R, mut writer: Option<W>, mut progress: impl FnMut())
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut buffer = vec![0; COPY_BYTES];
    while let Ok(count) = reader.read(&mut buffer).await {
        progress();
        if count == 0 {
            break;
        }
        if let Some(to) = &mut writer {
            if to.write_all(&buffer[..count]).await.is_err() || to.flush().await.is_err() {
                // A client that has gone must not block the process on a full pipe.
                writer = None;
            }
            progress();
        }
    }
    if let Some(mut writer) = writer {
        let _ = writer.shutdown().await;
    }
}
