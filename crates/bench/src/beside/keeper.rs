//! The process that is a place: its namespaces end with it.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use linux_sys::namespace::{self, Namespaces};
use linux_sys::process::{ExitStatus, clone_child, wait};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::mount::{MountFlags, mount};
use rustix::process::{Signal, set_parent_process_death_signal};

use super::{Ran, Request, namespaces};
use crate::engine::Engine;
use crate::reaper;
use crate::wait::until;

/// What this program is told to be it.
pub(crate) const COMMAND: &str = "beside";

/// Carries out what comes in on standard input until that ends.
pub(crate) fn main() -> Result<()> {
    namespaces::own_cgroups()?;
    namespace::unshare(Namespaces::MOUNT | Namespaces::NET).context("cannot make namespaces")?;
    namespace::set_loopback_up()?;
    namespaces::cover()?;
    let first = clone_child(Namespaces::PID, None, || said(first()))?;
    match wait(first.pidfd.as_fd())? {
        ExitStatus::Code(0) => Ok(()),
        status => bail!("its first process ended with {status:?}"),
    }
}

/// Of a process that this one was cloned to.
fn said(done: Result<()>) -> i32 {
    match done {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("bench {COMMAND}: {error:#}");
            1
        }
    }
}

/// The first process of the namespace reaps what others leave to it, as soon as it has ended: some wait for that.
fn first() -> Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    mount("proc", "/proc", "proc", MountFlags::empty(), None).context("cannot mount /proc")?;
    let server = clone_child(Namespaces::NONE, None, || said(serve()))?;
    let ended = reaper::wait_for(server.pid)?;
    // Its time is the bench's.
    reaper::end_all()?;
    match ended.and_then(|status| status.exit_status()) {
        Some(0) => Ok(()),
        _ => bail!("who carries out requests ended with {ended:?}"),
    }
}

fn serve() -> Result<()> {
    for line in io::stdin().lines() {
        let request: Request = serde_json::from_str(&line?)?;
        let answer = run(&request).map_err(|error| format!("{error:#}"));
        // What it does after its end is not to be another's burden.
        until(&format!("the end of what {} does after its end", request.program), || {
            Ok((!runs(Path::new(&request.program))?).then_some(()))
        })?;
        println!("{}", serde_json::to_string(&answer)?);
    }
    Ok(())
}

/// What it leaves running may keep its output, so that is a file.
fn run(request: &Request) -> Result<Ran> {
    let mut stdout = File::from(memfd_create("output", MemfdFlags::CLOEXEC)?);
    let mut command = Command::new(&request.program);
    let env = request.env.iter().map(|(name, value)| (name, value));
    command.args(&request.args).envs(env).stdin(Stdio::null());
    let running = Engine::start_into(&mut command, stdout.try_clone()?.into())?;
    let ended = running.with_patience(Duration::from_secs(request.patience_s)).finish()?;
    let mut said = Vec::new();
    stdout.rewind()?;
    stdout.read_to_end(&mut said)?;
    let stdout = String::from_utf8_lossy(&said).into_owned();
    Ok(Ran { began_ns: ended.began_ns, took_ns: ended.ended_ns - ended.began_ns, stdout })
}

/// Whether a process of this namespace does. One that has ended meanwhile is none.
fn runs(program: &Path) -> Result<bool> {
    for entry in fs::read_dir("/proc")? {
        if fs::read_link(entry?.path().join("exe")).is_ok_and(|executed| executed == program) {
            return Ok(true);
        }
    }
    Ok(false)
}
