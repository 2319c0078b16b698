//! JSON texts: one object after another, with or without space between them.

use serde::de::IgnoredAny;

use super::yaml::{self, Read, SyntaxError};

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
            let as_yaml = yaml::read(text, 0);
            return if as_yaml.errors.is_empty() { as_yaml } else { failed(&error) };
        }
        let end = stream.byte_offset();
        let lines_before = text[..start].bytes().filter(|b| *b == b'\n').count();
        let object = yaml::read(&text[start..end], u32::try_from(lines_before).unwrap_or(u32::MAX));
        let documents_before = read.nodes.len();
        read.nodes.extend(object.nodes.into_iter().map(|(n, node)| (n + documents_before, node)));
        read.errors.extend(object.errors);
        start = end;
    }
    read
}

fn failed(error: &serde_json::Error) -> Read {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let (line, column) = (number(error.line()), number(error.column()));
    let text = error.to_string();
    let message = text.split(" at line ").next().unwrap_or(&text);
    let error = SyntaxError { line, column, document: 0, message: format!("not valid JSON: {message}") };
    Read { nodes: Vec::new(), errors: vec![error] }
}
