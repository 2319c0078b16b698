//! Entries that are not there yet.

use podspec::FieldPath;
use podspec::field::Segment;
use podspec::load::{Form, Origin, Place, Places, Span};
use podspec::yaml;
use serde_json::{Value, json};

use super::layout::Style;
use super::splice::{Splice, before, begins_line, column, line_end, line_start, next_line};
use super::{CannotEdit, Draft, replace};

/// A field of a mapping that is there.
pub(super) fn entry(
    draft: &Draft<'_>,
    path: &FieldPath,
    value: &Value,
) -> Result<Vec<Vec<Splice>>, CannotEdit> {
    let Some(Segment::Field(name) | Segment::Key(name)) = path.segments().last() else {
        return Err(CannotEdit::NoWay);
    };
    let parent = path.parent();
    let around = draft.find(&parent);
    if around.is_borrowed {
        return Err(CannotEdit::Borrowed(parent));
    }
    let style = draft.style();
    let places = around.places;
    let text = draft.text;
    if places.place.form == Form::Flow {
        let mut ways = Vec::new();
        let is_in_block = draft.find(&parent.parent()).places.place.form == Form::Block;
        if places.entries().is_empty() && is_in_block && !style.is_json && !parent.segments().is_empty() {
            ways = replace::ways(draft, &parent, places, &json!({ name.as_str(): value }))?;
        }
        let new = |pretty: Option<&str>| flow_entry(style, text, places.place, name, value, pretty);
        ways.extend(in_brackets(text, style, places, new));
        return Ok(ways);
    }
    let entries = places.entries();
    let begin = entries.first().map_or(places.place.value.start, |first| first.place.entry.start);
    let indent = column(text, Span { start: begin, end: begin }.range().start);
    let lines = yaml::entry(name, value, indent, style.layout);
    // Short fields stand together at the top, lists and mappings follow.
    let is_short = |entry: &&&Places| {
        let range = entry.place.entry.range();
        text.get(range).is_some_and(|entry| !entry.contains('\n'))
    };
    let short = entries.iter().take_while(|entry| is_short(entry)).last().map(|entry| entry.place.entry);
    let last = entries.last().map_or(places.place.value, |last| last.place.entry);
    let is_line = lines.matches('\n').count() == 1;
    let mut ways = Vec::new();
    ways.extend(short.filter(|_| is_line).map(|after| vec![below(text, style, after, &lines)]));
    ways.push(vec![below(text, style, last, &lines)]);
    // Below a block scalar that ends with the text, there may be no place.
    if begins_line(text, last.range().start) {
        let start = line_start(text, last.range().start);
        let bom = if text[start..].starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        ways.push(vec![Splice::insert(start + bom, style.lines(&lines))]);
    }
    Ok(ways)
}

/// An entry at the end of a list, which is made when it is missing.
pub(super) fn append(
    draft: &Draft<'_>,
    path: &FieldPath,
    value: &Value,
) -> Result<Vec<Vec<Splice>>, CannotEdit> {
    let is_filled =
        draft.value(path).is_some_and(|value| value.as_array().is_some_and(|items| !items.is_empty()));
    let (text, style) = (draft.text, draft.style());
    let places = match draft.own(path)? {
        Some(places) if !is_filled => return replace::ways(draft, path, places, &json!([value])),
        None if !is_filled => return entry(draft, path, &json!([value])),
        Some(places) if places.place.origin == Origin::Here => places,
        _ => return Err(CannotEdit::Borrowed(path.clone())),
    };
    if places.place.form == Form::Flow {
        let new = |pretty: Option<&str>| flow_item(style, text, places.place, value, pretty);
        return Ok(in_brackets(text, style, places, new));
    }
    let Some(last) = places.items.last().map(|last| last.place.entry) else { return Err(CannotEdit::NoWay) };
    let lines = yaml::item(value, column(text, last.range().start), style.layout);
    Ok(vec![vec![below(text, style, last, &lines)]])
}

/// Whole lines below an entry. Where the text ends without a newline, it goes on doing so.
pub(super) fn below(text: &str, style: Style, entry: Span, lines: &str) -> Splice {
    let end = entry.range().end;
    let lines = style.lines(lines);
    // What keeps its empty lines ends behind them.
    if text[..end].ends_with('\n') {
        return Splice::insert(end, lines);
    }
    let next = next_line(text, end);
    if text[..next].ends_with('\n') {
        return Splice::insert(next, lines);
    }
    Splice::insert(next, format!("{}{}", style.newline, lines.trim_end_matches(['\r', '\n'])))
}

/// Another entry in brackets. `new` writes it; of several lines where it may be.
fn in_brackets(
    text: &str,
    style: Style,
    around: &Places,
    new: impl Fn(Option<&str>) -> String,
) -> Vec<Vec<Splice>> {
    let inside = around.place.value.range();
    let entries = around.entries();
    let Some(last) = entries.last().map(|last| last.place.entry.range()) else {
        let filled = Splice::insert(inside.start + 1, new(None));
        let anew = Splice::new(inside.start + 1..inside.end.saturating_sub(1), new(None));
        return vec![vec![anew], vec![filled]];
    };
    let on_one_line = vec![Splice::insert(last.end, format!(", {}", new(None)))];
    let first = entries.first().map_or(last.start, |first| first.place.entry.range().start);
    if !begins_line(text, last.start) || !begins_line(text, first) {
        let tight =
            text.get(inside).is_some_and(|raw| style.is_json && !raw.contains(", ") && !raw.contains(": "));
        let tight = tight.then(|| vec![Splice::insert(last.end, format!(",{}", new(None)))]);
        return tight.into_iter().chain([on_one_line]).collect();
    }
    let indent = before(text, last.start);
    let line = format!("{}{indent}{}", style.newline, style.lines(&new(Some(indent))));
    let end = line_end(text, last.end);
    let rest = text.get(last.end..end).unwrap_or_default().trim_start();
    let below = match rest.strip_prefix(',').map(str::trim_start) {
        // There is a comma already, and the new entry gets one.
        Some(rest) if rest.is_empty() || rest.starts_with('#') => {
            vec![Splice::insert(end, format!("{line},"))]
        }
        None if rest.starts_with('#') => vec![Splice::insert(last.end, ","), Splice::insert(end, line)],
        _ => vec![Splice::insert(last.end, format!(",{line}"))],
    };
    vec![below, on_one_line]
}

fn flow_entry(
    style: Style,
    text: &str,
    around: Place,
    name: &str,
    value: &Value,
    indent: Option<&str>,
) -> String {
    if !style.is_json {
        return yaml::flow_entry(name, value);
    }
    let inside = text.get(around.value.range()).unwrap_or_default();
    let colon = if inside.len() > 2 && !inside.contains("\": ") { ":" } else { ": " };
    format!("{}{colon}{}", json_text(name), flow_item(style, text, around, value, indent))
}

fn flow_item(style: Style, text: &str, around: Place, value: &Value, indent: Option<&str>) -> String {
    match (style.is_json, indent) {
        (false, _) => yaml::flow(value),
        (true, Some(indent)) => json_lines(value, indent, unit(text, around, indent)),
        (true, None) => {
            let inside = text.get(around.value.range()).unwrap_or_default();
            let is_tight = inside.len() > 2 && !inside.contains("\": ") && !inside.contains(", ");
            json_line(value, is_tight)
        }
    }
}

/// A value in place of another one that stands in brackets or is to stand so.
pub(super) fn flow_value(style: Style, text: &str, place: Place, value: &Value) -> String {
    if !style.is_json {
        return yaml::flow(value);
    }
    let start = place.key.map_or(place.value, |key| key).range().start;
    if begins_line(text, start) {
        let indent = before(text, start);
        return style.lines(&json_lines(value, indent, if indent.contains('\t') { "\t" } else { "  " }));
    }
    json_line(value, false)
}

/// By how much the entries of these brackets are indented more than their end.
fn unit<'a>(text: &'a str, around: Place, indent: &'a str) -> &'a str {
    let outer = before(text, around.value.range().end.saturating_sub(1)).len();
    indent.get(outer..).filter(|unit| !unit.is_empty()).unwrap_or("  ")
}

fn json_line(value: &Value, is_tight: bool) -> String {
    let (comma, colon) = if is_tight { (",", ":") } else { (", ", ": ") };
    match value {
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| json_line(item, is_tight)).collect();
            format!("[{}]", items.join(comma))
        }
        Value::Object(fields) => {
            let fields = yaml::ordered(fields, true).into_iter();
            let entry = |(key, value): (&String, &Value)| {
                format!("{}{colon}{}", json_text(key), json_line(value, is_tight))
            };
            format!("{{{}}}", fields.map(entry).collect::<Vec<_>>().join(comma))
        }
        scalar => scalar.to_string(),
    }
}

fn json_lines(value: &Value, indent: &str, unit: &str) -> String {
    let inner = format!("{indent}{unit}");
    let (open, close, entries) = match value {
        Value::Array(items) if !items.is_empty() => {
            ('[', ']', items.iter().map(|item| json_lines(item, &inner, unit)).collect::<Vec<_>>())
        }
        Value::Object(fields) if !fields.is_empty() => {
            let fields = yaml::ordered(fields, true).into_iter();
            let entry = |(key, value): (&String, &Value)| {
                format!("{}: {}", json_text(key), json_lines(value, &inner, unit))
            };
            ('{', '}', fields.map(entry).collect())
        }
        scalar => return scalar.to_string(),
    };
    format!("{open}\n{inner}{}\n{indent}{close}", entries.join(&format!(",\n{inner}")))
}

fn json_text(text: &str) -> String {
    Value::from(text).to_string()
}
