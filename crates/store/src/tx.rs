//! Changes on their way: a closure's view of the store, which has everything or nothing of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::WriteError;
use crate::object::{Change, ChangeKind, Draft, Object, ObjectKey, Resource};
use crate::state::State;
use crate::{OBJECT_BYTES_MAX, OBJECTS_MAX, STORE_BYTES_MAX};

/// The changes of a batch that are not published yet, over what is.
#[derive(Debug)]
pub(crate) struct Overlay {
    /// `None`: deleted.
    objects: BTreeMap<ObjectKey, Option<Arc<Object>>>,
    pub(crate) changes: Vec<Change>,
    /// The last revision given.
    pub(crate) last: u64,
    counts: Counts,
}

/// How the totals differ from the published ones.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    objects: isize,
    bytes: isize,
}

impl Overlay {
    /// `last` is the last revision ever given.
    pub(crate) fn new(last: u64) -> Overlay {
        Overlay { objects: BTreeMap::new(), changes: Vec::new(), last, counts: Counts::default() }
    }

    pub(crate) fn touched(&self) -> impl Iterator<Item = (&ObjectKey, Option<&Arc<Object>>)> {
        self.objects.iter().map(|(key, object)| (key, object.as_ref()))
    }

    pub(crate) fn get(&self, key: &ObjectKey) -> Option<Option<&Arc<Object>>> {
        self.objects.get(key).map(Option::as_ref)
    }
}

/// A view of the store on the writer's thread: sees every earlier change, and its own.
#[derive(Debug)]
pub struct Tx<'a> {
    state: &'a State,
    overlay: &'a mut Overlay,
    /// How to undo what this closure did, oldest first.
    undo: Vec<(ObjectKey, Option<Option<Arc<Object>>>)>,
    begun: (usize, u64, Counts),
    refused: Option<WriteError>,
}

impl<'a> Tx<'a> {
    pub(crate) fn new(state: &'a State, overlay: &'a mut Overlay) -> Tx<'a> {
        let begun = (overlay.changes.len(), overlay.last, overlay.counts);
        Tx { state, overlay, undo: Vec::new(), begun, refused: None }
    }

    #[must_use]
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<Object>> {
        match self.overlay.objects.get(key) {
            Some(object) => object.clone(),
            None => self.state.get(key).cloned(),
        }
    }

    /// The objects of a resource in the order of namespace and name, of one namespace or of all.
    #[must_use]
    pub fn list(&self, resource: Resource, namespace: Option<&str>) -> Vec<Arc<Object>> {
        let first = ObjectKey::new(resource, namespace.unwrap_or(""), "");
        let changed = self.overlay.objects.range(first..).take_while(|(key, _)| {
            key.resource == resource && namespace.is_none_or(|namespace| namespace == key.namespace)
        });
        let mut changed = changed.peekable();
        let published = self.state.range(resource, namespace, None);
        if changed.peek().is_none() {
            return published.cloned().collect();
        }
        let mut all: BTreeMap<_, _> =
            published.map(|object| ((&*object.key.namespace, &*object.key.name), object)).collect();
        for (key, object) in changed {
            match object {
                Some(object) => all.insert((&key.namespace, &key.name), object),
                None => all.remove(&(&*key.namespace, &*key.name)),
            };
        }
        all.into_values().cloned().collect()
    }

    /// The revision that the next [`Tx::put`] or [`Tx::delete`] will have, to be written into its JSON.
    #[must_use]
    pub fn revision_next(&self) -> u64 {
        self.overlay.last + 1
    }

    /// Adds or replaces an object, and returns its revision. When it is too large, or the store is full, the whole write fails with
    /// that error, whatever the closure returns.
    pub fn put(&mut self, draft: Draft) -> u64 {
        let Draft { key, uid, labels, fields, json } = draft;
        let previous = self.get(&key);
        self.check(&key, &uid, json.len(), previous.as_ref());
        self.overlay.last += 1;
        let revision = self.overlay.last;
        let object =
            Arc::new(Object { key: key.clone(), uid, revision, labels, fields, json: Bytes::from(json) });
        self.overlay.counts.bytes += bytes_of(Some(&object)) - bytes_of(previous.as_ref());
        self.overlay.counts.objects += isize::from(previous.is_none());
        self.replace(key, Some(object.clone()));
        let kind = if previous.is_some() { ChangeKind::Modified } else { ChangeKind::Added };
        self.overlay.changes.push(Change { revision, kind, object, previous });
        revision
    }

    /// Removes an object and returns the deletion's revision, or `None` when there was no object. `last` is what watchers get
    /// to see: the object's JSON with the deletion's revision.
    pub fn delete(&mut self, key: &ObjectKey, last: Vec<u8>) -> Option<u64> {
        let previous = self.get(key)?;
        self.overlay.last += 1;
        let revision = self.overlay.last;
        let object = Arc::new(Object { revision, json: Bytes::from(last), ..Object::clone(&previous) });
        self.overlay.counts.bytes -= bytes_of(Some(&previous));
        self.overlay.counts.objects -= 1;
        self.replace(key.clone(), None);
        let kind = ChangeKind::Deleted;
        self.overlay.changes.push(Change { revision, kind, object, previous: Some(previous) });
        Some(revision)
    }

    fn replace(&mut self, key: ObjectKey, object: Option<Arc<Object>>) {
        let before = self.overlay.objects.insert(key.clone(), object);
        self.undo.push((key, before));
    }

    fn check(&mut self, key: &ObjectKey, uid: &str, bytes: usize, previous: Option<&Arc<Object>>) {
        if self.refused.is_some() {
            return;
        }
        let parts = [key.resource.name(), &key.namespace, &key.name, uid];
        let objects =
            self.state.objects as isize + self.overlay.counts.objects + isize::from(previous.is_none());
        let total = self.state.bytes as isize + self.overlay.counts.bytes;
        let grows = bytes as isize - bytes_of(previous);
        if parts.iter().any(|part| part.contains('\0')) {
            self.refused = Some(WriteError::Key { key: key.clone() });
        } else if bytes > OBJECT_BYTES_MAX {
            self.refused = Some(WriteError::TooLarge { key: key.clone(), bytes });
        } else if (previous.is_none() && objects > OBJECTS_MAX as isize)
            || (grows > 0 && total + grows > STORE_BYTES_MAX as isize)
        {
            self.refused = Some(WriteError::Full);
        }
    }

    /// Why nothing of this may be kept, if anything was refused.
    pub(crate) fn refused(&mut self) -> Option<WriteError> {
        self.refused.take()
    }

    /// Takes back everything the closure did.
    pub(crate) fn undo(self) {
        for (key, before) in self.undo.into_iter().rev() {
            match before {
                Some(object) => self.overlay.objects.insert(key, object),
                None => self.overlay.objects.remove(&key),
            };
        }
        let (changes, last, counts) = self.begun;
        self.overlay.changes.truncate(changes);
        self.overlay.last = last;
        self.overlay.counts = counts;
    }
}

fn bytes_of(object: Option<&Arc<Object>>) -> isize {
    object.map_or(0, |object| object.json.len() as isize)
}
