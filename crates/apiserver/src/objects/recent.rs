//! The JSON of the objects that were read last. A change is read by some eight followers of the store, one soon after the other,
//! and reading it costs them more than what they do about it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use serde_json::Value;
use store::Object;

/// Followers are seldom further apart. An object takes about ten times as much memory as its JSON.
const KEPT_MAX: usize = 16;
/// Pods and events are smaller; nobody but one follower reads larger ones.
const JSON_BYTES_MAX: usize = 32 << 10;

/// The bytes are held, so that no others can be in their place while they are in here.
static RECENT: Mutex<VecDeque<(Bytes, Arc<Value>)>> = Mutex::new(VecDeque::new());

/// A stored object's JSON, which others may be reading, too.
///
/// # Errors
/// As for [`super::value`].
pub fn shared(object: &Object) -> Result<Arc<Value>, serde_json::Error> {
    let json = &object.json;
    if let Some(read) = find(json) {
        return Ok(read);
    }
    let read = Arc::new(super::value(object)?);
    if json.len() <= JSON_BYTES_MAX {
        let mut recent = RECENT.lock().unwrap_or_else(PoisonError::into_inner);
        recent.truncate(KEPT_MAX - 1);
        recent.push_front((json.clone(), Arc::clone(&read)));
    }
    Ok(read)
}

/// Gives their memory back.
pub fn forget_recent() {
    *RECENT.lock().unwrap_or_else(PoisonError::into_inner) = VecDeque::new();
}

fn find(json: &Bytes) -> Option<Arc<Value>> {
    let recent = RECENT.lock().unwrap_or_else(PoisonError::into_inner);
    let is_same = |held: &Bytes| held.as_ptr() == json.as_ptr() && held.len() == json.len();
    recent.iter().find(|(held, _)| is_same(held)).map(|(_, read)| Arc::clone(read))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use serde_json::json;
    use store::{Object, ObjectKey, Resource};

    use super::{JSON_BYTES_MAX, KEPT_MAX, RECENT, forget_recent, shared};

    fn object(name: &str, padding: usize) -> Object {
        let key = ObjectKey::new(Resource::new("configmaps"), "n", name);
        let json = json!({"data": {"name": name, "padding": " ".repeat(padding)}}).to_string().into();
        let (labels, fields) = (BTreeMap::new(), Vec::new());
        Object { key, uid: name.to_owned(), revision: 1, labels, fields, json }
    }

    #[test]
    fn what_is_read_again_is_the_same_and_only_the_last_few_are_kept() {
        let first = object("first", 0);
        let read = shared(&first).unwrap();
        assert_eq!(read["data"]["name"], "first");
        assert!(Arc::ptr_eq(&read, &shared(&first).unwrap()));
        // The same text is another object.
        assert!(!Arc::ptr_eq(&read, &shared(&object("first", 0)).unwrap()));
        let large = object("large", JSON_BYTES_MAX);
        assert!(!Arc::ptr_eq(&shared(&large).unwrap(), &shared(&large).unwrap()));
        let others: Vec<_> = (0..KEPT_MAX).map(|n| object(&n.to_string(), 0)).collect();
        for (n, other) in others.iter().enumerate() {
            assert_eq!(shared(other).unwrap()["data"]["name"], n.to_string());
        }
        assert!(RECENT.lock().unwrap().len() <= KEPT_MAX);
        assert!(!Arc::ptr_eq(&read, &shared(&first).unwrap()));
        forget_recent();
        assert!(!Arc::ptr_eq(&shared(&others[0]).unwrap(), &shared(&others[1]).unwrap()));
    }
}
