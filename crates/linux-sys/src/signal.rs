//! Signal masks, dispositions and signalfd.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// The kernel's `_NSIG`.
const SIGNAL_LAST: libc::c_int = 64;
/// The size of the kernel's `sigset_t`.
const SIGSET_BYTES: usize = 8;

/// Blocks signals in this thread and makes them readable from a descriptor.
#[derive(Debug)]
pub struct SignalFd(OwnedFd);

/// One signal that arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrived {
    pub signal: i32,
    /// The sender, or the child of a SIGCHLD.
    pub pid: i32,
}

impl SignalFd {
    /// Non-blocking and closed on exec.
    ///
    /// # Errors
    /// For an unknown signal.
    pub fn new(signals: &[i32]) -> io::Result<Self> {
        let set = set_of(signals)?;
        change_mask(libc::SIG_BLOCK, &set)?;
        // SAFETY: the set is initialised; -1 asks for a new descriptor.
        let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a new descriptor, which nobody else owns.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// The next signal; `None` when there is none now.
    ///
    /// # Errors
    /// `read(2)`'s.
    pub fn next_signal(&self) -> io::Result<Option<Arrived>> {
        let mut info = MaybeUninit::<libc::signalfd_siginfo>::uninit();
        // SAFETY: the buffer is as long as said and borrowed for the call.
        let read = unsafe { libc::read(self.0.as_raw_fd(), info.as_mut_ptr().cast(), size_of_val(&info)) };
        match usize::try_from(read) {
            Ok(bytes) if bytes == size_of::<libc::signalfd_siginfo>() => {
                // SAFETY: the kernel filled all of it.
                let info = unsafe { info.assume_init() };
                Ok(Some(Arrived { signal: info.ssi_signo.cast_signed(), pid: info.ssi_pid.cast_signed() }))
            }
            Ok(_) => Ok(None),
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
                error => Err(error),
            },
        }
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Gives every signal its default action and unblocks all: what a new program expects to find.
/// Async-signal-safe.
pub fn reset() {
    // The kernel's struct sigaction, all zeros: SIG_DFL, no flags, an empty mask.
    let default_action = [0_u64; 4];
    for signal in 1..=SIGNAL_LAST {
        let no_old = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: the action is as long as the kernel reads and installs no code of ours. The kernel
        // refuses SIGKILL and SIGSTOP, which cannot have been changed.
        unsafe {
            libc::syscall(libc::SYS_rt_sigaction, signal, &raw const default_action, no_old, SIGSET_BYTES)
        };
    }
    let mut empty = MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the set before it is read.
    unsafe {
        libc::sigemptyset(empty.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, empty.as_ptr(), std::ptr::null_mut());
    }
}

/// Gives signals their default action and unblocks them in this thread, whatever the parent left behind.
/// A program whose SIGCHLD is ignored never learns how its children ended.
///
/// # Errors
/// For an unknown signal, and those whose action is fixed.
pub fn restore(signals: &[i32]) -> io::Result<()> {
    for &signal in signals {
        // SAFETY: installs no code of ours.
        if unsafe { libc::signal(signal, libc::SIG_DFL) } == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
    }
    unblock(signals)
}

/// Ignores a signal, as do the programs this one executes, unless they change it.
///
/// # Errors
/// For an unknown signal, and those whose action is fixed.
pub fn ignore(signal: i32) -> io::Result<()> {
    // SAFETY: installs no code of ours.
    if unsafe { libc::signal(signal, libc::SIG_IGN) } == libc::SIG_ERR {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// # Errors
/// For an unknown signal.
pub fn unblock(signals: &[i32]) -> io::Result<()> {
    change_mask(libc::SIG_UNBLOCK, &set_of(signals)?)
}

/// Whether this process ignores a signal, as `nohup` makes its program ignore SIGHUP.
///
/// # Errors
/// For an unknown signal.
pub fn is_ignored(signal: i32) -> io::Result<bool> {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: a null pointer changes nothing; the current action is written to a live buffer.
    if unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has filled it.
    Ok(unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN)
}

fn set_of(signals: &[i32]) -> io::Result<libc::sigset_t> {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the set; sigaddset changes an initialised one.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for &signal in signals {
            if libc::sigaddset(set.as_mut_ptr(), signal) != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(set.assume_init())
    }
}

fn change_mask(how: libc::c_int, set: &libc::sigset_t) -> io::Result<()> {
    // SAFETY: the set is initialised and borrowed for the call.
    match unsafe { libc::pthread_sigmask(how, set, std::ptr::null_mut()) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rustix::event::{PollFd, PollFlags, poll};

    use super::SignalFd;
    use crate::namespace::Namespaces;
    use crate::process::{clone_child, wait};

    #[test]
    fn a_blocked_signal_arrives_with_its_sender() {
        let signals = SignalFd::new(&[libc::SIGUSR2]).unwrap();
        assert_eq!(signals.next_signal().unwrap(), None);
        // SAFETY: signals this thread, where it is blocked.
        unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGUSR2) };
        poll(&mut [PollFd::new(&signals, PollFlags::IN)], None).unwrap();
        let arrived = signals.next_signal().unwrap().unwrap();
        assert_eq!(arrived.signal, libc::SIGUSR2);
    }

    #[test]
    fn what_a_parent_left_ignored_and_blocked_is_restored() {
        let child = clone_child(Namespaces::NONE, None, || {
            let _blocks = SignalFd::new(&[libc::SIGCHLD, libc::SIGHUP]).ok();
            // SAFETY: installs no code of ours.
            unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
            let was_ignored = super::is_ignored(libc::SIGCHLD).unwrap_or(false);
            let restored =
                super::restore(&[libc::SIGCHLD]).is_ok() && super::unblock(&[libc::SIGHUP]).is_ok();
            let is_ignored = super::is_ignored(libc::SIGCHLD).unwrap_or(true);
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
            let unblocked = status.contains("SigBlk:\t0000000000000000");
            i32::from(!(was_ignored && restored && !is_ignored && unblocked))
        })
        .unwrap();
        assert_eq!(wait(child.pidfd.as_fd()).unwrap(), crate::process::ExitStatus::Code(0));
    }

    #[test]
    fn a_reset_child_has_no_blocked_and_no_ignored_signals() {
        let _blocks = SignalFd::new(&[libc::SIGUSR1]).unwrap();
        let child = clone_child(Namespaces::NONE, None, || {
            super::reset();
            let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
            let zero = |field: &str| {
                status.lines().any(|line| {
                    line.strip_prefix(field).is_some_and(|rest| rest.trim() == "0000000000000000")
                })
            };
            i32::from(!(zero("SigBlk:") && zero("SigIgn:")))
        })
        .unwrap();
        assert_eq!(wait(child.pidfd.as_fd()).unwrap(), crate::process::ExitStatus::Code(0));
    }
}
