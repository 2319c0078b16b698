//! Entries taken away, with their lines or their comma.

use std::ops::Range;

use podspec::FieldPath;
use podspec::field::Segment;
use podspec::load::{Form, Place, Places};

use super::Draft;
use super::splice::{Splice, begins_line, line_end, line_start, next_line};

/// The entry at a path is the text's own.
pub(super) fn ways(draft: &Draft<'_>, path: &FieldPath) -> Vec<Vec<Splice>> {
    let around = draft.find(&path.parent()).places;
    let here = draft.find(path).places.place;
    let is_only = around.items.len() + around.fields.len() == 1;
    match around.place.form {
        Form::Flow => flow(draft.text, around, here),
        _ if is_only => vec![emptied(draft, path, around, here)],
        _ => block(draft.text, around, here),
    }
}

/// In brackets: with the comma that follows, or the one before the last.
fn flow(text: &str, around: &Places, here: Place) -> Vec<Vec<Splice>> {
    let entry = here.entry.range();
    let entries = around.entries();
    let at = entries.iter().position(|other| other.place.entry == here.entry).unwrap_or(0);
    let next = entries.get(at + 1).map(|next| next.place.entry.range().start);
    let previous = at.checked_sub(1).and_then(|at| entries.get(at)).map(|last| last.place.entry.range().end);
    let comma =
        text.get(entry.end..).and_then(|rest| rest.find(',')).map_or(entry.end, |at| entry.end + at + 1);
    let mut ways = Vec::new();
    match (next, previous) {
        // A comment between the two stays.
        (Some(next), _) if text.get(entry.end..next).is_some_and(|between| between.contains('#')) => {
            ways.push(vec![Splice::delete(entry.start..comma)]);
        }
        (Some(next), _) => ways.push(vec![Splice::delete(entry.start..next)]),
        (None, Some(previous)) => ways.push(vec![Splice::delete(previous..entry.end)]),
        (None, None) => {
            ways.push(vec![Splice::delete(entry.clone())]);
            let inside = around.place.value.range();
            ways.push(vec![Splice::delete(inside.start + 1..inside.end.saturating_sub(1))]);
        }
    }
    ways.push(vec![Splice::delete(entry.start..comma)]);
    ways
}

/// By lines: all of them that the entry has, with what is behind it in the last one.
fn block(text: &str, around: &Places, here: Place) -> Vec<Vec<Splice>> {
    let entry = here.entry.range();
    if begins_line(text, entry.start) {
        return vec![vec![Splice::delete(whole_lines(text, entry))]];
    }
    // The first entry behind a dash: the next one takes its place.
    let entries = around.entries();
    let next = entries.iter().map(|other| other.place.entry.range()).find(|other| other.start >= entry.end);
    let Some(next) = next else { return Vec::new() };
    let has_comment = text.get(entry.end..next.start).is_some_and(|between| between.contains('#'));
    let joined = vec![Splice::delete(entry.start..next.start)];
    let space = text[entry.end..next.start].len() - text[entry.end..next.start].trim_start_matches(' ').len();
    let kept = vec![Splice::delete(entry.start..entry.end + space)];
    if has_comment { vec![kept, joined] } else { vec![joined] }
}

/// The lines of an entry. At the end of a text that has no last newline, the one before goes instead.
pub(super) fn whole_lines(text: &str, entry: Range<usize>) -> Range<usize> {
    let start = line_start(text, entry.start);
    if text[..entry.end].ends_with('\n') {
        return start..entry.end;
    }
    let end = next_line(text, entry.end);
    if end == text.len() && !text.ends_with('\n') && start > 0 {
        let feed = if text[..start].ends_with("\r\n") { 2 } else { 1 };
        return start - feed..end;
    }
    start..end
}

/// The last entry of a block: `[]` or `{}` stays.
fn emptied(draft: &Draft<'_>, path: &FieldPath, around: &Places, here: Place) -> Vec<Splice> {
    let text = draft.text;
    let empty = if matches!(path.segments().last(), Some(Segment::Index(_))) { "[]" } else { "{}" };
    let entry = here.entry.range();
    match around.place.key {
        Some(key) if begins_line(text, entry.start) => {
            let behind = key.range().end;
            let colon =
                text.get(behind..).and_then(|rest| rest.find(':')).map_or(behind, |at| behind + at + 1);
            // Behind anchor and tag, before a comment.
            let head = text.get(colon..line_end(text, colon)).unwrap_or_default();
            let words = head.find(" #").map_or(head, |comment| &head[..comment]).trim_end();
            let mut splices = vec![Splice::insert(colon + words.len(), format!(" {empty}"))];
            splices.push(Splice::delete(whole_lines(text, entry)));
            splices
        }
        _ => vec![Splice::new(around.place.value.range(), empty)],
    }
}
