//! The command line of the suites.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};

use crate::runner;
use crate::soak;
use crate::wait;

const JOBS_DEFAULT: usize = 4;
const KILLS_DEFAULT: u32 = 200;

#[derive(Debug)]
pub(crate) enum Command {
    List,
    Suites(runner::Options),
    Soak(soak::Options),
}

/// The command and the program under test.
pub(crate) fn parse(args: impl Iterator<Item = String>) -> Result<(Command, PathBuf)> {
    let mut args = args.peekable();
    let is_soak = args.next_if(|arg| arg == "soak").is_some();
    let mut program = None;
    let mut list = false;
    let mut suites = runner::Options {
        filters: vec![],
        slow: false,
        jobs: JOBS_DEFAULT,
        no_skips: false,
        allowed_skips: vec![],
        keep: false,
    };
    let mut soak = soak::Options {
        lasting: false,
        kills: KILLS_DEFAULT,
        seed: seed_of_the_moment(),
        jobs: JOBS_DEFAULT,
    };
    while let Some(arg) = args.next() {
        let mut value = || args.next().with_context(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--program" => program = Some(PathBuf::from(value()?)),
            "--jobs" => {
                suites.jobs = value()?.parse().context("--jobs")?;
                soak.jobs = suites.jobs;
            }
            "--lasting" if is_soak => soak.lasting = true,
            "--kills" if is_soak => soak.kills = value()?.parse().context("--kills")?,
            "--seed" if is_soak => soak.seed = value()?.parse().context("--seed")?,
            "--patience" => wait::set_patience(value()?.parse().context("--patience")?),
            "--slow" if !is_soak => suites.slow = true,
            "--no-skips" if !is_soak => suites.no_skips = true,
            "--allow-skip" if !is_soak => suites.allowed_skips.push(value()?),
            "--keep" if !is_soak => suites.keep = true,
            "--list" if !is_soak => list = true,
            filter if !is_soak && !filter.starts_with('-') => suites.filters.push(filter.to_owned()),
            other => bail!("unknown argument {other}"),
        }
    }
    if list {
        return Ok((Command::List, PathBuf::new()));
    }
    let program = program.map_or_else(beside_this_program, Ok)?;
    let hint = "build it with `cargo build -p monopod`, or name it with --program";
    ensure!(program.is_file(), "{} is not there: {hint}", program.display());
    Ok((if is_soak { Command::Soak(soak) } else { Command::Suites(suites) }, program))
}

/// Cargo puts the program under test into the same directory as this one.
fn beside_this_program() -> Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name("monopod"))
}

fn seed_of_the_moment() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}
