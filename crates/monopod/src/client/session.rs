//! Exec and attach over the streams of this process, or of a caller's.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::process::ExitCode;
use std::thread::{self, JoinHandle};

use anyhow::Context as _;
use client::ClientError;
use serde_json::Value;
use streams::client::{ExecStreams, Target};
use streams::{ExitReport, Input, Output};
use tokio::net::UnixStream as AsyncUnixStream;
use tokio::signal::unix::{SignalKind, signal};

use crate::client::context::Context;
use crate::client::failure::{Failure, Result};
use crate::client::{print, terminal};
use crate::outcome::FAILURE;

/// The streams of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Wanted {
    pub(super) stdin: bool,
    pub(super) stdout: bool,
    pub(super) stderr: bool,
    pub(super) tty: bool,
}

impl Wanted {
    /// `path?container=..&stdin=true..&command=..`.
    pub(super) fn query(self, container: &str, command: &[String]) -> Vec<(&'static str, String)> {
        let mut query = vec![("container", container.to_owned())];
        for (name, is_wanted) in
            [("stdin", self.stdin), ("stdout", self.stdout), ("stderr", self.stderr), ("tty", self.tty)]
        {
            if is_wanted {
                query.push((name, "true".to_owned()));
            }
        }
        query.extend(command.iter().map(|word| ("command", word.clone())));
        query
    }
}

/// What a caller has for the remote end, instead of this process's streams.
#[derive(Default)]
pub(super) struct Ends {
    pub(super) stdin: Option<Input>,
    pub(super) stdout: Option<Output>,
    pub(super) stderr: Option<Output>,
}

/// Runs a session whose streams are given, to its end.
pub(super) async fn run(context: &Context, path: &str, ends: Ends) -> Result<ExitReport> {
    let Ends { stdin, stdout, stderr } = ends;
    drive(context, path, ExecStreams { stdin, stdout, stderr, resize: None }).await
}

/// Runs a session on this process's standard streams; with a terminal, that is raw meanwhile. Signals that end this
/// process end the session first.
pub(super) async fn interact(context: &Context, path: &str, wanted: Wanted) -> Result<ExitCode> {
    let mut streams = ExecStreams::default();
    let (mut writers, mut raw) = (Vec::new(), None);
    if wanted.stdin {
        streams.stdin = Some(from_thread(io::stdin())?);
    }
    if wanted.stdout {
        let (output, writer) = to_thread(io::stdout())?;
        streams.stdout = Some(output);
        writers.push(writer);
    }
    if wanted.stderr {
        let (output, writer) = to_thread(io::stderr())?;
        streams.stderr = Some(output);
        writers.push(writer);
    }
    if wanted.tty && terminal::is_there() {
        streams.resize = Some(terminal::sizes().context("cannot be told of the terminal's size")?);
        raw = Some(terminal::Raw::begin().context("cannot make the terminal raw")?);
    }
    let ended = if raw.is_some() {
        tokio::select! {
            outcome = drive(context, path, streams) => outcome,
            code = told_to_end() => Err(Failure::Code(code?)),
        }
    } else {
        drive(context, path, streams).await
    };
    let was_told = matches!(ended, Err(Failure::Code(_)));
    for writer in writers.into_iter().filter(|_| !was_told) {
        // What the command wrote last is still on its way to whoever reads.
        let _ = writer.join();
    }
    drop(raw);
    exit_code(ended?)
}

/// Says how the command ended.
pub(super) fn exit_code(report: ExitReport) -> Result<ExitCode> {
    match report {
        ExitReport::Success => Ok(ExitCode::SUCCESS),
        ExitReport::ExitCode(code) => {
            print::note(format_args!("command terminated with exit code {code}"));
            let code = u8::try_from(code & 0xff).unwrap_or(FAILURE);
            Err(Failure::Code(if code == 0 { FAILURE } else { code }))
        }
        ExitReport::Error(why) => Err(Failure::said(why)),
    }
}

async fn drive(context: &Context, path: &str, streams: ExecStreams) -> Result<ExitReport> {
    let dialed = context.client.dial().await?;
    let target = Target { host: dialed.host, path: path.to_owned(), headers: dialed.headers };
    streams::client::exec(dialed.io, &target, streams).await.map_err(of_stream)
}

/// A refusal is in the server's words.
pub(super) fn of_stream(error: streams::client::ClientError) -> Failure {
    use streams::client::ClientError as Stream;
    match error {
        Stream::Refused { status, body } => {
            let value: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
            let text = |name: &str| value[name].as_str().map(str::to_owned);
            let otherwise =
                || format!("the server answered {status}: {}", String::from_utf8_lossy(&body).trim());
            let (reason, message) =
                (text("reason").unwrap_or_default(), text("message").unwrap_or_else(otherwise));
            ClientError::Status { code: status.as_u16(), reason, message, status: value }.into()
        }
        Stream::Output { source } => Failure::of_output(source),
        other => Failure::Other(anyhow::Error::new(other)),
    }
}

/// The exit code of a process that a signal ended.
async fn told_to_end() -> Result<u8> {
    const BY_SIGNAL: u8 = 128;
    let install = |kind| signal(kind).context("cannot take signals");
    let mut terminate = install(SignalKind::terminate())?;
    let mut hangup = install(SignalKind::hangup())?;
    let mut interrupt = install(SignalKind::interrupt())?;
    let number = tokio::select! {
        _ = terminate.recv() => SignalKind::terminate(),
        _ = hangup.recv() => SignalKind::hangup(),
        _ = interrupt.recv() => SignalKind::interrupt(),
    };
    Ok(BY_SIGNAL + u8::try_from(number.as_raw_value()).unwrap_or_default())
}

/// What a thread reads from `source`, which may block. The thread ends with the process.
pub(super) fn from_thread(mut source: impl Read + Send + 'static) -> Result<Input> {
    let (mut ours, theirs) = pair()?;
    spawn("reader", move || io::copy(&mut source, &mut ours).map(drop))?;
    Ok(Box::pin(theirs))
}

/// What a thread writes to `sink`, which may block; it ends when the output is dropped and all is written.
pub(super) fn to_thread(
    mut sink: impl Write + Send + 'static,
) -> Result<(Output, JoinHandle<io::Result<()>>)> {
    let (mut ours, theirs) = pair()?;
    let thread = spawn("writer", move || {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let length = ours.read(&mut buffer)?;
            if length == 0 {
                return sink.flush();
            }
            // Each part is shown as it comes.
            sink.write_all(&buffer[..length])?;
            sink.flush()?;
        }
    })?;
    Ok((Pin::from(Box::new(theirs)), thread))
}

pub(super) fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(work);
    Ok(thread.context("cannot start a thread")?)
}

/// A blocking end and one of the event loop; the kernel's buffer bounds what is between them.
pub(super) fn pair() -> Result<(UnixStream, AsyncUnixStream)> {
    let made = || -> io::Result<(UnixStream, AsyncUnixStream)> {
        let (blocking, other) = UnixStream::pair()?;
        other.set_nonblocking(true)?;
        Ok((blocking, AsyncUnixStream::from_std(other)?))
    };
    Ok(made().context("cannot make a pair of sockets")?)
}

#[cfg(test)]
mod tests {
    use super::Wanted;

    #[test]
    fn a_request_names_its_streams_and_words() {
        let wanted = Wanted { stdin: true, stdout: true, stderr: false, tty: true };
        let words = ["sh".to_owned(), "-c".to_owned()];
        let query: Vec<String> = wanted.query("c", &words).iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(
            query,
            ["container=c", "stdin=true", "stdout=true", "tty=true", "command=sh", "command=-c"]
        );
    }
}
