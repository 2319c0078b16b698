//! `e2e attack FILE TARGET`: a container's program that tries to get out of it, and writes down, as one JSON object, what
//! became of each attempt. Nothing it does harms a machine on which it succeeds: what would is asked for with an argument
//! that the kernel refuses once it has let the caller through, or opened and left as it is.

mod calls;
mod files;
mod ways_out;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use linux_sys::inspect::{self, Argument, Attempt, Call};
use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What of the machine is to be reached.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Target {
    /// A file of the machine that no container is given, and its text.
    pub(crate) secret: PathBuf,
    pub(crate) text: String,
    /// A process of the machine.
    pub(crate) process: i32,
    /// An abstract socket of the machine.
    pub(crate) socket: String,
    /// A port on the machine's loopback.
    pub(crate) port: u16,
    /// A System V shared memory segment of the machine.
    pub(crate) segment: u32,
    /// Major and minor of one of the machine's disks.
    pub(crate) disk: (u32, u32),
}

/// Which containers may do it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum For {
    /// Those with this capability, by its number.
    Capability(u32),
    /// Only privileged ones.
    Privileged,
    /// Privileged ones that share the machine's processes, network or IPC.
    Host,
    /// None.
    Nobody,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) allowed: For,
    run: fn(&Target) -> Seen,
}

/// What became of an attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Seen {
    /// With what there is to show for it.
    Through(String),
    Stopped(String),
    /// The machine has nothing of the kind.
    Absent(String),
}

/// How the text of an outcome begins.
pub(crate) const THROUGH: &str = "through";
pub(crate) const ABSENT: &str = "absent";

/// Calls come last: who may make them takes away what protects the files.
pub(crate) fn all() -> impl Iterator<Item = &'static Attack> {
    ways_out::FIRST.iter().chain(files::ATTACKS).chain(ways_out::ATTACKS).chain(calls::ATTACKS)
}

/// Writes the whole file at once: whoever waits for it finds all of it.
pub(crate) fn run(file: &Path, target: &str) -> Result<()> {
    let target: Target = serde_json::from_str(target).context("not a target")?;
    let mut found = Map::new();
    for attack in all() {
        let text = match (attack.run)(&target) {
            Seen::Through(what) => format!("{THROUGH} {what}"),
            Seen::Stopped(why) => format!("stopped {why}"),
            Seen::Absent(why) => format!("{ABSENT} {why}"),
        };
        found.insert(attack.name.to_owned(), Value::from(text.trim_end()));
    }
    let new = file.with_extension("new");
    fs::write(&new, serde_json::to_vec_pretty(&found)?)
        .and_then(|()| fs::rename(&new, file))
        .with_context(|| format!("cannot write {}", file.display()))
}

/// Exchanges the two paths of each pair, one pair after another, for ever.
pub(crate) fn swap(paths: &[&str]) -> Result<()> {
    loop {
        for pair in paths.chunks_exact(2) {
            rustix::fs::renameat_with(CWD, pair[0], CWD, pair[1], RenameFlags::EXCHANGE)
                .with_context(|| format!("cannot exchange {} and {}", pair[0], pair[1]))?;
        }
    }
}

/// Takes so many MiB of memory, and lets go of them.
pub(crate) fn eat(mib: &str) -> Result<()> {
    let mib: usize = mib.parse().context("not a number")?;
    // Written to, so that it is there.
    let eaten: Vec<Vec<u8>> = (0..mib).map(|_| vec![1; 1 << 20]).collect();
    anyhow::ensure!(eaten.iter().all(|part| part.last() == Some(&1)), "memory that forgets");
    Ok(())
}

/// Starts as many threads as it may, or so many, says how many those are, and stays.
pub(crate) fn crowd(most: &str) -> Result<()> {
    let most: usize = most.parse().context("not a number")?;
    let stay = || loop {
        std::thread::park();
    };
    let started = (0..most).take_while(|_| std::thread::Builder::new().spawn(stay).is_ok()).count();
    println!("{started}");
    stay()
}

/// Makes so many directories, each in the one before it.
pub(crate) fn deep(count: &str) -> Result<()> {
    let name = "d".repeat(200);
    for _ in 0..count.parse().context("not a number")? {
        fs::create_dir(&name)?;
        rustix::process::chdir(name.as_str())?;
    }
    Ok(())
}

/// `passed`: what the kernel says only to those who may.
fn judge(result: Result<(), Errno>, passed: &[Errno]) -> Seen {
    match result {
        Ok(()) => Seen::Through(String::new()),
        Err(errno) if passed.contains(&errno) => Seen::Through(shown(errno)),
        Err(errno @ (Errno::NOSYS | Errno::OPNOTSUPP | Errno::AFNOSUPPORT | Errno::NODEV)) => {
            Seen::Absent(shown(errno))
        }
        Err(errno) => Seen::Stopped(shown(errno)),
    }
}

fn shown(errno: Errno) -> String {
    format!("errno {}", errno.raw_os_error())
}

fn errno_of(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// A sequence of calls, in a process that ends with it.
fn calls(calls: &[Call<'_>], passed: &[Errno]) -> Seen {
    match inspect::attempt_all(calls) {
        Ok(Attempt::Succeeded) => judge(Ok(()), passed),
        Ok(Attempt::Failed(errno)) => judge(Err(errno), passed),
        Ok(Attempt::Ended(status)) => Seen::Stopped(format!("{status:?}")),
        Err(error) => Seen::Stopped(format!("no process to try it in: {error}")),
    }
}

fn number(value: u64) -> Argument<'static> {
    Argument::Number(value)
}
