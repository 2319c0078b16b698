//! What can go wrong, named by what was to be done.

use std::ffi::CString;
use std::io;

use linux_sys::cgroup::CgroupError;

#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error("cannot {what}")]
    Setup { what: String, source: io::Error },
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    #[error("cannot start the init of the pod's process namespace")]
    Init(#[source] Box<SpawnError>),
}

/// What could not be removed; everything else was.
#[derive(Debug, thiserror::Error)]
pub enum TeardownError {
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    #[error("cannot {what}")]
    Other { what: String, source: io::Error },
}

#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// Before there was a process; nothing is left behind.
    #[error("cannot {what}")]
    Create { what: String, source: io::Error },
    /// Before there was a process; nothing is left behind. It is for the pod's volumes to be otherwise.
    #[error("{what}")]
    Volume { what: String, source: io::Error },
    /// Before there was a process; nothing is left behind.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// Instead of what could not be done in a container whose main process is no more.
    #[error("the container has ended")]
    Ended,
    /// While it was set up; it has been reaped and its cgroup removed.
    #[error(
        "cannot set up the container: its process was killed, perhaps for lack of memory (resources.limits.memory)"
    )]
    Killed,
    /// The program could not be executed; the process has been reaped and its cgroup removed.
    #[error("exec {program:?}")]
    Execute { program: String, is_there: bool, source: io::Error },
    /// The process could not be set up; it has been reaped and its cgroup removed.
    #[error("{what}")]
    Start { what: String, source: io::Error },
}

impl SpawnError {
    /// For `map_err`: an error before there was a process.
    pub(super) fn create<E: Into<io::Error>>(what: impl Into<String>) -> impl FnOnce(E) -> Self {
        |source| Self::Create { what: what.into(), source: source.into() }
    }
}

/// A string for the kernel.
pub(super) fn c_string(text: impl Into<Vec<u8>>, what: &str) -> Result<CString, SpawnError> {
    CString::new(text).map_err(|_| SpawnError::Create {
        what: format!("use {what}"),
        source: io::Error::new(io::ErrorKind::InvalidInput, "it contains a NUL byte"),
    })
}
