//! What somebody outside speaks to: commands, attachments, connections. Bytes go through neither shim nor runtime, but
//! for the output of an attached container, of which the shim keeps the log.

use std::io;
use std::net::{IpAddr, TcpStream};
use std::os::fd::OwnedFd;

use podspec::ContainerName;
use ports::{ExecExit, ExecIo, ExecSession, PodContext, PortError, SessionError, Streams, Terminal};
use rustix::pipe::{PipeFlags, pipe_with};
use shim_protocol::{Exec, ExecStdio, ReplyBody, RequestBody};
use tokio::sync::oneshot;

use crate::client::Answer;
use crate::error::{CallError, RuntimeError};
use crate::service::ShimRuntime;

impl ShimRuntime {
    pub(crate) async fn begin_exec(
        &self,
        pod: &PodContext,
        container: &ContainerName,
        command: &[String],
        io: ExecIo,
    ) -> Result<ExecSession, RuntimeError> {
        let (streams, passed) = match io {
            ExecIo::Terminal => (None, Vec::new()),
            ExecIo::Pipes { stdin } => {
                let (streams, passed) = pipes(stdin).map_err(RuntimeError::Streams)?;
                (Some(streams), passed)
            }
        };
        let stdio = if streams.is_some() { ExecStdio::Passed } else { ExecStdio::Terminal };
        let args = command.to_vec();
        let exec = Exec { container: container.clone(), attempt: None, args, timeout_ms: None, stdio };
        let (ended, exit) = oneshot::channel();
        let Answer { body, descriptors, .. } =
            self.ask(pod, RequestBody::Exec(exec), passed, Some(ended)).await?;
        let streams = match (body, streams, <[OwnedFd; 1]>::try_from(descriptors)) {
            (ReplyBody::ExecStarted { terminal: false }, Some(streams), Err(_)) => streams,
            (ReplyBody::ExecStarted { terminal: true }, None, Ok([master])) => {
                terminal(master).map_err(RuntimeError::Streams)?
            }
            _ => return Err(CallError::Unexpected.into()),
        };
        let exit = ExecExit::new(async move {
            exit.await.map_err(|_| PortError::chain(&RuntimeError::from(CallError::Gone)))
        });
        Ok(ExecSession { streams, exit })
    }

    pub(crate) async fn begin_attachment(
        &self,
        pod: &PodContext,
        container: &ContainerName,
        stdin: bool,
    ) -> Result<Streams, RuntimeError> {
        let request = RequestBody::Attach { container: container.clone(), stdin };
        let Answer { body, descriptors, .. } = self.ask(pod, request, Vec::new(), None).await?;
        let ReplyBody::Attached { terminal, input } = body else { return Err(CallError::Unexpected.into()) };
        let mut descriptors = descriptors.into_iter();
        let mut next = || {
            let descriptor = descriptors.next().ok_or(CallError::Unexpected)?;
            rustix::io::ioctl_fionbio(&descriptor, true)
                .map_err(|error| RuntimeError::Streams(error.into()))?;
            Ok::<_, RuntimeError>(descriptor)
        };
        let stdout = next()?;
        if !terminal {
            let (stderr, stdin) = (next()?, input.then(&mut next).transpose()?);
            return Ok(Streams { stdin, stdout, stderr: Some(stderr), terminal: None });
        }
        let master = next()?;
        let stdin = input.then(|| master.try_clone()).transpose().map_err(RuntimeError::Streams)?;
        Ok(Streams { stdin, stdout, stderr: None, terminal: Some(Terminal::new(master)) })
    }

    pub(crate) async fn connect(
        &self,
        pod: &PodContext,
        addresses: &[IpAddr],
        port: u16,
    ) -> Result<TcpStream, RuntimeError> {
        let client = self.client(pod)?;
        self.home.dial(&client, addresses, port).await
    }
}

/// The caller's ends, and the command's.
fn pipes(stdin: bool) -> io::Result<(Streams, Vec<OwnedFd>)> {
    let pipe = || pipe_with(PipeFlags::CLOEXEC);
    // Without a writer it is empty. Not /dev/null: the host's would be the container's to change.
    let (command_stdin, writer) = pipe()?;
    let stdin = stdin.then_some(writer);
    let (stdout, command_stdout) = pipe()?;
    let (stderr, command_stderr) = pipe()?;
    for ours in stdin.iter().chain([&stdout, &stderr]) {
        rustix::io::ioctl_fionbio(ours, true)?;
    }
    let streams = Streams { stdin, stdout, stderr: Some(stderr), terminal: None };
    Ok((streams, vec![command_stdin, command_stdout, command_stderr]))
}

fn terminal(master: OwnedFd) -> io::Result<Streams> {
    rustix::io::ioctl_fionbio(&master, true)?;
    let (stdin, stdout) = (master.try_clone()?, master.try_clone()?);
    Ok(Streams { stdin: Some(stdin), stdout, stderr: None, terminal: Some(Terminal::new(master)) })
}

pub(crate) fn session_error(error: RuntimeError) -> SessionError {
    let message = PortError::chain(&error).0;
    match error {
        RuntimeError::NotRunning { .. } | RuntimeError::NoSandbox | RuntimeError::Call(CallError::Gone) => {
            SessionError::NotRunning(message)
        }
        RuntimeError::Exec(failure) => match failure.exit_code {
            Some(exit_code) => SessionError::Execute { exit_code, message },
            None => SessionError::Failed(message),
        },
        RuntimeError::Dial { .. } => SessionError::Refused(message),
        _ => SessionError::Failed(message),
    }
}
