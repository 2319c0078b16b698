//! Changes of a text by bytes.

use std::ops::Range;

/// What takes the place of a part of a text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Splice {
    pub(super) range: Range<usize>,
    pub(super) text: String,
}

impl Splice {
    pub(super) fn new(range: Range<usize>, text: impl Into<String>) -> Self {
        Self { range, text: text.into() }
    }

    pub(super) fn insert(at: usize, text: impl Into<String>) -> Self {
        Self::new(at..at, text)
    }

    pub(super) fn delete(range: Range<usize>) -> Self {
        Self::new(range, "")
    }
}

/// The text with all of them; `None` if they are in each other's way or not in the text.
pub(super) fn apply(text: &str, mut splices: Vec<Splice>) -> Option<String> {
    splices.sort_by_key(|splice| (splice.range.start, splice.range.end));
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for Splice { range, text: new } in splices {
        out.push_str(text.get(at..range.start)?);
        text.get(range.clone())?;
        out.push_str(&new);
        at = range.end;
    }
    out.push_str(text.get(at..)?);
    Some(out)
}

/// Where the line of a byte begins.
pub(super) fn line_start(text: &str, byte: usize) -> usize {
    text.get(..byte).and_then(|before| before.rfind('\n')).map_or(0, |feed| feed + 1)
}

/// Where the line of a byte ends: before its line feed and what belongs to it.
pub(super) fn line_end(text: &str, byte: usize) -> usize {
    let rest = text.get(byte..).unwrap_or_default();
    let end = rest.find('\n').map_or(text.len(), |feed| byte + feed);
    if end > byte && text[..end].ends_with('\r') { end - 1 } else { end }
}

/// Where the next line begins, or the text ends.
pub(super) fn next_line(text: &str, byte: usize) -> usize {
    let rest = text.get(byte..).unwrap_or_default();
    rest.find('\n').map_or(text.len(), |feed| byte + feed + 1)
}

/// What stands before a byte in its line.
pub(super) fn before(text: &str, byte: usize) -> &str {
    text.get(line_start(text, byte)..byte).unwrap_or_default().trim_start_matches('\u{feff}')
}

/// Whether nothing but space stands before a byte in its line.
pub(super) fn begins_line(text: &str, byte: usize) -> bool {
    before(text, byte).chars().all(|c| c == ' ' || c == '\t')
}

/// In which column a byte is, from 0.
pub(super) fn column(text: &str, byte: usize) -> usize {
    before(text, byte).chars().count()
}
