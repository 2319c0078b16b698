//! JSON texts: one object after another, with or without space between them.

use serde::de::IgnoredAny;

use super::place::Span;
use super::yaml::{self, Offset, Read, SyntaxError};

/// As kubectl decides: the first character that is no space opens an object.
pub(super) fn looks_like(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// JSON is YAML, so each object goes through the YAML reader, which knows lines and duplicate keys.
/// What starts like JSON but is not, is tried as YAML (`{kind: Pod}`).
pub(super) fn read(text: &str) -> Read {
    let mut read = Read::default();
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    let mut start = 0;
    while let Some(next) = stream.next() {
        if let Err(error) = next {
            let as_yaml = yaml::read(text, Offset::default());
            return if as_yaml.errors.is_empty() { as_yaml } else { failed(&error, text) };
        }
        let end = stream.byte_offset();
        let lines_before = text[..start].bytes().filter(|b| *b == b'\n').count();
        let lines = u32::try_from(lines_before).unwrap_or(u32::MAX);
        let object = yaml::read(&text[start..end], Offset { lines, bytes: start });
        let documents_before = read.nodes.len();
        let later = |one: yaml::One| yaml::One { number: one.number + documents_before, ..one };
        read.nodes.extend(object.nodes.into_iter().map(later));
        read.errors.extend(object.errors);
        start = end;
    }
    read
}

fn failed(error: &serde_json::Error, text: &str) -> Read {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let (line, column) = (number(error.line()), number(error.column()));
    let reason = error.to_string();
    let message = reason.split(" at line ").next().unwrap_or(&reason);
    let before: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let byte = before.saturating_add(error.column().saturating_sub(1)).min(text.len());
    let at = Span::new(byte, byte);
    let error = SyntaxError { line, column, at, document: 0, message: format!("not valid JSON: {message}") };
    Read { nodes: Vec::new(), errors: vec![error] }
}
