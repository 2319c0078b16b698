//! What is stored: objects under their keys.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// A kind of objects by its plural and group, as in `pods` and `leases.coordination.k8s.io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource(&'static str);

/// Names read from files that no `Resource` of the program's own has to equal. Bounded by `RESOURCES_MAX` of each file.
static NAMES: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);

impl Resource {
    #[must_use]
    pub const fn new(name: &'static str) -> Resource {
        Resource(name)
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        self.0
    }

    /// The resource of a name that was read: it is kept as long as the process lives, once.
    pub(crate) fn interned(name: &str) -> Resource {
        let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        let names = names.get_or_insert_default();
        if let Some(known) = names.get(name) {
            return Resource(known);
        }
        let kept: &'static str = Box::leak(name.to_owned().into_boxed_str());
        names.insert(kept);
        Resource(kept)
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Borrow<str> for Resource {
    fn borrow(&self) -> &str {
        self.0
    }
}

/// Where an object is. None of the three may contain a NUL byte; a write that uses one is refused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    pub resource: Resource,
    /// Empty when the resource is cluster-scoped.
    pub namespace: String,
    pub name: String,
}

impl ObjectKey {
    pub fn new(resource: Resource, namespace: impl Into<String>, name: impl Into<String>) -> ObjectKey {
        ObjectKey { resource, namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {:?}", self.resource, self.name)
        } else {
            write!(f, "{} \"{}/{}\"", self.resource, self.namespace, self.name)
        }
    }
}

/// Labels and selectable fields: what selectors look at without reading the JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    pub labels: BTreeMap<String, String>,
    pub fields: Vec<(&'static str, String)>,
}

/// One version of an object. Shared, never changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    pub key: ObjectKey,
    pub uid: String,
    /// The resourceVersion of this version; the writer put the same number into the JSON.
    pub revision: u64,
    pub labels: BTreeMap<String, String>,
    pub fields: Vec<(&'static str, String)>,
    pub json: Bytes,
}

/// An object to be written; it gets its revision from [`crate::Tx::put`].
#[derive(Clone, Debug)]
pub struct Draft {
    pub key: ObjectKey,
    pub uid: String,
    pub labels: BTreeMap<String, String>,
    pub fields: Vec<(&'static str, String)>,
    pub json: Vec<u8>,
}

/// A page of objects in the order of namespace and name.
#[derive(Clone, Debug)]
pub struct Listing {
    pub objects: Vec<Arc<Object>>,
    /// The store's revision at which the page is what there is.
    pub revision: u64,
    /// Namespace and name of the last object looked at, when there are more after it.
    pub more: Option<(String, String)>,
    /// How many there are after it, whether `keep` would keep them or not.
    pub remaining: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    Added,
    Modified,
    Deleted,
}

/// One step of an object's history.
#[derive(Clone, Debug)]
pub struct Change {
    pub revision: u64,
    pub kind: ChangeKind,
    /// What the object is now. Of a deleted one: its last JSON, with the deletion's revision, and the labels and fields it had.
    pub object: Arc<Object>,
    /// What it was before. `None` when it was added.
    pub previous: Option<Arc<Object>>,
}
