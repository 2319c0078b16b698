//! What kind of object a document is; Lists are taken apart.

use serde_json::Value;

use super::node::{Content, Node};
use super::place::{Places, Span};
use super::{LoadError, Location, Problem};
use crate::field::{FieldError, FieldPath};

/// A document that says it is a v1 Pod, or of another kind when those were asked for. Its content has not been
/// looked at yet.
#[derive(Clone, Debug)]
pub struct Document {
    pub location: Location,
    pub value: Value,
    pub places: Places,
    /// The part of the text that holds it, with the comments before it; items of one list have one extent.
    pub extent: Span,
}

/// Lists within lists, as `kubectl get` never makes them.
const LIST_DEPTH_MAX: usize = 4;

/// Which kinds are taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kinds {
    Pods,
    All,
}

/// Adds the objects of one document to `documents`, and what keeps it from being some to `errors`.
pub(super) fn take_apart(
    node: Node,
    extent: Span,
    location: Location,
    kinds: Kinds,
    documents: &mut Vec<Document>,
    errors: &mut Vec<LoadError>,
) {
    Sorter { kinds, extent, documents, errors }.document(node, location, 0, None);
}

struct Sorter<'a> {
    kinds: Kinds,
    extent: Span,
    documents: &'a mut Vec<Document>,
    errors: &'a mut Vec<LoadError>,
}

impl Sorter<'_> {
    /// `implied` is the kind of an item that need not say it, as those of a PodList.
    fn document(&mut self, node: Node, location: Location, depth: usize, implied: Option<&str>) {
        let location = Location { line: node.place.line, pod: pod_name(&node), ..location };
        let at = node.place.value;
        if !matches!(node.content, Content::Map(_)) {
            self.error(location, at, Problem::NotAMapping(node.kind()));
            return;
        }
        let text = |name| node.field(name).and_then(Node::text).map(str::to_owned).filter(|t| !t.is_empty());
        let kind = text("kind").or_else(|| implied.map(str::to_owned));
        let version = text("apiVersion").or_else(|| implied.map(|_| "v1".to_owned()));
        match (kind.as_deref(), version.as_deref()) {
            (None, _) => self.error(location, at, Problem::KindMissing { field: "kind", expected: "Pod" }),
            (_, None) => {
                self.error(location, at, Problem::KindMissing { field: "apiVersion", expected: "v1" });
            }
            (Some("Pod"), Some("v1")) => self.object(node, location, "Pod", "v1"),
            (Some(kind @ ("List" | "PodList")), Some("v1")) if depth < LIST_DEPTH_MAX => {
                let implied = (kind == "PodList").then_some("Pod");
                self.list(node, &location, depth, implied);
            }
            (Some(kind), Some(version)) if self.kinds == Kinds::All => {
                self.object(node, Location { pod: None, ..location }, kind, version);
            }
            (Some(kind), Some(version)) => {
                let problem = wrong_kind(kind, version, location.pod.as_deref());
                // It is no pod's name.
                self.error(Location { pod: None, ..location }, at, problem);
            }
        }
    }

    fn list(&mut self, node: Node, location: &Location, depth: usize, implied: Option<&str>) {
        let at = node.place.value;
        let Content::Map(entries) = node.content else { return };
        let items = entries.into_iter().find(|e| e.key == "items").map(|e| e.node.content);
        let Some(Content::List(items)) = items else {
            self.error(location.clone(), at, Problem::NoItems);
            return;
        };
        for (i, item) in items.into_iter().enumerate() {
            let location = Location { item: Some(i + 1), pod: None, ..location.clone() };
            self.document(item, location, depth + 1, implied);
        }
    }

    fn object(&mut self, node: Node, location: Location, kind: &str, api_version: &str) {
        let mut duplicates = Vec::new();
        let (mut value, places) = node.into_json(&FieldPath::root(), &mut duplicates);
        value["apiVersion"] = api_version.into();
        value["kind"] = kind.into();
        for duplicate in duplicates {
            let location = Location { line: duplicate.line, ..location.clone() };
            let problem = Problem::Field(FieldError::duplicate_field(duplicate.path));
            self.error(location, duplicate.key, problem);
        }
        self.documents.push(Document { location, value, places, extent: self.extent });
    }

    fn error(&mut self, location: Location, at: Span, problem: Problem) {
        self.errors.push(LoadError { location, at, problem });
    }
}

fn pod_name(node: &Node) -> Option<String> {
    let metadata = node.field("metadata")?;
    let name = metadata.field("name").or_else(|| metadata.field("generateName"))?;
    name.text().filter(|t| !t.is_empty()).map(str::to_owned)
}

fn wrong_kind(kind: &str, api_version: &str, name: Option<&str>) -> Problem {
    let remedy = match kind {
        "Pod" => "write \"apiVersion: v1\"",
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "ReplicationController" | "Job" => {
            "make a Pod of its spec.template (with a metadata.name)"
        }
        "CronJob" => "make a Pod of its spec.jobTemplate.spec.template (with a metadata.name)",
        "PodTemplate" => "make a Pod of its template (with a metadata.name)",
        _ => "remove the document",
    };
    let name = name.map(|name| format!(" \"{name}\"")).unwrap_or_default();
    Problem::WrongKind { object: format!("{kind}{name}"), api_version: api_version.to_owned(), remedy }
}

#[cfg(test)]
mod tests {
    use super::super::load;

    fn errors(text: &str) -> Vec<String> {
        load("f.yaml", text).1.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn lists_are_taken_apart() {
        let text = "kind: List\napiVersion: v1\nitems:\n- {kind: Pod, apiVersion: v1, metadata: {name: a}}\n\
                    - {kind: PodList, apiVersion: v1, items: [{metadata: {name: b}}]}\n";
        let (documents, errors) = load("f.yaml", text);
        assert!(errors.is_empty(), "{errors:?}");
        let places: Vec<_> = documents.iter().map(|d| d.location.to_string()).collect();
        assert_eq!(
            places,
            ["f.yaml:4: document 1, item 1, pod \"a\"", "f.yaml:5: document 1, item 1, pod \"b\""]
        );
        assert!(documents.iter().all(|d| d.value["kind"] == "Pod" && d.value["apiVersion"] == "v1"));
    }

    #[test]
    fn other_kinds_name_the_remedy() {
        assert_eq!(
            errors("kind: Deployment\napiVersion: apps/v1\nmetadata: {name: web}\n"),
            [concat!(
                "f.yaml:1: document 1: Deployment \"web\" (apps/v1) is not supported, only Pod and List (v1): ",
                "make a Pod of its spec.template (with a metadata.name)"
            )]
        );
    }
}
