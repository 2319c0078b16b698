//! JSON bodies, with the keys that are there twice.

use std::fmt;

use serde::de::{Deserialize as _, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Objects and arrays inside one another. Kubernetes takes 10,000; no object has more than some twenty.
pub const DEPTH_MAX: usize = 127;

/// Duplicate fields that are named; the others are not.
pub const DUPLICATES_MAX: usize = 100;

/// The body is no JSON, or nested too deeply.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("cannot read JSON at line {line}, column {column}: {what}")]
pub struct ReadError {
    /// From 1; 0 when the reader does not know.
    pub line: usize,
    /// In bytes, from 1.
    pub column: usize,
    pub what: String,
}

/// Reads a body. Of a key that is there twice the last value counts, and its path is returned
/// (`spec.containers[0].name`).
///
/// # Errors
/// The bytes are no JSON, or nested deeper than [`DEPTH_MAX`].
pub fn read_json(bytes: &[u8]) -> Result<(Value, Vec<String>), ReadError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let mut duplicates = vec![];
    let value = Reader { duplicates: &mut duplicates }.deserialize(&mut reader);
    let value = value.and_then(|value| reader.end().map(|()| value)).map_err(|error| {
        let (line, column, text) = (error.line(), error.column(), error.to_string());
        let what = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text).to_owned();
        ReadError { line, column, what }
    })?;
    Ok((value, duplicates))
}

/// Reads one value; the paths it adds begin at this value. The bound on depth is serde_json's own.
struct Reader<'a> {
    duplicates: &'a mut Vec<String>,
}

impl Reader<'_> {
    /// Puts `step` before the paths that were found since there were `known`.
    fn prefix(&mut self, known: usize, step: impl fmt::Display) {
        for path in &mut self.duplicates[known..] {
            let separator = if path.starts_with('[') { "" } else { "." };
            *path = format!("{step}{separator}{path}");
        }
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number is out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = vec![];
        loop {
            let known = self.duplicates.len();
            let Some(item) = seq.next_element_seed(Reader { duplicates: self.duplicates })? else {
                return Ok(Value::Array(items));
            };
            self.prefix(known, format_args!("[{}]", items.len()));
            items.push(item);
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = map.next_key_seed(Key)? {
            let known = self.duplicates.len();
            let value = map.next_value_seed(Reader { duplicates: self.duplicates })?;
            self.prefix(known, &name);
            if self.duplicates.len() < DUPLICATES_MAX && fields.contains_key(&name) {
                self.duplicates.push(name.clone());
            }
            fields.insert(name, value);
        }
        Ok(Value::Object(fields))
    }
}

struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        String::deserialize(deserializer).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{DEPTH_MAX, DUPLICATES_MAX, read_json};

    #[test]
    fn names_what_is_there_twice() {
        let cases: [(&str, &[&str]); 6] = [
            (r#"{"a":1,"b":2}"#, &[]),
            (r#"{"a":1,"a":2}"#, &["a"]),
            (r#"{"a":1,"a":2,"a":3}"#, &["a", "a"]),
            (r#"{"spec":{"containers":[{},{"name":"a","name":"b"}]}}"#, &["spec.containers[1].name"]),
            (r#"{"a":[[{"b":{"c":1,"c":2}}]]}"#, &["a[0][0].b.c"]),
            (r#"[{"x":1,"x":2}]"#, &["[0].x"]),
        ];
        for (text, expected) in cases {
            assert_eq!(read_json(text.as_bytes()).unwrap().1, expected, "{text}");
        }
        assert_eq!(read_json(br#"{"a":1,"a":2}"#).unwrap().0, json!({"a": 2}));
        let many = format!("{{{}}}", vec!["\"a\":1"; 500].join(","));
        assert_eq!(read_json(many.as_bytes()).unwrap().1.len(), DUPLICATES_MAX);
    }

    #[test]
    fn reads_what_serde_json_reads() {
        let text = r#"{"a":[1,-1,1.5,1e3,18446744073709551615,true,null,"\u00e9\n"],"":{}}"#;
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(read_json(text.as_bytes()).unwrap().0, value);
    }

    #[test]
    fn says_where_it_is_no_json() {
        let cases: [(&[u8], &str); 5] = [
            (b"", "cannot read JSON at line 1, column 0: EOF while parsing a value"),
            (b"{\n  a}", "cannot read JSON at line 2, column 3: key must be a string"),
            (b"{} x", "cannot read JSON at line 1, column 4: trailing characters"),
            (b"\"\xff\"", "cannot read JSON at line 1, column 2: invalid unicode code point"),
            (b"1e999", "cannot read JSON at line 1, column 5: number out of range"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(read_json(bytes).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read_json(nested(DEPTH_MAX).as_bytes()).is_ok());
        let error = read_json(nested(DEPTH_MAX + 1).as_bytes()).unwrap_err();
        assert_eq!(error.what, "recursion limit exceeded");
        assert!(read_json("[".repeat(1_000_000).as_bytes()).is_err());
    }
}
