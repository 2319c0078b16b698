//! `execve(2)` with everything allocated beforehand.

use std::ffi::{CStr, CString};
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
