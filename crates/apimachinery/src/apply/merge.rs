//! The object with a configuration laid over it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Map, Value};

use super::path::Element;
use super::place::Place;

/// `live` with every field that `applied` sets. A field that is applied as `null` is removed.
pub(super) fn merge(place: Place<'_>, live: &Value, applied: &Value) -> Value {
    match (place, live, applied) {
        (Place::Object(_) | Place::Map(_), Value::Object(live), Value::Object(applied)) => {
            Value::Object(merge_fields(place, live, applied))
        }
        (Place::Object(_) | Place::Map(_), _, Value::Object(applied)) => {
            Value::Object(merge_fields(place, &Map::new(), applied))
        }
        (Place::Set | Place::Keyed(..), Value::Array(live), Value::Array(applied)) => {
            Value::Array(merge_items(place, live, applied))
        }
        (Place::Keyed(..), _, Value::Array(applied)) => Value::Array(merge_items(place, &[], applied)),
        // Only scalars and what is atomic can be applied away by a null.
        (Place::Leaf(_), _, _) => applied.clone(),
        (_, Value::Object(_) | Value::Array(_), Value::Null) => live.clone(),
        _ => applied.clone(),
    }
}

fn merge_fields(
    place: Place<'_>,
    live: &Map<String, Value>,
    applied: &Map<String, Value>,
) -> Map<String, Value> {
    let mut merged = live.clone();
    for (name, applied) in applied {
        let value = merge(place.child(name), live.get(name).unwrap_or(&Value::Null), applied);
        if value.is_null() {
            merged.remove(name);
        } else {
            merged.insert(name.clone(), value);
        }
    }
    merged
}

/// What is applied comes in its order; what is not keeps its place between its neighbours, as far as both
/// orders allow.
fn merge_items(place: Place<'_>, live: &[Value], applied: &[Value]) -> Vec<Value> {
    let keyed = |items: &[Value]| -> Vec<Option<Element>> {
        items.iter().map(|item| place.element(item).ok()).collect()
    };
    let (live_keys, applied_keys) = (keyed(live), keyed(applied));
    let mut live_at: BTreeMap<&Element, Option<usize>> = BTreeMap::new();
    for (index, key) in live_keys.iter().enumerate() {
        let Some(key) = key else { continue };
        // What is there twice is not merged with but replaced.
        live_at.entry(key).and_modify(|at| *at = None).or_insert(Some(index));
    }
    let is_applied: BTreeSet<&Element> = applied_keys.iter().flatten().collect();
    let mut shared: VecDeque<&Element> =
        applied_keys.iter().flatten().filter(|key| live_at.contains_key(key)).collect();
    let laid_over = |key: Option<&Element>, applied: &Value| {
        let at = key.and_then(|key| live_at.get(key).copied().flatten());
        merge(place.item(), at.map_or(&Value::Null, |at| &live[at]), applied)
    };
    let mut merged = Vec::with_capacity(live.len().max(applied.len()));
    let (mut l, mut a) = (0, 0);
    while l < live.len() || a < applied.len() {
        let both = l < live.len() && a < applied.len();
        if both && live_keys[l].is_some() && live_keys[l] == applied_keys[a] {
            merged.push(laid_over(applied_keys[a].as_ref(), &applied[a]));
            (l, a) = (l + 1, a + 1);
            shared.pop_front();
            continue;
        }
        if let Some(key) = live_keys.get(l) {
            match key.as_ref().filter(|key| is_applied.contains(key)) {
                None => {
                    merged.push(live[l].clone());
                    l += 1;
                    continue;
                }
                // It comes later, or has come.
                Some(key) if a >= applied.len() || shared.front() != Some(&key) => {
                    l += 1;
                    continue;
                }
                Some(_) => {}
            }
        }
        if let Some(applied) = applied.get(a) {
            let key = applied_keys[a].as_ref();
            merged.push(laid_over(key, applied));
            a += 1;
            if key.is_some() && shared.front().copied() == key {
                shared.pop_front();
            }
        }
    }
    merged
}
