//! What the tables of `schema/` say, as structures. They live as long as the program.

use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::sync::LazyLock;

use crate::table;

/// Every type of every kind that is served.
#[derive(Debug)]
pub struct Schema {
    pub(crate) types: Vec<Type>,
    /// By package and name.
    pub(crate) names: HashMap<(&'static str, &'static str), TypeRef>,
    pub(crate) kinds: HashMap<KindKey, TypeRef>,
}

/// Whether it is of [`META`], group, version, kind.
pub(crate) type KindKey = (bool, &'static str, &'static str, &'static str);

/// The package whose kinds belong to every group (`DeleteOptions`, `Status`).
pub(crate) const META: &str = "meta";

impl Schema {
    /// The schema; the first call reads the tables, which takes about a millisecond.
    #[must_use]
    pub fn get() -> &'static Self {
        static SCHEMA: LazyLock<Schema> = LazyLock::new(table::read);
        &SCHEMA
    }

    /// A kind, or a list of it (`PodList`). Kinds of meta/v1 (`DeleteOptions`, `Status`) are found in every
    /// group and version.
    #[must_use]
    pub fn kind(&self, group: &str, version: &str, kind: &str) -> Option<&Type> {
        let of_group = self.kinds.get(&(false, group, version, kind));
        of_group.or_else(|| self.kinds.get(&(true, "", "v1", kind))).map(|found| self.ty(*found))
    }

    /// [`Self::kind`] by `apiVersion` (`v1`, `apps/v1`) and `kind`.
    #[must_use]
    pub fn kind_of(&self, api_version: &str, kind: &str) -> Option<&Type> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        self.kind(group, version, kind)
    }

    /// A type by package alias and name: `named("core", "PodSpec")`.
    #[must_use]
    pub fn named(&self, package: &str, name: &str) -> Option<&Type> {
        self.names.get(&(package, name)).map(|found| self.ty(*found))
    }

    /// Every type, in the order of the tables.
    #[must_use]
    pub fn types(&self) -> &[Type] {
        &self.types
    }

    fn ty(&self, reference: TypeRef) -> &Type {
        &self.types[usize::from(reference.0)]
    }
}

/// Types of one API group and version.
#[derive(PartialEq, Eq, Debug)]
pub struct Package {
    /// How the tables call it: `core`, `meta`, `apps`.
    pub alias: &'static str,
    /// `""` for the core group.
    pub group: &'static str,
    pub version: &'static str,
    /// The prefix of its types' names in OpenAPI: `io.k8s.api.core.v1`.
    pub openapi: &'static str,
}

/// An object with known fields.
#[derive(Debug)]
pub struct Type {
    /// `PodSpec`.
    pub name: &'static str,
    pub package: &'static Package,
    /// Whether it stands alone, with `apiVersion` and `kind`. These two are in `fields`, without a number.
    pub is_kind: bool,
    /// Server-side apply and strategic merge treat it as one value.
    pub atomic: bool,
    /// In the order of the JSON documentation. What Kubernetes inlines in JSON is inlined here, too.
    pub fields: Vec<Field>,
    /// One or two sentences; often empty.
    pub doc: &'static str,
    /// Messages whose fields stand among this one's in JSON.
    pub(crate) inlines: Vec<Inline>,
}

/// A nested message of the protobuf form whose fields JSON has in the object around it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inline {
    pub(crate) number: u32,
    pub(crate) ty: TypeRef,
}

impl Type {
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The numbers of its protobuf message and what each is.
    pub fn wire_numbers(&self) -> impl Iterator<Item = (u32, &'static str)> {
        let own = self.fields.iter().filter(|field| field.number != 0 && !field.inlined);
        let inlines = self.inlines.iter().map(|inline| (inline.number, inline.ty.name));
        own.map(|field| (field.number, field.name)).chain(inlines)
    }

    /// `io.k8s.api.core.v1.PodSpec`.
    #[must_use]
    pub fn openapi_name(&self) -> String {
        format!("{}.{}", self.package.openapi, self.name)
    }

    /// As errors of Go name it: `v1.PodSpec`.
    #[must_use]
    pub fn go_name(&self) -> String {
        format!("{}.{}", self.package.version, self.name)
    }
}

/// A reference to a [`Type`] of the schema; dereferences to it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TypeRef(pub(crate) u16);

impl TypeRef {
    #[must_use]
    pub fn get(self) -> &'static Type {
        &Schema::get().types[usize::from(self.0)]
    }
}

impl Deref for TypeRef {
    type Target = Type;

    fn deref(&self) -> &'static Type {
        self.get()
    }
}

impl fmt::Debug for TypeRef {
    /// The number alone: types refer to each other, and the schema may be under construction.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TypeRef({})", self.0)
    }
}

#[derive(Clone, Debug)]
pub struct Field {
    /// In JSON.
    pub name: &'static str,
    /// In protobuf, within the message that holds it; 0 when the field has no protobuf form
    /// (`apiVersion` and `kind` of a kind).
    pub number: u32,
    /// It is a field of this nested message, which JSON inlines.
    pub(crate) inlined: bool,
    pub shape: Shape,
    /// OpenAPI requires it.
    pub required: bool,
    /// A zero that is set differs from nothing.
    pub pointer: bool,
    /// What the API server fills in and merge keys rely on (`TCP` of a port's protocol).
    pub default: Option<&'static str>,
    /// How server-side apply merges a list; `Atomic` for what is no list.
    pub list: ListKind,
    /// Server-side apply takes a map or an object as one value.
    pub atomic: bool,
    /// How strategic merge patch treats it.
    pub patch: Patch,
    /// A sentence; often empty.
    pub doc: &'static str,
}

impl Field {
    /// The type of the object in this field, or of the objects in its list or map.
    #[must_use]
    pub fn object(&self) -> Option<&'static Type> {
        self.shape.object()
    }
}

/// `x-kubernetes-list-type`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ListKind {
    /// One owner, replaced as a whole.
    Atomic,
    /// Scalars, each of them owned.
    Set,
    /// Objects, each with these fields as its key.
    Map(&'static [&'static str]),
}

/// `x-kubernetes-patch-strategy` and `-merge-key`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Patch {
    /// Lists are merged: objects by `merge_key`, scalars as a set. Others replace.
    pub merge: bool,
    pub merge_key: Option<&'static str>,
    /// Fields of the object that the patch does not name are removed, when the patch says so with
    /// `$retainKeys`.
    pub retain_keys: bool,
    /// The object replaces the one before.
    pub replace: bool,
}

/// What values a field holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    String,
    Bool,
    Int32,
    Int64,
    Double,
    /// Base64 in JSON.
    Bytes,
    /// A string, or a number taken as its text.
    Quantity,
    IntOrString,
    /// RFC 3339, in seconds.
    Time,
    /// RFC 3339, in microseconds.
    MicroTime,
    /// An object that is not looked into.
    Any,
    /// `metadata.managedFields[*].fieldsV1`.
    Fields,
    Object(TypeRef),
    List(&'static Self),
    /// Protobuf has the list in a message of its own.
    WrappedList(&'static Self),
    /// Free keys.
    Map(&'static Self),
}

impl Shape {
    /// The type of the object, or of the objects in the list or map.
    #[must_use]
    pub fn object(self) -> Option<&'static Type> {
        match self {
            Self::Object(ty) => Some(ty.get()),
            Self::List(item) | Self::WrappedList(item) | Self::Map(item) => item.object(),
            _ => None,
        }
    }

    /// What a list or map holds.
    #[must_use]
    pub fn item(self) -> Option<Self> {
        match self {
            Self::List(item) | Self::WrappedList(item) | Self::Map(item) => Some(*item),
            _ => None,
        }
    }

    #[must_use]
    pub fn is_list(self) -> bool {
        matches!(self, Self::List(_) | Self::WrappedList(_))
    }

    /// As errors of Go name it: `[]v1.Container`.
    #[must_use]
    pub fn go_name(self) -> String {
        match self {
            Self::String => "string".to_owned(),
            Self::Bool => "bool".to_owned(),
            Self::Int32 => "int32".to_owned(),
            Self::Int64 => "int64".to_owned(),
            Self::Double => "float64".to_owned(),
            Self::Bytes => "[]uint8".to_owned(),
            Self::Quantity => "resource.Quantity".to_owned(),
            Self::IntOrString => "intstr.IntOrString".to_owned(),
            Self::Time => "v1.Time".to_owned(),
            Self::MicroTime => "v1.MicroTime".to_owned(),
            Self::Any => "runtime.RawExtension".to_owned(),
            Self::Fields => "v1.FieldsV1".to_owned(),
            Self::Object(ty) => ty.go_name(),
            Self::List(item) | Self::WrappedList(item) => format!("[]{}", item.go_name()),
            Self::Map(item) => format!("map[string]{}", item.go_name()),
        }
    }
}
