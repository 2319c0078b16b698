//! Reading objects as JSON: what is missing, or of another type, is as Go's zero value.

use std::sync::LazyLock;

use serde_json::{Map, Value};

/// The fields of an object; the empty ones of anything else.
#[must_use]
pub fn fields(value: &Value) -> &Map<String, Value> {
    static EMPTY: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
    value.as_object().unwrap_or(&EMPTY)
}

/// `""` when the field is missing.
#[must_use]
pub fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or("")
}

/// `false` when the field is missing.
#[must_use]
pub fn flag(value: &Value, name: &str) -> bool {
    value.get(name).and_then(Value::as_bool).unwrap_or(false)
}

#[must_use]
pub fn integer(value: &Value, name: &str) -> Option<i64> {
    value.get(name).and_then(Value::as_i64)
}

/// No entries when the field is missing.
#[must_use]
pub fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The strings of a list; `None` when there are none.
#[must_use]
pub fn texts(value: &Value, name: &str) -> Option<Vec<String>> {
    let texts: Vec<String> = list(value, name).iter().filter_map(Value::as_str).map(str::to_owned).collect();
    (!texts.is_empty()).then_some(texts)
}

/// The object in a field, when it is there and is one.
#[must_use]
pub fn object<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value.get(name).filter(|v| v.is_object())
}
