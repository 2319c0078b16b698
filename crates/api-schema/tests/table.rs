//! The tables are sound.

use std::collections::BTreeSet;

use api_schema::{ListKind, Schema, Shape, Type};
use podspec::schema::{Object, POD, Type as PodType};

/// Types that hold themselves would make walks endless.
const DEPTH_MAX: usize = 24;

fn is_scalar(shape: Shape) -> bool {
    !matches!(
        shape,
        Shape::List(_)
            | Shape::WrappedList(_)
            | Shape::Map(_)
            | Shape::Object(_)
            | Shape::Any
            | Shape::Fields
    )
}

#[test]
fn types_are_sound() {
    let schema = Schema::get();
    assert!(schema.types().len() > 350);
    let mut seen = BTreeSet::new();
    for ty in schema.types() {
        assert!(seen.insert(ty.openapi_name()), "{} is there twice", ty.openapi_name());
        let mut names = BTreeSet::new();
        for field in &ty.fields {
            let at = format!("{}.{}", ty.openapi_name(), field.name);
            assert!(names.insert(field.name), "{at} is there twice");
            let key_exists = |key: &str| {
                let item = field.object().unwrap_or_else(|| panic!("{at} has keys, but no objects"));
                assert!(field.shape.is_list(), "{at}");
                let found = item.field(key).unwrap_or_else(|| panic!("{at} has no key {key}"));
                assert!(is_scalar(found.shape), "{at}: {key} is no scalar");
            };
            if let ListKind::Map(keys) = field.list {
                assert!(!keys.is_empty(), "{at}");
                keys.iter().for_each(|key| key_exists(key));
            }
            if field.list == ListKind::Set {
                assert!(field.shape.is_list() && field.shape.item().is_some_and(is_scalar), "{at}");
            }
            if let Some(key) = field.patch.merge_key {
                key_exists(key);
            }
        }
    }
}

/// A nested message that JSON inlines has a number of its own, and its fields have theirs within it.
#[test]
fn numbers_are_unique() {
    for ty in Schema::get().types() {
        let mut numbers = BTreeSet::new();
        for (number, of) in ty.wire_numbers() {
            assert!(number > 0 && number < 1 << 29, "{}.{of}", ty.name);
            assert!(numbers.insert(number), "{}.{of} has the number {number} of another field", ty.name);
        }
    }
}

#[test]
fn no_type_holds_itself() {
    fn visit(ty: &Type, depth: usize) {
        assert!(depth < DEPTH_MAX, "{} holds itself", ty.name);
        ty.fields.iter().filter_map(|field| field.object()).for_each(|inner| visit(inner, depth + 1));
    }
    Schema::get().types().iter().for_each(|ty| visit(ty, 0));
}

#[test]
fn kinds_are_found() {
    let schema = Schema::get();
    let name = |api_version: &str, kind: &str| schema.kind_of(api_version, kind).map(Type::openapi_name);
    let cases = [
        ("v1", "Pod", Some("io.k8s.api.core.v1.Pod")),
        ("v1", "PodList", Some("io.k8s.api.core.v1.PodList")),
        ("v1", "PodSpec", None),
        ("v2", "Pod", None),
        ("apps/v1", "Pod", None),
        ("v1", "Event", Some("io.k8s.api.core.v1.Event")),
        ("events.k8s.io/v1", "Event", Some("io.k8s.api.events.v1.Event")),
        ("v1", "DeleteOptions", Some("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions")),
        ("policy/v1", "DeleteOptions", Some("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions")),
        ("policy/v1", "Eviction", Some("io.k8s.api.policy.v1.Eviction")),
        ("rbac.authorization.k8s.io/v1", "RoleList", Some("io.k8s.api.rbac.v1.RoleList")),
    ];
    for (api_version, kind, expected) in cases {
        assert_eq!(name(api_version, kind).as_deref(), expected, "{api_version} {kind}");
    }
}

/// The engine's table of v1.Pod and this one have the same fields of the same types.
#[test]
fn agrees_with_the_engine_about_pods() {
    let mut differences = vec![];
    compare(POD, Schema::get().kind("", "v1", "Pod").expect("a kind"), "pod", &mut differences);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn compare(theirs: &Object, ours: &Type, at: &str, differences: &mut Vec<String>) {
    let names: BTreeSet<&str> =
        theirs.fields.iter().map(|f| f.name).chain(ours.fields.iter().map(|f| f.name)).collect();
    for name in names {
        let at = format!("{at}.{name}");
        match (theirs.field(name), ours.field(name)) {
            (Some(theirs), Some(ours)) => compare_types(&theirs.ty, ours.shape, &at, differences),
            (None, _) => differences.push(format!("{at} is missing in podspec")),
            (_, None) => differences.push(format!("{at} is missing here")),
        }
    }
}

fn compare_types(theirs: &PodType, ours: Shape, at: &str, differences: &mut Vec<String>) {
    match (theirs, ours) {
        (PodType::Text, Shape::String)
        | (PodType::Flag, Shape::Bool)
        | (PodType::Int32, Shape::Int32)
        | (PodType::Int64, Shape::Int64)
        | (PodType::Quantity, Shape::Quantity)
        | (PodType::IntOrString, Shape::IntOrString)
        | (PodType::Time, Shape::Time)
        // The engine does not look into what only a server reads.
        | (PodType::Any, _) => {}
        (PodType::List(theirs), Shape::List(ours)) | (PodType::Map(theirs), Shape::Map(ours)) => {
            compare_types(theirs, *ours, at, differences);
        }
        (PodType::Nested(theirs), Shape::Object(ours)) => compare(theirs, &ours, at, differences),
        _ => differences.push(format!("{at} is {theirs:?} in podspec, {ours:?} here")),
    }
}
