//! Steps of a path to an owned field, and how `fieldsV1` and conflicts write them.

use std::cmp::Ordering;
use std::fmt;

use podspec::field::quote;
use serde_json::{Map, Value};

/// A step from an object or list to one of its parts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Element {
    Field(String),
    /// The object of a list with these fields, in the order of their names.
    Key(Vec<(String, Scalar)>),
    /// The scalar of a set.
    Item(Scalar),
    /// A position, in what others wrote; nothing here makes one.
    Index(i64),
}

/// A JSON value as part of a path. In order and equality, 1 and 1.0 are one number.
#[derive(Clone, Debug)]
pub(super) struct Scalar(pub(super) Value);

impl Element {
    pub(super) fn field(name: &str) -> Self {
        Self::Field(name.to_owned())
    }

    /// Reads a key of `fieldsV1`. `Ok(None)` for kinds of steps that are not known.
    pub(super) fn decode(text: &str) -> Result<Option<Self>, String> {
        let Some((kind, rest)) = text.split_once(':').filter(|(kind, _)| kind.len() == 1) else {
            return Err(format!("{} is no step of a path", quote(text)));
        };
        let json = || serde_json::from_str::<Value>(rest).map_err(|e| format!("{}: {e}", quote(text)));
        match kind {
            "f" => Ok(Some(Self::Field(rest.to_owned()))),
            "v" => Ok(Some(Self::Item(Scalar(json()?)))),
            "i" => rest.parse().map(|i| Some(Self::Index(i))).map_err(|e| format!("{}: {e}", quote(text))),
            "k" => match json()? {
                Value::Object(fields) => Ok(Some(Self::Key(
                    fields.into_iter().map(|(name, value)| (name, Scalar(value))).collect(),
                ))),
                _ => Err(format!("{}: a key is an object", quote(text))),
            },
            _ => Ok(None),
        }
    }

    pub(super) fn encode(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Item(value) => format!("v:{}", value.0),
            Self::Index(index) => format!("i:{index}"),
            Self::Key(fields) => {
                let fields = fields.iter().map(|(name, value)| (name.clone(), value.0.clone()));
                format!("k:{}", Value::Object(fields.collect::<Map<_, _>>()))
            }
        }
    }
}

impl fmt::Display for Element {
    /// `.spec`, `[name="a"]`, `[="a"]`, `[0]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Item(value) => write!(f, "[={value}]"),
            Self::Index(index) => write!(f, "[{index}]"),
            Self::Key(fields) => {
                for (i, (name, value)) in fields.iter().enumerate() {
                    write!(f, "{}{name}={value}", if i == 0 { "[" } else { "," })?;
                }
                f.write_str("]")
            }
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Value::String(text) => f.write_str(&quote(text)),
            other => write!(f, "{other}"),
        }
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scalar {}

impl PartialOrd for Scalar {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scalar {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
                (Some(a), Some(b)) => a.cmp(&b),
                _ => a.as_f64().unwrap_or(0.0).total_cmp(&b.as_f64().unwrap_or(0.0)),
            },
            (Value::String(a), Value::String(b)) => a.cmp(b),
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            (a, b) if rank(a) != rank(b) => rank(a).cmp(&rank(b)),
            // Neither is a scalar, so that only what others wrote comes here.
            (a, b) => a.to_string().cmp(&b.to_string()),
        }
    }
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Number(_) => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::Array(_) => 3,
        Value::Object(_) => 4,
        Value::Null => 5,
    }
}
