//! An agent as the bench speaks to it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::inside::agent::FAILED;
use crate::wait::SOON;

const LOOK_EVERY: Duration = Duration::from_millis(5);

/// By its name: that of its socket.
#[derive(Clone, Debug)]
pub(super) struct Agent {
    pub(super) name: String,
    socket: PathBuf,
}

impl Agent {
    pub(super) fn new(exchange: &Path, name: &str) -> Self {
        Self { name: name.to_owned(), socket: exchange.join(name) }
    }

    /// Until it can be told what to do.
    pub(super) fn wait(&self) -> Result<()> {
        let end = Instant::now() + SOON;
        while UnixStream::connect(&self.socket).is_err() {
            ensure!(Instant::now() < end, "agent {}: nothing within {} s", self.name, SOON.as_secs());
            sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Its answer has as many numbers as are asked for.
    pub(super) fn tell<const N: usize>(&self, what: &str) -> Result<[f64; N]> {
        let failed = || format!("agent {}: {what}", self.name);
        let mut stream = UnixStream::connect(&self.socket).with_context(failed)?;
        stream.set_read_timeout(Some(SOON))?;
        stream.write_all(format!("{what}\n").as_bytes())?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).with_context(failed)?;
        if let Some(why) = answer.strip_prefix(FAILED) {
            bail!("{}: {}", failed(), why.trim());
        }
        let numbers: Vec<f64> = answer.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        <[f64; N]>::try_from(numbers).ok().with_context(|| format!("{} was answered {answer:?}", failed()))
    }
}
