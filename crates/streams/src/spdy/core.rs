//! The state of a SPDY connection: its streams, what they hold, and what is to be sent. It waits for nothing and reads no socket.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::task::{Context, Poll, Waker};

use bytes::{Buf as _, BytesMut};

use crate::spdy::frame::{self, HEAD_BYTES, ResetStatus};
use crate::spdy::headers::{HeaderEncoder, Headers};

/// Streams of a connection at one time. Kubernetes uses two for each connection it forwards.
pub(super) const STREAMS_MAX: usize = 1024;
/// Bytes received on a stream and not read. The connection is not read on when a stream has as many: SPDY as Kubernetes speaks it
/// has no windows, so there is no other way to make its sender wait.
pub(super) const INPUT_BYTES_MAX: usize = 256 * 1024;
/// The same for all streams of a connection.
pub(super) const INPUT_TOTAL_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes written to a stream and not sent.
pub(super) const OUTPUT_BYTES_MAX: usize = 64 * 1024;
/// The same for all streams of a connection.
pub(super) const OUTPUT_TOTAL_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Control frames that were not sent: more than the replies and resets of every stream. Past them the peer is not reading.
const CONTROL_FRAMES_MAX: usize = 4 * STREAMS_MAX;
/// Bytes of a DATA frame that is sent; streams take turns by frames.
const FRAME_BYTES_MAX: usize = 16 * 1024;
/// What is sent at once.
const BATCH_BYTES: usize = 64 * 1024;
/// Stream IDs have 31 bits.
const ID_MAX: u32 = 0x7fff_ffff;

/// Which side this is; the client's streams have odd numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Server,
    Client,
}

/// A peer that breaks the rules in a way that ends the connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum CoreError {
    #[error("the peer makes the other side answer, and does not read the answers")]
    NotReading,
}

/// What the connection has to send.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Batch {
    /// These bytes.
    Bytes,
    /// Nothing more, ever.
    Finished,
}

#[derive(Debug, Default)]
struct Stream {
    input: BytesMut,
    /// The peer sends no more.
    input_ended: bool,
    output: BytesMut,
    /// Nothing more is written here.
    output_ended: bool,
    /// And the peer was told.
    output_end_sent: bool,
    is_reset: bool,
    is_replied: bool,
    is_queued: bool,
    /// No handle is left: what comes is dropped.
    is_abandoned: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Stream {
    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }

    fn is_done(&self) -> bool {
        self.is_abandoned && (self.is_reset || self.input_ended && self.output_end_sent)
    }
}

#[derive(Debug)]
pub(super) struct Core {
    role: Role,
    streams: HashMap<u32, Stream>,
    /// Streams that have something to send, in turn.
    queue: VecDeque<u32>,
    control: VecDeque<Vec<u8>>,
    encoder: HeaderEncoder,
    last_received: u32,
    next_id: u32,
    next_ping: u32,
    input_bytes: usize,
    output_bytes: usize,
    /// Everything is sent, and then the end.
    is_closing: bool,
    has_ended: bool,
    is_error: bool,
    sender: Option<Waker>,
    receiver: Option<Waker>,
    /// Grows when data or streams come or go.
    pub(super) activity: u64,
}

impl Core {
    pub(super) fn new(role: Role) -> Core {
        let first = match role {
            Role::Client => 1,
            Role::Server => 2,
        };
        Core {
            role,
            streams: HashMap::new(),
            queue: VecDeque::new(),
            control: VecDeque::new(),
            encoder: HeaderEncoder::default(),
            last_received: 0,
            next_id: first,
            next_ping: first,
            input_bytes: 0,
            output_bytes: 0,
            is_closing: false,
            has_ended: false,
            is_error: false,
            sender: None,
            receiver: None,
            activity: 0,
        }
    }

    // What the peer sends.

    /// A new stream of the peer; `false` when it was refused.
    pub(super) fn receive_stream(&mut self, id: u32, is_last: bool) -> Result<bool, CoreError> {
        self.activity += 1;
        let is_peers = (id % 2 == 1) == (self.role == Role::Server);
        if self.is_closing {
            return Ok(false);
        }
        if !is_peers || id <= self.last_received {
            self.send_control(|_| frame::reset(id, ResetStatus::ProtocolError))?;
            return Ok(false);
        }
        self.last_received = id;
        if self.streams.len() >= STREAMS_MAX {
            self.send_control(|_| frame::reset(id, ResetStatus::RefusedStream))?;
            return Ok(false);
        }
        self.streams.insert(id, Stream { input_ended: is_last, ..Stream::default() });
        Ok(true)
    }

    /// Refuses what [`receive_stream`](Core::receive_stream) took.
    pub(super) fn refuse(&mut self, id: u32) -> Result<(), CoreError> {
        self.streams.remove(&id);
        self.send_control(|_| frame::reset(id, ResetStatus::RefusedStream))
    }

    pub(super) fn receive_reply(&mut self, id: u32, is_last: bool) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.is_replied = true;
            stream.input_ended |= is_last;
            stream.wake();
        }
    }

    pub(super) fn receive_end(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.input_ended = true;
            stream.wake();
        }
        self.collect(id);
    }

    pub(super) fn receive_reset(&mut self, id: u32) {
        self.end_stream(id);
        self.collect(id);
    }

    pub(super) fn receive_ping(&mut self, id: u32) {
        let is_answer = (id % 2 == 1) == (self.role == Role::Client);
        // A peer that does not read gets no answer, and its ping costs it nothing more.
        if !is_answer && self.control.len() < STREAMS_MAX {
            let _ = self.send_control(|_| frame::ping(id));
        }
    }

    /// How many bytes of data of this stream may come now; waits while there is no room. Data of a stream that is not there (any more)
    /// may come, and is dropped.
    pub(super) fn poll_room(&mut self, id: u32, cx: &mut Context<'_>) -> Poll<usize> {
        let room = match self.streams.get(&id) {
            Some(stream) if !stream.is_abandoned && !stream.is_reset => (INPUT_BYTES_MAX
                - stream.input.len())
            .min(INPUT_TOTAL_BYTES_MAX.saturating_sub(self.input_bytes)),
            _ => INPUT_BYTES_MAX,
        };
        if room == 0 {
            self.receiver = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(room)
    }

    /// Data, for which there was room.
    pub(super) fn receive_data(&mut self, id: u32, data: &[u8]) {
        self.activity += 1;
        if let Some(stream) = self.streams.get_mut(&id)
            && !(stream.is_abandoned || stream.is_reset || stream.input_ended)
        {
            stream.input.extend_from_slice(data);
            self.input_bytes += data.len();
            if let Some(reader) = stream.reader.take() {
                reader.wake();
            }
        }
    }

    // What is sent to the peer.

    fn send_control(&mut self, make: impl FnOnce(&mut HeaderEncoder) -> Vec<u8>) -> Result<(), CoreError> {
        if self.control.len() >= CONTROL_FRAMES_MAX {
            return Err(CoreError::NotReading);
        }
        self.control.push_back(make(&mut self.encoder));
        self.wake_sender();
        Ok(())
    }

    fn wake_sender(&mut self) {
        if let Some(sender) = self.sender.take() {
            sender.wake();
        }
    }

    fn wake_receiver(&mut self) {
        if let Some(receiver) = self.receiver.take() {
            receiver.wake();
        }
    }

    /// Makes a stream of this side.
    pub(super) fn open(&mut self, headers: &Headers) -> io::Result<u32> {
        if self.has_ended || self.is_closing || self.next_id > ID_MAX {
            return Err(gone());
        }
        if self.streams.len() >= STREAMS_MAX {
            let why = format!("a SPDY connection has at most {STREAMS_MAX} streams at one time");
            return Err(io::Error::other(why));
        }
        let id = self.next_id;
        self.send_control(|encoder| frame::syn_stream(id, &encoder.encode(headers)))
            .map_err(io::Error::other)?;
        self.next_id += 2;
        self.activity += 1;
        self.streams.insert(id, Stream::default());
        Ok(id)
    }

    /// Accepts a stream of the peer.
    pub(super) fn reply(&mut self, id: u32) -> Result<(), CoreError> {
        match self.streams.get_mut(&id) {
            Some(stream) if !stream.is_replied => stream.is_replied = true,
            _ => return Ok(()),
        }
        self.send_control(|encoder| frame::syn_reply(id, &encoder.encode(&Headers::default())))
    }

    pub(super) fn poll_replied(&mut self, id: u32, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.streams.get_mut(&id) {
            Some(stream) if stream.is_replied => Poll::Ready(Ok(())),
            Some(stream) if !stream.is_reset && !self.has_ended => {
                stream.reader = Some(cx.waker().clone());
                Poll::Pending
            }
            _ => Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionRefused, "the stream was refused"))),
        }
    }

    /// Asks the peer whether it is there.
    pub(super) fn ping(&mut self) {
        let id = self.next_ping;
        self.next_ping = if id + 2 > ID_MAX { id % 2 + 2 } else { id + 2 };
        if self.control.is_empty() {
            let _ = self.send_control(|_| frame::ping(id));
        }
    }

    /// The next bytes for the peer, appended to `batch`.
    pub(super) fn poll_batch(&mut self, cx: &mut Context<'_>, batch: &mut Vec<u8>) -> Poll<Batch> {
        while batch.len() < BATCH_BYTES {
            if let Some(frame) = self.control.pop_front() {
                batch.extend_from_slice(&frame);
            } else if let Some(id) = self.queue.pop_front() {
                self.send_data(id, batch);
            } else {
                break;
            }
        }
        if !batch.is_empty() {
            Poll::Ready(Batch::Bytes)
        } else if self.is_closing {
            Poll::Ready(Batch::Finished)
        } else {
            self.sender = Some(cx.waker().clone());
            Poll::Pending
        }
    }

    fn send_data(&mut self, id: u32, batch: &mut Vec<u8>) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.is_queued = false;
        if stream.is_reset || stream.output_end_sent {
            return;
        }
        let length = stream.output.len().min(FRAME_BYTES_MAX);
        let is_last = stream.output_ended && length == stream.output.len();
        batch.reserve(HEAD_BYTES + length);
        batch.extend_from_slice(&frame::data_head(id, is_last, length));
        batch.extend_from_slice(&stream.output[..length]);
        stream.output.advance(length);
        stream.output_end_sent = is_last;
        if let Some(writer) = stream.writer.take() {
            writer.wake();
        }
        if stream.output.is_empty() {
            // Many streams that are quiet shall not each keep what they once needed.
            stream.output = BytesMut::new();
        } else {
            stream.is_queued = true;
            self.queue.push_back(id);
        }
        self.activity += 1;
        self.release_output(length);
        self.collect(id);
    }

    /// Writers that waited for the connection's bound are many, and are woken together.
    fn release_output(&mut self, length: usize) {
        let was_full = self.output_bytes >= OUTPUT_TOTAL_BYTES_MAX;
        self.output_bytes -= length;
        if was_full && self.output_bytes < OUTPUT_TOTAL_BYTES_MAX {
            self.streams.values_mut().filter_map(|stream| stream.writer.take()).for_each(Waker::wake);
        }
    }

    fn enqueue(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(&id)
            && !stream.is_queued
        {
            stream.is_queued = true;
            self.queue.push_back(id);
            self.wake_sender();
        }
    }

    // What the handle of a stream does.

    pub(super) fn poll_read(
        &mut self,
        id: u32,
        room: usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<BytesMut>> {
        let Some(stream) = self.streams.get_mut(&id) else { return Poll::Ready(Ok(BytesMut::new())) };
        if !stream.input.is_empty() {
            let part = stream.input.split_to(room.min(stream.input.len()));
            self.input_bytes -= part.len();
            self.wake_receiver();
            return Poll::Ready(Ok(part));
        }
        // A reset is an end, too: it is how Kubernetes' clients leave a stream they have done with.
        if stream.input_ended || stream.is_reset {
            return Poll::Ready(Ok(BytesMut::new()));
        }
        if self.has_ended {
            return Poll::Ready(Err(gone()));
        }
        stream.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(super) fn poll_write(
        &mut self,
        id: u32,
        bytes: &[u8],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let has_ended = self.has_ended;
        let total_room = OUTPUT_TOTAL_BYTES_MAX.saturating_sub(self.output_bytes);
        let Some(stream) = self.streams.get_mut(&id).filter(|_| !has_ended) else {
            return Poll::Ready(Err(gone()));
        };
        if stream.is_reset || stream.output_ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let length = bytes.len().min(OUTPUT_BYTES_MAX - stream.output.len()).min(total_room);
        if length == 0 && !bytes.is_empty() {
            stream.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        stream.output.extend_from_slice(&bytes[..length]);
        self.output_bytes += length;
        if length > 0 {
            self.enqueue(id);
        }
        Poll::Ready(Ok(length))
    }

    /// Ends what is written; ready when the peer was told.
    pub(super) fn poll_shutdown(&mut self, id: u32, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(stream) = self.streams.get_mut(&id) else { return Poll::Ready(Ok(())) };
        if stream.is_reset || stream.output_end_sent {
            return Poll::Ready(Ok(()));
        }
        if self.has_ended {
            return Poll::Ready(Err(gone()));
        }
        stream.writer = Some(cx.waker().clone());
        stream.output_ended = true;
        self.enqueue(id);
        Poll::Pending
    }

    /// Ends both directions, and forgets what was not sent.
    pub(super) fn reset(&mut self, id: u32) {
        if self.streams.get(&id).is_some_and(|stream| !stream.is_reset && !stream.is_over())
            && !self.has_ended
        {
            let _ = self.send_control(|_| frame::reset(id, ResetStatus::Cancel));
        }
        self.end_stream(id);
        self.collect(id);
    }

    /// The last handle is gone: what was written is sent, and what comes is dropped.
    pub(super) fn abandon(&mut self, id: u32) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.is_abandoned = true;
        stream.output_ended = true;
        self.input_bytes -= stream.input.len();
        stream.input = BytesMut::new();
        if !stream.output_end_sent && !stream.is_reset {
            self.enqueue(id);
        }
        self.wake_receiver();
        self.collect(id);
    }

    fn end_stream(&mut self, id: u32) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.is_reset = true;
        let length = stream.output.len();
        stream.output = BytesMut::new();
        stream.wake();
        self.release_output(length);
        self.wake_receiver();
    }

    fn collect(&mut self, id: u32) {
        if self.streams.get(&id).is_some_and(Stream::is_done) {
            self.streams.remove(&id);
        }
    }

    // The connection as a whole.

    /// Sends what there is, says goodbye, and then ends.
    pub(super) fn close(&mut self, is_error: bool) {
        if self.is_closing {
            return;
        }
        self.is_closing = true;
        self.is_error = is_error;
        self.wake_sender();
    }

    /// The last frame.
    pub(super) fn goodbye(&self) -> Vec<u8> {
        frame::go_away(self.last_received, self.is_error)
    }

    /// The connection is no more.
    pub(super) fn end(&mut self) {
        self.has_ended = true;
        self.is_closing = true;
        self.control.clear();
        self.queue.clear();
        self.streams.values_mut().for_each(Stream::wake);
        self.wake_sender();
        self.wake_receiver();
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> (usize, usize, usize) {
        (self.streams.len(), self.input_bytes, self.output_bytes)
    }
}

impl Stream {
    /// Both sides have said their last.
    fn is_over(&self) -> bool {
        self.input_ended && self.output_end_sent
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the SPDY connection has ended")
}
