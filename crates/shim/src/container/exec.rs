use std::os::fd::OwnedFd;

use super::{Container, Sandbox, SpawnError};

#[derive(Debug)]
pub enum ExecStdio {
    /// No input; standard output and error in one pipe.
    Capture,
    Passed { stdin: OwnedFd, stdout: OwnedFd, stderr: OwnedFd },
}

/// One more process in a container: a child of this process, to be reaped by the caller.
#[derive(Debug)]
pub struct Executed {
    pub pid: i32,
    /// Readable when the process has ended.
    pub pidfd: OwnedFd,
    /// The read end for [`ExecStdio::Capture`].
    pub output: Option<OwnedFd>,
}

/// Runs a command in a running container, as its main process was run: same namespaces, cgroup,
/// user, capabilities, seccomp, environment and working directory.
///
/// # Errors
/// When the container's main process has ended, or the command could not be executed.
pub fn exec(
    _sandbox: &Sandbox,
    _container: &Container,
    _args: &[String],
    _stdio: ExecStdio,
) -> Result<Executed, SpawnError> {
    unimplemented!()
}
