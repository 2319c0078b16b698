//! Discovery in one answer: `APIGroupDiscoveryList`, in its two versions, which have the same fields.

use serde_json::{Value, json};

use super::{groups, verbs};
use crate::kinds::{Kind, Subresource};

/// `/api` has the core group alone, `/apis` all others.
pub(super) fn list(is_core: bool, version: &str) -> Value {
    let items: Vec<Value> = groups()
        .iter()
        .filter(|(group, ..)| group.is_empty() == is_core)
        .map(|(group, version, kinds)| {
            let resources: Vec<Value> = kinds.iter().map(|kind| resource(kind)).collect();
            let metadata = if group.is_empty() {
                json!({ "creationTimestamp": null })
            } else {
                json!({ "name": group, "creationTimestamp": null })
            };
            json!({
                "metadata": metadata,
                "versions": [{ "version": version, "resources": resources, "freshness": "Current" }],
            })
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{version}"),
        "metadata": {},
        "items": items,
    })
}

fn resource(kind: &Kind) -> Value {
    let mut value = json!({
        "resource": kind.plural,
        "responseKind": response_kind(kind.group, kind.version, kind.kind),
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": kind.singular,
        "verbs": verbs(kind.verbs),
    });
    if !kind.short_names.is_empty() {
        value["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        value["categories"] = json!(kind.categories);
    }
    if !kind.subresources.is_empty() {
        value["subresources"] = kind.subresources.iter().map(subresource).collect();
    }
    value
}

fn subresource(subresource: &Subresource) -> Value {
    json!({
        "subresource": subresource.name,
        "responseKind": response_kind(subresource.group, subresource.version, subresource.kind),
        "verbs": verbs(subresource.verbs),
    })
}

fn response_kind(group: &str, version: &str, kind: &str) -> Value {
    json!({ "group": group, "version": version, "kind": kind })
}
