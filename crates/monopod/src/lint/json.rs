//! Findings as one JSON object, whose shape stays: fields are added to it, and none is taken away or changed.
//!
//!     {"version": 1,
//!      "findings": [{"rule", "severity", "file", "object": {"document", "item", "kind", "namespace", "name"}, "path",
//!                    "start": {"line", "column", "offset"}, "end", "message", "help", "related": [{"path", "message", "start", "end"}],
//!                    "fix": {"title", "edits": [{"start", "end", "text"}]}}],
//!      "unreadable": [text],
//!      "summary": {"files", "errors", "warnings", "hints", "shown"}}
//!
//! Lines and columns count from 1, columns in characters; `offset` is in bytes, from 0. `item`, `help` and `fix` are null where
//! there is none; a fix that does not fit its text has no edits.

use lint::Severity;
use lint::text::{Lines, Located, replacements};
use podspec::load::Span;
use serde_json::{Value, json};

use super::human::word;
use super::report::Report;

/// The version of the shape above.
const VERSION: u32 = 1;

pub(super) fn render(report: &Report) -> String {
    let mut findings = Vec::new();
    for (file, examined) in &report.files {
        let lines = Lines::of(&file.text);
        let each = examined.findings.iter();
        findings.extend(each.map(|located| finding(&file.name, &file.text, &lines, located)));
    }
    let shown = findings.len();
    let value = json!({
        "version": VERSION,
        "findings": findings,
        "unreadable": report.unreadable,
        "summary": {
            "files": report.files.len(),
            "errors": report.count(Severity::Error),
            "warnings": report.count(Severity::Warning),
            "hints": report.count(Severity::Hint),
            "shown": shown,
        },
    });
    format!("{value:#}\n")
}

fn finding(name: &str, text: &str, lines: &Lines, located: &Located) -> Value {
    let place = |at: Span| {
        let range = at.range();
        (position(text, lines, range.start), position(text, lines, range.end))
    };
    let (start, end) = place(located.at);
    let related = located.related.iter().map(|related| {
        let (start, end) = place(related.at);
        json!({"path": related.path.to_string(), "message": related.words, "start": start, "end": end})
    });
    let object = &located.object;
    let fix = located.fix.as_ref().map(|fix| {
        let edits = replacements(text, located).unwrap_or_default().into_iter().map(|replacement| {
            let (start, end) = place(replacement.at);
            json!({"start": start, "end": end, "text": replacement.text})
        });
        json!({"title": fix.title, "edits": edits.collect::<Vec<_>>()})
    });
    json!({
        "rule": located.rule.id,
        "severity": word(located.rule.severity),
        "file": name,
        "object": {
            "document": object.document,
            "item": object.item,
            "kind": object.kind,
            "namespace": object.namespace,
            "name": object.name,
        },
        "path": located.path.to_string(),
        "start": start,
        "end": end,
        "message": located.message,
        "help": located.help,
        "related": related.collect::<Vec<_>>(),
        "fix": fix,
    })
}

fn position(text: &str, lines: &Lines, byte: usize) -> Value {
    let position = lines.position(text, byte);
    json!({"line": position.line, "column": position.column, "offset": byte})
}
