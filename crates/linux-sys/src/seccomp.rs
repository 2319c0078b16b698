//! Loading a compiled seccomp filter.

use rustix::io::Errno;

/// One classic BPF instruction.
pub type Instruction = libc::sock_filter;

/// Confines this thread to what `program` allows, for good. Async-signal-safe.
///
/// # Errors
/// `EACCES` without both no_new_privs and `CAP_SYS_ADMIN`; `EINVAL` for a program the kernel's
/// checker refuses, or one of more than 4096 instructions.
pub fn load(program: &[Instruction]) -> Result<(), Errno> {
    let length = u16::try_from(program.len()).map_err(|_| Errno::INVAL)?;
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    let no_flags = 0;
    // SAFETY: the kernel only reads the program, which is borrowed for the call, with its true length.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, no_flags, &raw const program)
    };
    if result == 0 { Ok(()) } else { Err(crate::last_errno()) }
}
