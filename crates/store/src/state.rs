//! What readers see: the objects, and the recent changes.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use tokio::sync::Notify;

use crate::object::{Change, ChangeKind, Object, ObjectKey, Resource};
use crate::{HISTORY_AT_REST_BYTES_MAX, HISTORY_BYTES_MAX, HISTORY_CHANGES_MAX};

/// What a change takes beside its JSON: keys, labels, fields and the nodes they hang on; an estimate.
const CHANGE_OVERHEAD_BYTES: usize = 512;

/// The published objects. The writer holds the lock for as long as it takes to move some pointers.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Only the writer's thread writes, so its own reading holds up nobody.
    state: RwLock<State>,
    /// One per resource that anybody watched, rung after each of its changes.
    bells: Mutex<HashMap<Resource, Arc<Notify>>>,
    rest_wanted: AtomicBool,
}

impl Shared {
    pub(crate) fn new(state: State) -> Shared {
        Shared {
            state: RwLock::new(state),
            bells: Mutex::new(HashMap::new()),
            rest_wanted: AtomicBool::new(false),
        }
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the changes visible and wakes who waits for them.
    pub(crate) fn publish(&self, changes: Vec<Change>) {
        let touched: HashSet<Resource> = changes.iter().map(|change| change.object.key.resource).collect();
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            state.publish(change);
        }
        let evicted = state.trim(HISTORY_BYTES_MAX);
        drop(state);
        // Outside the lock: the last references to many objects may end here.
        drop(evicted);
        let bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        for bell in touched.iter().filter_map(|resource| bells.get(resource)) {
            bell.notify_waiters();
        }
    }

    /// The writer is to forget with its next batch what of the history is more than a store at rest keeps.
    pub(crate) fn ask_for_rest(&self) {
        self.rest_wanted.store(true, Ordering::Relaxed);
    }

    /// Forgets it, when that was asked for.
    pub(crate) fn rest(&self) {
        if !self.rest_wanted.swap(false, Ordering::Relaxed) {
            return;
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let evicted = state.trim(HISTORY_AT_REST_BYTES_MAX);
        drop(state);
        drop(evicted);
    }

    pub(crate) fn bell(&self, resource: Resource) -> Arc<Notify> {
        let mut bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        bells.entry(resource).or_default().clone()
    }
}

#[derive(Debug)]
pub(crate) struct State {
    tables: HashMap<Resource, Table>,
    /// The last one published.
    pub(crate) revision: u64,
    /// The revision at open: nothing before it is known.
    opened: u64,
    history_bytes: usize,
    pub(crate) objects: usize,
    pub(crate) bytes: usize,
}

#[derive(Debug)]
pub(crate) struct Table {
    /// By namespace, then by name.
    spaces: BTreeMap<String, BTreeMap<String, Arc<Object>>>,
    changes: VecDeque<Change>,
    /// Every change after this revision is still in `changes`.
    oldest: u64,
}

impl State {
    pub(crate) fn new(revision: u64) -> State {
        State { tables: HashMap::new(), revision, opened: revision, history_bytes: 0, objects: 0, bytes: 0 }
    }

    /// Adds an object that was read from disk: no change of the history.
    pub(crate) fn load(&mut self, object: Arc<Object>) {
        self.objects += 1;
        self.bytes += object.json.len();
        self.table_mut(object.key.resource).insert(object);
    }

    fn table_mut(&mut self, resource: Resource) -> &mut Table {
        let oldest = self.opened;
        self.tables.entry(resource).or_insert_with(|| Table {
            spaces: BTreeMap::new(),
            changes: VecDeque::new(),
            oldest,
        })
    }

    pub(crate) fn get(&self, key: &ObjectKey) -> Option<&Arc<Object>> {
        self.tables.get(&key.resource)?.spaces.get(&key.namespace)?.get(&key.name)
    }

    /// Objects in order, those after `after` only.
    pub(crate) fn range(
        &self,
        resource: Resource,
        namespace: Option<&str>,
        after: Option<(&str, &str)>,
    ) -> impl Iterator<Item = &Arc<Object>> {
        let from = match (namespace, after) {
            (Some(only), _) => Bound::Included(only),
            (None, Some((space, _))) => Bound::Included(space),
            (None, None) => Bound::Unbounded,
        };
        let to = namespace.map_or(Bound::Unbounded, Bound::Included);
        let spaces = self.tables.get(&resource).map(|table| table.spaces.range::<str, _>((from, to)));
        let after = after.map(|(space, name)| (space.to_owned(), name.to_owned()));
        spaces.into_iter().flatten().flat_map(move |(space, names)| {
            let from = match &after {
                Some((last, name)) if last == space => Bound::Excluded(name.as_str()),
                // A whole namespace that was listed already.
                Some((last, _)) if last > space => return EitherRange::none(),
                _ => Bound::Unbounded,
            };
            EitherRange(Some(names.range::<str, _>((from, Bound::Unbounded))))
        })
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.tables.values().flat_map(|table| table.spaces.values()).flat_map(BTreeMap::values)
    }

    pub(crate) fn count(&self, resource: Resource) -> usize {
        self.tables.get(&resource).map_or(0, |table| table.spaces.values().map(BTreeMap::len).sum())
    }

    pub(crate) fn oldest(&self, resource: Resource) -> u64 {
        self.tables.get(&resource).map_or(self.opened, |table| table.oldest)
    }

    /// The resource's changes after a revision, oldest first.
    pub(crate) fn changes_after(&self, resource: Resource, revision: u64) -> impl Iterator<Item = &Change> {
        self.tables.get(&resource).into_iter().flat_map(move |table| {
            let first = table.changes.partition_point(|change| change.revision <= revision);
            table.changes.range(first..)
        })
    }

    pub(crate) fn publish(&mut self, change: Change) {
        self.revision = change.revision;
        let previous = change.previous.as_ref().map_or(0, |object| object.json.len());
        match change.kind {
            ChangeKind::Added => {
                self.objects += 1;
                self.bytes += change.object.json.len();
            }
            ChangeKind::Modified => self.bytes = self.bytes - previous + change.object.json.len(),
            ChangeKind::Deleted => {
                self.objects -= 1;
                self.bytes -= previous;
            }
        }
        self.history_bytes += bytes_of(&change);
        let table = self.table_mut(change.object.key.resource);
        match change.kind {
            ChangeKind::Added | ChangeKind::Modified => table.insert(change.object.clone()),
            ChangeKind::Deleted => table.remove(&change.object.key),
        }
        table.changes.push_back(change);
    }

    /// Forgets the oldest changes beyond the bounds, and returns them.
    fn trim(&mut self, bytes_max: usize) -> Vec<Change> {
        let mut evicted = Vec::new();
        for table in self.tables.values_mut() {
            while table.changes.len() > HISTORY_CHANGES_MAX {
                evicted.extend(table.evict());
            }
        }
        self.history_bytes -= evicted.iter().map(bytes_of).sum::<usize>();
        while self.history_bytes > bytes_max {
            // The oldest of all: what is least likely to be asked for.
            let oldest = self.tables.values_mut().filter(|table| !table.changes.is_empty());
            let oldest = oldest.min_by_key(|table| table.changes.front().map(|change| change.revision));
            let Some(change) = oldest.and_then(Table::evict) else { break };
            self.history_bytes -= bytes_of(&change);
            evicted.push(change);
        }
        evicted
    }
}

impl Table {
    fn insert(&mut self, object: Arc<Object>) {
        match self.spaces.get_mut(&object.key.namespace) {
            Some(names) => {
                names.insert(object.key.name.clone(), object);
            }
            None => {
                let namespace = object.key.namespace.clone();
                self.spaces.insert(namespace, BTreeMap::from([(object.key.name.clone(), object)]));
            }
        }
    }

    fn remove(&mut self, key: &ObjectKey) {
        if let Some(names) = self.spaces.get_mut(&key.namespace) {
            names.remove(&key.name);
            if names.is_empty() {
                self.spaces.remove(&key.namespace);
            }
        }
    }

    fn evict(&mut self) -> Option<Change> {
        let change = self.changes.pop_front()?;
        self.oldest = change.revision;
        Some(change)
    }
}

fn bytes_of(change: &Change) -> usize {
    // What it was before counts as well: it may live for this change alone.
    let previous = change.previous.as_ref().map_or(0, |object| object.json.len());
    change.object.json.len() + previous + CHANGE_OVERHEAD_BYTES
}

/// The rest of a namespace, or nothing of it.
struct EitherRange<'a>(Option<std::collections::btree_map::Range<'a, String, Arc<Object>>>);

impl EitherRange<'_> {
    fn none() -> Self {
        EitherRange(None)
    }
}

impl<'a> Iterator for EitherRange<'a> {
    type Item = &'a Arc<Object>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.as_mut()?.next().map(|(_, object)| object)
    }
}
