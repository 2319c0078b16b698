//! Reads the tables: one file per API group and version, in lines.
//!
//! ```text
//! package core - v1 io.k8s.api.core.v1    alias, group (- is the core group), version, prefix in OpenAPI
//! kind Pod                                 an object with apiVersion and kind
//! type LabelSelector atomic                any other; server-side apply takes it as one value
//!   1 name* string default(x)              number in protobuf, name in JSON (* required), type, merging
//!   1 = ProbeHandler                       a nested message whose fields JSON has in this object
//! ```
//!
//! Types are those of [`Shape`] and names of types (`meta.ObjectMeta` of another package); `[T]` is a list, `{T}` a
//! map, `([T])` a list in a message of its own. `?` says that a zero that is set differs from nothing. Lists
//! are atomic unless `set` or `map(keys)` follows; strategic merge replaces unless `merge`, `merge(key)`,
//! `retainKeys` or `replace` (an object) follows.

use std::collections::HashMap;

use crate::model::{Field, Inline, ListKind, META, Package, Patch, Schema, Shape, Type, TypeRef};

pub(crate) const TABLES: [&str; 17] = [
    include_str!("../schema/meta.txt"),
    include_str!("../schema/core.txt"),
    include_str!("../schema/apps.txt"),
    include_str!("../schema/batch.txt"),
    include_str!("../schema/discovery.txt"),
    include_str!("../schema/networking.txt"),
    include_str!("../schema/events.txt"),
    include_str!("../schema/coordination.txt"),
    include_str!("../schema/node.txt"),
    include_str!("../schema/scheduling.txt"),
    include_str!("../schema/rbac.txt"),
    include_str!("../schema/storage.txt"),
    include_str!("../schema/policy.txt"),
    include_str!("../schema/authentication.txt"),
    include_str!("../schema/authorization.txt"),
    include_str!("../schema/resource.txt"),
    include_str!("../schema/metrics.txt"),
];

/// What types and fields are for, in our own words.
const DOCS: &str = include_str!("../schema/docs.txt");

/// A type as it is written.
struct Draft {
    package: &'static Package,
    name: &'static str,
    is_kind: bool,
    atomic: bool,
    lines: Vec<&'static str>,
}

/// # Panics
/// A table is wrong; every test of this crate would see it.
pub(crate) fn read() -> Schema {
    let drafts: Vec<Draft> = TABLES.iter().flat_map(|text| drafts(text)).collect();
    let names: HashMap<(&str, &str), TypeRef> = drafts
        .iter()
        .enumerate()
        .map(|(i, draft)| ((draft.package.alias, draft.name), TypeRef(index(i))))
        .collect();
    let reader = Reader { drafts: &drafts, names: &names, docs: docs(DOCS) };
    let types: Vec<Type> = drafts.iter().map(|draft| reader.ty(draft)).collect();
    let kinds = types.iter().enumerate().filter(|(_, ty)| ty.is_kind).map(|(i, ty)| {
        let Package { group, version, .. } = *ty.package;
        ((ty.package.alias == META, group, version, ty.name), TypeRef(index(i)))
    });
    let kinds = kinds.collect();
    Schema { types, names, kinds }
}

fn index(i: usize) -> u16 {
    u16::try_from(i).expect("the tables have a few hundred types")
}

fn drafts(text: &'static str) -> Vec<Draft> {
    let mut package = None;
    let mut drafts: Vec<Draft> = vec![];
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(field) = line.strip_prefix("  ") {
            drafts.last_mut().expect("fields follow a type").lines.push(field);
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["package", alias, group, version, openapi] => {
                let group = if group == "-" { "" } else { group };
                let leaked: &'static Package =
                    Box::leak(Box::new(Package { alias, group, version, openapi }));
                package = Some(leaked);
            }
            [form @ ("kind" | "type"), name, ref flags @ ..] => drafts.push(Draft {
                package: package.expect("a table begins with its package"),
                name,
                is_kind: form == "kind",
                atomic: flags.contains(&"atomic"),
                lines: vec![],
            }),
            _ => panic!("a table of the API has the line {line:?}"),
        }
    }
    drafts
}

/// Texts by type (`core.Pod`; `any` for what every kind has) and field (empty for the type itself).
type Docs = HashMap<(&'static str, &'static str), &'static str>;

fn docs(text: &'static str) -> Docs {
    let mut ty = "";
    let mut docs = Docs::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, text) = line.split_once(':').expect("a text follows a name and a colon");
        let field = name.strip_prefix("  ");
        if field.is_none() {
            ty = name;
        }
        docs.insert((ty, field.unwrap_or_default()), text.trim_start());
    }
    docs
}

struct Reader<'a> {
    drafts: &'a [Draft],
    names: &'a HashMap<(&'static str, &'static str), TypeRef>,
    docs: Docs,
}

impl Reader<'_> {
    fn ty(&self, draft: &Draft) -> Type {
        let mut ty = Type {
            name: draft.name,
            package: draft.package,
            is_kind: draft.is_kind,
            atomic: draft.atomic,
            fields: vec![],
            doc: self.doc(draft, ""),
            inlines: vec![],
        };
        if draft.is_kind {
            let of_every_kind = |name| Field { doc: self.doc(draft, name), ..field(name, 0, Shape::String) };
            ty.fields.extend(["apiVersion", "kind"].map(of_every_kind));
        }
        for line in &draft.lines {
            let mut words = line.split_whitespace();
            let mut word = || words.next().expect("a field has a number, a name and a type");
            let (number, name, shape) = (word(), word(), word());
            let number: u32 = number.parse().expect("a field begins with its number");
            if name == "=" {
                let inlined = self.reference(draft, shape);
                ty.inlines.push(Inline { number, ty: inlined });
                // One inlined in an inlined type would be found here, too.
                let nested = self.ty(&self.drafts[usize::from(inlined.0)]);
                ty.fields.extend(nested.fields.into_iter().map(|field| Field { inlined: true, ..field }));
            } else {
                ty.fields.push(self.field(draft, number, name, shape, words));
            }
        }
        ty
    }

    fn field(
        &self,
        draft: &Draft,
        number: u32,
        name: &'static str,
        shape: &'static str,
        flags: impl Iterator<Item = &'static str>,
    ) -> Field {
        let (name, required) = name.strip_suffix('*').map_or((name, false), |name| (name, true));
        let (shape, pointer) = shape.strip_prefix('?').map_or((shape, false), |shape| (shape, true));
        let mut field = Field {
            required,
            pointer,
            doc: self.doc(draft, name),
            ..field(name, number, self.shape(draft, shape))
        };
        for flag in flags {
            let (flag, argument) = match flag.strip_suffix(')').and_then(|flag| flag.split_once('(')) {
                Some((flag, argument)) => (flag, Some(argument)),
                None => (flag, None),
            };
            match (flag, argument) {
                ("atomic", None) => field.atomic = true,
                ("set", None) => field.list = ListKind::Set,
                ("map", Some(keys)) => field.list = ListKind::Map(keys.split(',').collect::<Vec<_>>().leak()),
                ("merge", key) => {
                    field.patch.merge = true;
                    field.patch.merge_key = key;
                }
                ("retainKeys", None) => field.patch.retain_keys = true,
                ("replace", None) => field.patch.replace = true,
                ("default", Some(value)) => field.default = Some(value),
                _ => panic!("{}.{name} of the API's tables has {flag:?}", draft.name),
            }
        }
        field
    }

    /// Of a type when `field` is empty.
    fn doc(&self, draft: &Draft, field: &'static str) -> &'static str {
        let path = format!("{}.{}", draft.package.alias, draft.name);
        let find = |ty: &str| self.docs.get(&(ty, field)).copied();
        let same_as = self.docs.get(&(path.as_str(), "")).and_then(|text| text.strip_prefix("= "));
        match find(same_as.unwrap_or(&path)) {
            Some(text) => text,
            None if !draft.is_kind => "",
            None if field.is_empty() && draft.name.ends_with("List") => "A list of objects of one kind.",
            None => find("any").unwrap_or_default(),
        }
    }

    fn shape(&self, draft: &Draft, text: &'static str) -> Shape {
        let inside = |open, close| text.strip_prefix(open).and_then(|t: &str| t.strip_suffix(close));
        let leaked = |text| -> &'static Shape { Box::leak(Box::new(self.shape(draft, text))) };
        if let Some(item) = inside("([", "])") {
            return Shape::WrappedList(leaked(item));
        }
        if let Some(item) = inside("[", "]") {
            return Shape::List(leaked(item));
        }
        if let Some(item) = inside("{", "}") {
            return Shape::Map(leaked(item));
        }
        match text {
            "string" => Shape::String,
            "bool" => Shape::Bool,
            "int32" => Shape::Int32,
            "int64" => Shape::Int64,
            "double" => Shape::Double,
            "bytes" => Shape::Bytes,
            "quantity" => Shape::Quantity,
            "intOrString" => Shape::IntOrString,
            "time" => Shape::Time,
            "microTime" => Shape::MicroTime,
            "any" => Shape::Any,
            "fields" => Shape::Fields,
            name => Shape::Object(self.reference(draft, name)),
        }
    }

    fn reference(&self, draft: &Draft, name: &'static str) -> TypeRef {
        let (package, name) = name.split_once('.').unwrap_or((draft.package.alias, name));
        let found = self.names.get(&(package, name)).copied();
        found.unwrap_or_else(|| panic!("{} of the API's tables refers to {package}.{name}", draft.name))
    }
}

fn field(name: &'static str, number: u32, shape: Shape) -> Field {
    Field {
        name,
        number,
        inlined: false,
        shape,
        required: false,
        pointer: false,
        default: None,
        list: ListKind::Atomic,
        atomic: false,
        patch: Patch::default(),
        doc: "",
    }
}

#[cfg(test)]
mod tests {
    use super::{DOCS, docs};
    use crate::model::Schema;

    #[test]
    fn texts_are_of_something() {
        let docs = docs(DOCS);
        let lines = DOCS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        assert_eq!(docs.len(), lines.count(), "a text is there twice");
        for ((ty, field), text) in docs {
            let Some((package, name)) = ty.split_once('.') else {
                assert_eq!(ty, "any");
                continue;
            };
            let ty = Schema::get().named(package, name).unwrap_or_else(|| panic!("{package}.{name}"));
            assert!(field.is_empty() || ty.field(field).is_some(), "{package}.{name}.{field}");
            let ends = text.ends_with('.') || text.is_empty() || text.starts_with("= ");
            assert!(ends && text.is_ascii(), "{package}.{name}.{field}: {text}");
        }
    }

    #[test]
    fn every_kind_has_a_text() {
        let schema = Schema::get();
        let mute: Vec<String> = schema
            .types()
            .iter()
            .filter(|ty| ty.is_kind && ty.doc.is_empty())
            .map(|ty| ty.openapi_name())
            .collect();
        assert!(mute.is_empty(), "{mute:?}");
        let field = |ty, field: &str| schema.named("core", ty).and_then(|ty| ty.field(field)).map(|f| f.doc);
        assert_eq!(field("EphemeralContainer", "image"), Some("The image to run."));
        assert_eq!(field("PodList", "items"), Some("The objects of the list."));
        assert_eq!(field("Probe", "exec"), field("ProbeHandler", "exec"));
    }

    #[test]
    fn pods_are_told_in_full() {
        let types = [
            "PodSpec",
            "PodStatus",
            "Container",
            "ContainerPort",
            "EnvVar",
            "Probe",
            "Lifecycle",
            "Volume",
            "VolumeMount",
            "SecurityContext",
            "ContainerStatus",
        ];
        for name in types {
            let ty = Schema::get().named("core", name).expect("a type");
            let mute = ty.fields.iter().filter(|field| field.doc.is_empty()).map(|field| field.name);
            let mute: Vec<&str> = mute.collect();
            assert!(mute.is_empty(), "{name}: {mute:?}");
        }
    }
}
