//! One process of the program under test.

use std::fs::File;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use crate::wait;

/// A started program. Its output goes to files, so it never blocks on a reader.
#[derive(Debug)]
pub(crate) struct Engine {
    child: Child,
    started: Instant,
    stdout: PathBuf,
    stderr: PathBuf,
}

/// What a program left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) elapsed: Duration,
}

impl Engine {
    /// Starts `command` with its output in `stdout` and `stderr`; its standard input is as the command says.
    pub(crate) fn start(command: &mut Command, stdout: PathBuf, stderr: PathBuf) -> Result<Self> {
        let out = File::create(&stdout).with_context(|| format!("cannot create {}", stdout.display()))?;
        let err = File::create(&stderr).with_context(|| format!("cannot create {}", stderr.display()))?;
        let child = command
            .stdout(Stdio::from(out))
            .stderr(Stdio::from(err))
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        Ok(Self { child, started: Instant::now(), stdout, stderr })
    }

    /// Standard output and error so far.
    pub(crate) fn output(&self) -> String {
        let stdout = lossy(&self.stdout);
        let stderr = lossy(&self.stderr);
        format!("{stdout}{stderr}")
    }

    pub(crate) fn stdout(&self) -> String {
        lossy(&self.stdout)
    }

    pub(crate) fn stderr(&self) -> String {
        lossy(&self.stderr)
    }

    /// A line of its standard input, which has to be a pipe.
    pub(crate) fn tell(&mut self, line: &str) -> Result<()> {
        let stdin = self.child.stdin.as_mut().context("its standard input is no pipe")?;
        writeln!(stdin, "{line}").context("cannot write to its standard input")
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(self.pid()?, signal).with_context(|| format!("cannot send {signal:?} to the engine"))
    }

    /// Waits until standard output or error contains `text`.
    pub(crate) fn wait_output(&mut self, text: &str, deadline: Duration) -> Result<()> {
        wait::until(&format!("{text:?} in the engine's output"), deadline, || {
            self.output().contains(text).then_some(())
        })
    }

    pub(crate) fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Waits for the end, at most `deadline`; past it the program is killed and the wait fails.
    pub(crate) fn wait(mut self, deadline: Duration) -> Result<Finished> {
        if !self.ended_within(deadline)? {
            bail!("the engine still runs after {}s", deadline.as_secs_f32());
        }
        let status = self.child.wait()?;
        let elapsed = self.started.elapsed();
        Ok(Finished { status, stdout: lossy(&self.stdout), stderr: lossy(&self.stderr), elapsed })
    }

    pub(crate) fn pid(&self) -> Result<Pid> {
        let raw = i32::try_from(self.child.id()).context("pid out of range")?;
        Pid::from_raw(raw).context("pid 0")
    }

    fn ended_within(&mut self, deadline: Duration) -> Result<bool> {
        let deadline = wait::patient(deadline);
        if self.child.try_wait()?.is_some() {
            return Ok(true);
        }
        let pidfd = pidfd_open(self.pid()?, PidfdFlags::empty()).context("cannot open a pidfd")?;
        let timeout =
            Timespec { tv_sec: i64::try_from(deadline.as_secs())?, tv_nsec: deadline.subsec_nanos().into() };
        let ready = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timeout))?;
        Ok(ready > 0)
    }
}

impl Drop for Engine {
    /// A test that fails leaves no engine behind; its bound shims then remove its pods.
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

impl Finished {
    /// Both outputs.
    pub(crate) fn output(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Fails unless the program exited with `code`.
    pub(crate) fn expect_code(&self, code: i32) -> Result<&Self> {
        match (self.status.code(), self.status.signal()) {
            (Some(found), _) => ensure!(found == code, "exit code {found}, expected {code}"),
            (None, signal) => bail!("killed by signal {signal:?}, expected exit code {code}"),
        }
        Ok(self)
    }

    /// Fails unless one of the outputs contains `text`.
    pub(crate) fn expect_output(&self, text: &str) -> Result<&Self> {
        ensure!(self.output().contains(text), "{text:?} is not in the output");
        Ok(self)
    }

    /// Fails if one of the outputs contains `text`.
    pub(crate) fn expect_no_output(&self, text: &str) -> Result<&Self> {
        ensure!(!self.output().contains(text), "{text:?} is in the output");
        Ok(self)
    }

    /// Fails unless some line of output contains all of `parts`.
    pub(crate) fn expect_line(&self, parts: &[&str]) -> Result<&Self> {
        let found = self.output().lines().any(|line| parts.iter().all(|part| line.contains(part)));
        ensure!(found, "no line of output has all of {parts:?}");
        Ok(self)
    }
}

fn lossy(path: &PathBuf) -> String {
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
