//! A session of exec or attach, free of the transport it came by.

use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, duplex};
use tokio::sync::{oneshot, watch};

use crate::closed::{Closed, Open, open};
use crate::refusal::Refusal;

/// What is read from a client: its standard input.
pub type Input = Pin<Box<dyn AsyncRead + Send>>;
/// What is written to a client: a standard output of its command.
pub type Output = Pin<Box<dyn AsyncWrite + Send>>;

/// Bytes held for a standard stream between client and backend; a writer waits when they are full.
pub const PIPE_BYTES_MAX: usize = 64 * 1024;

/// The standard streams a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    stdin: bool,
    stdout: bool,
    stderr: bool,
    tty: bool,
}

impl Wanted {
    /// The streams of the request's parameters. A terminal has no standard error of its own.
    ///
    /// # Errors
    ///
    /// 400 when no stream is asked for.
    pub fn new(stdin: bool, stdout: bool, stderr: bool, tty: bool) -> Result<Wanted, Refusal> {
        let stderr = stderr && !tty;
        if !stdin && !stdout && !stderr {
            return Err(Refusal::bad_request("you must specify at least 1 of stdin, stdout, stderr"));
        }
        Ok(Wanted { stdin, stdout, stderr, tty })
    }

    /// Whether the client sends standard input.
    pub fn stdin(self) -> bool {
        self.stdin
    }

    /// Whether the client reads standard output.
    pub fn stdout(self) -> bool {
        self.stdout
    }

    /// Whether the client reads standard error; never with a terminal.
    pub fn stderr(self) -> bool {
        self.stderr
    }

    /// Whether the command has a terminal, whose size the client tells.
    pub fn tty(self) -> bool {
        self.tty
    }
}

/// The size of a client's terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TerminalSize {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

/// The sizes of the client's terminal. Only the newest waits: a size that was overtaken is not seen.
#[derive(Debug)]
pub struct Resizes(watch::Receiver<Option<TerminalSize>>);

impl Resizes {
    /// The next size; `None` when the client has gone.
    pub async fn next(&mut self) -> Option<TerminalSize> {
        loop {
            self.0.changed().await.ok()?;
            if let Some(size) = *self.0.borrow_and_update() {
                return Some(size);
            }
        }
    }
}

/// The sending half of [`Resizes`].
#[derive(Debug)]
pub struct Resizer(watch::Sender<Option<TerminalSize>>);

impl Resizer {
    /// A sender, and what it sends to.
    pub fn pair() -> (Resizer, Resizes) {
        let (sender, receiver) = watch::channel(None);
        (Resizer(sender), Resizes(receiver))
    }

    /// Tells the newest size.
    pub fn resize(&self, size: TerminalSize) {
        self.0.send_replace(Some(size));
    }
}

/// How a command ended, or why it did not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExitReport {
    /// It ended with 0, or was left running by an attach that ended.
    Success,
    /// It ended with another code.
    ExitCode(i32),
    /// It could not be run, or its end is not known. The client's user reads `Internal error occurred: ` and this; Kubernetes
    /// begins it with `error executing command in container: ` or `error attaching to container: `.
    Error(String),
}

/// An exec or attach as the backend sees it.
///
/// The outputs are to be dropped (or shut down) when the command has written its last byte; the report is sent to the client
/// after all of their bytes. A session that is dropped without [`finish`](ExecSession::finish) is reported as an error.
pub struct ExecSession {
    /// Ends when the client closes its side, or goes.
    pub stdin: Option<Input>,
    /// Waits while the client does not read; fails when it has gone.
    pub stdout: Option<Output>,
    /// As `stdout`.
    pub stderr: Option<Output>,
    /// There is one if the command has a terminal.
    pub resize: Option<Resizes>,
    closed: Closed,
    report: oneshot::Sender<ExitReport>,
}

impl std::fmt::Debug for ExecSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExecSession").field("closed", &self.closed).finish_non_exhaustive()
    }
}

impl ExecSession {
    /// Whether and when the client has gone. It may be waited for beside the streams.
    pub fn closed(&self) -> Closed {
        self.closed.clone()
    }

    /// Ends the session. Outputs that are still in it are closed.
    pub fn finish(self, report: ExitReport) {
        // The receiver is gone when the client is, and then nobody is to be told.
        let _ = self.report.send(report);
    }

    /// A session with its other ends: what every transport drives, and a test may.
    pub fn with_ends(wanted: Wanted) -> (ExecSession, ExecEnds) {
        let (closed, open) = open();
        let (report_sender, report) = oneshot::channel();
        let (stdin, stdin_end) = pipe(wanted.stdin);
        let (stdout, stdout_end) = pipe(wanted.stdout);
        let (stderr, stderr_end) = pipe(wanted.stderr);
        let (resizer, resizes) = wanted.tty.then(Resizer::pair).unzip();
        let session = ExecSession {
            stdin: stdin.map(|end| Box::pin(end) as Input),
            stdout: stdout.map(|end| Box::pin(end) as Output),
            stderr: stderr.map(|end| Box::pin(end) as Output),
            resize: resizes,
            closed,
            report: report_sender,
        };
        let ends = ExecEnds {
            stdin: stdin_end,
            stdout: stdout_end,
            stderr: stderr_end,
            resize: resizer,
            report: Report(report),
            open,
        };
        (session, ends)
    }
}

fn pipe(is_wanted: bool) -> (Option<DuplexStream>, Option<DuplexStream>) {
    is_wanted.then(|| duplex(PIPE_BYTES_MAX)).unzip()
}

/// The client's ends of an [`ExecSession`]. Dropping them tells the backend that the client has gone.
#[derive(Debug)]
pub struct ExecEnds {
    /// To be written; dropping it ends the session's standard input.
    pub stdin: Option<DuplexStream>,
    /// To be read.
    pub stdout: Option<DuplexStream>,
    /// To be read.
    pub stderr: Option<DuplexStream>,
    /// Takes sizes of the terminal.
    pub resize: Option<Resizer>,
    /// Comes when the backend is done.
    pub report: Report,
    /// As long as it lives the client is there.
    pub open: Open,
}

/// The report to come.
#[derive(Debug)]
pub struct Report(oneshot::Receiver<ExitReport>);

impl Report {
    /// Waits for the backend's report.
    pub async fn wait(self) -> ExitReport {
        let gone = || ExitReport::Error("the session ended without a result".into());
        self.0.await.unwrap_or_else(|_| gone())
    }
}
