//! What a process can find out about itself and its confinement, for programs that check others'
//! work: nothing here is needed to run containers.

use std::io;

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, waitpid};

use crate::process::{ExitStatus, exit};

/// Which table a system call's number is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Table {
    /// The one this program was built for.
    Native,
    /// That of 32-bit programs on x86-64.
    #[cfg(target_arch = "x86_64")]
    I386,
}

/// What became of a system call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attempt {
    Succeeded,
    Failed(Errno),
    /// The call ended its process itself, or a filter or the kernel killed it for the call.
    Ended(ExitStatus),
}

/// Makes a system call with six times the same argument in a child that does nothing else. With an
/// argument that no call takes, such as `usize::MAX`, a call that is let through finds nothing to
/// do; those without arguments do what they do, to the child.
///
/// # Errors
/// When there can be no child.
pub fn attempt(table: Table, number: u32, argument: usize) -> io::Result<Attempt> {
    Ok(attempt_of(fork(|| outcome(call(table, number, argument)))?))
}

fn attempt_of(child: ExitStatus) -> Attempt {
    match child {
        ExitStatus::Code(EXIT_SUCCEEDED) => Attempt::Succeeded,
        ExitStatus::Code(code @ 1..=ERRNO_MAX) => Attempt::Failed(Errno::from_raw_os_error(code)),
        ended => Attempt::Ended(ended),
    }
}

/// One argument of a system call.
#[derive(Clone, Copy, Debug)]
pub enum Argument<'a> {
    Number(u64),
    /// Its address. The kernel may write to it: only the child sees that.
    Memory(&'a [u8]),
    /// What the call at this place of the sequence has returned.
    Returned(usize),
}

/// A system call of the native table.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub number: i64,
    pub arguments: &'a [Argument<'a>],
}

/// The most arguments a call has, and the most calls of a sequence.
const ARGUMENTS_MAX: usize = 6;
const CALLS_MAX: usize = 16;

/// Makes the calls one after another in a child that does nothing else, until one fails. Whatever they do to a process
/// ends with the child; what they do to the machine stays.
///
/// # Errors
/// When there can be no child.
pub fn attempt_all(calls: &[Call<'_>]) -> io::Result<Attempt> {
    Ok(attempt_of(fork(|| outcome(call_all(calls)))?))
}

fn call_all(calls: &[Call<'_>]) -> Result<i64, Errno> {
    let mut returned = [-1_i64; CALLS_MAX];
    let mut last = 0;
    for (at, call) in calls.iter().enumerate() {
        let mut a = [0_u64; ARGUMENTS_MAX];
        for (place, argument) in a.iter_mut().zip(call.arguments) {
            *place = match argument {
                Argument::Number(number) => *number,
                Argument::Memory(bytes) => bytes.as_ptr() as u64,
                Argument::Returned(of) => returned.get(*of).copied().unwrap_or(-1).cast_unsigned(),
            };
        }
        // SAFETY: in a child that was forked for these calls and ends right after them, whatever they do to its memory
        // and descriptors concerns nobody else.
        last = unsafe { libc::syscall(call.number, a[0], a[1], a[2], a[3], a[4], a[5]) };
        if last == -1 {
            return Err(crate::last_errno());
        }
        if let Some(place) = returned.get_mut(at) {
            *place = last;
        }
    }
    Ok(last)
}

/// What the child exits with.
fn outcome(result: Result<i64, Errno>) -> i32 {
    result.map_or_else(Errno::raw_os_error, |_| EXIT_SUCCEEDED)
}

/// Runs `child` in a copy of this process, to its end. By the C library, as filters know its ways better
/// than clone3.
fn fork(child: impl FnOnce() -> i32) -> io::Result<ExitStatus> {
    // SAFETY: the child makes system calls and ends: it takes no lock and allocates nothing.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => exit(child()),
        pid => {
            let pid = Pid::from_raw(pid).ok_or(Errno::SRCH)?;
            let status = waitpid(Some(pid), WaitOptions::empty())?.ok_or(Errno::CHILD)?.1;
            let code = || ExitStatus::Code(status.exit_status().unwrap_or_default());
            Ok(status.terminating_signal().map_or_else(code, ExitStatus::Signal))
        }
    }
}

/// Past every errno, as that is what other exit codes mean.
const EXIT_SUCCEEDED: i32 = 200;
/// The largest errno there is.
const ERRNO_MAX: i32 = 133;

fn call(table: Table, number: u32, argument: usize) -> Result<i64, Errno> {
    match table {
        Table::Native => {
            let a = argument;
            // SAFETY: in a child that was forked for this call and ends right after it, whatever the
            // call does to its memory and descriptors concerns nobody else.
            let result = unsafe { libc::syscall(number.into(), a, a, a, a, a, a) };
            if result == -1 { Err(crate::last_errno()) } else { Ok(result) }
        }
        #[cfg(target_arch = "x86_64")]
        Table::I386 => call_i386(number, argument),
    }
}

#[cfg(target_arch = "x86_64")]
fn call_i386(number: u32, argument: usize) -> Result<i64, Errno> {
    let mut result = u64::from(number);
    let argument = argument as u64;
    // SAFETY: as in `call`. The arguments are in ebx, ecx, edx, esi and edi; rbx, which the compiler
    // keeps for itself, gets its value back. The kernel changes r8 to r11 on this path.
    unsafe {
        std::arch::asm!(
            "xchg rbx, {saved}",
            "int 0x80",
            "xchg rbx, {saved}",
            saved = inout(reg) argument => _,
            inout("rax") result,
            in("rcx") argument,
            in("rdx") argument,
            in("rsi") argument,
            in("rdi") argument,
            out("r8") _,
            out("r9") _,
            out("r10") _,
            out("r11") _,
        );
    }
    let result = i64::from(result as i32);
    match i32::try_from(-result) {
        Ok(errno @ 1..=ERRNO_MAX) => Err(Errno::from_raw_os_error(errno)),
        _ => Ok(result),
    }
}

/// Numbers of the native table.
pub mod number {
    macro_rules! numbers {
        ($($name:ident = $of:ident),* $(,)?) => {
            $(pub const $name: i64 = libc::$of;)*
        };
    }
    numbers! {
        ACCT = SYS_acct, ADD_KEY = SYS_add_key, BPF = SYS_bpf, CHDIR = SYS_chdir, CHROOT = SYS_chroot,
        CLOCK_ADJTIME = SYS_clock_adjtime, CONNECT = SYS_connect, DELETE_MODULE = SYS_delete_module,
        FCHDIR = SYS_fchdir, FINIT_MODULE = SYS_finit_module, FSOPEN = SYS_fsopen, INIT_MODULE = SYS_init_module,
        IOCTL = SYS_ioctl, IO_URING_SETUP = SYS_io_uring_setup, KEXEC_LOAD = SYS_kexec_load, KEYCTL = SYS_keyctl,
        KILL = SYS_kill, MOUNT = SYS_mount, MOUNT_SETATTR = SYS_mount_setattr, MOVE_MOUNT = SYS_move_mount,
        NAME_TO_HANDLE_AT = SYS_name_to_handle_at, OPENAT = SYS_openat, OPEN_BY_HANDLE_AT = SYS_open_by_handle_at,
        OPEN_TREE = SYS_open_tree, PERF_EVENT_OPEN = SYS_perf_event_open, PIVOT_ROOT = SYS_pivot_root,
        PROCESS_VM_READV = SYS_process_vm_readv, PTRACE = SYS_ptrace, QUOTACTL = SYS_quotactl, REBOOT = SYS_reboot,
        REQUEST_KEY = SYS_request_key, SETDOMAINNAME = SYS_setdomainname, SETHOSTNAME = SYS_sethostname,
        SETNS = SYS_setns, SETTIMEOFDAY = SYS_settimeofday, SETUID = SYS_setuid, SHMCTL = SYS_shmctl,
        SHMGET = SYS_shmget, SOCKET = SYS_socket, SWAPOFF = SYS_swapoff, SWAPON = SYS_swapon, SYSLOG = SYS_syslog,
        UMOUNT = SYS_umount2, UNSHARE = SYS_unshare, USERFAULTFD = SYS_userfaultfd,
    }
    #[cfg(target_arch = "x86_64")]
    numbers! { IOPERM = SYS_ioperm, IOPL = SYS_iopl }
}

/// The session keyring as `keyctl_describe(3)` has it: type, user, group, permissions, name.
///
/// # Errors
/// Where a filter forbids to look, and for a kernel without keys.
pub fn session_keyring() -> Result<String, Errno> {
    const KEYCTL_DESCRIBE: libc::c_int = 6;
    const KEY_SPEC_SESSION_KEYRING: libc::c_int = -3;
    let mut text = [0_u8; 256];
    // SAFETY: the kernel writes at most as many bytes as it is told the buffer has.
    let length = unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            KEYCTL_DESCRIBE,
            KEY_SPEC_SESSION_KEYRING,
            text.as_mut_ptr(),
            text.len(),
        )
    };
    let length = usize::try_from(length).map_err(|_| crate::last_errno())?;
    // A final NUL is counted.
    let text = text.get(..length.saturating_sub(1)).ok_or(Errno::OVERFLOW)?;
    Ok(String::from_utf8_lossy(text).into_owned())
}

/// Class and level of this thread's input and output, as `ioprio_get(2)` has them in one number.
///
/// # Errors
/// Where a filter forbids to look.
pub fn io_priority() -> Result<i64, Errno> {
    const IOPRIO_WHO_PROCESS: libc::c_int = 1;
    let this_thread = 0;
    // SAFETY: takes no pointers.
    let result = unsafe { libc::syscall(libc::SYS_ioprio_get, IOPRIO_WHO_PROCESS, this_thread) };
    if result < 0 { Err(crate::last_errno()) } else { Ok(result) }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::{Argument, Attempt, Call, Table, attempt, attempt_all, io_priority, number, session_keyring};
    use crate::process::ExitStatus;

    const NOTHING: usize = usize::MAX;

    fn native(number: libc::c_long) -> Attempt {
        attempt(Table::Native, u32::try_from(number).unwrap(), NOTHING).unwrap()
    }

    #[test]
    fn a_call_is_told_by_its_outcome() {
        assert_eq!(native(libc::SYS_getpid), Attempt::Succeeded);
        assert_eq!(native(libc::SYS_close), Attempt::Failed(Errno::BADF));
        assert_eq!(native(100_000), Attempt::Failed(Errno::NOSYS));
        assert_eq!(native(libc::SYS_exit), Attempt::Ended(ExitStatus::Code(255)));
    }

    #[test]
    fn a_sequence_goes_on_with_what_a_call_returned_and_ends_with_the_first_failure() {
        let open = Call {
            number: number::OPENAT,
            arguments: &[
                Argument::Number(libc::AT_FDCWD.cast_unsigned().into()),
                Argument::Memory(b"/proc\0"),
                Argument::Number(libc::O_RDONLY.cast_unsigned().into()),
            ],
        };
        let go_to = |of| [Argument::Returned(of)];
        let change = |arguments| Call { number: number::FCHDIR, arguments };
        let [first, other] = [go_to(0), go_to(1)];
        assert_eq!(attempt_all(&[open, change(&first)]).unwrap(), Attempt::Succeeded);
        let never = Call { number: libc::SYS_exit, arguments: &[Argument::Number(3)] };
        assert_eq!(attempt_all(&[open, change(&other), never]).unwrap(), Attempt::Failed(Errno::BADF));
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn a_32_bit_call_is_told_by_its_outcome() {
        const CLOSE: u32 = 6;
        const EXIT: u32 = 1;
        let found = attempt(Table::I386, CLOSE, NOTHING).unwrap();
        if found == Attempt::Ended(ExitStatus::Signal(libc::SIGSEGV)) {
            println!("Skipped(the kernel runs no 32-bit programs)");
            return;
        }
        assert_eq!(found, Attempt::Failed(Errno::BADF));
        assert_eq!(attempt(Table::I386, EXIT, NOTHING).unwrap(), Attempt::Ended(ExitStatus::Code(255)));
    }

    #[test]
    fn keyring_and_priority_can_be_read() {
        assert!(session_keyring().map_or_else(|e| e == Errno::NOSYS, |text| text.starts_with("keyring;")));
        assert!(io_priority().is_ok());
    }
}
