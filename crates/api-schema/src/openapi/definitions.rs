//! The schemas of types.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::model::{Field, ListKind, META, Schema, Shape, Type};
use crate::openapi::{Action, Form, Operation};

/// What stands for a patch of any kind.
pub(super) const PATCH: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";

const TIME: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Time";
const MICRO_TIME: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime";
const FIELDS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1";
const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";
const INT_OR_STRING: &str = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";
const RAW_EXTENSION: &str = "io.k8s.apimachinery.pkg.runtime.RawExtension";

/// By name, every type that is reachable from the operations' kinds and bodies.
pub(super) fn definitions(form: Form, operations: &[Operation]) -> Map<String, Value> {
    let mut types: BTreeMap<String, &Type> = BTreeMap::new();
    for operation in operations {
        let kind = Schema::get().kind(operation.group, operation.version, operation.kind);
        let all = kind.into_iter().chain(request(operation)).chain(response(operation));
        all.for_each(|ty| reach(ty, &mut types));
    }
    let groups: BTreeSet<(&str, &str)> =
        operations.iter().map(|operation| (operation.group, operation.version)).chain([("", "v1")]).collect();
    let mut definitions = Map::new();
    for (name, ty) in types {
        definitions.insert(name, object(form, ty, &groups));
        for field in &ty.fields {
            let name = special(field.shape);
            definitions.extend(name.map(|name| (name.to_owned(), special_definition(form, name))));
        }
    }
    if operations.iter().any(|operation| operation.action() == Action::Patch) {
        definitions.insert(PATCH.to_owned(), special_definition(form, PATCH));
    }
    definitions
}

fn reach(ty: &'static Type, types: &mut BTreeMap<String, &'static Type>) {
    if types.insert(ty.openapi_name(), ty).is_none() {
        ty.fields.iter().filter_map(Field::object).for_each(|inner| reach(inner, types));
    }
}

/// The type of an operation's body; none for patches.
pub(super) fn request(operation: &Operation) -> Option<&'static Type> {
    let schema = Schema::get();
    match operation.action() {
        Action::Post | Action::Put => schema.kind(operation.group, operation.version, operation.kind),
        Action::Delete | Action::DeleteCollection => schema.named(META, "DeleteOptions"),
        _ => None,
    }
}

/// The type of an operation's answer; none for text.
pub(super) fn response(operation: &Operation) -> Option<&'static Type> {
    let schema = Schema::get();
    let Operation { group, version, kind, .. } = *operation;
    match operation.action() {
        Action::Connect => None,
        Action::Get if operation.path.ends_with("/log") => None,
        Action::List => schema.kind(group, version, &format!("{kind}List")),
        Action::Watch => schema.named(META, "WatchEvent"),
        Action::Delete | Action::DeleteCollection => schema.named(META, "Status"),
        Action::Get | Action::Post | Action::Put | Action::Patch => schema.kind(group, version, kind),
    }
}

pub(super) fn reference(form: Form, name: &str) -> Value {
    let place = match form {
        Form::V2 => "definitions",
        Form::V3 => "components/schemas",
    };
    json!({"$ref": format!("#/{place}/{name}")})
}

fn object(form: Form, ty: &Type, groups: &BTreeSet<(&str, &str)>) -> Value {
    let mut schema = Map::from_iter([("type".to_owned(), Value::from("object"))]);
    describe(&mut schema, ty.doc);
    let properties: Map<String, Value> =
        ty.fields.iter().map(|field| (field.name.to_owned(), property(form, field))).collect();
    if !properties.is_empty() {
        schema.insert("properties".to_owned(), Value::Object(properties));
    }
    let required: Vec<&str> =
        ty.fields.iter().filter(|field| field.required).map(|field| field.name).collect();
    if !required.is_empty() {
        schema.insert("required".to_owned(), Value::from(required));
    }
    if ty.atomic {
        schema.insert("x-kubernetes-map-type".to_owned(), Value::from("atomic"));
    }
    if ty.is_kind {
        // What is of no group is of every one; a status has none.
        let own = BTreeSet::from([(ty.package.group, ty.package.version)]);
        let groups = if ty.package.alias == META && ty.name != "Status" { groups } else { &own };
        let kinds = groups
            .iter()
            .map(|(group, version)| json!({"group": group, "version": version, "kind": ty.name}));
        schema.insert("x-kubernetes-group-version-kind".to_owned(), kinds.collect());
    }
    Value::Object(schema)
}

fn property(form: Form, field: &Field) -> Value {
    let mut extras = Map::new();
    describe(&mut extras, field.doc);
    if let Some(default) = field.default {
        let is_number = matches!(field.shape, Shape::Int32 | Shape::Int64);
        let number = if is_number { default.parse::<i64>().ok() } else { None };
        extras.insert("default".to_owned(), number.map_or_else(|| Value::from(default), Value::from));
    }
    let mut extend = |name: &str, value: Value| drop(extras.insert(format!("x-kubernetes-{name}"), value));
    match field.list {
        ListKind::Map(keys) => {
            extend("list-type", Value::from("map"));
            extend("list-map-keys", Value::from(keys));
        }
        ListKind::Set => extend("list-type", Value::from("set")),
        ListKind::Atomic if field.shape.is_list() => extend("list-type", Value::from("atomic")),
        ListKind::Atomic => {}
    }
    if field.atomic {
        extend("map-type", Value::from("atomic"));
    }
    let strategies = [
        (field.patch.merge, "merge"),
        (field.patch.retain_keys, "retainKeys"),
        (field.patch.replace, "replace"),
    ];
    let strategies: Vec<&str> = strategies.iter().filter(|(is, _)| *is).map(|(_, name)| *name).collect();
    if !strategies.is_empty() {
        extend("patch-strategy", Value::from(strategies.join(",")));
    }
    if let Some(key) = field.patch.merge_key {
        extend("patch-merge-key", Value::from(key));
    }
    with_extras(form, shape(form, field.shape), extras)
}

/// In v3 nothing may stand beside a reference.
fn with_extras(form: Form, schema: Value, extras: Map<String, Value>) -> Value {
    let mut schema = match schema {
        Value::Object(schema) if form == Form::V3 && schema.contains_key("$ref") && !extras.is_empty() => {
            Map::from_iter([("allOf".to_owned(), json!([schema]))])
        }
        Value::Object(schema) => schema,
        _ => Map::new(),
    };
    schema.extend(extras);
    Value::Object(schema)
}

fn describe(schema: &mut Map<String, Value>, doc: &str) {
    if !doc.is_empty() {
        schema.insert("description".to_owned(), Value::from(doc));
    }
}

fn shape(form: Form, of: Shape) -> Value {
    match of {
        Shape::String => json!({"type": "string"}),
        Shape::Bool => json!({"type": "boolean"}),
        Shape::Int32 => json!({"type": "integer", "format": "int32"}),
        Shape::Int64 => json!({"type": "integer", "format": "int64"}),
        Shape::Double => json!({"type": "number", "format": "double"}),
        Shape::Bytes => json!({"type": "string", "format": "byte"}),
        Shape::Quantity => reference(form, QUANTITY),
        Shape::IntOrString => reference(form, INT_OR_STRING),
        Shape::Time => reference(form, TIME),
        Shape::MicroTime => reference(form, MICRO_TIME),
        Shape::Any => reference(form, RAW_EXTENSION),
        Shape::Fields => reference(form, FIELDS),
        Shape::Object(ty) => reference(form, &ty.openapi_name()),
        Shape::List(item) | Shape::WrappedList(item) => json!({"type": "array", "items": shape(form, *item)}),
        Shape::Map(item) => json!({"type": "object", "additionalProperties": shape(form, *item)}),
    }
}

/// The definition that a value of this shape refers to, when it is none of the tables'.
fn special(of: Shape) -> Option<&'static str> {
    match of {
        Shape::Quantity => Some(QUANTITY),
        Shape::IntOrString => Some(INT_OR_STRING),
        Shape::Time => Some(TIME),
        Shape::MicroTime => Some(MICRO_TIME),
        Shape::Any => Some(RAW_EXTENSION),
        Shape::Fields => Some(FIELDS),
        _ => of.item().and_then(special),
    }
}

fn special_definition(form: Form, name: &str) -> Value {
    let one_of = |v3: Value, v2: Value| if form == Form::V3 { v3 } else { v2 };
    let (schema, doc) = match name {
        QUANTITY => (
            one_of(json!({"oneOf": [{"type": "string"}, {"type": "number"}]}), json!({"type": "string"})),
            "An amount with an optional suffix: 100m, 1.5, 64Mi, 2e3.",
        ),
        INT_OR_STRING => (
            one_of(
                json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]}),
                json!({"format": "int-or-string", "type": "string"}),
            ),
            "A 32-bit integer or a string.",
        ),
        TIME => (json!({"type": "string", "format": "date-time"}), "A time as in RFC 3339, in seconds."),
        MICRO_TIME => {
            (json!({"type": "string", "format": "date-time"}), "A time as in RFC 3339, in microseconds.")
        }
        FIELDS => (
            json!({"type": "object"}),
            "A set of fields: f:NAME is a field, k:KEYS and v:VALUE are entries of a list, . is the object itself.",
        ),
        PATCH => (json!({"type": "object"}), "A patch, in the form its content type names."),
        _ => (json!({"type": "object"}), "An object of any kind."),
    };
    with_extras(form, schema, Map::from_iter([("description".to_owned(), Value::from(doc))]))
}
