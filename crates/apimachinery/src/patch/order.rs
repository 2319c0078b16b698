//! In which order a merged list stands: that of the patch for what the patch names, that of the object for
//! the rest, both as far as they go together.

use std::collections::BTreeMap;

use serde_json::Value;

/// Where each key stands first in a list; keys are JSON texts.
struct Positions(BTreeMap<String, usize>);

impl Positions {
    fn of<'a>(items: impl Iterator<Item = &'a Value>, merge_key: Option<&str>) -> Self {
        let mut positions = BTreeMap::new();
        for (index, item) in items.enumerate() {
            if let Some(key) = key_of(item, merge_key) {
                positions.entry(key).or_insert(index);
            }
        }
        Self(positions)
    }

    fn at(&self, key: Option<&String>) -> Option<usize> {
        self.0.get(key?).copied()
    }
}

/// What identifies an item; `None` when it has no key.
pub(super) fn key_of(item: &Value, merge_key: Option<&str>) -> Option<String> {
    match merge_key {
        None => Some(item.to_string()),
        Some(name) => item.get(name).map(ToString::to_string),
    }
}

/// Puts `merged` in order: `named` lists the items that the patch names, as objects with the merge key or as
/// scalars; `before` is the list before the patch.
pub(super) fn arrange(
    merged: Vec<Value>,
    named: &[Value],
    before: &[Value],
    merge_key: Option<&str>,
) -> Vec<Value> {
    let named = Positions::of(named.iter(), merge_key);
    let before = Positions::of(before.iter(), merge_key);
    let keyed = merged.into_iter().map(|item| (key_of(&item, merge_key), item));
    let (mut ours, mut others): (Vec<_>, Vec<_>) =
        keyed.partition(|(key, _)| named.at(key.as_ref()).is_some());
    ours.sort_by_key(|(key, _)| named.at(key.as_ref()));
    others.sort_by_key(|(key, _)| before.at(key.as_ref()).unwrap_or(usize::MAX));
    let mut arranged = Vec::with_capacity(ours.len() + others.len());
    let (mut ours, mut others) = (ours.into_iter().peekable(), others.into_iter().peekable());
    while let Some((other, _)) = others.peek() {
        let other_first = match ours.peek() {
            None => true,
            Some((our, _)) => match (before.at(other.as_ref()), before.at(our.as_ref())) {
                (Some(other), Some(our)) => other < our,
                _ => false,
            },
        };
        let next = if other_first { others.next() } else { ours.next() };
        arranged.extend(next.map(|(_, item)| item));
    }
    arranged.extend(ours.map(|(_, item)| item));
    arranged
}
