//! Identities for objects that the node makes.

use rustix::rand::{GetRandomFlags, getrandom};

/// A version 4 UUID.
pub(crate) fn uid() -> String {
    let mut bytes = [0; podspec::IDENTITY_BYTES];
    // getrandom(2) gives so few bytes whole once the kernel has any, which it had long before this program.
    let _ = getrandom(&mut bytes, GetRandomFlags::empty());
    podspec::uuid(&bytes)
}
