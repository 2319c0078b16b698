//! Which part of an object is a pod.

use podspec::json::{list, text};
use podspec::{Document, FieldPath};
use serde_json::{Value, json};

use crate::finding::Edit;

/// An object of a text, as it is called.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Object {
    /// Counted from 1; 0 when it is about the text as a whole.
    pub document: usize,
    /// Counted from 1, in a List.
    pub item: Option<usize>,
    pub kind: String,
    /// Empty where it has none.
    pub namespace: String,
    pub name: String,
}

/// A pod in an object.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct PodIn {
    /// As a v1.Pod: the object itself, or one made of its template.
    pub(super) pod: Value,
    /// Where in the object the pod's `metadata` and `spec` are.
    pub(super) path: FieldPath,
    /// Of a template: which `restartPolicy` its kind takes.
    pub(super) restart_policies: &'static [&'static str],
}

impl Object {
    pub(super) fn of(document: &Document) -> Self {
        let Document { location, value, .. } = document;
        let metadata = &value["metadata"];
        let name = [text(metadata, "name"), text(metadata, "generateName")];
        Self {
            document: location.document,
            item: location.item,
            kind: text(value, "kind").to_owned(),
            namespace: text(metadata, "namespace").to_owned(),
            name: name.into_iter().find(|name| !name.is_empty()).unwrap_or_default().to_owned(),
        }
    }
}

/// The pod in an object; `None` when it has none.
pub(super) fn pod_in(object: &Value) -> Option<PodIn> {
    let (group, _) = text(object, "apiVersion").split_once('/').unwrap_or_default();
    let always: &[&str] = &["Always"];
    let ends: &[&str] = &["OnFailure", "Never"];
    let (steps, restart_policies): (&[&str], _) = match (group, text(object, "kind")) {
        ("", "Pod") => {
            return Some(PodIn { pod: object.clone(), path: FieldPath::root(), restart_policies: &[] });
        }
        ("", "PodTemplate") => (&["template"], &[][..]),
        ("", "ReplicationController")
        | ("apps" | "extensions", "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet") => {
            (&["spec", "template"], always)
        }
        ("batch", "Job") => (&["spec", "template"], ends),
        ("batch", "CronJob") => (&["spec", "jobTemplate", "spec", "template"], ends),
        _ => return None,
    };
    let template = steps.iter().try_fold(object, |value, step| value.get(step))?;
    let path = steps.iter().fold(FieldPath::root(), |path, step| path.child(step));
    let mut pod = template.as_object()?.clone();
    pod.insert("apiVersion".to_owned(), "v1".into());
    pod.insert("kind".to_owned(), "Pod".into());
    // The pods get names of the controller's own.
    let metadata = pod.entry("metadata").or_insert_with(|| json!({}));
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.insert("name".to_owned(), "template".into());
        metadata.remove("namespace");
    }
    let mut pod = pod.into();
    claims(object, &mut pod);
    Some(PodIn { pod, path, restart_policies })
}

/// Each claim of a StatefulSet is a volume of its pods, after those of the template, whose places stay what they are.
fn claims(object: &Value, pod: &mut Value) {
    let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) else { return };
    let claims = list(&object["spec"], "volumeClaimTemplates");
    if text(object, "kind") != "StatefulSet" || claims.is_empty() {
        return;
    }
    let Some(volumes) = spec.entry("volumes").or_insert_with(|| json!([])).as_array_mut() else { return };
    for claim in claims {
        let name = text(&claim["metadata"], "name");
        // The claim takes the place of a volume of its name.
        if !volumes.iter().any(|volume| text(volume, "name") == name) {
            volumes.push(json!({"name": name, "persistentVolumeClaim": {"claimName": name}}));
        }
    }
}

/// An edit of the pod, as one of the object.
pub(super) fn edit_in(path: &FieldPath, edit: &Edit) -> Edit {
    match edit {
        Edit::Set { path: at, value } => Edit::Set { path: path.join(at), value: value.clone() },
        Edit::Append { path: at, value } => Edit::Append { path: path.join(at), value: value.clone() },
        Edit::Remove { path: at } => Edit::Remove { path: path.join(at) },
        Edit::Move { from, to } => Edit::Move { from: path.join(from), to: path.join(to) },
    }
}
