//! One more process in a running container.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use linux_sys::cgroup::Entry;
use linux_sys::namespace::Namespaces;
use linux_sys::process::Child;
use rustix::io::Errno;

use super::child::{self, End, Plan, Ready};
use super::compile::compile_exec;
use super::program::Program;
use super::step::Step;
use super::{Container, SpawnError, inside, stdio};

/// The kernel ends the other processes of a namespace before it says that the first has ended.
const ENDING_MAX: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub enum ExecStdio {
    /// No input; standard output and error in one pipe.
    Capture,
    Passed {
        stdin: OwnedFd,
        stdout: OwnedFd,
        stderr: OwnedFd,
    },
    /// A new terminal of the container's own.
    Terminal,
}

/// One more process in a container: a child of this process, to be reaped by the caller.
#[derive(Debug)]
pub struct Executed {
    pub pid: i32,
    /// Readable when the process has ended.
    pub pidfd: OwnedFd,
    /// The read end for [`ExecStdio::Capture`], the master for [`ExecStdio::Terminal`].
    pub output: Option<OwnedFd>,
}

/// Runs a command in a running container, as its main process was run: same namespaces, cgroup,
/// user, capabilities, seccomp, environment and working directory.
///
/// # Errors
/// [`SpawnError::Ended`] when the container's main process has; when the command could not be executed.
pub fn exec(container: &Container, args: &[String], stdio: ExecStdio) -> Result<Executed, SpawnError> {
    // The end of the main process takes the new one with it at any moment, and is all that matters then.
    try_exec(container, args, stdio).map_err(|error| {
        let is = |source: &io::Error, errno: Errno| source.raw_os_error() == Some(errno.raw_os_error());
        let ended = match &error {
            SpawnError::Killed => container.ends_within(ENDING_MAX),
            // No process is born any more in a namespace that ends.
            SpawnError::Start { source, .. } if is(source, Errno::NOMEM) => container.ends_within(ENDING_MAX),
            // A process lets go of its namespaces some time before it is said to have ended.
            SpawnError::Create { source, .. } | SpawnError::Start { source, .. } => is(source, Errno::SRCH),
            SpawnError::Cgroup(_)
            | SpawnError::Volume { .. }
            | SpawnError::Ended
            | SpawnError::Execute { .. } => false,
        };
        if ended || container.ends_within(Duration::ZERO) { SpawnError::Ended } else { error }
    })
}

fn try_exec(container: &Container, args: &[String], stdio: ExecStdio) -> Result<Executed, SpawnError> {
    let process = &container.process;
    let uid = container.first_id.unwrap_or(0).saturating_add(process.uid);
    let program = Program::new(args, &process.env)?;
    let terminal = matches!(stdio, ExecStdio::Terminal);
    let (files, output) = match stdio {
        ExecStdio::Capture => {
            let (reader, writer) = stdio::pipe()?;
            let copy = writer.try_clone().map_err(SpawnError::create::<io::Error>("make a pipe"))?;
            ([stdio::null()?, writer, copy], Some(reader))
        }
        ExecStdio::Passed { stdin, stdout, stderr } => ([stdin, stdout, stderr], None),
        ExecStdio::Terminal => {
            let master = inside::terminal_master(container.pidfd())?;
            let slave = stdio::slave_of(&master, uid)?;
            (stdio::three(&slave)?, Some(master))
        }
    };
    files.iter().for_each(|file| stdio::give_to(file.as_fd(), uid));
    let (cgroup_files, cgroup_directory) = match container.limited.group.entry()? {
        Entry::Files(files) => (files, None),
        Entry::Directory(directory) => (Vec::new(), Some(directory)),
    };
    let main = container
        .main
        .pidfd
        .try_clone()
        .map_err(SpawnError::create::<io::Error>("refer to the container"))?;
    let plan = Plan {
        steps: compile_exec(process, cgroup_files, main, files, terminal, container.first_id.is_some())?,
        end: End::Execute(program),
        users: None,
        proc: None,
    };
    let cgroup = cgroup_directory.as_ref().map(AsFd::as_fd);
    let Ready { child: Child { pid, pidfd }, warnings: _ } = child::start(&plan, Namespaces::NONE, cgroup)?;
    Ok(Executed { pid, pidfd, output })
}

/// Runs this program once more, with these arguments, outside of any container, and with nothing but `input`.
///
/// # Errors
/// When it could not be executed.
pub fn execute_self(args: &[String], input: OwnedFd) -> Result<Executed, SpawnError> {
    let args = [&["/proc/self/exe".to_owned()], args].concat();
    let program = Program::new(&args, &[])?;
    let (reader, writer) = stdio::pipe()?;
    let files = [input, writer, stdio::null()?];
    let steps =
        vec![Step::Reset, Step::NewSession, Step::Stdio(files), Step::EndWithParent, Step::CloseOnExec];
    let plan = Plan { steps, end: End::Execute(program), users: None, proc: None };
    let Ready { child: Child { pid, pidfd }, warnings: _ } = child::start(&plan, Namespaces::NONE, None)?;
    Ok(Executed { pid, pidfd, output: Some(reader) })
}
