//! Exec and attach over a WebSocket: a channel for each of stdin, stdout, stderr, error and resize.

use bytes::Bytes;
use tokio::io::{AsyncWriteExt as _, DuplexStream};
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::exec::{ExecEnds, ExecSession, Report, Resizer, Wanted};
use crate::resize::SizeDecoder;
use crate::status;
use crate::upgrade::{Connection, ExecVersion, Limits};
use crate::websocket::codec::{CLOSE, Codec, ERROR, RESIZE, STDERR, STDIN, STDOUT};
use crate::websocket::socket::{Queue, Receive, Socket, pump, queue};

pub(crate) fn serve(
    io: impl Connection,
    version: ExecVersion,
    is_base64: bool,
    wanted: Wanted,
    limits: Limits,
) -> ExecSession {
    let (session, ends) = ExecSession::with_ends(wanted);
    tokio::spawn(drive(io, version, Codec::new(is_base64), wanted, ends, limits));
    session
}

async fn drive(
    io: impl Connection,
    version: ExecVersion,
    codec: Codec,
    wanted: Wanted,
    ends: ExecEnds,
    limits: Limits,
) {
    let ExecEnds { stdin, stdout, stderr, resize, report, open } = ends;
    let socket = Socket::new(io, Role::Server).await;
    let (sender, messages) = queue();
    let mut input = ExecInput { codec, version, stdin, resize, sizes: SizeDecoder::default() };
    let output = async move {
        // An empty message tells the client that it is connected.
        let _ = sender.send(codec.encode(first_channel(wanted), &[])).await;
        tokio::join!(
            send_output(stdout, &sender, codec, STDOUT),
            send_output(stderr, &sender, codec, STDERR)
        );
        send_report(report, &sender, codec, version).await;
        // The queue ends here, and with it the WebSocket; `run` is not ended by this but by that.
        drop(sender);
        std::future::pending::<()>().await;
    };
    socket.run(messages, limits, &mut input, output).await;
    drop(open);
}

/// The lowest channel the client reads.
fn first_channel(wanted: Wanted) -> u8 {
    match (wanted.stdout(), wanted.stderr()) {
        (true, _) => STDOUT,
        (false, true) => STDERR,
        (false, false) => ERROR,
    }
}

async fn send_output(from: Option<DuplexStream>, queue: &Queue, codec: Codec, channel: u8) {
    if let Some(from) = from {
        // Reading one's own pipe does not fail.
        let _ = pump(from, queue, move |bytes| codec.encode(channel, bytes)).await;
    }
}

async fn send_report(report: Report, queue: &Queue, codec: Codec, version: ExecVersion) {
    let bytes = status::encode(&report.wait().await, version);
    if !bytes.is_empty() {
        let _ = queue.send(codec.encode(ERROR, &bytes)).await;
    }
}

/// What the client sends.
#[derive(Debug)]
struct ExecInput {
    codec: Codec,
    version: ExecVersion,
    stdin: Option<DuplexStream>,
    resize: Option<Resizer>,
    sizes: SizeDecoder,
}

impl Receive for ExecInput {
    /// Takes a message; `false` when the client breaks the protocol.
    async fn receive(&mut self, message: Bytes) -> bool {
        match self.codec.decode(message) {
            Some((CLOSE, channel)) if self.version >= ExecVersion::V5 => match channel[..] {
                [STDIN] => self.stdin = None,
                [STDOUT..=RESIZE] => {}
                _ => return false,
            },
            Some((STDIN, bytes)) => {
                if let Some(stdin) = &mut self.stdin
                    && stdin.write_all(&bytes).await.is_err()
                {
                    // The command has closed it; what else comes is dropped.
                    self.stdin = None;
                }
            }
            Some((RESIZE, bytes)) => {
                if let (Some(size), Some(resizer)) = (self.sizes.push(&bytes), &self.resize) {
                    resizer.resize(size);
                }
            }
            // As Kubernetes does: what has no reader is dropped.
            Some(_) | None => {}
        }
        true
    }
}
