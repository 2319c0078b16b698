use std::io;

#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error("cannot {what}")]
    Setup { what: String, source: io::Error },
}

/// What could not be removed; everything else was.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what}")]
pub struct TeardownError {
    pub what: String,
    pub source: io::Error,
}

#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// Before there was a process; nothing is left behind.
    #[error("cannot {what}")]
    Create { what: String, source: io::Error },
    /// The process could not be set up or executed; it has been reaped and its cgroup removed.
    #[error("{what}")]
    Start { what: String, source: io::Error },
}
