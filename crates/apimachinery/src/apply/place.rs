//! How the schema says that a value is owned.

use api_schema::{Field, ListKind, Shape, Type};
use serde_json::{Number, Value};

use super::path::{Element, Scalar};

/// Where in the schema a value is.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// One owner for all of it: scalars, and what is atomic.
    Leaf(Shape),
    Object(&'a Type),
    /// Free keys, each with this.
    Map(Shape),
    /// A list of scalars.
    Set,
    /// A list of objects with these keys.
    Keyed(&'a Type, &'static [&'static str]),
}

impl<'a> Place<'a> {
    fn of(field: &'a Field) -> Self {
        match (field.shape.item(), field.list) {
            _ if field.atomic => Self::Leaf(field.shape),
            (Some(_), ListKind::Set) if field.shape.is_list() => Self::Set,
            (Some(item), ListKind::Map(keys)) if field.shape.is_list() => match item {
                Shape::Object(ty) => Self::Keyed(ty.get(), keys),
                _ => Self::Leaf(field.shape),
            },
            _ => Self::of_shape(field.shape),
        }
    }

    fn of_shape(shape: Shape) -> Self {
        match shape {
            Shape::Object(ty) => Self::of_type(ty.get()),
            Shape::Map(item) => Self::Map(*item),
            other => Self::Leaf(other),
        }
    }

    /// The place of an object of this type, in a list or alone.
    pub(super) fn of_type(ty: &'a Type) -> Self {
        if ty.atomic { Self::Leaf(Shape::Any) } else { Self::Object(ty) }
    }

    /// The place of a field; `None` when there is no such field.
    pub(super) fn field(self, name: &str) -> Option<Self> {
        match self {
            Self::Object(ty) => ty.field(name).map(Self::of),
            Self::Map(item) => Some(Self::of_shape(item)),
            _ => None,
        }
    }

    /// [`Self::field`] when what has no place is owned as a whole.
    pub(super) fn child(self, name: &str) -> Self {
        self.field(name).unwrap_or(Self::Leaf(Shape::Any))
    }

    /// Whether the schema names the field, rather than allowing any key.
    pub(super) fn names(self, name: &str) -> bool {
        matches!(self, Self::Object(ty) if ty.field(name).is_some())
    }

    /// The place of a list's items.
    pub(super) fn item(self) -> Self {
        match self {
            Self::Keyed(ty, _) => Self::of_type(ty),
            _ => Self::Leaf(Shape::Any),
        }
    }

    /// What identifies an item of a list.
    pub(super) fn element(self, item: &Value) -> Result<Element, String> {
        let Self::Keyed(ty, keys) = self else { return set_element(item) };
        let Some(fields) = item.as_object() else {
            let what = if item.is_null() { "a null element" } else { "non-map elements" };
            return Err(format!("associative list with keys may not have {what}"));
        };
        let value = |key: &str| fields.get(key).cloned().or_else(|| default_of(ty.field(key)?));
        let mut key: Vec<(String, Scalar)> =
            keys.iter().filter_map(|key| Some(((*key).to_owned(), Scalar(value(key)?)))).collect();
        if key.is_empty() {
            let keys: Vec<String> = keys.iter().map(|key| podspec::field::quote(key)).collect();
            return Err(format!(
                "associative list with keys has an element that omits all key fields [{}] (and doesn't have default values for any key fields)",
                keys.join(" ")
            ));
        }
        key.sort();
        Ok(Element::Key(key))
    }
}

/// What the server fills in for a key that is missing.
fn default_of(field: &Field) -> Option<Value> {
    let text = field.default?;
    Some(match field.shape {
        Shape::Int32 | Shape::Int64 => Value::Number(Number::from(text.parse::<i64>().ok()?)),
        Shape::Bool => Value::Bool(text == "true"),
        _ => Value::String(text.to_owned()),
    })
}

fn set_element(item: &Value) -> Result<Element, String> {
    match item {
        Value::Object(_) => Err("associative list without keys has an element that's a map type".to_owned()),
        Value::Array(_) => Err("not supported: associative list with lists as elements".to_owned()),
        Value::Null => Err("associative list without keys has an element that's an explicit null".to_owned()),
        scalar => Ok(Element::Item(Scalar(scalar.clone()))),
    }
}
