//! A parsed document with the place of every value, before it becomes plain JSON.

use serde_json::{Map, Number, Value};

use super::place::{Place, Places, Span};
use crate::field::FieldPath;

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) content: Content,
    pub(super) place: Place,
    /// Roughly the bytes it takes, with all it contains.
    pub(super) weight: usize,
    /// How many levels it contains, itself included.
    pub(super) height: usize,
}

#[derive(Clone, Debug)]
pub(super) enum Content {
    Null,
    Flag(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    /// In the order of the text; keys may be there twice.
    Map(Vec<Entry>),
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Its place has the key, too.
    pub(super) node: Node,
}

/// What one value takes besides its text.
pub(super) const NODE_WEIGHT: usize = 64;

/// A key that is there a second time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct DuplicateKey {
    pub(super) path: FieldPath,
    pub(super) line: u32,
    pub(super) key: Span,
}

impl Node {
    pub(super) fn new(content: Content, place: Place) -> Self {
        let (below, height): (usize, usize) = match &content {
            Content::Null | Content::Flag(_) | Content::Number(_) => (0, 0),
            Content::Text(text) => (text.len(), 0),
            Content::List(items) => {
                (items.iter().map(|n| n.weight).sum(), items.iter().map(|n| n.height).max().unwrap_or(0))
            }
            Content::Map(entries) => (
                entries.iter().map(|e| e.key.len() + e.node.weight).sum(),
                entries.iter().map(|e| e.node.height).max().unwrap_or(0),
            ),
        };
        Self { content, place, weight: NODE_WEIGHT + below, height: height + 1 }
    }

    pub(super) fn kind(&self) -> &'static str {
        match self.content {
            Content::Null => "null",
            Content::Flag(_) => "a boolean",
            Content::Number(_) => "a number",
            Content::Text(_) => "text",
            Content::List(_) => "a list",
            Content::Map(_) => "a mapping",
        }
    }

    /// The field of a mapping; the first, when it is there twice.
    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        match &self.content {
            Content::Map(entries) => entries.iter().find(|e| e.key == name).map(|e| &e.node),
            _ => None,
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The document as JSON. Of two entries with one key the last stays, as in Go, and the key goes
    /// to `duplicates`.
    pub(super) fn into_json(self, path: &FieldPath, duplicates: &mut Vec<DuplicateKey>) -> (Value, Places) {
        let mut places = Places { place: self.place, ..Places::default() };
        let value = match self.content {
            Content::Null => Value::Null,
            Content::Flag(flag) => Value::Bool(flag),
            Content::Number(number) => Value::Number(number),
            Content::Text(text) => Value::String(text),
            Content::List(items) => {
                let mut values = Vec::with_capacity(items.len());
                for (i, item) in items.into_iter().enumerate() {
                    let (value, below) = item.into_json(&path.index(i), duplicates);
                    values.push(value);
                    places.items.push(below);
                }
                Value::Array(values)
            }
            Content::Map(entries) => {
                let mut fields = Map::new();
                for Entry { key, node } in entries {
                    let path = path.child(&key);
                    let place = node.place;
                    let (value, below) = node.into_json(&path, duplicates);
                    if fields.insert(key.clone(), value).is_some() {
                        let key = place.key.unwrap_or(place.value);
                        duplicates.push(DuplicateKey { path, line: place.line, key });
                    }
                    places.fields.insert(key, below);
                }
                Value::Object(fields)
            }
        };
        (value, places)
    }
}
