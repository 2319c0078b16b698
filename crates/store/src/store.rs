//! The store as others see it.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tracing::{Instrument, trace_span};

use crate::disk::Disk;
use crate::error::{OpenError, WatchError, WriteError};
use crate::medium::Medium;
use crate::object::{Index, Listing, Object, ObjectKey, Resource};
use crate::queue::{self, Queue};
use crate::state::{Shared, State};
use crate::tx::Tx;
use crate::watch::Watch;
use crate::writer::{BLOCK, COLLECT_MS, Pace, Writer};

/// An empty store has this one: 0 means something else on the wire.
pub(crate) const FIRST_REVISION: u64 = 1;

/// Where the objects are kept.
#[derive(Debug)]
pub enum Place {
    /// A file of mode 0600, which is created when there is none. One process at a time.
    File(PathBuf),
    /// Nowhere: they are gone with the store.
    Memory,
    /// A medium of the caller's, for tests.
    Backend(Box<dyn redb::StorageBackend>),
}

/// Reads labels and selectable fields from JSON that was stored; an error says what is wrong with it. It is called for every object
/// when a store is opened, so it should read what it needs and skip the rest.
pub type IndexFn = fn(Resource, &[u8]) -> Result<Index, String>;

#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub index: IndexFn,
}

/// When a write is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When a power cut can no longer take it away. It is visible to nobody before.
    Durable,
    /// When it is visible. It reaches the disk up to [`crate::LAZY_MS`] later; for what can be observed again.
    Lazy,
}

/// Objects with one revision. Clones are the same store; the last one closes it, as [`Store::close`] does.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    running: Arc<Running>,
}

struct Running {
    queue: Queue,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Store {
    /// Reads everything that is stored.
    pub fn open(place: Place, options: Options) -> Result<Store, OpenError> {
        Store::open_at(place, options, Pace { block: BLOCK, collect_ms: COLLECT_MS })
    }

    pub(crate) fn open_at(place: Place, options: Options, pace: Pace) -> Result<Store, OpenError> {
        let medium = match place {
            Place::File(path) => Some(Medium::file(&path)?),
            Place::Backend(backend) => Some(Medium::given(backend)),
            Place::Memory => None,
        };
        let (disk, state) = match medium {
            Some(medium) => {
                let (disk, state) = Disk::open(medium, options.index)?;
                (Some(disk), state)
            }
            None => (None, State::new(FIRST_REVISION)),
        };
        let shared = Arc::new(Shared::new(state));
        let (queue, jobs) = queue::queue();
        let writer = Writer::new(shared.clone(), jobs, disk, pace);
        let thread = std::thread::Builder::new().name("store".to_owned());
        let thread = thread.spawn(move || writer.run()).map_err(|source| OpenError::Thread { source })?;
        Ok(Store { shared, running: Arc::new(Running { queue, thread: Mutex::new(Some(thread)) }) })
    }

    #[must_use]
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<Object>> {
        self.shared.read().get(key).cloned()
    }

    /// A page of at most `limit` objects (of all when it is `None` or 0) that `keep` keeps, in the order of namespace and name, after the key `after`.
    pub fn list(
        &self,
        resource: Resource,
        namespace: Option<&str>,
        after: Option<(&str, &str)>,
        limit: Option<usize>,
        mut keep: impl FnMut(&Object) -> bool,
    ) -> Listing {
        let state = self.shared.read();
        let revision = state.revision;
        let all: Vec<Arc<Object>> = state.range(resource, namespace, after).cloned().collect();
        // `keep` is the caller's and may take its time: nobody waits for it.
        drop(state);
        let limit = limit.filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        let mut listing = Listing { objects: Vec::new(), revision, more: None, remaining: 0 };
        let mut last: Option<Arc<Object>> = None;
        let mut left = all.len();
        for object in all {
            if listing.objects.len() >= limit {
                listing.more = last.map(|last| (last.key.namespace.clone(), last.key.name.clone()));
                listing.remaining = left;
                break;
            }
            left -= 1;
            last = Some(object.clone());
            if keep(&object) {
                listing.objects.push(object);
            }
        }
        listing
    }

    /// How many objects of a resource there are.
    #[must_use]
    pub fn count(&self, resource: Resource) -> usize {
        self.shared.read().count(resource)
    }

    /// The last revision published.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.shared.read().revision
    }

    /// Runs `change` on the writer's thread: all of it is kept when it returns `Ok`, nothing when it returns `Err` or panics. It sees
    /// every change made before; what it checks still holds when it is published. Writes of one durability
    /// run in the order they were queued. When the future is dropped, the change may still be made.
    ///
    /// `change` must not wait for anything, and above all not for this store.
    pub async fn write<T, E>(
        &self,
        durability: Durability,
        change: impl FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<Result<T, E>, WriteError>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let span = trace_span!(target: "start", "write");
        let of_change = span.clone();
        let change = move |tx: &mut Tx<'_>| {
            let _write = of_change.entered();
            trace_span!(target: "start", "change").in_scope(|| change(tx))
        };
        self.running.queue.write(durability, change).instrument(span).await
    }

    /// The changes of a resource after a revision, in one namespace or in all. A revision older than the history is `Expired`, one
    /// that has not been given yet `Future`.
    pub fn watch(
        &self,
        resource: Resource,
        namespace: Option<String>,
        from: u64,
    ) -> Result<Watch, WatchError> {
        Watch::new(self.shared.clone(), resource, namespace, from)
    }

    /// Gives back most of the history. For when nothing has changed for a while: a watch that has seen everything of its resource
    /// goes on, or comes back, as before; one that lags behind may be told [`WatchError::Expired`](crate::WatchError::Expired).
    pub async fn rest(&self) {
        self.shared.ask_for_rest();
        // A store that is closed will not rest, which is nobody's loss.
        let _ = self.write(Durability::Lazy, |_| Ok::<_, Infallible>(())).await;
    }

    /// Makes the writes that are queued, puts everything on disk and closes the file; blocks as long as that takes. Later writes are
    /// refused as [`WriteError::Closed`], reads go on. A program that ends without it may lose the last lazy writes.
    pub fn close(&self) {
        self.running.close();
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("revision", &self.revision()).finish_non_exhaustive()
    }
}

impl Running {
    fn close(&self) {
        self.queue.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A closure may have held the last clone; the thread cannot wait for itself.
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
        {
            // Its panics are caught where they may happen; there is nobody to tell about another.
            let _ = thread.join();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.close();
    }
}
