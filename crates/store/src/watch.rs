//! Watches: a position in the history, nothing more.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::error::WatchError;
use crate::object::{Change, Resource};
use crate::state::Shared;

/// The changes of a resource after a revision, in order. It holds a position only: one that is not asked costs nothing, and one
/// that is not asked for too long is told [`WatchError::Expired`].
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    bell: Arc<Notify>,
    resource: Resource,
    namespace: Option<String>,
    position: u64,
}

impl Watch {
    pub(crate) fn new(
        shared: Arc<Shared>,
        resource: Resource,
        namespace: Option<String>,
        from: u64,
    ) -> Result<Watch, WatchError> {
        let bell = shared.bell(resource);
        let state = shared.read();
        let (oldest, current) = (state.oldest(resource), state.revision);
        drop(state);
        if from > current {
            return Err(WatchError::Future { current });
        }
        if from < oldest {
            return Err(WatchError::Expired { oldest });
        }
        Ok(Watch { shared, bell, resource, namespace, position: from })
    }

    /// The next change, as soon as there is one. Nothing is lost when the future is dropped. After an error every call returns it.
    pub async fn next(&mut self) -> Result<Change, WatchError> {
        loop {
            // It hears every ring from here on, before it is awaited.
            let bell = self.bell.clone();
            let ring = bell.notified();
            if let Some(change) = self.try_next()? {
                return Ok(change);
            }
            ring.await;
        }
    }

    /// The next change, if there is one already.
    pub fn try_next(&mut self) -> Result<Option<Change>, WatchError> {
        let state = self.shared.read();
        let oldest = state.oldest(self.resource);
        if self.position < oldest {
            return Err(WatchError::Expired { oldest });
        }
        for change in state.changes_after(self.resource, self.position) {
            if self.namespace.as_ref().is_none_or(|namespace| *namespace == change.object.key.namespace) {
                self.position = change.revision;
                return Ok(Some(change.clone()));
            }
        }
        self.position = state.revision;
        Ok(None)
    }

    /// The revision up to which every change has been returned, for a bookmark: the store's own, unless a change waits.
    #[must_use]
    pub fn revision(&self) -> u64 {
        let state = self.shared.read();
        if self.position < state.oldest(self.resource) {
            return self.position;
        }
        let waiting = state.changes_after(self.resource, self.position).any(|change| {
            self.namespace.as_ref().is_none_or(|namespace| *namespace == change.object.key.namespace)
        });
        if waiting { self.position } else { state.revision }
    }
}
