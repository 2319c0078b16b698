//! Sets of fields, and their form `FieldsV1`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::path::Element;

/// A set of paths, as a tree. No node is empty.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct FieldSet(BTreeMap<Element, Node>);

/// What the set has at a path and below it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Node {
    pub(super) member: bool,
    pub(super) children: FieldSet,
}

impl Node {
    /// The path itself.
    pub(super) fn member() -> Self {
        Self { member: true, children: FieldSet::default() }
    }

    pub(super) fn below(children: FieldSet) -> Self {
        Self { member: false, children }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.member && self.children.is_empty()
    }
}

impl FieldSet {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn get(&self, element: &Element) -> Option<&Node> {
        self.0.get(element)
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = (&Element, &Node)> {
        self.0.iter()
    }

    /// Adds a node; what is there is kept.
    pub(super) fn add(&mut self, element: Element, node: Node) {
        if node.is_empty() {
            return;
        }
        let present = self.0.entry(element).or_default();
        present.member |= node.member;
        for (element, node) in node.children.0 {
            present.children.add(element, node);
        }
    }

    pub(super) fn insert(&mut self, path: &[Element]) {
        let [first, rest @ ..] = path else { return };
        let node = self.0.entry(first.clone()).or_default();
        if rest.is_empty() {
            node.member = true;
        } else {
            node.children.insert(rest);
        }
    }

    pub(super) fn has(&self, path: &[Element]) -> bool {
        match path {
            [] => false,
            [last] => self.0.get(last).is_some_and(|node| node.member),
            [first, rest @ ..] => self.0.get(first).is_some_and(|node| node.children.has(rest)),
        }
    }

    pub(super) fn union(mut self, other: &Self) -> Self {
        for (element, node) in &other.0 {
            self.add(element.clone(), node.clone());
        }
        self
    }

    /// The paths of this set that `other` does not have. A path of `other` does not stand for what is below.
    pub(super) fn difference(&self, other: &Self) -> Self {
        self.combine(other, |mine, theirs| mine && !theirs, true)
    }

    pub(super) fn intersection(&self, other: &Self) -> Self {
        self.combine(other, |mine, theirs| mine && theirs, false)
    }

    /// The paths of this set that are neither in `other` nor below one in it.
    pub(super) fn difference_below(&self, other: &Self) -> Self {
        let mut kept = Self::default();
        for (element, node) in &self.0 {
            match other.0.get(element) {
                None => kept.add(element.clone(), node.clone()),
                Some(theirs) if theirs.member => {}
                Some(theirs) => {
                    let children = node.children.difference_below(&theirs.children);
                    kept.add(element.clone(), Node { member: node.member, children });
                }
            }
        }
        kept
    }

    fn combine(&self, other: &Self, member: fn(bool, bool) -> bool, keep_unmatched: bool) -> Self {
        let mut combined = Self::default();
        for (element, node) in &self.0 {
            match other.0.get(element) {
                Some(theirs) => {
                    let children = node.children.combine(&theirs.children, member, keep_unmatched);
                    let member = member(node.member, theirs.member);
                    combined.add(element.clone(), Node { member, children });
                }
                None if keep_unmatched => combined.add(element.clone(), node.clone()),
                None => {}
            }
        }
        combined
    }

    /// Every path: those that end in an object before those that go on, as Kubernetes lists them.
    pub(super) fn paths(&self) -> Vec<Vec<Element>> {
        let mut paths = Vec::new();
        self.collect(&mut Vec::new(), &mut paths);
        paths
    }

    fn collect(&self, path: &mut Vec<Element>, paths: &mut Vec<Vec<Element>>) {
        for (element, _) in self.0.iter().filter(|(_, node)| node.member) {
            paths.push(path.iter().chain([element]).cloned().collect());
        }
        for (element, node) in &self.0 {
            path.push(element.clone());
            node.children.collect(path, paths);
            path.pop();
        }
    }

    /// Reads `fieldsV1`, whose nesting the reader of the body has bounded.
    pub(super) fn decode(fields: &Value) -> Result<Self, String> {
        let mut set = Self::default();
        let object = match fields {
            Value::Null => return Ok(set),
            Value::Object(object) => object,
            _ => return Err("fieldsV1 is no object".to_owned()),
        };
        for (key, below) in object.iter().filter(|(key, _)| *key != ".") {
            let Some(element) = Element::decode(key)? else { continue };
            let children = Self::decode(below)?;
            let member = children.is_empty() || below.get(".").is_some();
            set.add(element, Node { member, children });
        }
        Ok(set)
    }

    pub(super) fn encode(&self) -> Value {
        let node = |node: &Node| {
            let mut fields = match node.children.encode() {
                Value::Object(fields) => fields,
                _ => Map::new(),
            };
            if node.member && !fields.is_empty() {
                fields.insert(".".to_owned(), Value::Object(Map::new()));
            }
            Value::Object(fields)
        };
        Value::Object(self.0.iter().map(|(element, below)| (element.encode(), node(below))).collect())
    }
}
