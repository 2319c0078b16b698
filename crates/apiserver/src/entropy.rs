//! What is different each time: the clock and random bytes.

use std::time::{SystemTime, UNIX_EPOCH};

use podspec::{IDENTITY_BYTES, WallTime};
use ring::rand::{SecureRandom, SystemRandom};

#[must_use]
pub(crate) fn now() -> WallTime {
    // A clock before 1970 is as wrong as one that stands there.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime::from_unix(i64::try_from(since.as_secs()).unwrap_or(i64::MAX), since.subsec_nanos())
}

/// Bytes for the identity of one object.
pub(crate) fn identity() -> [u8; IDENTITY_BYTES] {
    bytes()
}

pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .expect("getrandom fails only on kernels that have none, which rustls needs too");
    bytes
}
