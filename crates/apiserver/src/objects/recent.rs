//! The JSON of the objects that were read last. A change is read by some eight followers of the store, one soon after the other,
//! and reading it costs them more than what they do about it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde_json::Value;
use store::Object;

/// Followers are seldom further apart. An object takes about ten times as much memory as its JSON.
const KEPT_MAX: usize = 16;
/// Most pods and events are smaller; a larger object is read by each for itself.
const JSON_BYTES_MAX: usize = 32 << 10;

static RECENT: Recent = Recent::new();

/// A stored object's JSON, which others may be reading, too.
///
/// # Errors
/// As for [`super::value`].
pub fn shared(object: &Object) -> Result<Arc<Value>, serde_json::Error> {
    RECENT.read(object)
}

/// Gives their memory back.
pub fn forget_recent() {
    RECENT.forget();
}

/// The newest first. The bytes are held, so that no others can be in their place while they are in here.
struct Recent(Mutex<VecDeque<(Bytes, Arc<Value>)>>);

impl Recent {
    const fn new() -> Self {
        Self(Mutex::new(VecDeque::new()))
    }

    fn read(&self, object: &Object) -> Result<Arc<Value>, serde_json::Error> {
        let json = &object.json;
        if let Some(read) = self.find(json) {
            return Ok(read);
        }
        let read = Arc::new(super::value(object)?);
        if json.len() <= JSON_BYTES_MAX {
            let mut kept = self.kept();
            kept.truncate(KEPT_MAX - 1);
            kept.push_front((json.clone(), Arc::clone(&read)));
        }
        Ok(read)
    }

    fn forget(&self) {
        *self.kept() = VecDeque::new();
    }

    fn find(&self, json: &Bytes) -> Option<Arc<Value>> {
        let is_same = |held: &Bytes| held.as_ptr() == json.as_ptr() && held.len() == json.len();
        self.kept().iter().find(|(held, _)| is_same(held)).map(|(_, read)| Arc::clone(read))
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<(Bytes, Arc<Value>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use serde_json::json;
    use store::{Object, ObjectKey, Resource};

    use super::{JSON_BYTES_MAX, KEPT_MAX, Recent};

    fn object(name: &str, padding: usize) -> Object {
        let key = ObjectKey::new(Resource::new("configmaps"), "n", name);
        let json = json!({"data": {"name": name, "padding": " ".repeat(padding)}}).to_string().into();
        let (labels, fields) = (BTreeMap::new(), Vec::new());
        Object { key, uid: name.to_owned(), revision: 1, labels, fields, json }
    }

    #[test]
    fn what_is_read_again_is_the_same_and_only_the_last_few_are_kept() {
        let recent = Recent::new();
        let first = object("first", 0);
        let read = recent.read(&first).unwrap();
        assert_eq!(read["data"]["name"], "first");
        assert!(Arc::ptr_eq(&read, &recent.read(&first).unwrap()));
        // The same text is another object.
        assert!(!Arc::ptr_eq(&read, &recent.read(&object("first", 0)).unwrap()));
        let large = object("large", JSON_BYTES_MAX);
        assert!(!Arc::ptr_eq(&recent.read(&large).unwrap(), &recent.read(&large).unwrap()));
        let others: Vec<_> = (0..KEPT_MAX).map(|n| object(&n.to_string(), 0)).collect();
        for (n, other) in others.iter().enumerate() {
            assert_eq!(recent.read(other).unwrap()["data"]["name"], n.to_string());
        }
        assert!(recent.kept().len() <= KEPT_MAX);
        assert!(!Arc::ptr_eq(&read, &recent.read(&first).unwrap()));
        let last = recent.read(&others[KEPT_MAX - 1]).unwrap();
        recent.forget();
        assert!(recent.kept().is_empty());
        assert!(!Arc::ptr_eq(&last, &recent.read(&others[KEPT_MAX - 1]).unwrap()));
    }
}
