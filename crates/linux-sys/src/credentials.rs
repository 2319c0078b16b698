//! User, groups and capabilities of the calling thread. Everything here is async-signal-safe.
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

/// Sets the three sets, without those this kernel does not know.
///
/// # Errors
/// `EPERM` for capabilities outside the permitted set.
pub fn set_capabilities(effective: u64, permitted: u64, inheritable: u64) -> Result<(), Errno> {
    rustix::thread::set_capabilities(
        None,
        CapabilitySets {
            effective: CapabilitySet::from_bits_retain(effective),
            permitted: CapabilitySet::from_bits_retain(permitted),
            inheritable: CapabilitySet::from_bits_retain(inheritable),
        },
    )
}

/// What this thread is permitted.
///
/// # Errors
/// `capget(2)`'s.
pub fn permitted_capabilities() -> Result<u64, Errno> {
    Ok(rustix::thread::capabilities(None)?.permitted.bits())
}

/// Makes exactly these ambient; they have to be permitted and inheritable.
///
/// # Errors
/// `EPERM` when they are not.
pub fn set_ambient(ambient: u64) -> Result<(), Errno> {
    rustix::thread::clear_ambient_capability_set()?;
    for number in 0..CAPABILITIES_MAX {
        let bit = 1 << number;
        if ambient & bit != 0 {
            let capability = CapabilitySet::from_bits_retain(bit);
            rustix::thread::configure_capability_in_ambient_set(capability, true)?;
        }
    }
    Ok(())
}
