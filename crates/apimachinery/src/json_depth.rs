//! How deeply values are nested: what walks them calls itself.

use serde_json::Value;

/// Whether a value has at most `levels` objects and lists inside one another.
pub(crate) fn is_within(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels > 0 && items.iter().all(|item| is_within(item, levels - 1)),
        Value::Object(fields) => levels > 0 && fields.values().all(|item| is_within(item, levels - 1)),
        _ => true,
    }
}
