//! What all formats print.

use lint::Severity;
use lint::text::Examined;

use crate::run::ManifestText;

#[derive(Debug)]
pub(super) struct Report {
    pub(super) files: Vec<(ManifestText, Examined)>,
    /// What could not be read at all, a line each.
    pub(super) unreadable: Vec<String>,
}

impl Report {
    /// Also of findings that are not shown.
    pub(super) fn count(&self, severity: Severity) -> usize {
        self.files.iter().filter_map(|(_, examined)| examined.counts.get(&severity)).sum()
    }

    /// `2 errors, 1 warning in 3 files`
    pub(super) fn summary(&self) -> String {
        let named = [
            (self.count(Severity::Error), "error", "errors"),
            (self.count(Severity::Warning), "warning", "warnings"),
            (self.count(Severity::Hint), "hint", "hints"),
        ];
        let some = named.into_iter().filter(|(count, ..)| *count > 0);
        let counted: Vec<_> = some.map(|(count, one, many)| plural(count, one, many)).collect();
        let counted = if counted.is_empty() { "nothing found".to_owned() } else { counted.join(", ") };
        let files = plural(self.files.len(), "file", "files");
        match self.unreadable.len() {
            0 => format!("{counted} in {files}"),
            failed => format!("{counted} in {files}; {failed} could not be read"),
        }
    }
}

pub(super) fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
