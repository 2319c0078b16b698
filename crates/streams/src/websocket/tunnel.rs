//! A WebSocket as a stream of bytes: its binary messages, one after another. SPDY goes through it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use futures_util::{Sink as _, Stream as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::upgrade::Connection;
use crate::websocket::socket::{PART_BYTES, config, normal_close};

/// Bytes of a message that is received.
const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

#[derive(Debug)]
pub(crate) struct Tunnel<IO> {
    socket: WebSocketStream<IO>,
    message: Bytes,
    is_closing: bool,
}

impl<IO: Connection> Tunnel<IO> {
    pub(crate) async fn new(io: IO, role: Role) -> Tunnel<IO> {
        let socket = WebSocketStream::from_raw_socket(io, role, Some(config(MESSAGE_BYTES_MAX))).await;
        Tunnel { socket, message: Bytes::new(), is_closing: false }
    }

    /// The bytes of the next message; none at the end.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        loop {
            match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                Some(Ok(Message::Binary(bytes))) if !bytes.is_empty() => return Poll::Ready(Ok(bytes)),
                Some(Ok(Message::Text(_))) => {
                    let why = "a text message in a tunnel, which has binary ones";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, why)));
                }
                Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                // Reading on sends the answer to a close, and then there is no more.
                Some(Ok(Message::Close(_))) => {}
                None => return Poll::Ready(Ok(Bytes::new())),
                Some(Err(Error::ConnectionClosed | Error::AlreadyClosed)) => {
                    return Poll::Ready(Ok(Bytes::new()));
                }
                Some(Err(error)) => return Poll::Ready(Err(to_io(error))),
            }
        }
    }
}

fn to_io(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        error => io::Error::other(error),
    }
}

impl<IO: Connection> AsyncRead for Tunnel<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.message.is_empty() {
            this.message = ready!(this.poll_message(cx))?;
        }
        let length = this.message.len().min(buf.remaining());
        buf.put_slice(&this.message[..length]);
        this.message.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<IO: Connection> AsyncWrite for Tunnel<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut socket = Pin::new(&mut self.get_mut().socket);
        ready!(socket.as_mut().poll_ready(cx)).map_err(to_io)?;
        let part = &bytes[..bytes.len().min(PART_BYTES)];
        socket.start_send(Message::binary(part.to_vec())).map_err(to_io)?;
        Poll::Ready(Ok(part.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx).map_err(to_io)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let mut socket = Pin::new(&mut this.socket);
        if !this.is_closing {
            ready!(socket.as_mut().poll_ready(cx)).map_err(to_io)?;
            this.is_closing = true;
            // A peer that has closed first needs no close.
            let _ = socket.as_mut().start_send(normal_close());
        }
        socket.poll_flush(cx).map_err(to_io)
    }
}
