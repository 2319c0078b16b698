//! A process that others are left to.
//!
//! The kernel counts the time of a process that was waited for with its parent's, so who waits for all has the sum.

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use linux_sys::namespace::Namespaces;
use linux_sys::process::clone_child;
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process_group, set_child_subreaper,
    set_parent_process_death_signal, wait,
};

/// Has a child do it, and meanwhile waits for everything below it that loses its parent.
pub(crate) fn run(act: impl FnOnce() -> i32) -> Result<ExitCode> {
    set_child_subreaper(Some(getpid())).context("cannot be the one that processes are left to")?;
    let child = clone_child(Namespaces::NONE, None, || {
        // Who reads the sum is not to go on without it.
        let _ = set_parent_process_death_signal(Some(Signal::KILL));
        act()
    })?;
    let code = wait_for(child.pid)?.and_then(|status| status.exit_status());
    Ok(code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// How the child ended; all others are reaped as soon as they have ended.
pub(crate) fn wait_for(child: i32) -> Result<Option<WaitStatus>> {
    reap(Some(child))
}

/// Until that one has ended, or there is none left.
fn reap(until: Option<i32>) -> Result<Option<WaitStatus>> {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if Some(pid.as_raw_nonzero().get()) == until => return Ok(Some(status)),
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::CHILD) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Ends everything else in the process namespace that this process is the first of, and waits for it. The kernel would do so, too,
/// but count the time of nothing.
pub(crate) fn end_all() -> Result<()> {
    ensure!(getpid().is_init(), "not the first process of a namespace");
    // To all of the namespace but this one: the group that is called so is none.
    match kill_process_group(Pid::INIT, Signal::KILL) {
        // There is nobody.
        Ok(()) | Err(Errno::SRCH) => {}
        Err(error) => return Err(error.into()),
    }
    reap(None).map(drop)
}
