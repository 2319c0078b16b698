//! Exec and attach over SPDY: a stream for each of error, stdin, stdout, stderr and resize.

use std::future::pending;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, copy};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::exec::{ExecEnds, ExecSession, Report, Resizer, Wanted};
use crate::resize::SizeDecoder;
use crate::spdy::connection::Spdy;
use crate::spdy::core::Role;
use crate::spdy::stream::SpdyStream;
use crate::status;
use crate::upgrade::{AcceptError, Connection, ExecVersion, Limits};

/// The header that tells what a stream is.
pub(super) const STREAM_TYPE: &str = "streamtype";

/// Bytes of sizes read at once.
const SIZES_BYTES: usize = 1024;

#[derive(Debug, Default)]
struct Streams {
    error: Option<SpdyStream>,
    stdin: Option<SpdyStream>,
    stdout: Option<SpdyStream>,
    stderr: Option<SpdyStream>,
    resize: Option<SpdyStream>,
}

impl Streams {
    fn slot(&mut self, name: &str) -> Option<&mut Option<SpdyStream>> {
        match name {
            "error" => Some(&mut self.error),
            "stdin" => Some(&mut self.stdin),
            "stdout" => Some(&mut self.stdout),
            "stderr" => Some(&mut self.stderr),
            "resize" => Some(&mut self.resize),
            _ => None,
        }
    }
}

pub(crate) async fn serve(
    io: impl Connection,
    version: ExecVersion,
    wanted: Wanted,
    limits: Limits,
) -> Result<ExecSession, AcceptError> {
    let (connection, mut incoming) = Spdy::start(io, Role::Server, limits);
    let expected = expected(version, wanted);
    let mut streams = Streams::default();
    let all = gather(&mut incoming, &mut streams, &expected);
    match timeout(limits.stream_creation, all).await {
        Ok(true) => {}
        Ok(false) => return Err(AcceptError::Gone),
        Err(_) => return Err(missing(&mut streams, &expected, limits)),
    }
    let (session, ends) = ExecSession::with_ends(wanted);
    tokio::spawn(drive(connection, incoming, streams, ends, version));
    Ok(session)
}

/// The streams a client of this version makes.
fn expected(version: ExecVersion, wanted: Wanted) -> Vec<&'static str> {
    [
        ("error", true),
        ("stdin", wanted.stdin()),
        ("stdout", wanted.stdout()),
        ("stderr", wanted.stderr()),
        ("resize", wanted.tty() && version >= ExecVersion::V3),
    ]
    .into_iter()
    .filter_map(|(name, is_expected)| is_expected.then_some(name))
    .collect()
}

/// Takes the client's streams until all are there; `false` when it has gone before.
async fn gather(incoming: &mut mpsc::Receiver<SpdyStream>, streams: &mut Streams, expected: &[&str]) -> bool {
    while expected.iter().any(|name| streams.slot(name).is_some_and(|slot| slot.is_none())) {
        let Some(mut stream) = incoming.recv().await else { return false };
        let name = stream.header(STREAM_TYPE).unwrap_or_default().to_owned();
        match streams.slot(&name) {
            Some(slot @ None) => {
                stream.reply();
                *slot = Some(stream);
            }
            _ => stream.reset(),
        }
    }
    true
}

fn missing(streams: &mut Streams, expected: &[&'static str], limits: Limits) -> AcceptError {
    let mut missing = expected.iter().filter(|name| streams.slot(name).is_some_and(|slot| slot.is_none()));
    let (first, rest) = (missing.next().copied().unwrap_or_default(), missing.count());
    AcceptError::StreamsMissing {
        made: expected.len() - 1 - rest,
        expected: expected.len(),
        within: limits.stream_creation,
        missing: first,
    }
}

/// Copies between the streams and the session, until the backend is done or the client has gone.
async fn drive(
    connection: Spdy,
    incoming: mpsc::Receiver<SpdyStream>,
    streams: Streams,
    ends: ExecEnds,
    version: ExecVersion,
) {
    // Streams that come now are refused: nobody takes them.
    drop(incoming);
    let mut closed = connection.closed();
    let Streams { error, stdin, stdout, stderr, resize } = streams;
    let ExecEnds { stdin: stdin_end, stdout: stdout_end, stderr: stderr_end, resize: resizer, report, open } =
        ends;
    let output = async {
        tokio::join!(copy_out(stdout_end, stdout), copy_out(stderr_end, stderr));
        send_report(report, error, version).await;
    };
    let input = async {
        tokio::join!(copy_in(stdin, stdin_end), read_sizes(resize, resizer));
        pending::<()>().await;
    };
    tokio::select! {
        () = output => {}
        () = input => {}
        () = closed.wait() => {}
    }
    drop((open, connection));
}

async fn copy_in(from: Option<SpdyStream>, to: Option<DuplexStream>) {
    if let (Some(mut from), Some(mut to)) = (from, to) {
        // Whether the client or the command has gone, the standard input is at its end.
        let _ = copy(&mut from, &mut to).await;
        drop(to);
        // The command may have closed it: what else the client sends is read, and dropped.
        let _ = copy(&mut from, &mut tokio::io::sink()).await;
    }
}

async fn copy_out(from: Option<DuplexStream>, to: Option<SpdyStream>) {
    if let (Some(mut from), Some(mut to)) = (from, to) {
        // A client that has closed this stream reads no more of it; dropping the end tells the command.
        let _ = copy(&mut from, &mut to).await;
        let _ = to.shutdown().await;
    }
}

async fn send_report(report: Report, error: Option<SpdyStream>, version: ExecVersion) {
    let bytes = status::encode(&report.wait().await, version);
    if let Some(mut error) = error
        && error.write_all(&bytes).await.is_ok()
    {
        let _ = error.shutdown().await;
    }
}

async fn read_sizes(from: Option<SpdyStream>, resizer: Option<Resizer>) {
    let (Some(mut from), Some(resizer)) = (from, resizer) else { return };
    let (mut decoder, mut bytes) = (SizeDecoder::default(), [0; SIZES_BYTES]);
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        if let Some(size) = decoder.push(&bytes[..read]) {
            resizer.resize(size);
        }
    }
    pending::<()>().await;
}
