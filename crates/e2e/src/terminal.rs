//! A terminal of the test's own.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::bed::{Bed, SOON};
use crate::wait;

/// A terminal of the test's, and what was written to it.
pub(crate) struct Terminal {
    ours: File,
    theirs: OwnedFd,
    seen: Arc<Mutex<String>>,
}

impl Terminal {
    pub(crate) fn new() -> Result<Self> {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let theirs = rustix::fs::open(ptsname(&ours, Vec::new())?, flags, Mode::empty())?;
        let ours = File::from(ours);
        let seen = Arc::new(Mutex::new(String::new()));
        let (mut reader, shared) = (ours.try_clone()?, Arc::clone(&seen));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // It ends when nobody has the other side any more.
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                shared.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
            }
        });
        let terminal = Self { ours, theirs, seen };
        terminal.resize(40, 100)?;
        Ok(terminal)
    }

    pub(crate) fn resize(&self, rows: u16, columns: u16) -> Result<()> {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.ours, size).context("cannot resize the terminal")
    }

    /// Starts monopod on it, as a shell would.
    pub(crate) fn start(&self, bed: &Bed, args: &[&str]) -> Result<std::process::Child> {
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(bed.program()).arg("--root").arg(bed.root()).args(args);
        let end = || -> Result<Stdio> { Ok(Stdio::from(self.theirs.try_clone()?)) };
        command.stdin(end()?).stdout(end()?).stderr(end()?);
        command.spawn().context("cannot start setsid (util-linux)")
    }

    pub(crate) fn type_in(&mut self, text: &str) -> Result<()> {
        self.ours.write_all(text.as_bytes()).context("cannot type")
    }

    pub(crate) fn wait(&self, text: &str) -> Result<()> {
        let seen = || self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        wait::until(&format!("{text:?} on the terminal"), SOON, || seen().contains(text).then_some(()))
            .with_context(|| format!("on the terminal was:\n{}", seen()))
    }

    /// Whether lines are edited and keys shown, as for a shell.
    pub(crate) fn is_cooked(&self) -> Result<bool> {
        Ok(tcgetattr(&self.theirs)?.local_modes.contains(LocalModes::ICANON | LocalModes::ECHO))
    }
}

/// Waits for it.
pub(crate) fn ended(mut child: std::process::Child) -> Result<std::process::ExitStatus> {
    let mut status = None;
    wait::until("the end of monopod", SOON, || {
        status = child.try_wait().ok().flatten();
        status.map(drop)
    })?;
    status.context("it ended without a status")
}
