//! The client of exec and attach.

use std::io;

use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::client::handshake::{ClientError, Target, handshake};
use crate::exec::{ExitReport, Input, Output, Resizes};
use crate::upgrade::{Connection, Limits};
use crate::websocket::codec::{CLOSE, Codec, ERROR, RESIZE, STDERR, STDIN, STDOUT};
use crate::websocket::socket::{Queue, Receive, Socket, pump, queue};
use crate::{resize, status};

const PROTOCOL: &str = "v5.channel.k8s.io";
const CODEC: Codec = Codec::Raw;
/// Bytes of the server's last word.
const REPORT_BYTES_MAX: usize = 64 * 1024;

/// The client's streams. Those of the target's query are to be given.
#[derive(Default)]
pub struct ExecStreams {
    /// Is sent until it ends, and then the command's standard input ends.
    pub stdin: Option<Input>,
    /// Takes what the command writes.
    pub stdout: Option<Output>,
    /// As `stdout`.
    pub stderr: Option<Output>,
    /// Sizes of the terminal.
    pub resize: Option<Resizes>,
}

impl std::fmt::Debug for ExecStreams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExecStreams").finish_non_exhaustive()
    }
}

/// Runs an exec or attach over `io` to its end, with protocol 5 over a WebSocket.
///
/// # Errors
///
/// When the server refuses, an output cannot be written, or the connection ends before the server has said how the command ended.
pub async fn exec(
    io: impl Connection,
    target: &Target,
    streams: ExecStreams,
) -> Result<ExitReport, ClientError> {
    let io = handshake(io, target, PROTOCOL).await?;
    let socket = Socket::new(io, Role::Client).await;
    let ExecStreams { stdin, stdout, stderr, resize } = streams;
    let (sender, messages) = queue();
    let mut output = ExecOutput { stdout, stderr, report: vec![], failure: None };
    let input = async {
        tokio::join!(send_stdin(stdin, &sender), send_sizes(resize, &sender));
        std::future::pending::<()>().await;
    };
    socket.run(messages, Limits::default(), &mut output, input).await;
    output.finish()
}

async fn send_stdin(stdin: Option<Input>, queue: &Queue) {
    let Some(stdin) = stdin else { return };
    if let Err(error) = pump(stdin, queue, move |bytes| CODEC.encode(STDIN, bytes)).await {
        tracing::warn!(%error, "cannot read standard input; the command sees its end");
    }
    let _ = queue.send(Message::binary(vec![CLOSE, STDIN])).await;
}

async fn send_sizes(resize: Option<Resizes>, queue: &Queue) {
    let Some(mut resize) = resize else { return };
    while let Some(size) = resize.next().await {
        if queue.send(CODEC.encode(RESIZE, &resize::encode(size))).await.is_err() {
            return;
        }
    }
}

struct ExecOutput {
    stdout: Option<Output>,
    stderr: Option<Output>,
    report: Vec<u8>,
    failure: Option<ClientError>,
}

impl Receive for ExecOutput {
    async fn receive(&mut self, message: Bytes) -> bool {
        let result = match CODEC.decode(message) {
            Some((STDOUT, bytes)) => write(&mut self.stdout, &bytes).await,
            Some((STDERR, bytes)) => write(&mut self.stderr, &bytes).await,
            Some((ERROR, bytes)) => {
                self.report.extend_from_slice(&bytes);
                return self.report.len() <= REPORT_BYTES_MAX;
            }
            Some(_) | None => Ok(()),
        };
        self.failure = result.err().map(|source| ClientError::Output { source });
        self.failure.is_none()
    }
}

impl ExecOutput {
    fn finish(self) -> Result<ExitReport, ClientError> {
        match self.failure {
            Some(failure) => Err(failure),
            None if self.report.is_empty() => Err(ClientError::Lost),
            None => Ok(status::decode(&self.report)),
        }
    }
}

async fn write(to: &mut Option<Output>, bytes: &[u8]) -> io::Result<()> {
    if let Some(to) = to {
        to.write_all(bytes).await?;
        to.flush().await?;
    }
    Ok(())
}
