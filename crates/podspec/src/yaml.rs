//! JSON values as YAML that kubectl reads back as they were: keys in order, and every text quoted that YAML 1.1
//! would take for something else.

use serde_json::{Map, Value};

/// How blocks are laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// Columns of a mapping below its key.
    pub step: usize,
    /// Columns of a list below its key.
    pub list_step: usize,
    /// `name` before all other keys, as people write it; else all in order.
    pub name_first: bool,
}

/// As kubectl prints.
pub const KUBECTL: Layout = Layout { step: 2, list_step: 0, name_first: false };

/// A document, with the newline at its end.
#[must_use]
pub fn document(value: &Value) -> String {
    let mut out = Writer { out: String::new(), layout: KUBECTL };
    match value {
        Value::Object(fields) if !fields.is_empty() => out.mapping(fields, 0, false),
        Value::Array(items) if !items.is_empty() => out.sequence(items, 0),
        scalar => {
            out.inline(scalar, 0);
            out.out.push('\n');
        }
    }
    out.out
}

/// `key: value` at a column, in as many lines as it takes; each ends with a newline.
#[must_use]
pub fn entry(key: &str, value: &Value, indent: usize, layout: Layout) -> String {
    let mut out = Writer { out: " ".repeat(indent), layout };
    out.entry(key, value, indent);
    out.out
}

/// `- value` at a column, in the same way.
#[must_use]
pub fn item(value: &Value, indent: usize, layout: Layout) -> String {
    let mut out = Writer { out: String::new(), layout };
    out.sequence(std::slice::from_ref(value), indent);
    out.out
}

/// In one line, with brackets; it can stand in brackets itself.
#[must_use]
pub fn flow(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let entries = ordered(fields, true).into_iter().map(|(key, value)| flow_entry(key, value));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        Value::String(text) => flow_text(text),
        scalar => scalar.to_string(),
    }
}

/// `key: value` in brackets.
#[must_use]
pub fn flow_entry(key: &str, value: &Value) -> String {
    format!("{}: {}", flow_text(key), flow(value))
}

fn flow_text(value: &str) -> String {
    let has_brackets = value.contains([',', '[', ']', '{', '}', '\n']) || value.ends_with(':');
    if has_brackets { double_quoted(value) } else { text(value, 0, true) }
}

struct Writer {
    out: String,
    layout: Layout,
}

impl Writer {
    /// `begun`: the first key stands behind a dash already.
    fn mapping(&mut self, fields: &Map<String, Value>, indent: usize, mut begun: bool) {
        for (key, value) in ordered(fields, self.layout.name_first) {
            if !begun {
                self.out.push_str(&" ".repeat(indent));
            }
            begun = false;
            self.entry(key, value, indent);
        }
    }

    fn entry(&mut self, key: &str, value: &Value, indent: usize) {
        self.out.push_str(&text(key, indent, true));
        self.out.push(':');
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                self.out.push('\n');
                self.mapping(fields, indent + self.layout.step, false);
            }
            Value::Array(items) if !items.is_empty() => {
                self.out.push('\n');
                self.sequence(items, indent + self.layout.list_step);
            }
            scalar => {
                self.out.push(' ');
                self.inline(scalar, indent);
                self.out.push('\n');
            }
        }
    }

    fn sequence(&mut self, items: &[Value], indent: usize) {
        for item in items {
            self.out.push_str(&" ".repeat(indent));
            self.out.push_str("- ");
            match item {
                Value::Object(fields) if !fields.is_empty() => self.mapping(fields, indent + 2, true),
                Value::Array(items) if !items.is_empty() => {
                    let mut nested = Self { out: String::new(), layout: self.layout };
                    nested.sequence(items, indent + 2);
                    self.out.push_str(nested.out.trim_start());
                }
                scalar => {
                    self.inline(scalar, indent);
                    self.out.push('\n');
                }
            }
        }
    }

    fn inline(&mut self, value: &Value, indent: usize) {
        match value {
            Value::Null => self.out.push_str("null"),
            Value::Bool(flag) => self.out.push_str(if *flag { "true" } else { "false" }),
            Value::Number(number) => self.out.push_str(&number.to_string()),
            Value::String(string) => self.out.push_str(&text(string, indent, false)),
            Value::Array(_) => self.out.push_str("[]"),
            Value::Object(_) => self.out.push_str("{}"),
        }
    }
}

/// Fields in the order in which they are written.
#[must_use]
pub fn ordered(fields: &Map<String, Value>, name_first: bool) -> Vec<(&String, &Value)> {
    let mut fields: Vec<_> = fields.iter().collect();
    fields.sort_by_key(|(key, _)| (!name_first || *key != "name", *key));
    fields
}

/// A text in the plainest form that means it, at a column; a key takes one line.
#[must_use]
pub fn text(text: &str, indent: usize, is_key: bool) -> String {
    let is_printable = text.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{feff}');
    if text.is_empty() || !is_printable || text.contains(" \n") {
        return double_quoted(text);
    }
    if text.contains('\n') {
        return if is_key || text.ends_with(' ') { double_quoted(text) } else { block(text, indent) };
    }
    if means_something_else(text) {
        return double_quoted(text);
    }
    if is_plain(text) { text.to_owned() } else { format!("'{}'", text.replace('\'', "''")) }
}

/// In double quotes, in one line, which JSON reads too unless it has other control characters than tab and newline.
#[must_use]
pub fn double_quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() || c == '\u{feff}' => match u32::from(c) {
                code @ ..=0xff => out.push_str(&format!("\\x{code:02X}")),
                code => out.push_str(&format!("\\u{code:04X}")),
            },
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Lines as they are; the header says how the text begins and ends.
fn block(text: &str, indent: usize) -> String {
    let body = text.trim_end_matches('\n');
    let chomping = match text.len() - body.len() {
        0 => "-",
        1 if !body.is_empty() => "",
        _ => "+",
    };
    let hint = if text.starts_with([' ', '\n']) { "2" } else { "" };
    let mut out = format!("|{hint}{chomping}");
    let margin = " ".repeat(indent + 2);
    let lines = if chomping == "+" { &text[..text.len() - 1] } else { body };
    for line in lines.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            out.push_str(&margin);
            out.push_str(line);
        }
    }
    out
}

/// Whether a plain scalar of this text is a text in block context.
fn is_plain(text: &str) -> bool {
    let first_is_free = !text.starts_with([
        ' ', '#', ',', '[', ']', '{', '}', '&', '*', '!', '|', '>', '\'', '"', '%', '@', '`', '?', ':', '=',
    ]);
    let begins_entry =
        text == "-" || text.starts_with("- ") || text.starts_with("---") || text.starts_with("...");
    first_is_free
        && !begins_entry
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
}

/// Whether YAML 1.1 takes the plain text for null, a flag, a number, a date or a merge.
fn means_something_else(text: &str) -> bool {
    const WORDS: [&str; 12] = ["null", "~", "y", "n", "yes", "no", "on", "off", "true", "false", "<<", "="];
    WORDS.contains(&text.to_lowercase().as_str()) || is_number(text) || is_sexagesimal(text) || is_date(text)
}

fn is_number(text: &str) -> bool {
    let plain = text.replace('_', "");
    let unsigned = plain.strip_prefix(['-', '+']).unwrap_or(&plain);
    let lower = unsigned.to_lowercase();
    let digits = |text: &str, radix| !text.is_empty() && text.chars().all(|c| c.is_digit(radix));
    if let Some(hex) = lower.strip_prefix("0x") {
        return digits(hex, 16);
    }
    if let Some(octal) = lower.strip_prefix("0o") {
        return digits(octal, 8);
    }
    if let Some(binary) = lower.strip_prefix("0b") {
        return digits(binary, 2);
    }
    if matches!(lower.as_str(), ".inf" | ".nan") {
        return true;
    }
    let (mantissa, exponent) = lower.split_once('e').unwrap_or((&lower, "0"));
    let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_decimal = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    (!whole.is_empty() || !fraction.is_empty())
        && is_decimal(whole)
        && is_decimal(fraction)
        && digits(exponent, 10)
}

/// `1:30` is 90.
fn is_sexagesimal(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    unsigned.contains(':')
        && unsigned.starts_with(|c: char| c.is_ascii_digit())
        && unsigned.chars().all(|c| c.is_ascii_digit() || matches!(c, ':' | '.' | '_'))
}

fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 8
        && bytes[..4].iter().all(u8::is_ascii_digit)
        && bytes[4] == b'-'
        && bytes[5].is_ascii_digit()
        && text
            .chars()
            .all(|c| c.is_ascii_digit() || matches!(c, '-' | ':' | '.' | '+' | 'T' | 't' | 'Z' | ' '))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{KUBECTL, Layout, document, entry, flow, item};

    #[test]
    fn objects_as_kubectl_prints_them() {
        let value = json!({
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {"name": "a", "labels": {}, "creationTimestamp": "2024-01-02T03:04:05Z", "x": null},
            "spec": {"containers": [{"name": "c", "args": ["-c", "sleep 1\nexit"], "ports": []}], "m": [[1, 2]]},
        });
        expect_test::expect![[r#"
            apiVersion: v1
            kind: Pod
            metadata:
              creationTimestamp: "2024-01-02T03:04:05Z"
              labels: {}
              name: a
              x: null
            spec:
              containers:
              - args:
                - -c
                - |-
                  sleep 1
                  exit
                name: c
                ports: []
              m:
              - - 1
                - 2
        "#]]
        .assert_eq(&document(&value));
    }

    #[test]
    fn parts_are_laid_out_as_asked() {
        let volume = json!({"emptyDir": {}, "name": "logs", "a": {"b": ["c"]}});
        let layout = Layout { step: 4, list_step: 2, name_first: true };
        assert_eq!(
            item(&volume, 2, layout),
            "  - name: logs\n    a:\n        b:\n          - c\n    emptyDir: {}\n"
        );
        assert_eq!(entry("volumes", &json!([volume]), 1, KUBECTL).lines().nth(1), Some(" - a:"));
        assert_eq!(flow(&json!(["a, b", volume])), "[\"a, b\", {name: logs, a: {b: [c]}, emptyDir: {}}]");
    }

    #[test]
    fn texts_that_would_be_misread_are_quoted() {
        for (text, yaml) in [
            ("plain text", "plain text"),
            ("10.0.0.1", "10.0.0.1"),
            ("a:b", "a:b"),
            ("-c", "-c"),
            ("", "\"\""),
            ("yes", "\"yes\""),
            ("Off", "\"Off\""),
            ("0644", "\"0644\""),
            ("0x1F", "\"0x1F\""),
            ("1_000", "\"1_000\""),
            ("1e3", "\"1e3\""),
            (".5", "\".5\""),
            ("1:30", "\"1:30\""),
            ("~", "\"~\""),
            ("2024-01-02", "\"2024-01-02\""),
            ("a: b", "'a: b'"),
            ("it's: x", "'it''s: x'"),
            ("# no", "'# no'"),
            ("*x", "'*x'"),
            (" lead", "' lead'"),
            ("trail ", "'trail '"),
            ("tab\there", "\"tab\\there\""),
            ("\u{1b}[31m", "\"\\x1B[31m\""),
            ("ends\n", "|\n  ends"),
            ("two\n\n", "|+\n  two\n"),
            ("\nlead", "|2-\n\n  lead"),
            ("a \nb", "\"a \\nb\""),
        ] {
            assert_eq!(document(&json!(text)), format!("{yaml}\n"), "{text:?}");
        }
    }

    /// Whatever is printed means what it was.
    #[test]
    fn every_text_is_read_back() {
        let parts =
            ["a", " ", "\n", ":", "#", "-", "'", "\"", "\\", "1", "~", "\t", "\u{e9}", "y", "[", "<<", "="];
        let mut texts: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
        for _ in 0..2 {
            let longer = |text: &String| parts.map(|part| format!("{text}{part}"));
            texts = texts.iter().flat_map(longer).chain(texts.clone()).collect();
        }
        for text in texts {
            let value: Value = json!({"key": text, "list": [text, {"nested": text}], text.clone(): 1});
            let yaml = document(&value);
            let read = |yaml: &str| crate::load::one(yaml).map(|(value, _)| value);
            assert_eq!(read(&yaml).as_ref(), Ok(&value), "{yaml}");
            let yaml = flow(&value);
            assert_eq!(read(&yaml).as_ref(), Ok(&value), "{yaml}");
            let layout = Layout { step: 4, list_step: 2, name_first: true };
            let yaml = entry(&text, &json!([value]), 3, layout);
            assert_eq!(read(&yaml), Ok(json!({text.clone(): [value]})), "{yaml}");
        }
    }
}
