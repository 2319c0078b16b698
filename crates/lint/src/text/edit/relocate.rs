//! An entry of a list that goes to the end of another one, with its comments.

use std::ops::Range;

use podspec::FieldPath;
use podspec::field::Segment;
use podspec::load::{Form, Origin, Places};

use super::splice::{Splice, begins_line, column, line_start};
use super::{CannotEdit, Draft, insert, remove, replace};

pub(super) fn ways(
    draft: &Draft<'_>,
    from: &FieldPath,
    to: &FieldPath,
) -> Result<Vec<Vec<Splice>>, CannotEdit> {
    let Some(entry) = draft.own(from)? else { return Err(CannotEdit::Borrowed(from.clone())) };
    let value = draft.value(from).ok_or(CannotEdit::NoWay)?;
    let mut ways = Vec::new();
    if let Some(removed) = remove::ways(draft, from).into_iter().next() {
        ways.extend(by_lines(draft, from, to, entry, &removed));
        // Written anew, where the two are laid out otherwise.
        for mut way in insert::append(draft, to, value)? {
            way.extend(removed.iter().cloned());
            ways.push(way);
        }
    }
    Ok(ways)
}

fn by_lines(
    draft: &Draft<'_>,
    from: &FieldPath,
    to: &FieldPath,
    entry: &Places,
    removed: &[Splice],
) -> Option<Vec<Splice>> {
    let (text, style) = (draft.text, draft.style());
    let range = entry.place.entry.range();
    let is_block = draft.find(&from.parent()).places.place.form == Form::Block;
    if !is_block || !begins_line(text, range.start) {
        return None;
    }
    let comments = comments_above(text, range.start);
    let end = super::splice::next_line(
        text,
        range.end.saturating_sub(usize::from(text[..range.end].ends_with('\n'))),
    );
    let mut lines = text.get(comments.start..end)?.to_owned();
    if !lines.ends_with('\n') {
        lines.push_str(style.newline);
    }
    let indent = column(text, range.start);
    let target = draft.find(to);
    let is_there = target.depth == to.segments().len();
    let list = target.places.place;
    let mut splices = removed.to_vec();
    splices.push(Splice::delete(comments));
    match target.places.items.last().filter(|_| is_there) {
        Some(last) if list.form == Form::Block && list.origin == Origin::Here && !target.is_borrowed => {
            let last = last.place.entry;
            splices.push(insert::below(
                text,
                style,
                last,
                &shifted(&lines, indent, column(text, last.range().start)),
            ));
        }
        // Nothing, or empty brackets: the entry comes below the key.
        None if is_there && !target.is_borrowed => {
            let key = list.key.filter(|_| draft.find(&to.parent()).places.place.form == Form::Block)?;
            let margin = column(text, key.range().start) + style.layout.list_step;
            let body = shifted(&lines, indent, margin).replace("\r\n", "\n");
            splices.extend(replace::below_key(draft, list, &format!(":\n{}", body.trim_end_matches('\n'))));
        }
        None if !is_there => {
            let Some(Segment::Field(name) | Segment::Key(name)) = to.segments().last() else { return None };
            let beside = draft.find(&from.parent()).places.place;
            let key = beside.key.filter(|_| from.parent().parent() == to.parent())?.range().start;
            if !begins_line(text, beside.entry.range().start) {
                return None;
            }
            let margin = column(text, key);
            let head = format!("{}{name}:{}", " ".repeat(margin), style.newline);
            let body = shifted(&lines, indent, margin + style.layout.list_step);
            let start = line_start(text, beside.entry.range().start);
            splices.push(Splice::insert(start, format!("{head}{body}")));
        }
        _ => return None,
    }
    splices.retain(|splice| !(splice.range.is_empty() && splice.text.is_empty()));
    Some(splices)
}

/// The lines directly above that are comments and nothing else.
fn comments_above(text: &str, entry: usize) -> Range<usize> {
    let end = line_start(text, entry);
    let mut start = end;
    while start > 0 {
        let above = line_start(text, start - 1);
        if !text[above..start].trim_start().starts_with('#') {
            break;
        }
        start = above;
    }
    start..end
}

/// Lines from one column to another. One that is empty, or stands further out, moves as far as it can.
fn shifted(lines: &str, from: usize, to: usize) -> String {
    let shift = |line: &str| {
        let content = line.trim_start_matches(' ');
        let margin = line.len() - content.len();
        if content.trim().is_empty() {
            return line.to_owned();
        }
        format!("{}{content}", " ".repeat((margin + to).saturating_sub(from)))
    };
    lines.split_inclusive('\n').map(shift).collect()
}
