//! Findings as SARIF 2.1.0, for code scanning (<https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>).

use lint::text::{Lines, Located, all_rules, page, replacements};
use lint::{Rule, Severity};
use podspec::load::Span;
use serde_json::{Value, json};

use super::report::Report;
use crate::run::ManifestText;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

pub(super) fn render(report: &Report) -> String {
    let rules = all_rules();
    let mut results = Vec::new();
    for (file, examined) in &report.files {
        let text = Source { file, lines: Lines::of(&file.text) };
        results.extend(examined.findings.iter().map(|located| text.result(located, &rules)));
    }
    let notifications =
        report.unreadable.iter().map(|line| json!({"level": "error", "message": {"text": line}}));
    let sarif = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "monopod",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules.iter().map(|rule| descriptor(rule)).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": report.unreadable.is_empty(),
                "toolExecutionNotifications": notifications.collect::<Vec<_>>(),
            }],
            "results": results,
        }],
    });
    format!("{sarif:#}\n")
}

fn descriptor(rule: &Rule) -> Value {
    json!({
        "id": rule.id,
        "shortDescription": {"text": rule.summary},
        "help": {
            "text": format!("monopod lint --explain {}", rule.id),
            "markdown": page(rule.id).unwrap_or_default(),
        },
        "defaultConfiguration": {"level": level(rule.severity)},
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Hint => "note",
    }
}

struct Source<'a> {
    file: &'a ManifestText,
    lines: Lines,
}

impl Source<'_> {
    fn result(&self, located: &Located, rules: &[&Rule]) -> Value {
        let index = rules.iter().position(|rule| rule.id == located.rule.id);
        let text = match &located.help {
            Some(help) => format!("{}: {help}", located.message),
            None => located.message.clone(),
        };
        let mut location = self.location(located.at);
        if !located.path.segments().is_empty() {
            location["logicalLocations"] = json!([{"fullyQualifiedName": located.path.to_string()}]);
        }
        let mut result = json!({
            "ruleId": located.rule.id,
            "ruleIndex": index,
            "level": level(located.rule.severity),
            "message": {"text": text},
            "locations": [location],
        });
        if !located.related.is_empty() {
            let related = located.related.iter().map(|related| {
                let mut location = self.location(related.at);
                location["message"] = json!({"text": related.words});
                location
            });
            result["relatedLocations"] = related.collect();
        }
        let replacements = replacements(&self.file.text, located).unwrap_or_default();
        if let Some(fix) = located.fix.as_ref().filter(|_| !replacements.is_empty()) {
            let replacements = replacements.into_iter().map(|replacement| {
                json!({"deletedRegion": self.region(replacement.at), "insertedContent": {"text": replacement.text}})
            });
            result["fixes"] = json!([{
                "description": {"text": fix.title},
                "artifactChanges": [{
                    "artifactLocation": {"uri": self.uri()},
                    "replacements": replacements.collect::<Vec<_>>(),
                }],
            }]);
        }
        result
    }

    fn location(&self, at: Span) -> Value {
        json!({"physicalLocation": {"artifactLocation": {"uri": self.uri()}, "region": self.region(at)}})
    }

    fn region(&self, at: Span) -> Value {
        let range = at.range();
        let [start, end] = [range.start, range.end].map(|byte| self.lines.position(&self.file.text, byte));
        json!({
            "startLine": start.line,
            "startColumn": start.column,
            "endLine": end.line,
            "endColumn": end.column,
        })
    }

    /// A reference relative to where the program runs, or the absolute path of a file.
    fn uri(&self) -> String {
        let Some(path) = &self.file.path else { return "stdin".to_owned() };
        let text = path.to_string_lossy();
        let text = text.strip_prefix("./").unwrap_or(&text);
        let scheme = if path.is_absolute() { "file://" } else { "" };
        let mut uri = scheme.to_owned();
        for byte in text.bytes() {
            let is_free = byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
            match is_free {
                true => uri.push(char::from(byte)),
                false => uri.push_str(&format!("%{byte:02X}")),
            }
        }
        uri
    }
}
