//! Walks a manifest along the table: unknown fields, wrong types, fields that are not supported.

use serde_json::{Map, Number, Value};

use super::{Accepted, Field, Object, Support, Type, nearest};
use crate::field::{FieldError, FieldPath};
use crate::quantity::Quantity;

/// Names looked for by likeness, which takes time.
const SUGGESTIONS_MAX: usize = 100;

/// Checks `value` against `object` and reports into `errors`.
///
/// Brings the value into the form Go's decoder would give it: `null` is as if the field were not
/// there, a float without a fraction is an integer.
pub(crate) fn check(object: &'static Object, value: &mut Value, errors: &mut Vec<FieldError>) {
    let mut walk = Walk { errors, refused: false };
    walk.object(object, value, &FieldPath::root());
}

struct Walk<'a> {
    errors: &'a mut Vec<FieldError>,
    /// Inside a field that has been refused or is not read: types are still checked, support is not.
    refused: bool,
}

impl Walk<'_> {
    fn object(&mut self, object: &'static Object, value: &mut Value, path: &FieldPath) {
        let Value::Object(fields) = value else {
            self.errors.push(wrong_type(path, value, "an object"));
            return;
        };
        fields.retain(|_, value| !value.is_null());
        for (name, value) in fields.iter_mut() {
            let path = path.child(name);
            match object.field(name) {
                Some(field) => self.field(field, value, &path),
                None => {
                    let meant = if self.errors.len() < SUGGESTIONS_MAX {
                        nearest(name, object.fields.iter().map(|f| f.name))
                    } else {
                        None
                    };
                    self.errors.push(FieldError::unknown(path, meant));
                }
            }
        }
    }

    fn field(&mut self, field: &'static Field, value: &mut Value, path: &FieldPath) {
        let refusal = if self.refused { None } else { refusal(field, value, path) };
        let outer = self.refused;
        self.refused = outer || refusal.is_some() || matches!(field.support, Support::Unread(_));
        let known = self.errors.len();
        self.value(&field.ty, value, path);
        self.refused = outer;
        // Of a value that is no value of the field at all, only that is said.
        if self.errors[known..].iter().all(|e| e.path != *path) {
            self.errors.extend(refusal);
        }
    }

    fn value(&mut self, ty: &'static Type, value: &mut Value, path: &FieldPath) {
        match ty {
            Type::Nested(object) => self.object(object, value, path),
            Type::List(item) => self.list(item, value, path),
            Type::Map(item) => self.map(item, value, path),
            Type::Quantity => self.errors.extend(quantity(value, path).err()),
            _ => {
                if let Err(expected) = scalar(ty, value) {
                    self.errors.push(wrong_type(path, value, expected));
                }
            }
        }
    }

    fn list(&mut self, item: &'static Type, value: &mut Value, path: &FieldPath) {
        let Value::Array(items) = value else {
            self.errors.push(wrong_type(path, value, "a list"));
            return;
        };
        for (i, value) in items.iter_mut().enumerate() {
            if value.is_null() {
                *value = zero(item);
            }
            self.value(item, value, &path.index(i));
        }
    }

    fn map(&mut self, item: &'static Type, value: &mut Value, path: &FieldPath) {
        let Value::Object(entries) = value else {
            self.errors.push(wrong_type(path, value, "a map"));
            return;
        };
        for (key, value) in entries.iter_mut() {
            if value.is_null() {
                *value = zero(item);
            }
            self.value(item, value, &path.key(key));
        }
    }
}

/// The error for a field that is not supported with this value.
fn refusal(field: &Field, value: &Value, path: &FieldPath) -> Option<FieldError> {
    match field.support {
        Support::Supported | Support::When(_) | Support::Unread(_) | Support::Inner => None,
        _ if is_unset(value) => None,
        Support::Only(values, _) if values.iter().any(|v| v.is(value)) => None,
        Support::Only(values, missing) => {
            let list = values.iter().filter_map(Accepted::to_text).collect::<Vec<_>>().join(" or ");
            let error = FieldError::not_yet(path.clone(), missing);
            Some(if list.is_empty() { error } else { error.hint(format!("remove it, or set it to {list}")) })
        }
        Support::NotYet(missing) => Some(FieldError::not_yet(path.clone(), missing)),
        Support::Refused(reason) => Some(FieldError::refused(path.clone(), reason)),
    }
}

/// Values that mean the same as none for every field that is not supported.
fn is_unset(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

impl Accepted {
    fn is(&self, value: &Value) -> bool {
        match self {
            Self::Text(text) => value.as_str() == Some(text),
            Self::Flag(flag) => value.as_bool() == Some(*flag),
            Self::Number(number) => value.as_i64() == Some(*number),
            Self::Empty => value.as_object().is_some_and(Map::is_empty),
        }
    }

    /// How to write it in a manifest; nothing for what is better left out.
    #[must_use]
    pub fn to_text(&self) -> Option<String> {
        match self {
            Self::Empty => None,
            Self::Text(text) => Some((*text).to_owned()),
            Self::Flag(flag) => Some(flag.to_string()),
            Self::Number(number) => Some(number.to_string()),
        }
    }
}

/// Checks a value that is no object, list or map, and brings numbers into their integer form.
/// The error is what was expected.
fn scalar(ty: &Type, value: &mut Value) -> Result<(), &'static str> {
    let fits = |fits: bool, expected| if fits { Ok(()) } else { Err(expected) };
    match ty {
        Type::Text => fits(value.is_string(), "a string"),
        Type::Time => fits(value.is_string(), "a time"),
        Type::Flag => fits(value.is_boolean(), "a boolean"),
        Type::Int32 => fits(integer(value).is_some_and(|n| i32::try_from(n).is_ok()), "a 32-bit integer"),
        Type::Int64 => fits(integer(value).is_some(), "a 64-bit integer"),
        Type::IntOrString => fits(value.is_string() || integer(value).is_some(), "an integer or a string"),
        Type::Quantity | Type::Any | Type::Nested(_) | Type::List(_) | Type::Map(_) => Ok(()),
    }
}

fn integer(value: &mut Value) -> Option<i64> {
    let float = if value.is_f64() { value.as_f64() } else { None };
    if let Some(integer) = float.and_then(whole) {
        *value = Value::from(integer);
    }
    value.as_i64()
}

#[expect(clippy::cast_possible_truncation, reason = "in range and without fraction")]
fn whole(float: f64) -> Option<i64> {
    (float.fract() == 0.0 && float.abs() < 9.0e18).then_some(float as i64)
}

fn quantity(value: &mut Value, path: &FieldPath) -> Result<(), FieldError> {
    if let Value::Number(number) = value {
        *value = Value::String(plain(number));
    }
    let text = value.as_str().ok_or_else(|| wrong_type(path, value, "a quantity"))?;
    match Quantity::parse(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(FieldError::type_invalid(path.clone(), value, &error.to_string())),
    }
}

/// A number without an exponent, which Rust's floats never print.
fn plain(number: &Number) -> String {
    match (number.as_i64(), number.as_f64()) {
        (None, Some(float)) => float.to_string(),
        _ => number.to_string(),
    }
}

/// What Go's decoder makes of `null` in a list or map.
fn zero(ty: &Type) -> Value {
    match ty {
        Type::Nested(_) | Type::Map(_) => Value::Object(Map::new()),
        Type::List(_) => Value::Array(Vec::new()),
        Type::Flag => Value::Bool(false),
        Type::Int32 | Type::Int64 | Type::IntOrString => Value::from(0),
        Type::Quantity => Value::from("0"),
        Type::Text | Type::Time | Type::Any => Value::from(""),
    }
}

fn wrong_type(path: &FieldPath, value: &Value, expected: &str) -> FieldError {
    let detail = match value {
        Value::Number(number) if !number.is_f64() && expected.ends_with("integer") => {
            format!("must be {expected}")
        }
        _ => format!("must be {expected}, not {}", name(value)),
    };
    let error = FieldError::type_invalid(path.clone(), value, &detail);
    match value {
        Value::Bool(_) if expected == "a string" => {
            error.hint("write it in quotes; yes, no, on, off, y and n are booleans in YAML 1.1")
        }
        Value::Number(_) if expected == "a string" => error.hint("write it in quotes"),
        Value::String(_) if expected == "a list" => error.hint("write it as a list: [\"...\"]"),
        _ => error,
    }
}

fn name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a number",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
