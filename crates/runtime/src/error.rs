use std::io;
use std::path::PathBuf;
use std::time::Duration;

use ports::PortError;
use shim_protocol::{ExecFailure, FrameError, RecordError, SOCKET_NAME, VERSION};

use crate::claim::ClaimError;
use crate::users::UsersError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum RuntimeError {
    #[error("cannot make {}", path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error("cannot write {}", path.display())]
    EtcFile { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    Users(#[from] UsersError),
    #[error("cannot start the pod's shim")]
    Launch(#[source] io::Error),
    // Without words of its own: it says what it is about.
    #[error(transparent)]
    Network(PortError),
    #[error("cannot watch the pod's shim")]
    Watch(#[source] io::Error),
    #[error("cannot create the pod's sandbox: {message}")]
    Create { message: String },
    #[error("cannot read what is on record of the pod")]
    Record(#[source] RecordError),
    #[error(
        "cannot connect to the living shim of the pod at {}: if it is stopping the pod, try again when it has",
        dir.join(SOCKET_NAME).display()
    )]
    Connect { dir: PathBuf, source: io::Error },
    #[error("the pod's shim refuses: {message}")]
    Adopt { message: String },
    #[error(
        "the pod's shim speaks protocol version {version}, this monopod {VERSION}: use the version that started it, or `monopod reset`"
    )]
    ShimVersion { version: u32 },
    #[error("the pod has no sandbox")]
    NoSandbox,
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("{message}")]
    Refused { message: String },
    #[error("cannot make the streams of a session")]
    Streams(#[source] io::Error),
    #[error("{message}")]
    NotRunning { message: String },
    #[error("{}", .0.message)]
    Exec(ExecFailure),
    #[error("{message}")]
    Dial { message: String },
    #[error("{}", .0.join("; "))]
    Leftovers(Vec<String>),
}

/// Why a request has no reply.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("the pod's shim is gone")]
    Gone,
    #[error(
        "the pod's shim says what this monopod does not know: use the version that started it, or `monopod reset`"
    )]
    Garbled,
    #[error("the request does not fit into a message")]
    Encode(#[from] FrameError),
    #[error("the pod's shim has not answered within {} s", .0.as_secs())]
    Timeout(Duration),
    #[error("the pod's shim answered something else than it was asked")]
    Unexpected,
}
