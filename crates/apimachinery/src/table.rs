//! meta.k8s.io `Table`: what `kubectl get` prints, made by the server.

use serde_json::{Map, Value, json};

use crate::Status;

/// A column.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Column {
    pub name: &'static str,
    /// OpenAPI: `string`, `integer`, `number`, `boolean`, `date`.
    pub kind: &'static str,
    /// OpenAPI: `name` marks the column of names; usually empty.
    pub format: &'static str,
    pub description: &'static str,
    /// 0 is always shown, 1 with `-o wide`.
    pub priority: i32,
}

/// A row and the object it is of.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// As many as there are columns.
    pub cells: Vec<Value>,
    /// Reasons to treat the row differently; usually empty.
    pub conditions: Vec<RowCondition>,
    pub object: Value,
}

/// `Completed`: what the row shows is over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RowCondition {
    pub kind: &'static str,
    pub status: &'static str,
    pub reason: String,
    pub message: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IncludeObject {
    None,
    /// As PartialObjectMetadata; what is sent when nothing is asked.
    Metadata,
    Object,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TableVersion {
    V1,
    V1Beta1,
}

impl TableVersion {
    #[must_use]
    pub fn api_version(self) -> &'static str {
        match self {
            Self::V1 => "meta.k8s.io/v1",
            Self::V1Beta1 => "meta.k8s.io/v1beta1",
        }
    }
}

impl IncludeObject {
    /// Reads the query parameter `includeObject`.
    ///
    /// # Errors
    /// 400 when it is none of `None`, `Metadata`, `Object` and empty.
    pub fn parse(text: &str) -> Result<Self, Status> {
        match text {
            "None" => Ok(Self::None),
            "" | "Metadata" => Ok(Self::Metadata),
            "Object" => Ok(Self::Object),
            other => Err(Status::bad_request(format!(
                "includeObject: Invalid value: {}: must be 'Metadata', 'Object', 'None', or empty",
                podspec::field::quote(other)
            ))),
        }
    }
}

/// A table. `list` is the metadata of the list that it stands for: resourceVersion, continue, remainingItemCount.
#[derive(Clone, PartialEq, Debug)]
pub struct Table {
    pub columns: Vec<Column>,
    pub rows: Vec<Row>,
    pub list: Value,
}

impl Table {
    /// The body. An event of a watch but the first leaves `columns` out, as an empty list.
    #[must_use]
    pub fn into_json(self, version: TableVersion, include: IncludeObject) -> Value {
        let columns: Vec<Value> = self.columns.iter().map(Column::to_json).collect();
        let rows: Vec<Value> = self.rows.into_iter().map(|row| row.into_json(version, include)).collect();
        json!({
            "kind": "Table",
            "apiVersion": version.api_version(),
            "metadata": self.list,
            "columnDefinitions": columns,
            "rows": rows,
        })
    }
}

impl Column {
    /// A column that is always shown.
    #[must_use]
    pub const fn new(name: &'static str, kind: &'static str, description: &'static str) -> Self {
        Self { name, kind, format: "", description, priority: 0 }
    }

    /// The column of names.
    #[must_use]
    pub const fn name(description: &'static str) -> Self {
        Self { format: "name", ..Self::new("Name", "string", description) }
    }

    /// Shown with `-o wide` only.
    #[must_use]
    pub const fn wide(mut self) -> Self {
        self.priority = 1;
        self
    }

    fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "type": self.kind,
            "format": self.format,
            "description": self.description,
            "priority": self.priority,
        })
    }
}

impl Row {
    #[must_use]
    pub fn new(cells: Vec<Value>, object: Value) -> Self {
        Self { cells, conditions: Vec::new(), object }
    }

    /// As it stands in [`Table::into_json`].
    #[must_use]
    pub fn into_json(self, version: TableVersion, include: IncludeObject) -> Value {
        let mut row = Map::new();
        row.insert("cells".to_owned(), self.cells.into());
        if !self.conditions.is_empty() {
            row.insert("conditions".to_owned(), self.conditions.iter().map(RowCondition::to_json).collect());
        }
        let object = match include {
            IncludeObject::None => Value::Null,
            IncludeObject::Object => self.object,
            IncludeObject::Metadata => partial(version, { self.object }["metadata"].take()),
        };
        row.insert("object".to_owned(), object);
        Value::Object(row)
    }
}

impl RowCondition {
    fn to_json(&self) -> Value {
        let mut condition = json!({ "type": self.kind, "status": self.status });
        for (name, text) in [("reason", &self.reason), ("message", &self.message)] {
            if !text.is_empty() {
                condition[name] = text.as_str().into();
            }
        }
        condition
    }
}

/// An object's metadata as an object of its own.
#[must_use]
pub fn partial_metadata(version: TableVersion, object: &Value) -> Value {
    partial(version, object["metadata"].clone())
}

fn partial(version: TableVersion, metadata: Value) -> Value {
    let mut partial = Map::new();
    partial.insert("kind".to_owned(), "PartialObjectMetadata".into());
    partial.insert("apiVersion".to_owned(), version.api_version().into());
    partial.insert("metadata".to_owned(), metadata);
    Value::Object(partial)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Column, IncludeObject, Row, RowCondition, Table, TableVersion};

    #[test]
    fn tables_say_what_they_are_asked_to() {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {}});
        let mut row = Row::new(vec!["p".into(), 1.into()], pod.clone());
        row.conditions.push(RowCondition {
            kind: "Completed",
            status: "True",
            reason: "Succeeded".to_owned(),
            message: "The pod has completed successfully.".to_owned(),
        });
        let table = Table {
            columns: vec![Column::name("The name."), Column::new("Count", "integer", "How many.").wide()],
            rows: vec![row],
            list: json!({"resourceVersion": "7"}),
        };
        let json = table.clone().into_json(TableVersion::V1, IncludeObject::Metadata);
        assert_eq!(
            json,
            json!({
                "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": "7"},
                "columnDefinitions": [
                    {"name": "Name", "type": "string", "format": "name", "description": "The name.", "priority": 0},
                    {"name": "Count", "type": "integer", "format": "", "description": "How many.", "priority": 1},
                ],
                "rows": [{
                    "cells": ["p", 1],
                    "conditions": [{"type": "Completed", "status": "True", "reason": "Succeeded",
                        "message": "The pod has completed successfully."}],
                    "object": {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "p"}},
                }],
            })
        );
        let object =
            |include| table.clone().into_json(TableVersion::V1Beta1, include)["rows"][0]["object"].clone();
        assert_eq!(object(IncludeObject::None), json!(null));
        assert_eq!(object(IncludeObject::Object), pod);
        assert_eq!(object(IncludeObject::Metadata)["apiVersion"], "meta.k8s.io/v1beta1");
    }

    #[test]
    fn include_object_is_one_of_three() {
        assert_eq!(IncludeObject::parse(""), Ok(IncludeObject::Metadata));
        assert_eq!(IncludeObject::parse("None"), Ok(IncludeObject::None));
        assert_eq!(IncludeObject::parse("none").unwrap_err().code, 400);
    }
}
