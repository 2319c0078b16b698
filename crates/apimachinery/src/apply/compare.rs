//! What differs between two values of one type.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::path::{Element, Scalar};
use super::place::Place;
use super::set::{FieldSet, Node};

/// No field is in more than one of the sets.
#[derive(Default, Debug)]
pub(super) struct Changes {
    pub(super) added: FieldSet,
    pub(super) modified: FieldSet,
    pub(super) removed: FieldSet,
}

impl Changes {
    /// Without what is in `ignored` or below it.
    pub(super) fn except(&self, ignored: &FieldSet) -> Self {
        Self {
            added: self.added.difference_below(ignored),
            modified: self.modified.difference_below(ignored),
            removed: self.removed.difference_below(ignored),
        }
    }

    /// What is new or has another value.
    pub(super) fn written(&self) -> FieldSet {
        self.added.clone().union(&self.modified)
    }
}

/// Compares two objects.
pub(super) fn compare(place: Place<'_>, before: &Value, after: &Value) -> Changes {
    let Difference { added, modified, removed } = difference(place, Some(before), Some(after));
    Changes { added: added.children, modified: modified.children, removed: removed.children }
}

/// [`Changes`] of what is at one path and below it.
#[derive(Default)]
struct Difference {
    added: Node,
    modified: Node,
    removed: Node,
}

impl Difference {
    fn take(&mut self, element: &Element, below: Self) {
        self.added.children.add(element.clone(), below.added);
        self.modified.children.add(element.clone(), below.modified);
        self.removed.children.add(element.clone(), below.removed);
    }

    fn leaf(before: Option<&Value>, after: Option<&Value>) -> Self {
        let mut difference = Self::default();
        match (before, after) {
            (None, Some(_)) => difference.added.member = true,
            (Some(_), None) => difference.removed.member = true,
            (Some(before), Some(after)) => difference.modified.member = !equal(before, after),
            (None, None) => {}
        }
        difference
    }
}

fn difference(place: Place<'_>, before: Option<&Value>, after: Option<&Value>) -> Difference {
    let both = (parts(before), parts(after));
    let mut found = match (place, both) {
        (Place::Object(_) | Place::Map(_), (Some(Parts::Fields(before)), Some(Parts::Fields(after)))) => {
            of_fields(place, before, after)
        }
        (Place::Set | Place::Keyed(..), (Some(Parts::Items(before)), Some(Parts::Items(after)))) => {
            of_items(place, before, after)
        }
        (Place::Object(_) | Place::Map(_), (Some(Parts::Fields(before)), Some(Parts::Nothing))) => {
            of_fields(place, before, &Map::new())
        }
        (Place::Object(_) | Place::Map(_), (Some(Parts::Nothing), Some(Parts::Fields(after)))) => {
            of_fields(place, &Map::new(), after)
        }
        (Place::Set | Place::Keyed(..), (Some(Parts::Items(before)), Some(Parts::Nothing))) => {
            of_items(place, before, &[])
        }
        (Place::Set | Place::Keyed(..), (Some(Parts::Nothing), Some(Parts::Items(after)))) => {
            of_items(place, &[], after)
        }
        _ => return Difference::leaf(before, after),
    };
    found.added.member |= before.is_none();
    found.removed.member |= after.is_none();
    found
}

/// What a value consists of; `None` for scalars.
enum Parts<'a> {
    /// Missing, `null`, `{}` or `[]`.
    Nothing,
    Fields(&'a Map<String, Value>),
    Items(&'a [Value]),
}

fn parts(value: Option<&Value>) -> Option<Parts<'_>> {
    match value {
        None | Some(Value::Null) => Some(Parts::Nothing),
        Some(Value::Object(fields)) if fields.is_empty() => Some(Parts::Nothing),
        Some(Value::Array(items)) if items.is_empty() => Some(Parts::Nothing),
        Some(Value::Object(fields)) => Some(Parts::Fields(fields)),
        Some(Value::Array(items)) => Some(Parts::Items(items)),
        Some(_) => None,
    }
}

fn of_fields(place: Place<'_>, before: &Map<String, Value>, after: &Map<String, Value>) -> Difference {
    let mut found = Difference::default();
    let only_after = after.keys().filter(|name| !before.contains_key(*name));
    for name in before.keys().chain(only_after) {
        found.take(&Element::field(name), difference(place.child(name), before.get(name), after.get(name)));
    }
    found
}

fn of_items(place: Place<'_>, before: &[Value], after: &[Value]) -> Difference {
    let mut items: BTreeMap<Element, (Vec<&Value>, Vec<&Value>)> = BTreeMap::new();
    let keyed = |item| place.element(item).ok().map(|element| (element, item));
    for (element, item) in before.iter().filter_map(keyed) {
        items.entry(element).or_default().0.push(item);
    }
    for (element, item) in after.iter().filter_map(keyed) {
        items.entry(element).or_default().1.push(item);
    }
    let mut found = Difference::default();
    for (element, (before, after)) in &items {
        let below = match (&before[..], &after[..]) {
            ([_, _, ..], [_, _, ..]) => {
                let mut below = Difference::default();
                below.modified.member =
                    before.len() != after.len() || !before.iter().zip(after).all(|(a, b)| equal(a, b));
                below
            }
            // What was there twice is owned as one, and now no more.
            ([_, _, ..], _) => {
                let mut below = match after.first() {
                    Some(after) => difference(place.item(), None, Some(after)),
                    None => Difference::default(),
                };
                below.removed.member = true;
                below
            }
            (_, [_, _, ..]) => {
                let mut below = match before.first() {
                    Some(before) => difference(place.item(), Some(before), None),
                    None => Difference::default(),
                };
                below.added.member = true;
                below
            }
            _ => difference(place.item(), before.first().copied(), after.first().copied()),
        };
        found.take(element, below);
    }
    found
}

/// Equality of JSON values in which 1 and 1.0 are one number.
pub(super) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(_), Value::Number(_)) => Scalar(a.clone()) == Scalar(b.clone()),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| equal(a, b)))
        }
        _ => a == b,
    }
}
