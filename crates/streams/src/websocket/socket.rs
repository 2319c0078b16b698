//! What every WebSocket here has: bounds, a queue of messages to send, pings, and a proper end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::spdy::LINGER;
use crate::upgrade::{Connection, Limits};

/// Bytes of a message that is received; Kubernetes' server has the same bound. Clients send whole files in one message.
pub(crate) const MESSAGE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes of a channel in one message that is sent.
pub(crate) const PART_BYTES: usize = 32 * 1024;
/// Messages that wait to be sent.
const QUEUE_MESSAGES: usize = 4;
/// What the socket holds of messages it could not send at once: the one that is sent, and answers to pings.
const SEND_BYTES_MAX: usize = 256 * 1024;
const BUFFER_BYTES: usize = 16 * 1024;

/// Messages to be sent, in order.
pub(crate) type Queue = mpsc::Sender<Message>;

/// A WebSocket, divided for a reader and a writer.
pub(crate) struct Socket<IO> {
    sink: SplitSink<WebSocketStream<IO>, Message>,
    stream: SplitStream<WebSocketStream<IO>>,
    moved: AtomicU64,
}

pub(crate) fn config(message_bytes_max: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_write_buffer_size(SEND_BYTES_MAX)
        .max_message_size(Some(message_bytes_max))
        .max_frame_size(Some(message_bytes_max))
}

/// Takes the messages that come.
pub(crate) trait Receive {
    /// Takes one; `false` ends the WebSocket.
    fn receive(&mut self, message: Bytes) -> impl Future<Output = bool> + Send;
}

/// Drops what comes.
pub(crate) struct Ignore;

impl Receive for Ignore {
    async fn receive(&mut self, _message: Bytes) -> bool {
        true
    }
}

/// A queue, and what [`Socket::run`] sends from.
pub(crate) fn queue() -> (Queue, mpsc::Receiver<Message>) {
    mpsc::channel(QUEUE_MESSAGES)
}

/// A close that says that all is well.
pub(crate) fn normal_close() -> Message {
    Message::Close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() }))
}

impl<IO: Connection> Socket<IO> {
    pub(crate) async fn new(io: IO, role: Role) -> Socket<IO> {
        let socket = WebSocketStream::from_raw_socket(io, role, Some(config(MESSAGE_BYTES_MAX))).await;
        let (sink, stream) = socket.split();
        Socket { sink, stream, moved: AtomicU64::new(0) }
    }

    /// Sends the queue's messages, and hands every message that comes to `receive`, until the queue is closed (then it closes the
    /// WebSocket), the peer has gone, `receive` or `until` ends it, or nothing has moved for too long.
    pub(crate) async fn run(
        self,
        mut queue: mpsc::Receiver<Message>,
        limits: Limits,
        receive: &mut impl Receive,
        until: impl Future<Output = ()>,
    ) {
        let Socket { mut sink, mut stream, moved } = self;
        let is_orderly = tokio::select! {
            result = send(&mut sink, &mut queue, &moved, limits) => {
                result.inspect_err(|error| tracing::debug!(%error, "WebSocket lost")).is_ok()
            }
            is_orderly = read(&mut stream, &moved, receive) => is_orderly,
            () = idle(&moved, limits) => false,
            () = until => false,
        };
        if is_orderly {
            // Reading on flushes the answer to the peer's close, or takes its answer to this side's.
            let _ = timeout(LINGER, async { while let Some(Ok(_)) = stream.next().await {} }).await;
        }
    }
}

async fn send<IO: Connection>(
    sink: &mut SplitSink<WebSocketStream<IO>, Message>,
    queue: &mut mpsc::Receiver<Message>,
    moved: &AtomicU64,
    limits: Limits,
) -> Result<(), Error> {
    let period = limits.ping.max(Duration::from_millis(1));
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            message = queue.recv() => {
                let Some(message) = message else { break };
                sink.send(message).await?;
                moved.fetch_add(1, Ordering::Relaxed);
            }
            _ = ticks.tick() => sink.send(Message::Ping(Bytes::new())).await?,
        }
    }
    sink.send(normal_close()).await
}

/// Returns whether it is the peer's close that came.
async fn read<IO: Connection>(
    stream: &mut SplitStream<WebSocketStream<IO>>,
    moved: &AtomicU64,
    to: &mut impl Receive,
) -> bool {
    loop {
        let bytes = match stream.next().await {
            Some(Ok(Message::Binary(bytes))) => bytes,
            Some(Ok(Message::Text(text))) => text.into(),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
            Some(Ok(Message::Close(_))) => return true,
            None => return false,
            Some(Err(error)) => {
                tracing::debug!(%error, "WebSocket lost");
                return false;
            }
        };
        moved.fetch_add(1, Ordering::Relaxed);
        if !to.receive(bytes).await {
            return false;
        }
    }
}

/// Returns when no message has moved for too long.
async fn idle(moved: &AtomicU64, limits: Limits) {
    let mut seen = moved.load(Ordering::Relaxed);
    loop {
        tokio::time::sleep(limits.idle).await;
        let now = moved.load(Ordering::Relaxed);
        if now == seen {
            return;
        }
        seen = now;
    }
}

/// Sends what can be read from `from`, as messages made by `encode`, until it ends or the socket has.
pub(crate) async fn pump(
    mut from: impl AsyncRead + Unpin,
    queue: &Queue,
    encode: impl Fn(&[u8]) -> Message,
) -> std::io::Result<()> {
    let mut part = vec![0; PART_BYTES];
    loop {
        let read = from.read(&mut part).await?;
        if read == 0 || queue.send(encode(&part[..read])).await.is_err() {
            return Ok(());
        }
    }
}
