//! Clones a child, which carries out steps and executes a program, and waits until it has.
//!
//! The child reports on a pipe that execve closes: what it tolerated, what failed, who goes on in its place
//! ([`Step::Appear`]), and that it is about to execute; an end without that last report means that it was
//! killed.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use linux_sys::namespace::Namespaces;
use linux_sys::process::{self, Child};
use linux_sys::{clock, exec};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Signal;

use super::apply::{Outcome, STDERR_FD, apply};
use super::explain::explain;
use super::file_system::Root;
use super::program::{ExecFailure, Program};
use super::spent::{Part, Spent};
use super::step::Step;
use super::{SpawnError, proc};
use crate::times;

/// Everything the child needs.
#[derive(Debug)]
pub(super) struct Plan<'p> {
    pub(super) steps: Vec<Step>,
    pub(super) end: End,
    /// The user namespace for the steps that take one.
    pub(super) users: Option<BorrowedFd<'p>>,
    /// What is done by [`proc::set_up`] when the child is at [`Step::AppearFirst`]; `None` when it has no such step.
    pub(super) proc: Option<Vec<Step>>,
}

/// What the child does after its steps.
#[derive(Debug)]
pub(super) enum End {
    Execute(Program),
    /// Nothing, until it is killed; its children are reaped by the kernel.
    Idle,
}

/// A child whose steps are done, and the steps it could do only in part, with why.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) child: Child,
    pub(super) warnings: Vec<String>,
}

/// How long setting up may take; only a hanging file system needs more than milliseconds.
const SET_UP_MAX_S: i64 = 120;
/// How long a killed child may take to be gone.
const END_MAX: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
const NANOS_PER_SECOND: i64 = 1_000_000_000;
/// The exit status of a child that has reported a failure.
const EXIT_FAILED: i32 = 127;
const REPORT_BYTES: usize = 12;
const KIND_TOLERATED: u8 = 1;
const KIND_STEP_FAILED: u8 = 2;
const KIND_EXEC_FAILED: u8 = 3;
const KIND_ABOUT_TO_END: u8 = 4;
/// The number is the process that goes on.
const KIND_APPEARED: u8 = 5;
/// The number is the part's, and what follows are microseconds.
const KIND_SPENT: u8 = 6;

/// Returns when the program has been executed. `cgroup` is a v2 group's directory.
pub(super) fn start(
    plan: &Plan<'_>,
    namespaces: Namespaces,
    cgroup: Option<BorrowedFd<'_>>,
) -> Result<Ready, SpawnError> {
    let (reader, writer) = channel(plan)?;
    let mut reader = Some(reader);
    let overlays = plan.steps.iter().filter(|step| matches!(step, Step::Overlay(_))).count();
    let mut root = Root::new(overlays, plan.users);
    let mut spent = times::last().map(|last| Spent::since(last.0));
    let mut child = process::clone_child(namespaces, cgroup, || {
        // The child's copy: only the shim may keep the pipe from breaking.
        reader = None;
        run(plan, &mut root, &mut spent, writer.as_fd())
    })
    .map_err(SpawnError::create("clone a process"))?;
    drop(writer);
    let Some(reader) = reader else { process::exit(EXIT_FAILED) };
    match supervise(plan, File::from(reader), &mut child) {
        Ok(warnings) => {
            times::done("execve");
            Ok(Ready { child, warnings })
        }
        Err(error) => {
            end(&child);
            Err(error)
        }
    }
}

/// The parent's end, and the child's; both ways when the child has to wait for the parent.
fn channel(plan: &Plan<'_>) -> Result<(OwnedFd, OwnedFd), SpawnError> {
    if plan.proc.is_none() {
        return pipe_with(PipeFlags::CLOEXEC).map_err(SpawnError::create("make a pipe"));
    }
    let (ours, theirs) = UnixStream::pair().map_err(SpawnError::create::<io::Error>("make a socket"))?;
    Ok((ours.into(), theirs.into()))
}

/// Kills and reaps a child that may be in the middle of something. One that hangs in the kernel is
/// left to whoever reaps this process's children.
pub(super) fn end(child: &Child) {
    let _ = process::pidfd_send_signal(child.pidfd.as_fd(), Signal::KILL.as_raw());
    let ended = poll(&mut [PollFd::new(&child.pidfd, PollFlags::IN)], Some(&END_MAX));
    if ended.is_ok_and(|ready| ready > 0) {
        let _ = process::wait(child.pidfd.as_fd());
    }
}

/// In the child. Async-signal-safe.
fn run(plan: &Plan<'_>, root: &mut Root<'_>, spent: &mut Option<Spent>, reports: BorrowedFd<'_>) -> i32 {
    let mut account = spent.as_mut();
    let on = |account: &mut Option<&mut Spent>, part| account.iter_mut().for_each(|spent| spent.on(part));
    on(&mut account, Part::Clone);
    for (at, step) in plan.steps.iter().enumerate() {
        if matches!(step, Step::LoadSeccomp(_)) {
            // Where the clock is a system call, the filter may end the process for it.
            account = None;
        }
        let outcome = match step {
            Step::Appear | Step::AppearFirst => match appear(reports) {
                Ok(None) if matches!(step, Step::AppearFirst) => {
                    // Its descriptors are closed.
                    std::mem::forget(std::mem::replace(root, Root::new(0, None)));
                    wait_for_proc(reports)
                }
                Ok(None) => Ok(Outcome::Done),
                Ok(Some(pid)) => {
                    let told = report(reports, KIND_APPEARED, usize::try_from(pid).unwrap_or(0), 0);
                    return if told.is_ok() { 0 } else { EXIT_FAILED };
                }
                Err(errno) => Err(errno),
            },
            step => apply(step, root),
        };
        match outcome {
            Ok(Outcome::Done) => on(&mut account, Part::of(step)),
            Ok(Outcome::Tolerated(errno)) => {
                on(&mut account, Part::of(step));
                let _ = report(reports, KIND_TOLERATED, at, errno.raw_os_error());
            }
            Err(errno) => {
                let _ = report(reports, KIND_STEP_FAILED, at, errno.raw_os_error());
                return EXIT_FAILED;
            }
        }
    }
    if let Some(spent) = spent {
        report_spent(reports, spent);
    }
    // A shim that died before this process was bound to it cannot end it any more.
    if report(reports, KIND_ABOUT_TO_END, 0, 0).is_err() {
        return EXIT_FAILED;
    }
    match &plan.end {
        End::Execute(program) => {
            let failure = program.execute();
            let _ =
                report(reports, KIND_EXEC_FAILED, usize::from(failure.exists), failure.errno.raw_os_error());
            EXIT_FAILED
        }
        End::Idle => process::idle(),
    }
}

/// The new process, in this one; `None` in the new one.
fn appear(reports: BorrowedFd<'_>) -> Result<Option<i32>, Errno> {
    exec::close_from_but(STDERR_FD + 1, reports)?;
    process::fork_sibling()
}

/// Until the parent, which may be dead, has said so.
fn wait_for_proc(reports: BorrowedFd<'_>) -> Result<Outcome, Errno> {
    match rustix::io::read(reports, &mut [0])? {
        0 => Err(Errno::PIPE),
        _ => Ok(Outcome::Done),
    }
}

/// One write, so one read. `number` is the step's, or whether the program exists.
fn report(reports: BorrowedFd<'_>, kind: u8, number: usize, errno: i32) -> Result<(), Errno> {
    rustix::io::write(reports, &encoded(kind, number, errno)).map(|_| ())
}

/// All parts in one write, so that the parent wakes once.
fn report_spent(reports: BorrowedFd<'_>, spent: &Spent) {
    let mut bytes = [0; REPORT_BYTES * Part::ALL.len()];
    for (at, (microseconds, report)) in
        spent.microseconds().into_iter().zip(bytes.chunks_exact_mut(REPORT_BYTES)).enumerate()
    {
        report.copy_from_slice(&encoded(KIND_SPENT, at, microseconds));
    }
    let _ = rustix::io::write(reports, &bytes);
}

fn encoded(kind: u8, number: usize, errno: i32) -> [u8; REPORT_BYTES] {
    let mut bytes = [0; REPORT_BYTES];
    bytes[0] = kind;
    bytes[4..8].copy_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
    bytes[8..].copy_from_slice(&errno.to_le_bytes());
    bytes
}

/// In the parent: reads reports until execve, or the child's end, closes the pipe. `child` becomes the
/// process that goes on, whose reports may come before the one about itself.
fn supervise(plan: &Plan<'_>, mut reports: File, child: &mut Child) -> Result<Vec<String>, SpawnError> {
    let deadline = clock::boot_ns().saturating_add(SET_UP_MAX_S * NANOS_PER_SECOND);
    let mut warnings = Vec::new();
    let mut about_to_end = false;
    let mut failure = None;
    loop {
        wait_readable(reports.as_fd(), deadline)?;
        let mut bytes = [0; REPORT_BYTES];
        match reports.read_exact(&mut bytes) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return match failure {
                    Some(failure) => Err(failure),
                    None if about_to_end => Ok(warnings),
                    None => Err(SpawnError::Killed),
                };
            }
            Err(source) => {
                return Err(SpawnError::Start {
                    what: "cannot read from the new process".to_owned(),
                    source,
                });
            }
        }
        let [kind, _, _, _, n0, n1, n2, n3, e0, e1, e2, e3] = bytes;
        let number = u32::from_le_bytes([n0, n1, n2, n3]);
        let errno = i32::from_le_bytes([e0, e1, e2, e3]);
        match (kind, plan.steps.get(number as usize), &plan.end) {
            (KIND_ABOUT_TO_END, ..) => {
                about_to_end = true;
                if plan.steps.iter().any(|step| matches!(step, Step::LoadSeccomp(_))) {
                    times::done("seccomp");
                }
            }
            (KIND_SPENT, ..) => {
                let part = Part::ALL.get(number as usize).filter(|_| errno > 0);
                part.into_iter().for_each(|part| times::spent(part.name(), i64::from(errno) * 1_000));
            }
            (KIND_APPEARED, ..) => {
                take_over(child, number)?;
                if let (Some(steps), Some(users)) = (&plan.proc, plan.users) {
                    proc::set_up(child, steps, users)?;
                    // One that is dead will be found to be.
                    let _ = reports.write_all(b"\n");
                }
            }
            (KIND_TOLERATED, Some(step), _) => {
                warnings.push(format!("cannot {step}: {}", io::Error::from_raw_os_error(errno)));
            }
            (KIND_EXEC_FAILED, _, End::Execute(program)) => {
                let errno = Errno::from_raw_os_error(errno);
                failure = Some(program.explain(ExecFailure { errno, exists: number != 0 }));
            }
            (_, Some(step), _) => {
                let source = explain(step, Errno::from_raw_os_error(errno));
                failure = Some(SpawnError::Start { what: format!("cannot {step}"), source });
            }
            _ => return Err(SpawnError::Killed),
        }
    }
}

/// The process that reports is not to be trusted with any other one than its own copy.
fn take_over(child: &mut Child, number: u32) -> Result<(), SpawnError> {
    let failed = |source| SpawnError::Start { what: "cannot find the new process".to_owned(), source };
    let pid = i32::try_from(number).map_err(|_| failed(Errno::SRCH.into()))?;
    let pidfd = process::pidfd_open(pid).map_err(failed)?;
    if !process::is_child(pidfd.as_fd()) {
        return Err(failed(Errno::CHILD.into()));
    }
    let before = std::mem::replace(child, Child { pid, pidfd });
    process::wait(before.pidfd.as_fd()).map(|_| ()).map_err(failed)
}

fn wait_readable(reports: BorrowedFd<'_>, deadline: i64) -> Result<(), SpawnError> {
    loop {
        let left_ns = deadline.saturating_sub(clock::boot_ns()).max(0);
        let timeout = Timespec { tv_sec: left_ns / NANOS_PER_SECOND, tv_nsec: left_ns % NANOS_PER_SECOND };
        match poll(&mut [PollFd::new(&reports, PollFlags::IN)], Some(&timeout)) {
            Ok(0) => {
                return Err(SpawnError::Start {
                    what: "cannot set up the container".to_owned(),
                    source: io::Error::new(
                        io::ErrorKind::TimedOut,
                        format!("it took more than {SET_UP_MAX_S} s"),
                    ),
                });
            }
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => {
                return Err(SpawnError::Start {
                    what: "cannot wait for the new process".to_owned(),
                    source: error.into(),
                });
            }
        }
    }
}
