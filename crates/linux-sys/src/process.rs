//! Processes by descriptor: clone, signal, reap.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, WaitOptions};

use crate::namespace::Namespaces;

/// A new process, to be reaped by this one.
#[derive(Debug)]
pub struct Child {
    pub pid: i32,
    /// Closed on exec; readable when the process has ended.
    pub pidfd: OwnedFd,
}

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExitStatus {
    Code(i32),
    Signal(i32),
}

/// The exit status of a child that left [`clone_child`]'s closure by panic.
const EXIT_PANIC: i32 = 101;
const CLONE_PIDFD: u64 = 0x1000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// `struct clone_args` as of Linux 5.7; `libc` has it for some targets only.
#[repr(C, align(8))]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Runs `child` in a copy of this process, in new namespaces, and on cgroup v2 from the start in the
/// group whose directory is `cgroup`. The child ends with the value `child` returns.
///
/// `child` has to be async-signal-safe: in a process with other threads it could otherwise wait
/// forever for a lock one of them held.
///
/// # Errors
/// `clone3(2)`'s.
pub fn clone_child(
    namespaces: Namespaces,
    cgroup: Option<BorrowedFd<'_>>,
    child: impl FnOnce() -> i32,
) -> io::Result<Child> {
    let mut pidfd: libc::c_int = -1;
    let mut args = CloneArgs {
        flags: CLONE_PIDFD | u64::from(namespaces.bits()),
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    if let Some(directory) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = directory.as_raw_fd() as u64;
    }
    // SAFETY: without CLONE_VM, CLONE_SETTLS or a stack this is fork: the child goes on on a copy of
    // this stack and address space. `pidfd` outlives the call. The child never returns from this
    // function: it exits below, also when the closure unwinds.
    let result = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<CloneArgs>()) };
    match result {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let _exits = ExitOnUnwind;
            exit(child())
        }
        pid => {
            // SAFETY: CLONE_PIDFD stored a new descriptor, which nobody else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            let pid = i32::try_from(pid).expect("the kernel's pid_t is 32 bits wide");
            Ok(Child { pid, pidfd })
        }
    }
}

/// Goes on as two processes, of which the new one is a child of this one's parent too, and is born in the
/// pid namespace that was joined. The new one's id in this process, `None` in the new one.
/// Async-signal-safe, but for what a copy of a process with other threads can do.
///
/// Not by clone3, which filters refuse.
///
/// # Errors
/// `clone(2)`'s; `ENOMEM` when the first process of the joined namespace has ended.
pub fn fork_sibling() -> Result<Option<i32>, Errno> {
    let flags = libc::CLONE_PARENT | libc::SIGCHLD;
    // SAFETY: without CLONE_VM or a stack this is fork.
    let result = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    match i32::try_from(result) {
        Ok(0) => Ok(None),
        Ok(pid @ 1..) => Ok(Some(pid)),
        _ => Err(crate::last_errno()),
    }
}

/// Whether it is a child of this process that was not reaped yet.
#[must_use]
pub fn is_child(pidfd: BorrowedFd<'_>) -> bool {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    rustix::process::waitid(WaitId::PidFd(pidfd), look).is_ok()
}

/// Keeps a panicking child from unwinding into its copy of the parent's frames.
struct ExitOnUnwind;

impl Drop for ExitOnUnwind {
    fn drop(&mut self) {
        exit(EXIT_PANIC)
    }
}

/// Ends this process at once, without any cleanup. Async-signal-safe.
pub fn exit(code: i32) -> ! {
    // SAFETY: _exit runs no handlers and touches no memory.
    unsafe { libc::_exit(code) }
}

/// Closes every descriptor and sleeps until a signal ends this process; the kernel reaps its children.
/// Async-signal-safe.
pub fn idle() -> ! {
    // SAFETY: nothing of this process runs from here on that could use a closed descriptor.
    unsafe { libc::syscall(libc::SYS_close_range, 0, u32::MAX, 0) };
    // SAFETY: SIG_IGN installs no code of ours.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    loop {
        // SAFETY: takes nothing, changes nothing.
        unsafe { libc::pause() };
    }
}

/// Refers to the process that has `pid` now.
///
/// # Errors
/// When there is none.
pub fn pidfd_open(pid: i32) -> io::Result<OwnedFd> {
    let pid = Pid::from_raw(pid).ok_or(Errno::SRCH)?;
    Ok(rustix::process::pidfd_open(pid, PidfdFlags::empty())?)
}

/// Sends any signal, real-time ones too. A process that has ended is not an error.
///
/// # Errors
/// For an unknown signal, or without permission.
pub fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a null siginfo asks for the default; the descriptor is borrowed for the call.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, no_info, 0) };
    match if result == 0 { None } else { Some(io::Error::last_os_error()) } {
        Some(error) if error.raw_os_error() != Some(libc::ESRCH) => Err(error),
        _ => Ok(()),
    }
}

/// Reaps any child that has ended; `None` when there is none now.
///
/// # Errors
/// Never for lack of children.
pub fn reap_any() -> io::Result<Option<(i32, ExitStatus)>> {
    match rustix::process::wait(WaitOptions::NOHANG) {
        Ok(None) | Err(Errno::CHILD) => Ok(None),
        Ok(Some((pid, status))) => {
            let ended = match status.terminating_signal() {
                Some(signal) => ExitStatus::Signal(signal),
                None => ExitStatus::Code(status.exit_status().unwrap_or_default()),
            };
            Ok(Some((pid.as_raw_nonzero().get(), ended)))
        }
        Err(error) => Err(error.into()),
    }
}

/// Waits for a child to end and reaps it.
///
/// # Errors
/// When it is not a child of this process, or reaped already.
pub fn wait(pidfd: BorrowedFd<'_>) -> io::Result<ExitStatus> {
    loop {
        match rustix::process::waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED) {
            Ok(Some(status)) => {
                return Ok(match status.terminating_signal() {
                    Some(signal) => ExitStatus::Signal(signal),
                    None => ExitStatus::Code(status.exit_status().unwrap_or_default()),
                });
            }
            Ok(None) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Hides this process's `/proc` entries (memory, executable, root) from processes without
/// `CAP_SYS_PTRACE`, also in the children it clones until they execute something.
///
/// # Errors
/// `prctl(2)`'s.
pub fn set_undumpable() -> io::Result<()> {
    Ok(rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::AsFd;

    use super::{
        EXIT_PANIC, ExitStatus, clone_child, fork_sibling, is_child, pidfd_open, pidfd_send_signal, wait,
    };
    use crate::namespace::Namespaces;

    #[test]
    fn a_child_ends_with_what_its_closure_returns() {
        let child = clone_child(Namespaces::NONE, None, || 42).unwrap();
        assert_eq!(wait(child.pidfd.as_fd()).unwrap(), ExitStatus::Code(42));
    }

    #[test]
    fn a_sibling_is_a_child_of_the_same_parent_and_keeps_one_descriptor() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let child = clone_child(Namespaces::NONE, None, || {
            let closed = crate::exec::close_from_but(0, writer.as_fd()).is_ok();
            match fork_sibling() {
                Ok(None) => i32::from(closed) * 7,
                Ok(Some(pid)) => rustix::io::write(&writer, &pid.to_le_bytes()).map_or(1, |_| 0),
                Err(_) => 1,
            }
        })
        .unwrap();
        drop(writer);
        let mut pid = [0; 4];
        reader.read_exact(&mut pid).unwrap();
        assert_eq!(wait(child.pidfd.as_fd()).unwrap(), ExitStatus::Code(0));
        let sibling = pidfd_open(i32::from_le_bytes(pid)).unwrap();
        assert!(is_child(sibling.as_fd()));
        assert_eq!(wait(sibling.as_fd()).unwrap(), ExitStatus::Code(7));
        assert!(!is_child(sibling.as_fd()));
    }

    #[test]
    fn a_panicking_child_does_not_return_into_the_parents_code() {
        let child = clone_child(Namespaces::NONE, None, || std::panic::resume_unwind(Box::new(()))).unwrap();
        assert_eq!(wait(child.pidfd.as_fd()).unwrap(), ExitStatus::Code(EXIT_PANIC));
    }

    #[test]
    fn a_signal_reaches_the_child_and_is_harmless_when_it_has_ended() {
        let child = clone_child(Namespaces::NONE, None, || {
            loop {
                rustix::thread::sched_yield();
            }
        })
        .unwrap();
        let other = pidfd_open(child.pid).unwrap();
        pidfd_send_signal(other.as_fd(), libc::SIGKILL).unwrap();
        assert_eq!(wait(child.pidfd.as_fd()).unwrap(), ExitStatus::Signal(libc::SIGKILL));
        pidfd_send_signal(other.as_fd(), libc::SIGKILL).unwrap();
        let this = pidfd_open(std::process::id().cast_signed()).unwrap();
        let error = pidfd_send_signal(this.as_fd(), 9999).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
    }
}
