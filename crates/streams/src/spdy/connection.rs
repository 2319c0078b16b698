//! A SPDY connection: its task reads and writes frames, and its streams are handed out.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader, ReadHalf, WriteHalf,
};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use crate::closed::{Closed, Open, open};
use crate::spdy::core::{Batch, Core, CoreError, INPUT_BYTES_MAX, Role, STREAMS_MAX};
use crate::spdy::frame::{self, Control, FrameError, HEAD_BYTES, Head};
use crate::spdy::headers::{HeaderDecoder, Headers};
use crate::spdy::stream::{Shared, SpdyStream};
use crate::upgrade::{Connection, Limits};

/// Data is taken from the connection in parts of so many bytes.
const PART_BYTES: usize = 16 * 1024;
/// After the last byte was sent, the peer's end is waited for: closing before it has come may cost the peer what it has not read.
pub(crate) const LINGER: Duration = Duration::from_secs(2);

const _: () = assert!(PART_BYTES <= INPUT_BYTES_MAX);

/// A connection whose task runs.
#[derive(Debug)]
pub(crate) struct Spdy {
    shared: Arc<Shared>,
    closed: Closed,
}

/// Why the peer is not read any further.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("{0}")]
    Frame(#[from] FrameError),
    #[error("{0}")]
    Core(#[from] CoreError),
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Spdy {
    /// Starts the connection's task. The streams the peer makes come out of the receiver; it ends with the connection.
    pub(crate) fn start(
        io: impl Connection,
        role: Role,
        limits: Limits,
    ) -> (Spdy, mpsc::Receiver<SpdyStream>) {
        let shared = Shared::new(Core::new(role));
        let (closed, open) = open();
        let (incoming, streams) = mpsc::channel(STREAMS_MAX);
        tokio::spawn(drive(io, Arc::clone(&shared), incoming, limits, open));
        (Spdy { shared, closed }, streams)
    }

    /// Makes a stream, and waits until the peer has accepted it.
    pub(crate) async fn open(&self, headers: Headers) -> io::Result<SpdyStream> {
        let id = self.shared.lock().open(&headers)?;
        let stream = SpdyStream::new(id, headers, Arc::clone(&self.shared));
        stream.replied().await?;
        Ok(stream)
    }

    /// When the connection has ended.
    pub(crate) fn closed(&self) -> Closed {
        self.closed.clone()
    }

    /// Streams, and bytes held of what was received and of what is to be sent.
    #[cfg(test)]
    pub(crate) fn held(&self) -> (usize, usize, usize) {
        self.shared.lock().held()
    }
}

impl Drop for Spdy {
    /// Sends what was written to the streams, and ends the connection.
    fn drop(&mut self) {
        self.shared.lock().close(false);
    }
}

async fn drive(
    io: impl Connection,
    shared: Arc<Shared>,
    incoming: mpsc::Sender<SpdyStream>,
    limits: Limits,
    open: Open,
) {
    let (read, mut write) = tokio::io::split(io);
    let mut read = BufReader::with_capacity(PART_BYTES, read);
    let has_sent_all = tokio::select! {
        result = receive(&mut read, &shared, &incoming) => {
            if let Err(error) = result {
                tracing::debug!(%error, "SPDY connection lost");
                shared.lock().close(true);
            }
            false
        }
        result = send(&mut write, &shared) => result.is_ok(),
        () = watch(&shared, limits) => false,
    };
    let goodbye = shared.lock().goodbye();
    shared.lock().end();
    drop((incoming, open));
    // A peer that does not take this any more does not need it.
    let _ = timeout(LINGER, finish(read, write, &goodbye, has_sent_all)).await;
}

/// Says goodbye, and waits for the peer's end.
async fn finish(
    mut read: BufReader<ReadHalf<impl Connection>>,
    mut write: WriteHalf<impl Connection>,
    goodbye: &[u8],
    has_sent_all: bool,
) -> io::Result<()> {
    write.write_all(goodbye).await?;
    write.shutdown().await?;
    if has_sent_all {
        tokio::io::copy(&mut read, &mut tokio::io::sink()).await?;
    }
    Ok(())
}

/// Reads frames until the peer closes the connection or breaks the protocol.
async fn receive(
    io: &mut (impl AsyncRead + Unpin),
    shared: &Arc<Shared>,
    incoming: &mpsc::Sender<SpdyStream>,
) -> Result<(), ReadError> {
    let mut decoder = HeaderDecoder::default();
    let mut part = vec![0; PART_BYTES];
    loop {
        let mut head = [0; HEAD_BYTES];
        if io.read(&mut head[..1]).await? == 0 {
            return Ok(());
        }
        io.read_exact(&mut head[1..]).await?;
        match frame::parse_head(head)? {
            Head::Data { id, is_last, length } => {
                receive_data(io, shared, id, length, &mut part).await?;
                if is_last {
                    shared.lock().receive_end(id);
                }
            }
            Head::Control { kind, flags, length } => {
                let payload = &mut part[..length];
                io.read_exact(payload).await?;
                let control = frame::parse_control(kind, flags, payload, &mut decoder)?;
                receive_control(control, shared, incoming)?;
            }
        }
    }
}

const _: () = assert!(frame::CONTROL_BYTES_MAX <= PART_BYTES);

async fn receive_data(
    io: &mut (impl AsyncRead + Unpin),
    shared: &Shared,
    id: u32,
    mut length: usize,
    part: &mut [u8],
) -> io::Result<()> {
    while length > 0 {
        let room = poll_fn(|cx| shared.lock().poll_room(id, cx)).await;
        let read = io.read(&mut part[..room.min(length).min(PART_BYTES)]).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        shared.lock().receive_data(id, &part[..read]);
        length -= read;
    }
    Ok(())
}

fn receive_control(
    control: Control,
    shared: &Arc<Shared>,
    incoming: &mpsc::Sender<SpdyStream>,
) -> Result<(), CoreError> {
    let mut core = shared.lock();
    match control {
        Control::SynStream { id, is_last, headers } => {
            if !core.receive_stream(id, is_last)? {
                return Ok(());
            }
            // Taken before the stream is made: dropping one locks the core.
            match incoming.try_reserve() {
                Ok(permit) => permit.send(SpdyStream::new(id, headers, Arc::clone(shared))),
                Err(_) => core.refuse(id)?,
            }
        }
        Control::SynReply { id, is_last } => core.receive_reply(id, is_last),
        Control::Headers { id, is_last: true } => core.receive_end(id),
        Control::Reset { id } => core.receive_reset(id),
        Control::Ping { id } => core.receive_ping(id),
        // The peer makes no more streams; those it has go on until it closes the connection.
        Control::GoAway | Control::Headers { .. } | Control::Ignored => {}
    }
    Ok(())
}

/// Writes frames until the connection is closed here and everything was sent.
async fn send(io: &mut (impl AsyncWrite + Unpin), shared: &Shared) -> io::Result<()> {
    let mut batch = vec![];
    loop {
        batch.clear();
        let next = poll_fn(|cx| shared.lock().poll_batch(cx, &mut batch)).await;
        if next == Batch::Finished {
            return Ok(());
        }
        io.write_all(&batch).await?;
        io.flush().await?;
    }
}

/// Returns when no data has moved for too long. Pings a silent peer, so that writing to one that has gone fails.
async fn watch(shared: &Shared, limits: Limits) {
    let period = limits.ping.min(limits.idle).max(Duration::from_millis(1));
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut seen, mut since) = (0, Instant::now());
    loop {
        ticks.tick().await;
        let mut core = shared.lock();
        if core.activity != seen {
            (seen, since) = (core.activity, Instant::now());
        } else if since.elapsed() >= limits.idle {
            return;
        } else {
            core.ping();
        }
    }
}
