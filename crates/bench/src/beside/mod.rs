//! Programs of others, which monopod is measured beside: run where they change nothing of the machine.
//!
//! A process of this program is the first of its process namespace and has mounts, a network and cgroups of its own. It starts what
//! it is told to and says how long that took. Whatever that leaves running ends with it, also when the bench is killed.

pub(crate) mod keeper;
pub(crate) mod namespaces;

use std::ffi::OsStr;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::bed::Bed;
use crate::engine::Engine;
use crate::wait::SOON;

#[derive(Debug)]
pub(crate) struct Place {
    keeper: Engine,
    /// With each command.
    patience: Duration,
}

/// What the keeper is to start.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    program: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
    patience_s: u64,
}

/// A command that succeeded.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ran {
    /// Boot clock, before its process was made.
    pub(crate) began_ns: i64,
    /// From then until it was reaped.
    pub(crate) took_ns: i64,
    pub(crate) stdout: String,
}

impl Place {
    pub(crate) fn start(bed: &Bed) -> Result<Self> {
        Self::start_patient(bed, SOON)
    }

    /// Whose commands may take so long each.
    pub(crate) fn start_patient(bed: &Bed, patience: Duration) -> Result<Self> {
        let mut keeper = Command::new(bed.program());
        let keeper = Engine::start(keeper.arg(keeper::COMMAND).stdin(Stdio::piped()))?;
        // It waits for what a command does after its end, too.
        Ok(Self { keeper: keeper.with_patience(patience + 2 * SOON), patience })
    }

    /// Of the command, its program, arguments and variables count.
    pub(crate) fn run(&mut self, command: &Command) -> Result<Ran> {
        let text = |text: &OsStr| text.to_str().map(str::to_owned).context("a word that is no text");
        let request = Request {
            program: text(command.get_program())?,
            args: command.get_args().map(text).collect::<Result<_>>()?,
            env: command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?)))
                .map(|(name, value)| Ok((text(name)?, text(value)?)))
                .collect::<Result<_>>()?,
            patience_s: self.patience.as_secs(),
        };
        let answer = self.keeper.ask(&serde_json::to_string(&request)?)?;
        match serde_json::from_str::<Result<Ran, String>>(&answer)? {
            Ok(ran) => Ok(ran),
            Err(why) => bail!("{command:?}: {why}"),
        }
    }

    /// With everything that runs there.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.keeper.close_stdin();
        self.keeper.finish()?;
        namespaces::clear()
    }
}
