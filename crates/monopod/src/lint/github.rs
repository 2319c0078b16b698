//! Findings as commands of GitHub's workflows, which show them beside the lines
//! (<https://docs.github.com/actions/reference/workflow-commands-for-github-actions>).

use std::fmt::Write as _;

use lint::Severity;
use lint::text::Lines;

use super::report::Report;

pub(super) fn render(report: &Report) -> String {
    let mut out = String::new();
    for line in &report.unreadable {
        let _ = writeln!(out, "::error title=unreadable::{}", data(line));
    }
    for (file, examined) in &report.files {
        let lines = Lines::of(&file.text);
        for located in &examined.findings {
            let command = match located.rule.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Hint => "notice",
            };
            let range = located.at.range();
            let [start, end] = [range.start, range.end].map(|byte| lines.position(&file.text, byte));
            // Columns count in one line alone.
            let columns = match start.line == end.line {
                true => format!(",col={},endColumn={}", start.column, end.column),
                false => String::new(),
            };
            let place =
                format!("file={},line={},endLine={}{columns}", property(&file.name), start.line, end.line);
            let help = located.help.as_ref().map_or(String::new(), |help| format!("\n{help}"));
            let path = match located.path.segments().is_empty() {
                true => String::new(),
                false => format!("{}: ", located.path),
            };
            let text = data(&format!("{path}{}{help}", located.message));
            let _ = writeln!(out, "::{command} {place},title={}::{text}", located.rule.id);
        }
    }
    let _ = writeln!(out, "{}", data(&report.summary()));
    out
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
