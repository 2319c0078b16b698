//! What somebody outside is connected to: a command in a container, or the container itself.

use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::termios::{Winsize, tcsetwinsize};

use crate::PortError;

/// What a command is given as standard input, output and error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExecIo {
    /// A pipe each. Without `stdin` the command's input is empty.
    Pipes { stdin: bool },
    /// One terminal of the container's own `/dev/pts` for all three.
    Terminal,
}

/// The caller's ends, non-blocking and closed on exec. Those of a terminal are copies of its master; reading it fails
/// with `EIO` where a pipe ends.
#[derive(Debug)]
pub struct Streams {
    /// To write to; `None` when there is no input to give. Closing it ends the input of pipes.
    pub stdin: Option<OwnedFd>,
    pub stdout: OwnedFd,
    /// `None` for a terminal, which has one output.
    pub stderr: Option<OwnedFd>,
    /// To be resized.
    pub terminal: Option<Terminal>,
}

/// The master of a terminal.
#[derive(Debug)]
pub struct Terminal(OwnedFd);

impl Terminal {
    #[must_use]
    pub fn new(master: OwnedFd) -> Self {
        Self(master)
    }

    /// Tells the foreground process of the terminal (SIGWINCH).
    ///
    /// # Errors
    /// `ioctl(2)`'s.
    pub fn resize(&self, columns: u16, rows: u16) -> io::Result<()> {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        Ok(tcsetwinsize(&self.0, size)?)
    }
}

impl AsFd for Terminal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A command that runs. Dropping it closes its streams and no more: a command that neither reads nor writes goes
/// on until it ends, or its container does. One on a terminal gets SIGHUP.
#[derive(Debug)]
pub struct ExecSession {
    pub streams: Streams,
    pub exit: ExecExit,
}

/// The end of a command: its exit code, 128 + signal for a signalled one. Output may be left to read.
pub struct ExecExit(Pin<Box<dyn Future<Output = Result<i32, PortError>> + Send>>);

impl ExecExit {
    #[must_use]
    pub fn new(exit: impl Future<Output = Result<i32, PortError>> + Send + 'static) -> Self {
        Self(Box::pin(exit))
    }
}

impl Future for ExecExit {
    type Output = Result<i32, PortError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(context)
    }
}

impl fmt::Debug for ExecExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecExit").finish_non_exhaustive()
    }
}

/// Why a command, an attachment or a connection was not begun.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SessionError {
    /// The container or the pod does not run now.
    #[error("{0}")]
    NotRunning(String),
    /// The command could not be executed. `exit_code` is a shell's: 127 for one that is not there, 126 for one that
    /// is and cannot be executed.
    #[error("{message}")]
    Execute { exit_code: i32, message: String },
    /// Nobody listens on the port.
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Failed(String),
}

impl From<SessionError> for PortError {
    fn from(error: SessionError) -> Self {
        Self(error.to_string())
    }
}
