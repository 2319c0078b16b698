//! Walks a value along the table: unknown fields, wrong types, `null`.

use std::fmt;

use base64::DecodeError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use podspec::FieldPath;
use podspec::quantity::{Quantity, QuantityError};
use serde_json::{Map, Number, Value};

use crate::model::{Shape, Type};
use crate::time::Instant;

/// What is wrong with a value. `Display` is the text a client of Kubernetes sees.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Issue {
    pub path: FieldPath,
    pub trouble: Trouble,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// No field of this name; it has been removed from the value.
    Unknown,
    /// Another JSON type than the field's.
    WrongType {
        /// `string`, `number 1.5`, `object`, `array`, `bool`.
        found: String,
        /// `[]string`, `v1.PodSpec`.
        wanted: String,
        /// The field as Go's decoder names it: innermost type and path without indices
        /// (`Container.spec.containers.command`); empty for the whole document.
        field: String,
    },
    /// The right JSON type, but no value of the field: a quantity, time or base64 text that cannot be read.
    Malformed(String),
}

impl Issue {
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.trouble == Trouble::Unknown
    }
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.trouble {
            Trouble::Unknown => write!(f, "unknown field \"{}\"", self.path),
            Trouble::WrongType { found, wanted, field } if field.is_empty() => {
                write!(f, "json: cannot unmarshal {found} into Go value of type {wanted}")
            }
            Trouble::WrongType { found, wanted, field } => {
                write!(f, "json: cannot unmarshal {found} into Go struct field {field} of type {wanted}")
            }
            Trouble::Malformed(text) => f.write_str(text),
        }
    }
}

/// Issues that are named; of the others unknown fields are still removed.
pub const ISSUES_MAX: usize = 100;

/// Checks `value` against `ty`: reports and removes unknown fields, reports values of another type. Brings the
/// value into the form Go's decoder would give it and its encoder would print: `null` and an empty list or map that
/// may be missing are as if the field were not there, a whole float is an integer; quantities and times are in
/// their canonical form.
#[must_use]
pub fn check(ty: &Type, value: &mut Value) -> Vec<Issue> {
    let mut walk = Walk { issues: vec![] };
    walk.object(ty, value, None);
    walk.issues
}

/// [`check`] of a value that is no object of its own: what stands in a field of this shape.
#[must_use]
pub fn check_shape(shape: Shape, value: &mut Value) -> Vec<Issue> {
    let mut walk = Walk { issues: vec![] };
    walk.value(shape, value, None);
    walk.issues
}

/// Where the walk is; each step lives in the frame that took it, so that paths cost nothing until they are
/// needed.
#[derive(Clone, Copy)]
struct At<'a> {
    above: Option<&'a At<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Field { name: &'a str, holder: &'a str },
    Index(usize),
    Key(&'a str),
}

fn path(at: Option<&At<'_>>) -> FieldPath {
    let Some(at) = at else { return FieldPath::root() };
    let above = path(at.above);
    match at.step {
        Step::Field { name, .. } => above.child(name),
        Step::Index(index) => above.index(index),
        Step::Key(key) => above.key(key),
    }
}

/// As Go's decoder names a field: innermost type, then the fields from the root without indices and keys.
fn go_field(at: Option<&At<'_>>) -> String {
    let mut names = vec![];
    let mut innermost = None;
    let mut next = at;
    while let Some(At { above, step }) = next {
        if let Step::Field { name, holder } = step {
            names.push(*name);
            innermost.get_or_insert(*holder);
        }
        next = *above;
    }
    names.extend(innermost);
    names.reverse();
    names.join(".")
}

struct Walk {
    issues: Vec<Issue>,
}

impl Walk {
    fn report(&mut self, at: Option<&At<'_>>, trouble: Trouble) {
        if self.issues.len() < ISSUES_MAX {
            self.issues.push(Issue { path: path(at), trouble });
        }
    }

    fn wrong_type(&mut self, value: &Value, wanted: String, at: Option<&At<'_>>) {
        self.report(at, Trouble::WrongType { found: found(value), wanted, field: go_field(at) });
    }

    fn object(&mut self, ty: &Type, value: &mut Value, at: Option<&At<'_>>) {
        let Value::Object(fields) = value else {
            return self.wrong_type(value, ty.go_name(), at);
        };
        fields.retain(|name, value| {
            let at = At { above: at, step: Step::Field { name, holder: ty.name } };
            let Some(field) = ty.field(name) else {
                self.report(Some(&at), Trouble::Unknown);
                return false;
            };
            if value.is_null() {
                return false;
            }
            self.value(field.shape, value, Some(&at));
            field.required || !is_empty(field.shape, value)
        });
    }

    fn value(&mut self, shape: Shape, value: &mut Value, at: Option<&At<'_>>) {
        match shape {
            Shape::Object(ty) => self.object(&ty, value, at),
            Shape::List(item) | Shape::WrappedList(item) => self.list(shape, *item, value, at),
            Shape::Map(item) => self.map(shape, *item, value, at),
            Shape::Any | Shape::Fields => {}
            Shape::Quantity | Shape::Time | Shape::MicroTime | Shape::Bytes => {
                self.text(shape, value, at);
            }
            Shape::IntOrString => {
                if !value.is_string() && !is_int32(value) {
                    // It decodes itself, which loses the field's name.
                    let (found, wanted) = (found_for_integer(value), "int32".to_owned());
                    self.report(at, Trouble::WrongType { found, wanted, field: String::new() });
                }
            }
            Shape::String if value.is_string() => {}
            Shape::Bool if value.is_boolean() => {}
            Shape::Double if value.is_number() => {}
            Shape::Int32 if is_int32(value) => {}
            Shape::Int64 if integer(value).is_some() => {}
            Shape::Int32 | Shape::Int64 => {
                let found = found_for_integer(value);
                self.report(at, Trouble::WrongType { found, wanted: shape.go_name(), field: go_field(at) });
            }
            _ => self.wrong_type(value, shape.go_name(), at),
        }
    }

    fn list(&mut self, shape: Shape, item: Shape, value: &mut Value, at: Option<&At<'_>>) {
        let Value::Array(items) = value else {
            return self.wrong_type(value, shape.go_name(), at);
        };
        for (index, value) in items.iter_mut().enumerate() {
            if value.is_null() {
                *value = zero(item);
            }
            self.value(item, value, Some(&At { above: at, step: Step::Index(index) }));
        }
    }

    fn map(&mut self, shape: Shape, item: Shape, value: &mut Value, at: Option<&At<'_>>) {
        let Value::Object(entries) = value else {
            return self.wrong_type(value, shape.go_name(), at);
        };
        for (key, value) in entries.iter_mut() {
            if value.is_null() {
                *value = zero(item);
            }
            self.value(item, value, Some(&At { above: at, step: Step::Key(key) }));
        }
    }

    /// What has a text of its own syntax.
    fn text(&mut self, shape: Shape, value: &mut Value, at: Option<&At<'_>>) {
        if let (Shape::Quantity, Value::Number(number)) = (shape, &*value) {
            *value = Value::String(plain(number));
        }
        let Value::String(text) = value else {
            let trouble = match shape {
                Shape::Quantity => Trouble::Malformed(QuantityError::Format.to_string()),
                Shape::Bytes => {
                    Trouble::WrongType { found: found(value), wanted: shape.go_name(), field: go_field(at) }
                }
                // It decodes itself, which loses the field's name.
                _ => Trouble::WrongType {
                    found: found(value),
                    wanted: "string".to_owned(),
                    field: String::new(),
                },
            };
            return self.report(at, trouble);
        };
        let canonical = match shape {
            Shape::Quantity => canonical_quantity(text),
            Shape::Bytes => canonical_base64(text),
            _ => canonical_time(text, shape == Shape::MicroTime),
        };
        match canonical {
            Ok(Some(canonical)) => *text = canonical,
            Ok(None) => {}
            Err(reason) => self.report(at, Trouble::Malformed(reason)),
        }
    }
}

/// An empty object is not nothing (`emptyDir: {}`); an empty list or map is.
fn is_empty(shape: Shape, value: &Value) -> bool {
    match (shape, value) {
        (Shape::List(_) | Shape::WrappedList(_), Value::Array(items)) => items.is_empty(),
        (Shape::Map(_), Value::Object(entries)) => entries.is_empty(),
        _ => false,
    }
}

/// `None` when it stays as it is.
fn canonical_quantity(text: &str) -> Result<Option<String>, String> {
    match Quantity::parse(text) {
        Ok(quantity) => Ok(Some(quantity.to_string())),
        Err(error) => Err(error.to_string()),
    }
}

fn canonical_time(text: &str, micro: bool) -> Result<Option<String>, String> {
    Instant::parse(text).map(|instant| instant.to_text(micro))
}

/// Line breaks are allowed, and go.
fn canonical_base64(text: &str) -> Result<Option<String>, String> {
    let joined: Option<String> =
        text.contains(['\r', '\n']).then(|| text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect());
    match STANDARD.decode(joined.as_deref().unwrap_or(text)) {
        Ok(_) => Ok(joined),
        Err(error) => {
            let at = match error {
                DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _) => at,
                DecodeError::InvalidLength(_) | DecodeError::InvalidPadding => text.len(),
            };
            Err(format!("illegal base64 data at input byte {at}"))
        }
    }
}

fn is_int32(value: &mut Value) -> bool {
    integer(value).is_some_and(|number| i32::try_from(number).is_ok())
}

/// A whole float becomes an integer: YAML does not tell them apart.
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

/// A number without an exponent, which Rust's floats never print.
fn plain(number: &Number) -> String {
    match (number.as_i64(), number.as_f64()) {
        (None, Some(float)) => float.to_string(),
        _ => number.to_string(),
    }
}

/// What Go's decoder makes of `null` in a list or map.
pub(crate) fn zero(shape: Shape) -> Value {
    match shape {
        Shape::Object(_) | Shape::Map(_) | Shape::Any | Shape::Fields => Value::Object(Map::new()),
        Shape::List(_) | Shape::WrappedList(_) => Value::Array(vec![]),
        Shape::Bool => Value::Bool(false),
        Shape::Int32 | Shape::Int64 | Shape::Double | Shape::IntOrString => Value::from(0),
        Shape::Quantity => Value::from("0"),
        Shape::String | Shape::Bytes => Value::from(""),
        Shape::Time | Shape::MicroTime => Value::Null,
    }
}

/// A value as errors of Go name it.
fn found(value: &Value) -> String {
    let name = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    name.to_owned()
}

fn found_for_integer(value: &Value) -> String {
    match value {
        Value::Number(number) => format!("number {number}"),
        _ => found(value),
    }
}
