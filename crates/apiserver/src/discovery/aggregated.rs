//! Discovery in one answer: `APIGroupDiscoveryList`, in its two versions, which have the same fields.

use std::sync::OnceLock;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::{groups, verbs};
use crate::body::Body;
use crate::kinds::{Kind, Subresource};
use crate::respond::{self, Style};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Version {
    V2,
    V2Beta1,
}

impl Version {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::V2 => "v2",
            Self::V2Beta1 => "v2beta1",
        }
    }
}

/// `/api` has the core group alone, `/apis` all others. Every command of a client asks for it and it never changes, so it
/// is written once.
pub(super) fn answer(is_core: bool, version: Version, style: Style) -> Response<Body> {
    static WRITTEN: [OnceLock<Bytes>; 4] = [const { OnceLock::new() }; 4];
    if style.pretty {
        return respond::json(StatusCode::OK, &list(is_core, version), style);
    }
    let at = 2 * usize::from(is_core) + usize::from(version == Version::V2);
    let written = WRITTEN[at].get_or_init(|| list(is_core, version).to_string().into());
    respond::json_bytes(StatusCode::OK, written.clone(), style)
}

fn list(is_core: bool, version: Version) -> Value {
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
        "apiVersion": format!("apidiscovery.k8s.io/{}", version.name()),
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
