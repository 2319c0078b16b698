//! The old port-forward over a WebSocket: a data and an error channel for each port of the request.

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::io::{AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::closed::{Open, open};
use crate::exec::PIPE_BYTES_MAX;
use crate::forward::{ForwardConnection, ForwardData, ForwardSession};
use crate::upgrade::{Connection, Limits};
use crate::websocket::codec::Codec;
use crate::websocket::socket::{Queue, Receive, Socket, pump, queue};

pub(crate) fn serve(io: impl Connection, is_base64: bool, ports: &[u16], limits: Limits) -> ForwardSession {
    let (sender, connections) = mpsc::channel(ports.len().max(1));
    let (closed, open) = open();
    let mut ends = vec![];
    for &port in ports {
        let (data, data_end) = duplex(PIPE_BYTES_MAX);
        let (error, error_end) = duplex(PIPE_BYTES_MAX);
        let connection =
            ForwardConnection { port, data: ForwardData::Channel(data), error: ForwardData::Channel(error) };
        // The channel has room for every port.
        let _ = sender.try_send(connection);
        let (read, write) = split(data_end);
        ends.push(End { port, read, write: Some(write), error: error_end });
    }
    tokio::spawn(drive(io, Codec::new(is_base64), ends, sender, open, limits));
    ForwardSession { connections, closed }
}

/// The client's ends of a connection.
#[derive(Debug)]
struct End {
    port: u16,
    read: ReadHalf<DuplexStream>,
    write: Option<WriteHalf<DuplexStream>>,
    error: DuplexStream,
}

async fn drive(
    io: impl Connection,
    codec: Codec,
    mut ends: Vec<End>,
    session: mpsc::Sender<ForwardConnection>,
    open: Open,
    limits: Limits,
) {
    let socket = Socket::new(io, Role::Server).await;
    let (sender, messages) = queue();
    let mut writers = Writers { codec, writers: ends.iter_mut().map(|end| end.write.take()).collect() };
    let ports: Vec<u16> = ends.iter().map(|end| end.port).collect();
    let output = async {
        for (index, port) in ports.into_iter().enumerate() {
            for channel in [data_channel(index), data_channel(index) + 1] {
                let _ = sender.send(codec.encode(channel, &port.to_le_bytes())).await;
            }
        }
        let ends = ends.into_iter().enumerate();
        join_all(ends.map(|(index, end)| send_end(end, &sender, codec, data_channel(index)))).await;
        // Every connection has ended. The queue does too, and with it the WebSocket.
        drop(sender);
        std::future::pending::<()>().await;
    };
    let until = async {
        tokio::select! {
            () = output => {}
            () = session.closed() => {}
        }
    };
    socket.run(messages, limits, &mut writers, until).await;
    drop((session, open));
}

/// There are no more ports than fit.
fn data_channel(index: usize) -> u8 {
    u8::try_from(2 * index).unwrap_or(u8::MAX - 1)
}

async fn send_end(end: End, queue: &Queue, codec: Codec, channel: u8) {
    let data = pump(end.read, queue, move |bytes| codec.encode(channel, bytes));
    let error = pump(end.error, queue, move |bytes| codec.encode(channel + 1, bytes));
    // Reading one's own pipes does not fail.
    let _ = tokio::join!(data, error);
}

/// What the client sends.
struct Writers {
    codec: Codec,
    writers: Vec<Option<WriteHalf<DuplexStream>>>,
}

impl Receive for Writers {
    async fn receive(&mut self, message: Bytes) -> bool {
        let Some((channel, bytes)) = self.codec.decode(message) else { return true };
        let is_data = channel.is_multiple_of(2);
        if let Some(slot) = self.writers.get_mut(usize::from(channel / 2)).filter(|_| is_data)
            && let Some(writer) = slot
            && writer.write_all(&bytes).await.is_err()
        {
            *slot = None;
        }
        true
    }
}
