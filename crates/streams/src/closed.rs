//! The news that a client has gone.

use tokio::sync::watch;

/// Tells whether and when the client has gone.
#[derive(Debug, Clone)]
pub struct Closed(watch::Receiver<()>);

/// As long as it lives the client is there.
#[derive(Debug)]
pub struct Open {
    _sender: watch::Sender<()>,
}

/// The news, and what has to be dropped for it to come.
pub(crate) fn open() -> (Closed, Open) {
    let (sender, receiver) = watch::channel(());
    (Closed(receiver), Open { _sender: sender })
}

impl Closed {
    /// Returns when the client has gone.
    pub async fn wait(&mut self) {
        while self.0.changed().await.is_ok() {}
    }

    /// Whether the client has gone.
    pub fn is_closed(&self) -> bool {
        self.0.has_changed().is_err()
    }
}
