//! A log over a WebSocket: its bytes, in messages that mean nothing by themselves.

use tokio::io::AsyncRead;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::upgrade::{Connection, Limits};
use crate::websocket::codec::Codec;
use crate::websocket::socket::{Ignore, Socket, pump, queue};

pub(crate) async fn send(
    io: impl Connection,
    is_base64: bool,
    log: impl AsyncRead + Send + Unpin,
    limits: Limits,
) {
    let codec = Codec::new(is_base64);
    let socket = Socket::new(io, Role::Server).await;
    let (sender, messages) = queue();
    let output = async move {
        // An empty message tells the client that it is connected.
        let _ = sender.send(codec.encode_whole(&[])).await;
        if let Err(error) = pump(log, &sender, move |bytes| codec.encode_whole(bytes)).await {
            tracing::warn!(%error, "cannot read the log that is sent to a client");
        }
        drop(sender);
        std::future::pending::<()>().await;
    };
    socket.run(messages, limits, &mut Ignore, output).await;
}
