//! Resource limits by number; rustix knows only named ones.

use rustix::io::Errno;

/// `RLIM_INFINITY` is `u64::MAX`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit {
    pub soft: u64,
    pub hard: u64,
}

/// Sets a limit of this process. Async-signal-safe.
///
/// # Errors
/// `EPERM` for a hard limit above the current one without `CAP_SYS_RESOURCE`.
pub fn set(resource: u32, limit: Limit) -> Result<(), Errno> {
    let new = libc::rlimit64 { rlim_cur: limit.soft, rlim_max: limit.hard };
    prlimit(resource, &raw const new, std::ptr::null_mut())
}

/// A limit of this process. Async-signal-safe.
///
/// # Errors
/// `EINVAL` for an unknown resource.
pub fn read(resource: u32) -> Result<Limit, Errno> {
    let mut old = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    prlimit(resource, std::ptr::null(), &raw mut old)?;
    Ok(Limit { soft: old.rlim_cur, hard: old.rlim_max })
}

fn prlimit(resource: u32, new: *const libc::rlimit64, old: *mut libc::rlimit64) -> Result<(), Errno> {
    // SAFETY: both pointers are null or to a live rlimit64, which is what the system call takes on
    // every architecture; pid 0 is this process.
    let result = unsafe { libc::syscall(libc::SYS_prlimit64, 0, resource, new, old) };
    if result == 0 { Ok(()) } else { Err(crate::last_errno()) }
}
