//! Where an image is put together, shared with the threads that unpack: it is cleared away when the last of them has
//! let go of it.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::store::Pulling;

#[derive(Debug)]
pub(super) struct Workshop {
    /// There until it is dropped.
    pulling: Option<Pulling>,
    open: Option<Open>,
}

/// Somebody is at work, or clearing away.
pub(super) type Open = mpsc::Sender<()>;

/// Waits for all that is [`Open`].
#[derive(Debug)]
pub(super) struct Closed(mpsc::Receiver<()>);

pub(super) fn open() -> (Open, Closed) {
    let (sender, receiver) = mpsc::channel(1);
    (sender, Closed(receiver))
}

impl Closed {
    pub(super) async fn wait(mut self) {
        while self.0.recv().await.is_some() {}
    }
}

impl Workshop {
    pub(super) fn new(pulling: Pulling, open: Open) -> Self {
        Self { pulling: Some(pulling), open: Some(open) }
    }

    /// Works on it off the async threads. `None` when the runtime ends.
    pub(super) async fn work<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Pulling) -> T + Send + 'static,
    ) -> Option<T> {
        let own = Arc::clone(self);
        tokio::task::spawn_blocking(move || own.pulling.as_ref().map(work)).await.ok().flatten()
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        let parts = (self.pulling.take(), self.open.take());
        // Much may have to be removed. Without a runtime, here.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn_blocking(move || {
                // One after the other: what is open is so until the rest is gone.
                let (pulling, open) = parts;
                drop(pulling);
                drop(open);
            });
        }
    }
}
