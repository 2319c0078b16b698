use std::os::fd::OwnedFd;
use std::path::PathBuf;

use container_config::ContainerConfig;

use super::{Container, Sandbox, SpawnError};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpawnPaths {
    /// Exists; gets `rootfs`, `layers/N/{upper,work}` and `termination-log`.
    pub attempt_dir: PathBuf,
    pub attempt: u32,
}

/// Where to read what the container writes. Blocking descriptors, closed on exec.
#[derive(Debug)]
pub enum Output {
    Pipes { stdout: OwnedFd, stderr: OwnedFd },
    /// The master of the container's terminal.
    Pty(OwnedFd),
}

#[derive(Debug)]
pub struct Spawned {
    pub container: Container,
    pub output: Output,
    /// What was asked and could not be had, without being fatal, for the log.
    pub warnings: Vec<String>,
}

/// Starts a container: returns when its program has been executed. Its main process is a child of
/// this process, to be reaped by the caller.
///
/// # Errors
/// [`SpawnError::Create`] before there was a process, [`SpawnError::Start`] afterwards. In both cases
/// process and cgroup are gone; files in the attempt's directory stay.
pub fn spawn(_sandbox: &Sandbox, _config: &ContainerConfig, _paths: &SpawnPaths) -> Result<Spawned, SpawnError> {
    unimplemented!()
}
