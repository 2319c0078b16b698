//! The list of known differences: the tables of `docs/differences-from-crun-and-runc.md`.

use super::Difference;

pub(super) const PAGE: &str = include_str!("../../../../docs/differences-from-crun-and-runc.md");

/// One row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Known {
    pub(crate) what: String,
    pub(crate) ours: String,
    pub(crate) theirs: String,
    pub(crate) why: String,
    /// May be without effect on this machine.
    pub(crate) is_optional: bool,
    line: usize,
}

/// What the list says to the differences that were found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) unexplained: Vec<String>,
    /// Rows that nothing was found for.
    pub(crate) stale: Vec<String>,
}

/// The rows of these sections.
pub(crate) fn known_differences(sections: &[&str]) -> Vec<Known> {
    rows(PAGE, sections)
}

pub(super) fn rows(page: &str, sections: &[&str]) -> Vec<Known> {
    let mut is_wanted = false;
    let mut rows = Vec::new();
    for (at, line) in page.lines().enumerate() {
        if let Some(title) = line.strip_prefix("## ") {
            is_wanted = sections.contains(&title);
        } else if let Some(row) = line.strip_prefix("| `").filter(|_| is_wanted) {
            rows.extend(row_of(row, at + 1));
        }
    }
    rows
}

/// The rest of ``| `what` | `ours` | `theirs` | why |``.
fn row_of(row: &str, line: usize) -> Option<Known> {
    let mut cells =
        row.trim_end_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('`').to_owned());
    let (what, ours, theirs, why) = (cells.next()?, cells.next()?, cells.next()?, cells.next()?);
    let is_optional = why.starts_with("Where ");
    Some(Known { what, ours, theirs, why, is_optional, line })
}

/// Each difference, found in a pod, needs a row; each row needs a difference.
pub(crate) fn judge(found: &[(String, Difference)], known: &[Known]) -> Verdict {
    let explains = |row: &Known, difference: &Difference| {
        matches(&row.what, &difference.what)
            && matches(&row.ours, &difference.ours)
            && matches(&row.theirs, &difference.theirs)
    };
    let unexplained =
        found.iter().filter(|(_, difference)| !known.iter().any(|row| explains(row, difference)));
    let is_stale =
        |row: &&Known| !row.is_optional && !found.iter().any(|(_, difference)| explains(row, difference));
    Verdict {
        unexplained: unexplained.map(|(pod, difference)| format!("{pod}: {difference}")).collect(),
        stale: known.iter().filter(is_stale).map(|row| format!("line {}: {}", row.line, row.what)).collect(),
    }
}

/// `*` stands for any text, `{a,b}` for one of several, which contain neither.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let alternatives = pattern.split_once('{').and_then(|(head, rest)| Some((head, rest.split_once('}')?)));
    match alternatives {
        None => matches_any_text(pattern, text),
        Some((head, (list, tail))) => list.split(',').any(|one| matches(&format!("{head}{one}{tail}"), text)),
    }
}

fn matches_any_text(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, rest)) => text.strip_prefix(head).is_some_and(|tail| {
            tail.char_indices()
                .map(|(at, _)| at)
                .chain([tail.len()])
                .any(|at| matches_any_text(rest, &tail[at..]))
        }),
    }
}
