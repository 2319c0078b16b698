//! One process that is measured, and what its containers say.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write as _};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use linux_sys::clock::boot_ns;
use linux_sys::process::{pidfd_open, pidfd_send_signal};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::Signal;

use crate::inside::STAMP;
use crate::wait;

const READ_BYTES: usize = 16 << 10;

/// Killed when it is dropped before its end.
#[derive(Debug)]
pub(crate) struct Engine {
    child: Child,
    /// Boot clock, before the process was made.
    pub(crate) began_ns: i64,
    /// `None` for a program whose output goes elsewhere.
    stdout: Option<ChildStdout>,
    said: Vec<u8>,
    /// Its standard error: for people only when it fails.
    errors: File,
    /// How long it may say nothing, and then take to end.
    patience: Duration,
}

#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) began_ns: i64,
    /// Boot clock, after it was reaped.
    pub(crate) ended_ns: i64,
    pub(crate) stdout: String,
    /// What it wrote to its standard error.
    pub(crate) errors: String,
}

/// The times that containers say they began, by name. Boot clock.
pub(crate) type Stamps = BTreeMap<String, i64>;

impl Engine {
    /// Starts a program whose output is read here.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        Self::start_into(command, Stdio::piped())
    }

    pub(crate) fn start_into(command: &mut Command, stdout: Stdio) -> Result<Self> {
        let errors = File::from(memfd_create("errors", MemfdFlags::CLOEXEC)?);
        command.stdout(stdout).stderr(errors.try_clone()?);
        let began_ns = boot_ns();
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let stdout = child.stdout.take();
        Ok(Self { child, began_ns, stdout, said: Vec::new(), errors, patience: wait::SOON })
    }

    pub(crate) fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `count` containers have begun.
    pub(crate) fn wait_stamps(&mut self, count: usize) -> Result<Stamps> {
        loop {
            let found = stamps(&String::from_utf8_lossy(&self.said));
            if found.len() >= count {
                return Ok(found);
            }
            ensure!(self.read()?, "the end came before {count} containers began:\n{}", self.output());
        }
    }

    /// Waits until it has printed a line that begins so.
    pub(crate) fn wait_line(&mut self, begin: &str) -> Result<()> {
        while !String::from_utf8_lossy(&self.said).lines().any(|line| line.starts_with(begin)) {
            ensure!(self.read()?, "the end came before it said {begin:?}:\n{}", self.output());
        }
        Ok(())
    }

    /// Writes a line to its standard input, and waits for the line that answers it.
    pub(crate) fn ask(&mut self, line: &str) -> Result<String> {
        self.said.clear();
        let stdin = self.child.stdin.as_mut().context("its standard input has ended")?;
        stdin.write_all(format!("{line}\n").as_bytes()).context("it does not read what it is asked")?;
        loop {
            if let Some(end) = self.said.iter().position(|byte| *byte == b'\n') {
                return Ok(String::from_utf8_lossy(&self.said[..end]).into_owned());
            }
            ensure!(self.read()?, "the end came before an answer to {line}:\n{}", self.output());
        }
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id())?;
        Ok(pidfd_send_signal(pidfd_open(pid)?.as_fd(), signal.as_raw())?)
    }

    /// Returns when it is gone.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// What is written to its standard input ends.
    pub(crate) fn close_stdin(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Waits for the end, which has to be a success.
    pub(crate) fn finish(mut self) -> Result<Finished> {
        while self.read()? {}
        let process = pidfd_open(i32::try_from(self.child.id())?)?;
        wait::readable_within(self.patience, process, "the end of a measured program")?;
        let status = self.child.wait()?;
        let ended_ns = boot_ns();
        ensure!(status.success(), "a measured program failed ({status}):\n{}", self.output());
        let stdout = String::from_utf8_lossy(&self.said).into_owned();
        let errors = self.errors()?;
        Ok(Finished { began_ns: self.began_ns, ended_ns, stdout, errors })
    }

    /// All of them. It writes where the file's own position is, which is left there.
    fn errors(&self) -> Result<String> {
        let mut errors = vec![0; usize::try_from(self.errors.metadata()?.len())?];
        self.errors.read_exact_at(&mut errors, 0)?;
        Ok(String::from_utf8_lossy(&errors).into_owned())
    }

    /// What it said so far, errors first.
    fn output(&self) -> String {
        let mut errors = [0; READ_BYTES];
        let length = self.errors.read_at(&mut errors, 0).unwrap_or_default();
        String::from_utf8_lossy(&[&errors[..length], &self.said].concat()).into_owned()
    }

    /// False at the end.
    fn read(&mut self) -> Result<bool> {
        let Some(stdout) = &mut self.stdout else { return Ok(false) };
        wait::readable_within(self.patience, &*stdout, "output of a measured program")?;
        let mut bytes = [0; READ_BYTES];
        let length = stdout.read(&mut bytes)?;
        self.said.extend_from_slice(&bytes[..length]);
        Ok(length > 0)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

impl Finished {
    pub(crate) fn stamps(&self) -> Stamps {
        stamps(&self.stdout)
    }
}

/// From whole lines alone; `run` puts a container's name before what it wrote, a log the time.
pub(crate) fn stamps(text: &str) -> Stamps {
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let stamp = |line: &str| {
        let mut words = line.split_whitespace().skip_while(|word| *word != STAMP).skip(1);
        Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
    };
    whole.lines().filter_map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use super::stamps;

    #[test]
    fn stamps_are_read_from_whole_lines_of_either_program() {
        let text = "app | stamp app 12\nstamp decided 7\napp * started\nb | stamp b 13\nstamp c 1";
        let found: Vec<_> = stamps(text).into_iter().collect();
        assert_eq!(found, [("app".to_owned(), 12), ("b".to_owned(), 13), ("decided".to_owned(), 7)]);
    }
}
