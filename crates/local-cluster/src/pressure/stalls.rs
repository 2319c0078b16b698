//! Told by the kernel that processes wait for memory (<https://docs.kernel.org/accounting/psi.html>).

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use linux_sys::close::ClosedLater;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

const MEMORY: &str = "/proc/pressure/memory";
/// Some process waited for a tenth of two seconds: long before the machine stands still, and hardly ever on one that has
/// memory to spare. The kernel tells of it once a window; it takes windows of two seconds from those without
/// CAP_SYS_RESOURCE, too.
const TRIGGER: &[u8] = b"some 200000 2000000\0";

/// A kernel without such triggers, or that lets nobody set them, tells nothing: what is looked at anyway has to do.
#[derive(Debug)]
pub(super) struct Stalls(Option<AsyncFd<ClosedLater>>);

impl Stalls {
    /// Needs a tokio runtime.
    pub(super) fn of_memory() -> Self {
        let opened = Self::open(Path::new(MEMORY));
        if let Err(error) = &opened {
            tracing::debug!("the kernel does not tell when memory is short: {error}");
        }
        Self(opened.ok())
    }

    #[expect(
        deprecated,
        reason = "the successor is unsafe because a foreign type may change its descriptor; this one cannot"
    )]
    fn open(path: &Path) -> io::Result<AsyncFd<ClosedLater>> {
        let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
        let mut file = OpenOptions::new().read(true).write(true).custom_flags(nonblocking).open(path)?;
        file.write_all(TRIGGER)?;
        AsyncFd::with_interest(OwnedFd::from(file).into(), Interest::PRIORITY)
    }

    /// Until processes have waited.
    pub(super) async fn next(&mut self) {
        let Some(file) = &self.0 else { return std::future::pending().await };
        match file.ready(Interest::PRIORITY).await {
            Ok(mut ready) => ready.clear_ready(),
            // It will not tell any more.
            Err(_) => self.0 = None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::{MEMORY, Stalls};

    #[tokio::test]
    async fn a_kernel_that_tells_nothing_is_waited_for_without_end() {
        let mut stalls = Stalls(Stalls::open(Path::new("/no/such/file")).ok());
        assert!(tokio::time::timeout(Duration::from_millis(10), stalls.next()).await.is_err());
    }

    #[tokio::test]
    async fn a_trigger_can_be_set_where_the_kernel_has_them() {
        if Path::new(MEMORY).exists() && rustix::process::geteuid().is_root() {
            Stalls::open(Path::new(MEMORY)).unwrap();
        }
    }
}
