//! User, groups, capabilities and keys of the calling thread. Everything here is async-signal-safe.
//!
//! The kernel's own calls, not the C library's, which would ask every other thread to follow.

use rustix::io::Errno;
use rustix::thread::{CapabilitySet, CapabilitySets};

/// One more than the highest capability number a kernel can know; they are bits of a `u64`.
const CAPABILITIES_MAX: u32 = 64;

/// Drops every capability that is not in `keep` from the bounding set.
///
/// # Errors
/// `EPERM` without `CAP_SETPCAP`.
pub fn limit_bounding(keep: u64) -> Result<(), Errno> {
    for number in 0..CAPABILITIES_MAX {
        let bit = 1 << number;
        if keep & bit != 0 {
            continue;
        }
        match rustix::thread::remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(bit)) {
            Ok(()) => {}
            // Past the last one this kernel knows.
            Err(Errno::INVAL) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Sets two sets, without those this kernel does not know, and empties the others: a capability that is
/// not inheritable cannot be ambient.
///
/// # Errors
/// `EPERM` for capabilities outside the permitted set.
pub fn set_capabilities(effective: u64, permitted: u64) -> Result<(), Errno> {
    rustix::thread::set_capabilities(
        None,
        CapabilitySets {
            effective: CapabilitySet::from_bits_retain(effective),
            permitted: CapabilitySet::from_bits_retain(permitted),
            inheritable: CapabilitySet::empty(),
        },
    )
}

/// Files that this thread makes from now on belong to this user and group, and it may do with files all that its
/// permitted capabilities allow, as before.
///
/// # Errors
/// `EPERM` without `CAP_SETUID` and `CAP_SETGID`, or for ids the user namespace does not have.
pub fn make_files_of(uid: u32, gid: u32) -> Result<(), Errno> {
    // SAFETY: none of the two takes pointers. They return the id before, and refuse in no other way.
    let set = |call: libc::c_long, id: u32| unsafe { libc::syscall(call, id) };
    for (call, id) in [(libc::SYS_setfsgid, gid), (libc::SYS_setfsuid, uid)] {
        set(call, id);
        if set(call, id) != libc::c_long::from(id) {
            return Err(Errno::PERM);
        }
    }
    // Those for files go with the user that is root.
    let permitted = permitted_capabilities()?;
    set_capabilities(permitted, permitted)
}

/// Leaves the session keyring, and with it the keys of whoever started this process, for a new one.
///
/// # Errors
/// `ENOSYS` for a kernel without keys, which has none to leave.
pub fn new_session_keyring() -> Result<(), Errno> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_int = 1;
    let anonymous = std::ptr::null::<libc::c_char>();
    // SAFETY: a null name asks for a keyring without one.
    let result = unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, anonymous) };
    if result < 0 { Err(crate::last_errno()) } else { Ok(()) }
}

/// What this thread is permitted.
///
/// # Errors
/// `capget(2)`'s.
pub fn permitted_capabilities() -> Result<u64, Errno> {
    Ok(rustix::thread::capabilities(None)?.permitted.bits())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rustix::io::Errno;

    use super::{limit_bounding, new_session_keyring, permitted_capabilities, set_capabilities};
    use crate::namespace::Namespaces;
    use crate::process::{ExitStatus, clone_child, wait};

    /// In a process of its own.
    fn exit_code(child: impl FnOnce() -> bool) -> ExitStatus {
        let child = clone_child(Namespaces::NONE, None, || i32::from(!child())).unwrap();
        wait(child.pidfd.as_fd()).unwrap()
    }

    #[test]
    fn dropped_capabilities_are_gone_and_unknown_ones_no_trouble() {
        if permitted_capabilities().unwrap() == 0 {
            println!("Skipped(needs root)");
            return;
        }
        let dropped = || {
            let fewer = permitted_capabilities().unwrap_or(0) & 0xff;
            limit_bounding(fewer).is_ok()
                && set_capabilities(fewer, fewer).is_ok()
                && permitted_capabilities() == Ok(fewer)
                && set_capabilities(0x1ff, 0x1ff) == Err(Errno::PERM)
        };
        assert_eq!(exit_code(dropped), ExitStatus::Code(0));
    }

    #[test]
    fn a_session_keyring_can_be_left() {
        let left = || matches!(new_session_keyring(), Ok(()) | Err(Errno::NOSYS));
        assert_eq!(exit_code(left), ExitStatus::Code(0));
    }
}
