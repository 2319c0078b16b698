//! What a watch sends.

use apimachinery::{Status, meta};
use bytes::Bytes;
use serde_json::{Value, json};
use store::{Change, ChangeKind, Object};

use crate::change;
use crate::handlers::{Selection, Shaper, present_bytes};
use crate::negotiate::Form;

/// Makes the events of one watch: which ones its selection sees, in the form it takes.
pub(super) struct Events {
    shaper: Shaper,
    selection: Selection,
    /// Columns are said once.
    has_columns: bool,
}

impl Events {
    pub(super) fn new(shaper: Shaper, selection: Selection) -> Self {
        Self { shaper, selection, has_columns: false }
    }

    /// The event of a change; `None` when the selection sees none.
    pub(super) fn change(&mut self, change: &Change) -> Option<Bytes> {
        let matches = |object: &Object| self.selection.matches(object);
        let was_seen = change.previous.as_deref().is_some_and(matches);
        let is_seen = change.kind != ChangeKind::Deleted && matches(&change.object);
        let mut chunk = Vec::with_capacity(change.object.json.len() + 64);
        match (was_seen, is_seen) {
            (false, false) => return None,
            (false, true) => self.event("ADDED", &change.object, &mut chunk),
            (true, true) => self.event("MODIFIED", &change.object, &mut chunk),
            (true, false) if change.kind == ChangeKind::Deleted => {
                self.event("DELETED", &change.object, &mut chunk);
            }
            // It is there, and no longer what was asked for: what was seen last, as of now.
            (true, false) => {
                let mut last = change::parse(change.previous.as_deref()?).ok()?;
                meta::set_resource_version(&mut last, change.revision);
                self.value("DELETED", last, &mut chunk);
            }
        }
        Some(chunk.into())
    }

    pub(super) fn added(&mut self, object: &Object, chunk: &mut Vec<u8>) {
        self.event("ADDED", object, chunk);
    }

    fn event(&mut self, ty: &str, object: &Object, chunk: &mut Vec<u8>) {
        if self.shaper.form == Form::Json
            && let Ok(bytes) = present_bytes(self.shaper.kind, object)
        {
            chunk.extend_from_slice(b"{\"type\":\"");
            chunk.extend_from_slice(ty.as_bytes());
            chunk.extend_from_slice(b"\",\"object\":");
            chunk.extend_from_slice(&bytes);
            chunk.extend_from_slice(b"}\n");
            return;
        }
        match change::parse(object) {
            Ok(value) => self.value(ty, value, chunk),
            Err(status) => chunk.extend_from_slice(&error(&status)),
        }
    }

    fn value(&mut self, ty: &str, object: Value, chunk: &mut Vec<u8>) {
        let object = match self.shaper.form {
            Form::Table(version) => {
                let list = json!({ "resourceVersion": object["metadata"]["resourceVersion"] });
                self.shaper.now = crate::entropy::now();
                let with_columns = !std::mem::replace(&mut self.has_columns, true);
                self.shaper.table(version, vec![object], list, with_columns)
            }
            _ => self.shaper.one(object),
        };
        write(ty, &object, chunk);
    }

    /// Every change up to `revision` has been sent.
    pub(super) fn bookmark(&mut self, revision: u64, ends_initial: bool) -> Bytes {
        let kind = self.shaper.kind;
        let mut metadata = json!({ "resourceVersion": revision.to_string(), "creationTimestamp": null });
        if ends_initial {
            metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        let object = match self.shaper.form {
            Form::Json => {
                json!({ "kind": kind.kind, "apiVersion": kind.api_version(), "metadata": metadata })
            }
            Form::Table(version) => {
                // A table has no annotations; the row that carries them is the bookmark's own.
                let of_object = json!({ "metadata": metadata });
                let mut table = self.shaper.table(
                    version,
                    Vec::new(),
                    json!({ "resourceVersion": revision.to_string() }),
                    false,
                );
                if ends_initial {
                    table["rows"] =
                        json!([{ "cells": [], "object": self.shaper.partial(version, &of_object) }]);
                }
                table
            }
            Form::Partial(version) => self.shaper.partial(version, &json!({ "metadata": metadata })),
        };
        let mut chunk = Vec::new();
        write("BOOKMARK", &object, &mut chunk);
        chunk.into()
    }
}

/// The event that ends a watch.
pub(super) fn error(status: &Status) -> Bytes {
    let mut chunk = Vec::new();
    write("ERROR", &status.to_json(), &mut chunk);
    chunk.into()
}

fn write(ty: &str, object: &Value, chunk: &mut Vec<u8>) {
    chunk.extend_from_slice(json!({ "type": ty, "object": object }).to_string().as_bytes());
    chunk.push(b'\n');
}
