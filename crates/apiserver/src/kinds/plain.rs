//! Kinds with no rules of their own, and the two columns that every kind has.

use podspec::WallTime;
use serde_json::Value;

use crate::kinds::{Column, Columns, Rules};

/// Metadata is all that is looked at.
#[derive(Debug)]
pub(crate) struct Plain;

impl Rules for Plain {}

/// A workload kind: clients may look for it, and find that there is none.
#[derive(Debug)]
pub(crate) struct NotRun;

impl Rules for NotRun {
    fn refusal(&self) -> Option<&'static str> {
        Some("this engine runs Pods: create the Pods of its template, each with a name of its own")
    }
}

#[derive(Debug)]
pub(crate) struct NameAndAge;

impl Columns for NameAndAge {
    fn columns(&self) -> &'static [Column] {
        const {
            &[
                Column {
                    name: "Name",
                    ty: "string",
                    format: "name",
                    priority: 0,
                    description: "What the object is called; unique among those of its kind, in its namespace",
                },
                Column {
                    name: "Age",
                    ty: "string",
                    format: "",
                    priority: 0,
                    description: "How long ago it was created",
                },
            ]
        }
    }

    fn cells(&self, object: &Value, now: WallTime) -> Vec<Value> {
        let _ = now;
        let metadata = &object["metadata"];
        vec![metadata["name"].clone(), metadata["creationTimestamp"].clone()]
    }
}
