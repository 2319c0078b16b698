//! The one way into a pod's worker: everything that happens to the pod, with its moment.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use lifecycle::Observation;
use podspec::Moment;
use ports::{Clock, Observer};
use tokio::sync::Notify;

use crate::Node;

/// Never full and never blocks, so that neither the runtime nor an effect ever waits for a worker.
/// Bounded by what fills it: one outcome for each action in flight, one exit for each live attempt,
/// one loss of the sandbox; the worker takes all of it each time it wakes.
pub(crate) struct Inbox<N: Node> {
    node: Arc<N>,
    arrived: Notify,
    observations: Mutex<Vec<(Observation, Moment)>>,
}

impl<N: Node> Inbox<N> {
    pub(crate) fn new(node: Arc<N>) -> Self {
        Self { node, arrived: Notify::new(), observations: Mutex::default() }
    }

    /// Waits until something happened and takes all of it, in order. Cancel-safe.
    pub(crate) async fn take(&self) -> Vec<(Observation, Moment)> {
        loop {
            // The permit of a notification is kept, so one between the two lines is not missed.
            let taken =
                std::mem::take(&mut *self.observations.lock().unwrap_or_else(PoisonError::into_inner));
            if !taken.is_empty() {
                return taken;
            }
            self.arrived.notified().await;
        }
    }
}

impl<N: Node> Observer for Inbox<N> {
    fn observe(&self, observation: Observation) {
        let mut observations = self.observations.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock, so that moments never run backwards within the inbox.
        observations.push((observation, self.node.clock().now()));
        drop(observations);
        self.arrived.notify_one();
    }
}

impl<N: Node> fmt::Debug for Inbox<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}
