//! Default routes that come when the engine is there already.

use std::io;
use std::sync::Weak;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::AbortHandle;

use crate::Network;
use crate::netlink::Notices;

/// `RTMGRP_IPV4_ROUTE` and `RTMGRP_IPV6_ROUTE`.
const ROUTES: u32 = 0x40 | 0x400;
/// A link that comes up brings many routes; a pod brings some, too.
const SETTLE: Duration = Duration::from_millis(200);

/// Follows them until it is dropped.
#[derive(Debug)]
pub(crate) struct Watch(AbortHandle);

impl Watch {
    #[expect(
        deprecated,
        reason = "the successor is unsafe because a foreign type may change its descriptor; an OwnedFd cannot"
    )]
    pub(crate) fn start(network: Weak<Network>) -> io::Result<Self> {
        let notices = AsyncFd::with_interest(Notices::open(ROUTES)?, Interest::READABLE)?;
        let task = tokio::spawn(async move {
            while let Ok(mut ready) = notices.readable().await {
                tokio::time::sleep(SETTLE).await;
                if notices.get_ref().drain().is_err() {
                    return;
                }
                ready.clear_ready();
                let Some(network) = network.upgrade() else { return };
                // Reads the routes, which may be many.
                let _ = tokio::task::spawn_blocking(move || network.follow_routes()).await;
            }
        });
        Ok(Self(task.abort_handle()))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}
