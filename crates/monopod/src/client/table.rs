//! The server's tables as text.

use std::collections::BTreeMap;

use podspec::json::{fields, list, text};
use serde_json::Value;

const GAP: usize = 3;
/// As wide as kubectl's narrowest column.
const WIDTH_MIN: usize = 6;

/// What is shown beside the server's own columns.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    pub(super) wide: bool,
    pub(super) no_headers: bool,
    pub(super) namespaces: bool,
    pub(super) labels: bool,
    pub(super) label_columns: Vec<String>,
    /// Before each name, as `pod/`.
    pub(super) prefix: String,
}

/// Prints the tables of one list or watch: columns that grew stay as wide.
#[derive(Debug)]
pub(super) struct Printer {
    shape: Shape,
    /// Which of the server's columns are shown.
    shown: Vec<usize>,
    name_column: Option<usize>,
    widths: Vec<usize>,
    has_headers: bool,
}

impl Printer {
    pub(super) fn new(shape: Shape) -> Self {
        Self { shape, shown: Vec::new(), name_column: None, widths: Vec::new(), has_headers: false }
    }

    /// The text of a Table; later ones of a watch need not have columns.
    pub(super) fn text(&mut self, table: &Value) -> String {
        let mut lines: Vec<Vec<String>> = Vec::new();
        let columns = list(table, "columnDefinitions");
        if !columns.is_empty() {
            let is_shown = |column: &Value| self.shape.wide || column["priority"].as_i64().unwrap_or(0) == 0;
            self.shown = (0..columns.len()).filter(|at| is_shown(&columns[*at])).collect();
            self.name_column = columns.iter().position(|column| column["format"] == "name");
            if !self.has_headers && !self.shape.no_headers {
                lines.push(self.head(columns));
            }
            self.has_headers = true;
        }
        lines.extend(list(table, "rows").iter().map(|row| self.row(row)));
        self.layout(&lines)
    }

    fn head(&self, columns: &[Value]) -> Vec<String> {
        let mut head = Vec::new();
        if self.shape.namespaces {
            head.push("NAMESPACE".to_owned());
        }
        head.extend(self.shown.iter().map(|at| text(&columns[*at], "name").to_uppercase()));
        let last = |key: &String| key.rsplit('/').next().unwrap_or(key).to_uppercase();
        head.extend(self.shape.label_columns.iter().map(last));
        if self.shape.labels {
            head.push("LABELS".to_owned());
        }
        head
    }

    fn row(&self, row: &Value) -> Vec<String> {
        let (cells, metadata) = (list(row, "cells"), &row["object"]["metadata"]);
        let mut line = Vec::new();
        if self.shape.namespaces {
            line.push(text(metadata, "namespace").to_owned());
        }
        for at in &self.shown {
            let cell = cells.get(*at).map(cell).unwrap_or_default();
            let is_name = self.name_column == Some(*at);
            line.push(if is_name { format!("{}{cell}", self.shape.prefix) } else { cell });
        }
        let labels = fields(&metadata["labels"]);
        line.extend(self.shape.label_columns.iter().map(|key| labels.get(key).map(cell).unwrap_or_default()));
        if self.shape.labels {
            line.push(label_text(&metadata["labels"]));
        }
        line
    }

    fn layout(&mut self, lines: &[Vec<String>]) -> String {
        for line in lines {
            self.widths.resize(self.widths.len().max(line.len()), WIDTH_MIN);
            for (width, cell) in self.widths.iter_mut().zip(line) {
                *width = (*width).max(cell.chars().count() + GAP);
            }
        }
        let mut out = String::new();
        for line in lines {
            for (at, cell) in line.iter().enumerate() {
                match self.widths[at] {
                    width if at + 1 < line.len() => out.push_str(&format!("{cell:<width$}")),
                    _ => out.push_str(cell),
                }
            }
            out.push('\n');
        }
        out
    }
}

/// Lines of cells in columns, as the server's tables are.
pub(super) fn plain(lines: &[Vec<String>]) -> String {
    Printer::new(Shape::default()).layout(lines)
}

/// `a=b,c=d`.
pub(super) fn label_text(labels: &Value) -> String {
    let labels: BTreeMap<&String, &Value> = fields(labels).iter().collect();
    if labels.is_empty() {
        return "<none>".to_owned();
    }
    labels.iter().map(|(key, value)| format!("{key}={}", cell(value))).collect::<Vec<_>>().join(",")
}

/// The first line of a value, without what a terminal would take for a command.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Null => "<none>".to_owned(),
        other => other.to_string(),
    };
    let text = match text.split_once(['\n', '\r', '\u{c}']) {
        Some((first, _)) => format!("{first}..."),
        None => text,
    };
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Printer, Shape};

    fn table(rows: &[(&str, &str)]) -> Value {
        let row = |(name, phase): &(&str, &str)| {
            let metadata = json!({"namespace": "ns", "labels": {"b": "2", "x.io/a": "1"}});
            json!({"cells": [name, phase, 3, "wide\nmore"], "object": {"metadata": metadata}})
        };
        json!({
            "columnDefinitions": [
                {"name": "Name", "format": "name", "priority": 0},
                {"name": "Status", "format": "", "priority": 0},
                {"name": "Restarts", "format": "", "priority": 0},
                {"name": "Node", "format": "", "priority": 1},
            ],
            "rows": rows.iter().map(row).collect::<Vec<_>>(),
        })
    }

    #[test]
    fn tables() {
        let mut printer = Printer::new(Shape::default());
        let rows = [("web", "Running"), ("a-long-name", "Pending")];
        expect_test::expect![[r#"
            NAME          STATUS    RESTARTS
            web           Running   3
            a-long-name   Pending   3
        "#]]
        .assert_eq(&printer.text(&table(&rows)));
        assert_eq!(printer.text(&table(&[("b", "Ok")])), "b             Ok        3\n");
        let shape = Shape {
            wide: true,
            namespaces: true,
            labels: true,
            label_columns: vec!["x.io/a".to_owned()],
            prefix: "pod/".to_owned(),
            no_headers: false,
        };
        expect_test::expect![[r#"
            NAMESPACE   NAME      STATUS    RESTARTS   NODE      A     LABELS
            ns          pod/web   Running   3          wide...   1     b=2,x.io/a=1
        "#]]
        .assert_eq(&Printer::new(shape).text(&table(&rows[..1])));
        let none = Shape { no_headers: true, ..Shape::default() };
        assert_eq!(Printer::new(none).text(&table(&rows[..1])), "web   Running   3\n");
    }
}
