//! From the slices that there are to those that there are to be, with few writes: an endpoint that stays stays in
//! its slice.

use std::collections::{BTreeMap, VecDeque};

use podspec::json::{list, text};
use serde_json::{Map, Value, json};

use super::slices::is_owned;

/// Endpoints of one family that have the same ports.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Group {
    pub(super) family: String,
    pub(super) ports: Vec<Value>,
    pub(super) endpoints: Vec<Value>,
}

/// What all slices of an owner have.
#[derive(Clone, Debug)]
pub(super) struct Template {
    pub(super) namespace: String,
    /// Of their names.
    pub(super) prefix: String,
    pub(super) labels: Map<String, Value>,
    pub(super) annotations: Map<String, Value>,
    /// The owner reference.
    pub(super) owner: Value,
    pub(super) endpoints_max: usize,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) enum Write {
    Create(Value),
    Update(Value),
    Delete(String),
}

/// What is to be written so that the slices of `template`'s owner hold `groups` and nothing else.
pub(super) fn plan(template: &Template, groups: Vec<Group>, existing: Vec<Value>) -> Vec<Write> {
    let (mut own, strange): (Vec<Value>, Vec<Value>) =
        existing.into_iter().partition(|slice| is_owned(slice, &template.owner));
    let mut writes: Vec<Write> = strange.iter().map(delete).collect();
    for group in groups {
        let is_of =
            |slice: &Value| text(slice, "addressType") == group.family && list(slice, "ports") == group.ports;
        let (held, rest): (Vec<Value>, Vec<Value>) = own.into_iter().partition(is_of);
        own = rest;
        writes.extend(of_group(template, group, held));
    }
    writes.extend(own.iter().map(delete));
    // Nothing is gone before what takes its place is there.
    writes.sort_by_key(|write| matches!(write, Write::Delete(_)));
    writes
}

fn of_group(template: &Template, group: Group, held: Vec<Value>) -> Vec<Write> {
    let is_empty = group.endpoints.is_empty();
    let Group { family, ports, endpoints } = group;
    let keys: Vec<String> = endpoints.iter().map(key).collect();
    let mut wanted: BTreeMap<String, Value> = keys.iter().cloned().zip(endpoints).collect();
    let mut slices: Vec<(Value, Vec<Value>)> = Vec::new();
    for slice in held {
        let kept = list(&slice, "endpoints").iter().filter_map(|held| wanted.remove(&key(held)));
        let kept = kept.take(template.endpoints_max).collect();
        slices.push((slice, kept));
    }
    let mut new: VecDeque<Value> = keys.iter().filter_map(|key| wanted.remove(key)).collect();
    fill(&mut slices, &mut new, template.endpoints_max);
    let mut writes = Vec::new();
    let mut is_there = false;
    for (slice, endpoints) in slices {
        // One slice of a family stays also when it is empty.
        if endpoints.is_empty() && (!is_empty || is_there) {
            writes.push(delete(&slice));
            continue;
        }
        is_there = true;
        let mut updated = slice.clone();
        updated["endpoints"] = endpoints.into();
        updated["metadata"]["labels"] = template.labels.clone().into();
        set_annotations(&mut updated, &template.annotations);
        if updated != slice {
            writes.push(Write::Update(updated));
        }
    }
    while !new.is_empty() || is_empty && !is_there {
        let some: Vec<Value> = new.drain(..new.len().min(template.endpoints_max)).collect();
        is_there = true;
        writes.push(Write::Create(made(template, &family, &ports, &some)));
    }
    writes
}

/// New endpoints go where something changes anyway, then where they fit all together, and else into new slices.
fn fill(slices: &mut [(Value, Vec<Value>)], new: &mut VecDeque<Value>, max: usize) {
    let has_changed = |slice: &Value, kept: &[Value]| list(slice, "endpoints") != kept;
    for (slice, kept) in slices.iter_mut() {
        if !kept.is_empty() && has_changed(slice, kept) {
            let room = max - kept.len();
            kept.extend(new.drain(..new.len().min(room)));
        }
    }
    if new.is_empty() {
        return;
    }
    let fits = slices.iter_mut().filter(|(_, kept)| kept.len() + new.len() <= max);
    if let Some((_, kept)) = fits.max_by_key(|(_, kept)| kept.len()) {
        kept.extend(new.drain(..));
    }
}

fn made(template: &Template, family: &str, ports: &[Value], endpoints: &[Value]) -> Value {
    let mut slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "generateName": template.prefix, "namespace": template.namespace, "labels": template.labels,
            "ownerReferences": [template.owner],
        },
        "addressType": family, "ports": ports, "endpoints": endpoints,
    });
    set_annotations(&mut slice, &template.annotations);
    slice
}

fn set_annotations(slice: &mut Value, annotations: &Map<String, Value>) {
    if annotations.is_empty() {
        crate::rules::remove(&mut slice["metadata"], "annotations");
    } else {
        slice["metadata"]["annotations"] = annotations.clone().into();
    }
}

fn delete(slice: &Value) -> Write {
    Write::Delete(text(&slice["metadata"], "name").to_owned())
}

/// What an endpoint is known by: its address, and whose it is.
fn key(endpoint: &Value) -> String {
    let address = list(endpoint, "addresses").first().and_then(Value::as_str).unwrap_or("");
    format!("{address} {}", text(&endpoint["targetRef"], "uid"))
}
