use crate::exec::{ExecSession, Wanted};
use crate::upgrade::{AcceptError, Connection, ExecVersion, Limits};

pub(crate) async fn serve(
    io: impl Connection,
    _version: ExecVersion,
    _wanted: Wanted,
    _limits: Limits,
) -> Result<ExecSession, AcceptError> {
    drop(io);
    Err(AcceptError::Gone)
}
