//! The fields of one value, and what is left of a value without some of them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::path::Element;
use super::place::Place;
use super::set::{FieldSet, Node};

/// The fields that a value sets.
pub(super) fn fields_of(place: Place<'_>, value: &Value) -> FieldSet {
    node_of(place, value).children
}

fn node_of(place: Place<'_>, value: &Value) -> Node {
    match (place, value) {
        (Place::Object(_) | Place::Map(_), Value::Object(fields)) => {
            let mut children = FieldSet::default();
            for (name, value) in fields {
                let mut node = node_of(place.child(name), value);
                let is_empty = value.is_null() || value.as_object().is_some_and(Map::is_empty);
                node.member |= is_empty || !place.names(name);
                children.add(Element::field(name), node);
            }
            Node::below(children)
        }
        (Place::Set | Place::Keyed(..), Value::Array(items)) => {
            let mut children: BTreeMap<Element, Node> = BTreeMap::new();
            for item in items {
                let Ok(element) = place.element(item) else { continue };
                // What is there twice is owned as one.
                let twice = children.contains_key(&element);
                let mut node = if twice { Node::default() } else { node_of(place.item(), item) };
                node.member = true;
                children.insert(element, node);
            }
            let mut set = FieldSet::default();
            children.into_iter().for_each(|(element, node)| set.add(element, node));
            Node::below(set)
        }
        // An empty value of these holds nothing; whoever holds it sees to it.
        (Place::Object(_) | Place::Map(_) | Place::Set | Place::Keyed(..), Value::Null) => Node::default(),
        _ => Node::member(),
    }
}

/// `value` without the fields of `removed`. What becomes empty stays, empty.
pub(super) fn without(place: Place<'_>, value: &Value, removed: &FieldSet) -> Value {
    match (place, value) {
        (Place::Object(_) | Place::Map(_), Value::Object(fields)) => {
            let kept = fields.iter().filter_map(|(name, value)| match removed.get(&Element::field(name)) {
                Some(node) if node.member => None,
                Some(node) => Some((name.clone(), without(place.child(name), value, &node.children))),
                None => Some((name.clone(), value.clone())),
            });
            Value::Object(kept.collect())
        }
        (Place::Set | Place::Keyed(..), Value::Array(items)) => {
            let node_of = |item| place.element(item).ok().and_then(|element| removed.get(&element));
            let kept = items.iter().filter_map(|item| match node_of(item) {
                Some(node) if node.member => None,
                Some(node) => Some(without(place.item(), item, &node.children)),
                None => Some(item.clone()),
            });
            Value::Array(kept.collect())
        }
        _ => value.clone(),
    }
}

/// `set` and, of the fields that the schema names, those that anything of the set is below.
pub(super) fn with_named(place: Place<'_>, set: &FieldSet) -> FieldSet {
    let mut named = FieldSet::default();
    for (element, node) in set.nodes() {
        let (below, is_named) = match element {
            Element::Field(name) => (place.child(name), place.names(name)),
            _ => (place.item(), false),
        };
        let member = node.member || is_named && !node.children.is_empty();
        let children = with_named(below, &node.children);
        named.add(element.clone(), Node { member, children });
    }
    named
}
