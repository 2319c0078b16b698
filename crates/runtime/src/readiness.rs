//! Readiness of descriptors of ours.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Watches for input. Needs a tokio runtime.
#[expect(
    deprecated,
    reason = "the successor is unsafe because a foreign type may change its descriptor; an OwnedFd cannot"
)]
pub(crate) fn readable(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(descriptor, Interest::READABLE)
}
