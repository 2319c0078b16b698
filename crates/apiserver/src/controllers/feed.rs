//! All objects of a kind, and then every change.

use std::collections::VecDeque;
use std::sync::Arc;

use store::{ChangeKind, Object, Resource, Store, Watch};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::kinds::Kind;

/// What waits between a kind's watch and the controller; the watch itself holds no more than a position.
const WAITING_MAX: usize = 64;

/// One observation. The same may come again.
#[derive(Clone, Debug)]
pub(super) enum Seen {
    /// It is there, in this form; before, in another or not at all as far as is known.
    Present(Arc<Object>, Option<Arc<Object>>),
    Gone(Arc<Object>),
    /// Changes were missed: all that is there follows, and what does not is gone.
    Again,
}

/// Follows a resource and never loses it.
#[derive(Debug)]
pub(super) struct Feed {
    store: Store,
    resource: Resource,
    backlog: VecDeque<Arc<Object>>,
    watch: Option<Watch>,
}

impl Feed {
    pub(super) fn new(store: &Store, kind: &Kind) -> Self {
        let resource = kind.stored();
        let mut feed = Self { store: store.clone(), resource, backlog: VecDeque::new(), watch: None };
        feed.list();
        feed
    }

    /// What is there now, and a watch from there.
    fn list(&mut self) {
        let listing = self.store.list(self.resource, None, None, None, |_| true);
        self.backlog = listing.objects.into();
        self.watch = self.store.watch(self.resource, None, listing.revision).ok();
    }

    /// Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Seen {
        if let Some(object) = self.backlog.pop_front() {
            return Seen::Present(object, None);
        }
        let change = match &mut self.watch {
            Some(watch) => watch.next().await.ok(),
            None => None,
        };
        match change {
            Some(change) if change.kind == ChangeKind::Deleted => Seen::Gone(change.object),
            Some(change) => Seen::Present(change.object, change.previous),
            None => {
                self.list();
                Seen::Again
            }
        }
    }
}

/// Several kinds in one stream, each with its kind. The tasks end with the receiver.
pub(super) fn merged(
    store: &Store,
    kinds: impl Iterator<Item = &'static Kind>,
    tasks: &mut JoinSet<()>,
) -> mpsc::Receiver<(&'static Kind, Seen)> {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    for kind in kinds {
        let (mut feed, sender) = (Feed::new(store, kind), sender.clone());
        tasks.spawn(async move {
            loop {
                let seen = feed.next().await;
                if sender.send((kind, seen)).await.is_err() {
                    return;
                }
            }
        });
    }
    receiver
}

/// Kinds that are kept, each once: events of both groups are the same objects.
pub(super) fn stored_kinds() -> impl Iterator<Item = &'static Kind> {
    Kind::all().iter().filter(|kind| kind.is_stored() && kind.stored().name() == kind.qualified())
}
