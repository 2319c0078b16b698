//! v1.Pod of Kubernetes 1.36 as one table: every field with its JSON type and how far it is
//! supported. Loading checks manifests against it, COMPATIBILITY.md is written from it
//! (<https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/>).

mod check;
mod container;
mod handler;
mod nearest;
mod pod;
mod scheduling;
mod security;
mod storage;
mod volume;

pub(crate) use check::check;
pub use nearest::nearest;

/// The object a manifest is checked against.
pub static POD: &Object = &pod::POD;

/// An object with known fields.
#[derive(Debug)]
pub struct Object {
    /// Its name in the Kubernetes API reference, without the API group.
    pub name: &'static str,
    pub fields: &'static [Field],
}

#[derive(Debug)]
pub struct Field {
    pub name: &'static str,
    pub ty: Type,
    pub support: Support,
}

#[derive(Debug)]
pub enum Type {
    Text,
    Flag,
    Int32,
    Int64,
    /// A resource quantity: a string, or a number taken as its text.
    Quantity,
    IntOrString,
    /// RFC 3339.
    Time,
    /// Not looked into.
    Any,
    Nested(&'static Object),
    List(&'static Self),
    /// Free keys, all values of one type.
    Map(&'static Self),
}

/// How far a field is supported. No field is ever dropped in silence: what is not `Supported` or
/// `Unread` is refused by name.
#[derive(Debug)]
pub enum Support {
    Supported,
    /// In this case alone; `validate` refuses the others.
    When(&'static str),
    /// These values alone; others are refused with what is missing for them.
    Only(&'static [Accepted], &'static str),
    /// Accepted with any value, because the value can change nothing; why.
    Unread(&'static str),
    /// What is missing.
    NotYet(&'static str),
    /// Why, and what to do instead.
    Refused(&'static str),
    /// As the field that holds this object; that one is never `Supported`.
    Inner,
}

/// A value of a field that is supported in part.
#[derive(Debug)]
pub enum Accepted {
    Text(&'static str),
    Flag(bool),
    Number(i64),
    /// `{}`.
    Empty,
}

impl Object {
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|f| f.name == name)
    }
}

const STRING: Type = Type::Text;
const BOOL: Type = Type::Flag;
const INT32: Type = Type::Int32;
const INT64: Type = Type::Int64;
const QUANTITY: Type = Type::Quantity;
const INT_OR_STRING: Type = Type::IntOrString;
const TIME: Type = Type::Time;
const ANY: Type = Type::Any;
const STRINGS: Type = Type::List(&Type::Text);
const INT32S: Type = Type::List(&Type::Int32);
const INT64S: Type = Type::List(&Type::Int64);
const STRING_MAP: Type = Type::Map(&Type::Text);
const QUANTITIES: Type = Type::Map(&Type::Quantity);

const fn ok(name: &'static str, ty: Type) -> Field {
    Field { name, ty, support: Support::Supported }
}

const fn when(name: &'static str, ty: Type, case: &'static str) -> Field {
    Field { name, ty, support: Support::When(case) }
}

const fn only(name: &'static str, ty: Type, values: &'static [Accepted], missing: &'static str) -> Field {
    Field { name, ty, support: Support::Only(values, missing) }
}

const fn unread(name: &'static str, ty: Type, reason: &'static str) -> Field {
    Field { name, ty, support: Support::Unread(reason) }
}

const fn not_yet(name: &'static str, ty: Type, missing: &'static str) -> Field {
    Field { name, ty, support: Support::NotYet(missing) }
}

const fn refused(name: &'static str, ty: Type, reason: &'static str) -> Field {
    Field { name, ty, support: Support::Refused(reason) }
}

const fn inner(name: &'static str, ty: Type) -> Field {
    Field { name, ty, support: Support::Inner }
}

#[cfg(test)]
mod tests {
    use super::{Object, POD, Support, Type};

    fn nested(ty: &Type) -> Option<&'static Object> {
        match ty {
            Type::Nested(object) => Some(object),
            Type::List(item) | Type::Map(item) => nested(item),
            _ => None,
        }
    }

    fn visit(object: &'static Object, depth: usize) {
        assert!(depth < 32, "{} contains itself", object.name);
        for (i, field) in object.fields.iter().enumerate() {
            assert!(
                object.fields[..i].iter().all(|f| f.name != field.name),
                "{}.{}",
                object.name,
                field.name
            );
            let Some(below) = nested(&field.ty) else { continue };
            if matches!(field.support, Support::Supported) {
                for inner in below.fields {
                    let hidden = matches!(inner.support, Support::Inner);
                    assert!(!hidden, "{}.{} needs a state of its own", below.name, inner.name);
                }
            }
            visit(below, depth + 1);
        }
    }

    #[test]
    fn every_reachable_field_has_a_state() {
        visit(POD, 0);
    }
}
