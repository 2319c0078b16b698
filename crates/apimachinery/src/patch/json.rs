//! JSON patch.

use api_schema::DEPTH_MAX;
use serde_json::Value;

use crate::{Status, json};

/// Operations of one patch.
pub const JSON_PATCH_OPERATIONS_MAX: usize = 10_000;

/// What all copies of one patch may add, as JSON text.
pub const JSON_PATCH_COPY_BYTES_MAX: usize = 3 << 20;

/// Scalars, lists and objects in all that one patch moves: each move measures what it moves.
const MOVED_VALUES_MAX: usize = 10_000_000;

/// An operation that does not apply: what clients know such errors by.
type Failure = String;

/// RFC 6902: a list of operations, all or none of which are done. As in Kubernetes, an index from the end
/// may be negative, and `replace` of a field that is not there adds it.
///
/// # Errors
/// 400 when the patch is none, 413 when it has too many operations, 422 when one does not apply.
pub fn json_patch(original: &Value, patch: &Value) -> Result<Value, Status> {
    let Some(operations) = patch.as_array() else {
        return Err(Status::bad_request(format!(
            "error decoding patch: json: cannot unmarshal {} into Go value of type []handlers.jsonPatchOp",
            json::type_name(patch)
        )));
    };
    if operations.len() > JSON_PATCH_OPERATIONS_MAX {
        return Err(Status::request_too_large(&format!(
            "The allowed maximum operations in a JSON patch is {JSON_PATCH_OPERATIONS_MAX}, got {}",
            operations.len()
        )));
    }
    if let Some((index, wrong)) = operations.iter().enumerate().find(|(_, operation)| !operation.is_object())
    {
        let what = json::type_name(wrong);
        return Err(Status::bad_request(format!(
            "error decoding patch: operation {index} is of type {what}, not an object"
        )));
    }
    let mut document = Document { root: original.clone(), copied_bytes: 0, moved_values: 0 };
    for (index, operation) in operations.iter().enumerate() {
        document
            .perform(operation)
            .map_err(|failure| Status::unprocessable(format!("operation {index}: {failure}")))?;
    }
    Ok(document.root)
}

struct Document {
    root: Value,
    copied_bytes: usize,
    moved_values: usize,
}

impl Document {
    fn perform(&mut self, operation: &Value) -> Result<(), Failure> {
        let kind = operation["op"].as_str().unwrap_or("unknown");
        let text = |name: &str| operation[name].as_str().map(str::to_owned);
        let path =
            || text("path").ok_or_else(|| format!("{kind} operation failed to decode path: missing value"));
        let from =
            || text("from").ok_or_else(|| format!("{kind} operation failed to decode from: missing value"));
        let value = || {
            operation
                .get("value")
                .ok_or_else(|| format!("{kind} operation, missing value field: missing value"))
        };
        match kind {
            "add" => self.add(&path()?, value()?.clone()),
            "remove" => self.remove(&path()?).map(drop),
            "replace" => self.replace(&path()?, value()?.clone()),
            "move" => {
                let (from, path) = (from()?, path()?);
                if path.strip_prefix(&from).is_some_and(|rest| rest.starts_with('/')) {
                    return Err(format!("move operation does not apply: {path} is inside {from}"));
                }
                let moved = self.take("move", &from)?;
                self.moved_values = self.moved_values.saturating_add(count(&moved));
                if self.moved_values > MOVED_VALUES_MAX {
                    return Err(format!("the patch moves more than {MOVED_VALUES_MAX} values"));
                }
                self.insert("move", &path, moved)
            }
            "copy" => {
                let (from, path) = (from()?, path()?);
                let (parent, key) = self.parent(&from).ok_or_else(|| {
                    format!("copy operation does not apply: doc is missing from path: {from}: missing value")
                })?;
                let copied =
                    read(parent, &key).map_err(|e| format!("error in copy for from: '{from}': {e}"))?;
                let copied = copied.cloned().unwrap_or(Value::Null);
                self.count_copy(&copied)?;
                self.insert("copy", &path, copied)
            }
            "test" => self.test(&path()?, operation.get("value").unwrap_or(&Value::Null)),
            other => Err(format!("Unexpected kind: {other}")),
        }
    }

    fn add(&mut self, path: &str, value: Value) -> Result<(), Failure> {
        if path.is_empty() && value.is_object() {
            return self.replace(path, value);
        }
        check_depth(path, &value)?;
        let (parent, key) = self.parent_mut(path).ok_or_else(|| {
            format!("add operation does not apply: doc is missing path: \"{path}\": missing value")
        })?;
        put(parent, &key, value).map_err(|e| format!("error in add for path: '{path}': {e}"))
    }

    fn insert(&mut self, kind: &str, path: &str, value: Value) -> Result<(), Failure> {
        check_depth(path, &value)?;
        let (parent, key) = self.parent_mut(path).ok_or_else(|| {
            format!("{kind} operation does not apply: doc is missing destination path: {path}: missing value")
        })?;
        put(parent, &key, value).map_err(|e| format!("error in {kind} for path: '{path}': {e}"))
    }

    fn remove(&mut self, path: &str) -> Result<Value, Failure> {
        let (parent, key) = self.parent_mut(path).ok_or_else(|| {
            format!("remove operation does not apply: doc is missing path: \"{path}\": missing value")
        })?;
        cut(parent, &key).map_err(|e| format!("error in remove for path: '{path}': {e}"))
    }

    fn take(&mut self, kind: &str, from: &str) -> Result<Value, Failure> {
        let (parent, key) = self.parent_mut(from).ok_or_else(|| {
            format!("{kind} operation does not apply: doc is missing from path: {from}: missing value")
        })?;
        cut(parent, &key).map_err(|e| format!("error in {kind} for path: '{key}': {e}"))
    }

    fn replace(&mut self, path: &str, value: Value) -> Result<(), Failure> {
        check_depth(path, &value)?;
        if path.is_empty() {
            if !value.is_object() && !value.is_array() {
                return Err("replace operation value must be object or array".to_owned());
            }
            self.root = value;
            return Ok(());
        }
        let (parent, key) = self.parent_mut(path).ok_or_else(|| {
            format!("replace operation does not apply: doc is missing path: {path}: missing value")
        })?;
        match parent {
            Value::Object(fields) => drop(fields.insert(key, value)),
            Value::Array(items) => {
                let missing = |_| {
                    format!("replace operation does not apply: doc is missing key: {path}: missing value")
                };
                let index = index_of(&key, items.len()).map_err(missing)?;
                items[index] = value;
            }
            _ => {}
        }
        Ok(())
    }

    fn test(&self, path: &str, expected: &Value) -> Result<(), Failure> {
        let failed = || format!("testing value {path} failed: test failed");
        let found = if path.is_empty() {
            Some(&self.root)
        } else {
            let (parent, key) = self.parent(path).ok_or_else(|| {
                format!("test operation does not apply: is missing path: {path}: missing value")
            })?;
            read(parent, &key).map_err(|e| format!("error in test for path: '{path}': {e}"))?
        };
        if found.unwrap_or(&Value::Null) == expected { Ok(()) } else { Err(failed()) }
    }

    fn count_copy(&mut self, copied: &Value) -> Result<(), Failure> {
        self.copied_bytes = self.copied_bytes.saturating_add(text_bytes(copied));
        if self.copied_bytes <= JSON_PATCH_COPY_BYTES_MAX {
            return Ok(());
        }
        Err(format!(
            "Unable to complete the copy, the accumulated size increase of copy is {}, exceeding the limit {JSON_PATCH_COPY_BYTES_MAX}",
            self.copied_bytes
        ))
    }

    /// The object or list that a path leads into, and the last element of the path.
    fn parent(&self, path: &str) -> Option<(&Value, String)> {
        let (holder, key) = path.strip_prefix('/').map(|_| path.rsplit_once('/'))??;
        let mut value = &self.root;
        for element in holder.split('/').skip(1) {
            value = read(value, &unescaped(element)).ok()??;
        }
        (value.is_object() || value.is_array()).then(|| (value, unescaped(key)))
    }

    fn parent_mut(&mut self, path: &str) -> Option<(&mut Value, String)> {
        let (holder, key) = path.strip_prefix('/').map(|_| path.rsplit_once('/'))??;
        let mut value = &mut self.root;
        for element in holder.split('/').skip(1) {
            let element = unescaped(element);
            value = match value {
                Value::Object(fields) => fields.get_mut(&element)?,
                Value::Array(items) => {
                    let index = index_of(&element, items.len()).ok()?;
                    &mut items[index]
                }
                _ => return None,
            };
        }
        (value.is_object() || value.is_array()).then(|| (value, unescaped(key)))
    }
}

/// A value at `path` must not nest the document too deeply.
fn check_depth(path: &str, value: &Value) -> Result<(), Failure> {
    let above = path.matches('/').count();
    if above <= DEPTH_MAX && json::is_within(value, DEPTH_MAX - above) {
        return Ok(());
    }
    Err(format!("{path}: the object would be nested deeper than {DEPTH_MAX} levels"))
}

/// Scalars, lists and objects of a value.
fn count(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(count).sum::<usize>(),
        Value::Object(fields) => 1 + fields.values().map(count).sum::<usize>(),
        _ => 1,
    }
}

/// `~1` is `/`, `~0` is `~`.
fn unescaped(element: &str) -> String {
    element.replace("~1", "/").replace("~0", "~")
}

/// A field, or an entry of a list, which has to be there.
fn read<'a>(holder: &'a Value, key: &str) -> Result<Option<&'a Value>, Failure> {
    match holder {
        Value::Array(items) => index_of(key, items.len()).map(|index| items.get(index)),
        _ => Ok(holder.get(key)),
    }
}

fn put(holder: &mut Value, key: &str, value: Value) -> Result<(), Failure> {
    match holder {
        Value::Array(items) if key == "-" => items.push(value),
        Value::Array(items) => {
            let index = index_of(key, items.len() + 1)?;
            items.insert(index, value);
        }
        Value::Object(fields) => drop(fields.insert(key.to_owned(), value)),
        _ => {}
    }
    Ok(())
}

fn cut(holder: &mut Value, key: &str) -> Result<Value, Failure> {
    match holder {
        Value::Array(items) => {
            let index = index_of(key, items.len())?;
            Ok(items.remove(index))
        }
        _ => holder
            .as_object_mut()
            .and_then(|fields| fields.remove(key))
            .ok_or_else(|| format!("Unable to remove nonexistent key: {key}: missing value")),
    }
}

/// A position in a list of `length` entries; negative ones count from the end.
fn index_of(key: &str, length: usize) -> Result<usize, Failure> {
    let index: i64 = key.parse().map_err(|_| format!("value was not a proper array index: '{key}'"))?;
    let from_end = || length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?);
    let position = if index < 0 { from_end() } else { usize::try_from(index).ok() };
    position
        .filter(|position| *position < length)
        .ok_or_else(|| format!("Unable to access invalid index: {index}: invalid index referenced"))
}

/// Bytes as JSON text, without escapes.
fn text_bytes(value: &Value) -> usize {
    match value {
        Value::Null => 4,
        Value::Bool(_) => 5,
        Value::Number(number) => number.to_string().len(),
        Value::String(text) => text.len() + 2,
        Value::Array(items) => 2 + items.iter().map(|item| text_bytes(item) + 1).sum::<usize>(),
        Value::Object(fields) => {
            2 + fields.iter().map(|(name, item)| name.len() + 4 + text_bytes(item)).sum::<usize>()
        }
    }
}
