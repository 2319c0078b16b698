//! Discovery one group at a time, as every client knows it.

use serde_json::{Map, Value, json};

use super::{groups, verbs};
use crate::kinds::{Kind, Subresource};

/// `/api`
pub(super) fn api_versions() -> Value {
    json!({ "kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [] })
}

/// `/apis`
pub(super) fn api_group_list() -> Value {
    let groups: Vec<Value> = groups()
        .iter()
        .filter(|(group, ..)| !group.is_empty())
        .map(|(group, version, _)| described(group, version))
        .collect();
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
}

/// `/apis/GROUP`
pub(super) fn api_group(group: &str) -> Option<Value> {
    let groups = groups();
    let (name, version, _) = groups.iter().find(|(name, ..)| !name.is_empty() && *name == group)?;
    let mut value = described(name, version);
    value["kind"] = "APIGroup".into();
    value["apiVersion"] = "v1".into();
    Some(value)
}

fn described(group: &str, version: &str) -> Value {
    let version = json!({ "groupVersion": format!("{group}/{version}"), "version": version });
    json!({ "name": group, "versions": [version], "preferredVersion": version })
}

/// `/api/v1`, `/apis/GROUP/VERSION`
pub(super) fn resource_list(group: &str, version: &str) -> Option<Value> {
    let groups = groups();
    let (_, _, kinds) = groups.iter().find(|(g, v, _)| *g == group && *v == version)?;
    let resources: Vec<Value> = kinds.iter().flat_map(|kind| entries(kind)).collect();
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Some(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": resources,
    }))
}

fn entries(kind: &Kind) -> Vec<Value> {
    let mut resource = json!({
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": verbs(kind.verbs),
    });
    if !kind.short_names.is_empty() {
        resource["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        resource["categories"] = json!(kind.categories);
    }
    let subresources = kind.subresources.iter().map(|subresource| entry(kind, subresource));
    std::iter::once(resource).chain(subresources).collect()
}

fn entry(kind: &Kind, subresource: &Subresource) -> Value {
    let mut value = Map::new();
    value.insert("name".to_owned(), format!("{}/{}", kind.plural, subresource.name).into());
    value.insert("singularName".to_owned(), "".into());
    value.insert("namespaced".to_owned(), kind.namespaced.into());
    if (subresource.group, subresource.version) != (kind.group, kind.version) {
        value.insert("group".to_owned(), subresource.group.into());
        value.insert("version".to_owned(), subresource.version.into());
    }
    value.insert("kind".to_owned(), subresource.kind.into());
    value.insert("verbs".to_owned(), verbs(subresource.verbs));
    Value::Object(value)
}
