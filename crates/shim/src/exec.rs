//! Commands in running containers: for the engine (exec, probes, hooks), and hooks of an orphaned pod.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use lifecycle::{Hook, Observation};
use linux_sys::process::ExitStatus;
use podspec::{BootTime, ContainerName};
use rustix::io::Errno;
use shim_protocol::{Exec, ExecFailure, ExecStdio, Message, ReplyBody};

use crate::clock;
use crate::container::{ExecStdio as Stdio, Executed, SpawnError, exec, execute_self};
use crate::exit::exit_code;
use crate::note;
use crate::poll::Source;
use crate::process_tree;
use crate::supervisor::{ContainerKey, Shim, Supervised};

/// Commands that run at one time in one pod and that somebody speaks to, who may leave them forever.
const STREAMED_EXECS_MAX: usize = 64;
/// The others of one container, its probes and hooks: no other container's keep them from running.
const CAPTURED_EXECS_MAX: usize = 64;
/// A shell's exit codes for a command that is not there, and for one that cannot be executed.
const NOT_FOUND: i32 = 127;
const NOT_EXECUTABLE: i32 = 126;
/// What the output of a hook may say in its failure.
const HOOK_OUTPUT_BYTES: usize = 1 << 10;
const READ_BYTES: usize = 16 << 10;
/// Read in one turn of the loop, or after the command's end: its pipe cannot hold more.
const READS_PER_TURN: usize = 16;

#[derive(Debug)]
pub(crate) struct RunningExec {
    pub(crate) pid: i32,
    container: ContainerKey,
    /// When it is killed, or waited for no longer.
    pub(crate) deadline: Option<BootTime>,
    timed_out: bool,
    client: Client,
    output: Option<Capture>,
}

/// Who waits for it.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Client {
    /// `streamed`: it was told of the start, for it speaks to the command itself.
    Engine {
        key: u32,
        request: u64,
        streamed: bool,
    },
    Orphan {
        hook: Hook,
        what: HookProcess,
    },
}

impl Client {
    fn is_streamed(&self) -> bool {
        matches!(self, Self::Engine { streamed: true, .. })
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum HookProcess {
    /// Of the container.
    Command,
    /// This program's, which says itself what went wrong.
    Request,
}

#[derive(Debug)]
struct Capture {
    /// `None` once the command has closed it, which it may do and go on.
    pipe: Option<OwnedFd>,
    bytes: Vec<u8>,
    limit_bytes: usize,
}

impl Shim {
    /// The answer, unless that comes with the command's end; and the descriptors that come with it.
    pub(crate) fn begin_requested_exec(
        &mut self,
        request: u64,
        command: Exec,
    ) -> Result<Option<(ReplyBody, Vec<OwnedFd>)>, Refusal> {
        let Some(engine) = &mut self.engine else {
            return Err(Refusal::Failed("the engine is gone".to_owned()));
        };
        let (stdio, limit_bytes) = match command.stdio {
            ExecStdio::Capture { limit_bytes } => (Stdio::Capture, limit_bytes),
            ExecStdio::Passed => {
                let Some([stdin, stdout, stderr]) = engine.connection.take_descriptors() else {
                    return Err(Refusal::Failed("the command came without its descriptors".to_owned()));
                };
                (Stdio::Passed { stdin, stdout, stderr }, 0)
            }
            ExecStdio::Terminal => (Stdio::Terminal, 0),
        };
        let streamed = !matches!(stdio, Stdio::Capture);
        let client = Client::Engine { key: engine.key, request, streamed };
        let timeout = command.timeout_ms.map(Duration::from_millis);
        let runs = |((name, _), supervised): &(&ContainerKey, &Supervised)| {
            *name == command.container && supervised.live.is_some()
        };
        let attempt = match command.attempt {
            Some(attempt) => attempt,
            None => match self.containers.iter().find(runs) {
                Some(((_, attempt), _)) => *attempt,
                None => return Err(Refusal::NotRunning(command.container)),
            },
        };
        let container = (command.container, attempt);
        let terminal = self.begin_exec(&container, &command.args, stdio, limit_bytes, timeout, client)?;
        let started = ReplyBody::ExecStarted { terminal: terminal.is_some() };
        Ok(streamed.then(|| (started, terminal.into_iter().collect())))
    }

    /// A hook of a pod without an engine; its end is observed.
    pub(crate) fn begin_hook(
        &mut self,
        container: &ContainerKey,
        hook: Hook,
        args: &[String],
        timeout: Option<Duration>,
    ) -> Result<(), String> {
        let client = Client::Orphan { hook, what: HookProcess::Command };
        let begun = self.begin_exec(container, args, Stdio::Capture, HOOK_OUTPUT_BYTES, timeout, client);
        begun.map(drop).map_err(|refusal| refusal.message())
    }

    /// As [`Self::begin_hook`], by a process of this program outside of the container.
    pub(crate) fn begin_http_hook(
        &mut self,
        container: &ContainerKey,
        hook: Hook,
        args: &[String],
        input: OwnedFd,
        timeout: Option<Duration>,
    ) -> Result<(), String> {
        let client = Client::Orphan { hook, what: HookProcess::Request };
        let executed = execute_self(args, input).map_err(|error| note::chain(&error))?;
        self.watch_exec(container, executed, Some(HOOK_OUTPUT_BYTES), timeout, client);
        Ok(())
    }

    /// The terminal's master, if it has one.
    fn begin_exec(
        &mut self,
        key: &ContainerKey,
        args: &[String],
        stdio: Stdio,
        limit_bytes: usize,
        timeout: Option<Duration>,
        client: Client,
    ) -> Result<Option<OwnedFd>, Refusal> {
        self.refuse_many(key, &client)?;
        let is_captured = matches!(stdio, Stdio::Capture);
        let live = self.containers.get(key).and_then(|supervised| supervised.live.as_ref());
        let Some(live) = live else { return Err(Refusal::NotRunning(key.0.clone())) };
        let executed = exec(&live.container, args, stdio).map_err(|error| Refusal::of(&key.0, &error))?;
        Ok(self.watch_exec(key, executed, is_captured.then_some(limit_bytes), timeout, client))
    }

    /// What is not captured of its output.
    fn watch_exec(
        &mut self,
        container: &ContainerKey,
        executed: Executed,
        captured_bytes: Option<usize>,
        timeout: Option<Duration>,
        client: Client,
    ) -> Option<OwnedFd> {
        let id = self.next_key();
        let (output, rest) = match (executed.output, captured_bytes) {
            (Some(pipe), Some(limit_bytes)) => (self.capture(pipe, limit_bytes, id), None),
            (output, _) => (None, output),
        };
        let deadline = timeout.map(|timeout| clock::boot().after(timeout));
        let container = container.clone();
        let exec = RunningExec { pid: executed.pid, container, deadline, timed_out: false, client, output };
        self.execs.insert(id, exec);
        rest
    }

    fn refuse_many(&self, container: &ContainerKey, client: &Client) -> Result<(), Refusal> {
        let (running, max, of) = if client.is_streamed() {
            let streamed = self.execs.values().filter(|exec| exec.client.is_streamed());
            (streamed.count(), STREAMED_EXECS_MAX, "the pod".to_owned())
        } else {
            let captured = |exec: &&RunningExec| exec.container == *container && !exec.client.is_streamed();
            let of = format!("container {:?}", container.0.as_str());
            (self.execs.values().filter(captured).count(), CAPTURED_EXECS_MAX, of)
        };
        if running < max {
            return Ok(());
        }
        Err(Refusal::Failed(format!("{max} commands are running in {of}: try again when one has ended")))
    }

    fn capture(&self, pipe: OwnedFd, limit_bytes: usize, id: u32) -> Option<Capture> {
        let watched = rustix::io::ioctl_fionbio(&pipe, true)
            .map_err(io::Error::from)
            .and_then(|()| self.poller.add(&pipe, Source::ExecOutput(id)));
        if let Err(error) = watched {
            note::error("cannot read a command's output", &error);
            return None;
        }
        Some(Capture { pipe: Some(pipe), bytes: Vec::new(), limit_bytes })
    }

    pub(crate) fn read_exec_output(&mut self, id: u32) {
        if let Some(capture) = self.execs.get_mut(&id).and_then(|exec| exec.output.as_mut()) {
            capture.read_some();
        }
    }

    /// What is in the pipe is read; a process the command left behind is not waited for.
    pub(crate) fn exec_ended(&mut self, id: u32, status: ExitStatus) {
        let Some(mut exec) = self.execs.remove(&id) else { return };
        if let Some(capture) = &mut exec.output {
            capture.read_some();
        }
        let output = exec.output.map(|capture| capture.bytes).unwrap_or_default();
        let (exit_code, timed_out) = (exit_code(status), exec.timed_out);
        match exec.client {
            Client::Engine { key, request, streamed } => {
                if self.engine.as_ref().is_none_or(|engine| engine.key != key) {
                    return;
                }
                if streamed {
                    self.send(&Message::ExecEnded { request, exit_code });
                } else {
                    self.reply(request, ReplyBody::ExecFinished { exit_code, output, timed_out });
                }
            }
            // What a command had to do was observed when its time was over.
            Client::Orphan { what: HookProcess::Command, .. } if timed_out => {}
            Client::Orphan { hook, what } => {
                let failure = match what {
                    HookProcess::Request if exit_code != 0 && !timed_out && !output.is_empty() => {
                        Some(String::from_utf8_lossy(&output).into_owned())
                    }
                    _ => Hook::failure(exit_code, timed_out, &output),
                };
                self.hook_finished(exec.container, hook, failure);
            }
        }
    }

    fn hook_finished(&mut self, (container, attempt): ContainerKey, hook: Hook, failure: Option<String>) {
        if let Some(failure) = &failure {
            note::warning(&format!("a hook of container {container} failed: {failure}"));
        }
        let finished = Observation::HookFinished { container, attempt, hook, failure };
        if let Some(orphan) = &mut self.orphan {
            orphan.take_in(finished);
        }
    }

    pub(crate) fn expire_execs(&mut self) {
        if self.execs.values().all(|exec| exec.deadline.is_none()) {
            return;
        }
        let now = clock::boot();
        let mut cut = Vec::new();
        for exec in self.execs.values_mut() {
            if exec.deadline.is_none_or(|deadline| deadline > now) {
                continue;
            }
            exec.deadline = None;
            exec.timed_out = true;
            match exec.client {
                // Waited for no longer, it goes on until its container ends.
                Client::Orphan { hook, what: HookProcess::Command } => {
                    cut.push((exec.container.clone(), hook));
                }
                _ => process_tree::kill(exec.pid),
            }
        }
        for (container, hook) in cut {
            self.hook_finished(container, hook, Hook::failure(0, true, &[]));
        }
    }

    /// Nobody waits for them any more, and a new engine begins its own.
    pub(crate) fn kill_execs_of_lost_engines(&self) {
        let current = self.engine.as_ref().map(|engine| engine.key);
        for exec in self.execs.values() {
            if matches!(exec.client, Client::Engine { key, .. } if Some(key) != current) {
                process_tree::kill(exec.pid);
            }
        }
    }

    pub(crate) fn kill_all_execs(&self) {
        for exec in self.execs.values() {
            process_tree::kill(exec.pid);
        }
    }
}

impl Capture {
    /// Reads what is there; what is over the limit is thrown away, so that the command never waits for a
    /// reader.
    fn read_some(&mut self) {
        let mut chunk = [0; READ_BYTES];
        for _ in 0..READS_PER_TURN {
            let Some(pipe) = &self.pipe else { return };
            match rustix::io::read(pipe, &mut chunk) {
                Ok(0) => self.pipe = None,
                Ok(length) => {
                    let room = self.limit_bytes.saturating_sub(self.bytes.len());
                    self.bytes.extend_from_slice(&chunk[..length.min(room)]);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(error) => {
                    note::error("cannot read a command's output", &io::Error::from(error));
                    self.pipe = None;
                }
            }
        }
    }
}

/// Why a command was not begun.
#[derive(Debug)]
pub(crate) enum Refusal {
    NotRunning(ContainerName),
    Execute(ExecFailure),
    Failed(String),
}

impl Refusal {
    fn of(container: &ContainerName, error: &SpawnError) -> Self {
        let exit_code = match error {
            SpawnError::Ended => return Self::NotRunning(container.clone()),
            SpawnError::Execute { is_there, .. } => Some(if *is_there { NOT_EXECUTABLE } else { NOT_FOUND }),
            _ => None,
        };
        Self::Execute(ExecFailure { message: note::chain(error), exit_code })
    }

    fn message(self) -> String {
        match self {
            Self::NotRunning(container) => not_running(&container),
            Self::Execute(ExecFailure { message, .. }) | Self::Failed(message) => message,
        }
    }

    pub(crate) fn reply(self) -> ReplyBody {
        match self {
            Self::Execute(failure) => ReplyBody::ExecFailed(failure),
            Self::NotRunning(_) => ReplyBody::NotRunning { message: self.message() },
            Self::Failed(message) => ReplyBody::Failed { message },
        }
    }
}

pub(crate) fn not_running(container: &ContainerName) -> String {
    format!("container {:?} is not running", container.as_str())
}
