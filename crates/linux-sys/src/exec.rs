//! `execve(2)` with everything allocated beforehand.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use rustix::io::Errno;

/// Arguments or an environment in the shape execve wants.
#[derive(Debug)]
pub struct CStringArray {
    /// Keeps alive what `pointers` point to.
    _strings: Vec<CString>,
    /// Ends with a null pointer.
    pointers: Vec<*const libc::c_char>,
}

impl CStringArray {
    #[must_use]
    pub fn new(strings: Vec<CString>) -> Self {
        let pointers = strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect();
        Self { _strings: strings, pointers }
    }
}

/// Replaces this process's program; returns only when that failed. Async-signal-safe.
#[must_use]
pub fn execve(path: &CStr, args: &CStringArray, env: &CStringArray) -> Errno {
    // SAFETY: path is a C string; both arrays end with null and point to C strings they own.
    unsafe { libc::execve(path.as_ptr(), args.pointers.as_ptr(), env.pointers.as_ptr()) };
    crate::last_errno()
}

/// Closes every descriptor from `first` on but `kept`. Async-signal-safe.
///
/// For a process that will execute a program or end, and touch no descriptor but `kept` until then: the values
/// that own the others are not told.
///
/// # Errors
/// `close_range(2)`'s.
pub fn close_from_but(first: u32, kept: BorrowedFd<'_>) -> Result<(), Errno> {
    let kept = kept.as_raw_fd().unsigned_abs();
    let close = |from: u32, to: u32| {
        if from > to {
            return Ok(());
        }
        // SAFETY: takes no pointers. The caller uses none of them any more.
        let result = unsafe { libc::syscall(libc::SYS_close_range, from, to, 0) };
        if result == 0 { Ok(()) } else { Err(crate::last_errno()) }
    };
    if kept < first {
        return close(first, u32::MAX);
    }
    if kept > first {
        close(first, kept - 1)?;
    }
    close(kept + 1, u32::MAX)
}

/// Marks every descriptor from `first` on to be closed by execve. Async-signal-safe.
///
/// # Errors
/// `close_range(2)`'s.
pub fn close_on_exec_from(first: u32) -> Result<(), Errno> {
    const CLOSE_RANGE_CLOEXEC: u32 = 4;
    // SAFETY: takes no pointers; descriptors stay open until execve.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, CLOSE_RANGE_CLOEXEC) };
    if result == 0 { Ok(()) } else { Err(crate::last_errno()) }
}
