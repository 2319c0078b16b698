//! A value put in the place of another one.

use podspec::FieldPath;
use podspec::load::{Form, Place, Places};
use podspec::yaml;
use serde_json::Value;

use super::insert::{self, flow_value};
use super::remove;
use super::splice::{Splice, column};
use super::{CannotEdit, Draft};

/// Characters before an insertion by which its place is found.
const CONTEXT_CHARS: usize = 8;

pub(super) fn ways(
    draft: &Draft<'_>,
    path: &FieldPath,
    places: &Places,
    new: &Value,
) -> Result<Vec<Vec<Splice>>, CannotEdit> {
    let old = draft.value(path).unwrap_or(&Value::Null);
    let mut ways = Vec::new();
    let is_own = places.place.origin == podspec::load::Origin::Here;
    match (old, new) {
        (Value::String(old), Value::String(new)) if is_own => {
            ways.extend(part(draft.text, places.place, old, new));
        }
        _ if is_own => ways.extend(parts(draft, path, old, new)?),
        _ => {}
    }
    ways.extend(whole(draft, path, places.place, new));
    Ok(ways)
}

/// What differs of two collections, one by one, so that what is the same keeps its layout and comments.
fn parts(
    draft: &Draft<'_>,
    path: &FieldPath,
    old: &Value,
    new: &Value,
) -> Result<Option<Vec<Splice>>, CannotEdit> {
    let mut splices = Vec::new();
    let mut take = |ways: Vec<Vec<Splice>>| match ways.into_iter().next() {
        Some(way) => splices.extend(way),
        None => splices.clear(),
    };
    match (old, new) {
        (Value::Object(old), Value::Object(new)) if !old.is_empty() && !new.is_empty() => {
            for (key, value) in new.iter().filter(|(key, value)| old.get(*key) != Some(value)) {
                let at = path.child(key);
                take(match draft.own(&at)? {
                    Some(places) => ways(draft, &at, places, value)?,
                    None => insert::entry(draft, &at, value)?,
                });
            }
            for key in old.keys().filter(|key| !new.contains_key(*key)) {
                take(remove::ways(draft, &path.child(key)));
            }
        }
        (Value::Array(old), Value::Array(new)) if !old.is_empty() && old.len() <= new.len() => {
            for (index, (_, value)) in old.iter().zip(new).enumerate().filter(|(_, (old, new))| old != new) {
                let at = path.index(index);
                take(match draft.own(&at)? {
                    Some(places) => ways(draft, &at, places, value)?,
                    None => Vec::new(),
                });
            }
            for value in &new[old.len()..] {
                take(insert::append(draft, path, value)?);
            }
        }
        _ => return Ok(None),
    }
    Ok(Some(splices).filter(|splices| !splices.is_empty()))
}

/// The part of a text that differs, in the words of the manifest; its quotes, its lines and all else of it stay.
fn part(text: &str, place: Place, old: &str, new: &str) -> Option<Vec<Splice>> {
    let token = place.value.range();
    let raw = text.get(token.clone())?;
    let same = old.char_indices().zip(new.chars()).find(|((_, a), b)| a != b);
    let start = same.map_or(old.len().min(new.len()), |((at, _), _)| at);
    let rest = old[start..].chars().rev().zip(new[start..].chars().rev());
    let suffix: usize = rest.take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
    let mut from = start;
    if start + suffix == old.len() {
        // Something is put in: what stands before it says where.
        let before = old[..start].char_indices().rev().take(CONTEXT_CHARS);
        from = before.take_while(|(_, c)| *c != '\n').last().map_or(start, |(at, _)| at);
    }
    let (gone, come) = (&old[from..old.len() - suffix], &new[from..new.len() - suffix]);
    if gone.is_empty() {
        return None;
    }
    let come = match raw.as_bytes().first()? {
        b'"' => yaml::double_quoted(come).trim_matches('"').to_owned(),
        b'\'' => come.replace('\'', "''"),
        _ => come.to_owned(),
    };
    let nth = old[..from].matches(gone).count();
    let (at, found) = raw.match_indices(gone).nth(nth)?;
    let start = token.start + at;
    Some(vec![Splice::new(start..start + found.len(), come)])
}

/// Everything anew.
fn whole(draft: &Draft<'_>, path: &FieldPath, place: Place, new: &Value) -> Vec<Vec<Splice>> {
    let (text, style) = (draft.text, draft.style());
    let token = place.value.range();
    let is_in_brackets = draft.find(&path.parent()).places.place.form == Form::Flow;
    // Where nothing is written, the colon stands alone.
    let space = if token.is_empty() { " " } else { "" };
    let is_collection = matches!(new, Value::Array(_) | Value::Object(_)) && !is_empty(new);
    let flow = vec![Splice::new(token.clone(), format!("{space}{}", flow_value(style, text, place, new)))];
    let quoted = quoted(text.get(token.clone()).unwrap_or_default(), new).filter(|_| !style.is_json);
    let mut first: Vec<Vec<Splice>> =
        quoted.map(|value| vec![Splice::new(token.clone(), value)]).into_iter().collect();
    let keeps_brackets =
        place.form == Form::Flow && text.get(token.clone()).is_some_and(|raw| raw.trim().len() > 2);
    if is_in_brackets || style.is_json || is_collection && keeps_brackets {
        first.push(flow);
        return first;
    }
    if place.form == Form::Block && !is_collection {
        let value = flow_value(style, text, place, new);
        return vec![match place.key {
            Some(key) => vec![Splice::new(key.range().end..token.end, format!(": {value}"))],
            None => vec![Splice::new(place.entry.range(), format!("- {value}"))],
        }];
    }
    if let Value::String(new) = new {
        let column = place.key.map_or(place.entry.range().start, |key| key.range().start);
        let plain = style.lines(&yaml::text(new, super::splice::column(text, column), false));
        let as_written = |value: String| vec![Splice::new(token.clone(), format!("{space}{value}"))];
        first.extend([as_written(plain), as_written(yaml::double_quoted(new))]);
        return first;
    }
    if !is_collection {
        return vec![flow];
    }
    let block = match place.key {
        Some(key) => {
            let indent = column(text, key.range().start);
            let lines = yaml::entry("k", new, indent, style.layout);
            let below = lines.trim_end_matches('\n').get(indent + 1..).unwrap_or_default().to_owned();
            below_key(draft, place, &below)
        }
        None => {
            let indent = column(text, place.entry.range().start);
            let lines = yaml::item(new, indent, style.layout);
            let item = lines.trim_end_matches('\n').get(indent..).unwrap_or_default();
            let end = super::splice::line_end(text, token.end);
            let behind = text.get(token.end..end).unwrap_or_default().trim_start();
            if behind.starts_with('#') {
                // The comment stays behind the dash, and the value comes below it.
                let below = format!("\n{}{}", " ".repeat(indent + 1), item.trim_start_matches('-'));
                vec![
                    Splice::delete(token.start..end - behind.len()),
                    Splice::insert(end, style.lines(&below)),
                ]
            } else {
                vec![Splice::new(place.entry.range(), style.lines(item))]
            }
        }
    };
    vec![block, flow]
}

/// A text in the quotes that another one has.
fn quoted(old: &str, new: &Value) -> Option<String> {
    let new = new.as_str()?;
    let is_simple = !new.chars().any(char::is_control);
    match old.as_bytes().first()? {
        b'"' => Some(yaml::double_quoted(new)),
        b'\'' if is_simple => Some(format!("'{}'", new.replace('\'', "''"))),
        _ => None,
    }
}

/// `lines` begins with the colon. A comment behind `{}` or behind nothing stays with the key.
pub(super) fn below_key(draft: &Draft<'_>, place: Place, lines: &str) -> Vec<Splice> {
    let (text, style) = (draft.text, draft.style());
    let token = place.value.range();
    let lines = style.lines(lines.trim_start_matches(':'));
    let end = super::splice::line_end(text, token.end);
    let behind = text.get(token.end..end).unwrap_or_default().trim_start();
    let is_short = text.get(token.clone()).is_some_and(|raw| !raw.contains('\n'));
    if is_short && (behind.is_empty() || behind.starts_with('#')) {
        let before = text.get(..token.start).unwrap_or_default();
        let start = before.trim_end_matches([' ', '\t']).len();
        // A space stays before the comment.
        let start = if behind.starts_with('#') && start < token.start && !token.is_empty() {
            start + 1
        } else {
            start
        };
        let token_end = if behind.is_empty() { end } else { end - behind.len() };
        return vec![Splice::delete(start.min(token.start)..token_end), Splice::insert(end, lines)]
            .into_iter()
            .filter(|splice| !(splice.range.is_empty() && splice.text.is_empty()))
            .collect();
    }
    let key_end = place.key.map_or(token.start, |key| key.range().end);
    vec![Splice::new(key_end..token.end, format!(":{lines}"))]
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}
