//! What is not meant to be used any more: tags that move, fields and annotations that were replaced
//! (<https://kubernetes.io/docs/reference/using-api/deprecation-guide/>).

use podspec::FieldPath;
use podspec::field::quote;
use podspec::json::{fields, text};
use serde_json::{Value, json};

use super::volumes::the;
use crate::finding::{Context, Edit, Finding};
use crate::pod::Pod;
use crate::rule::{DEPRECATED_FIELD, LATEST_TAG, RENAMED_FIELD};

/// Annotations that do nothing any more, and what does it instead.
const ANNOTATIONS: [(&str, &str); 6] = [
    ("seccomp.security.alpha.kubernetes.io/pod", "securityContext.seccompProfile"),
    ("container.seccomp.security.alpha.kubernetes.io/", "securityContext.seccompProfile of the container"),
    ("scheduler.alpha.kubernetes.io/critical-pod", "priorityClassName"),
    ("scheduler.alpha.kubernetes.io/tolerations", "tolerations"),
    ("scheduler.alpha.kubernetes.io/affinity", "affinity"),
    ("security.alpha.kubernetes.io/sysctls", "securityContext.sysctls"),
];

/// Labels of nodes that nodes have no more, or will not have for long.
const LABELS: [(&str, &str); 5] = [
    ("beta.kubernetes.io/arch", "kubernetes.io/arch"),
    ("beta.kubernetes.io/os", "kubernetes.io/os"),
    ("beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type"),
    ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"),
    ("failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"),
];

pub(super) fn check(pod: &Pod<'_>, _: &Context, findings: &mut Vec<Finding>) {
    annotations(pod, findings);
    labels(pod, findings);
    volumes(pod, findings);
    account(pod, findings);
    tags(pod, findings);
}

fn annotations(pod: &Pod<'_>, findings: &mut Vec<Finding>) {
    let path = FieldPath::root().child("metadata").child("annotations");
    for (name, value) in fields(&pod.json["metadata"]["annotations"]) {
        let known = ANNOTATIONS
            .iter()
            .find(|(known, _)| known == name || known.ends_with('/') && name.starts_with(known));
        let Some((_, instead)) = known else { continue };
        let message = format!("the annotation {name} does nothing any more");
        let help = format!("use {instead} instead");
        let path = path.key(name);
        let finding = Finding::new(&DEPRECATED_FIELD, path.clone(), message, help).at_key();
        let profile = ["runtime/default", "docker/default"].iter().any(|default| *value == **default);
        let context = pod.spec.get("securityContext").filter(|context| !context.is_null());
        let is_free = context.is_none_or(|context| context.get("seccompProfile").is_none());
        findings.push(if profile && is_free && name.ends_with("/pod") {
            let profile = json!({"type": "RuntimeDefault"});
            let around = Pod::path().child("securityContext");
            let set = match context {
                Some(_) => Edit::Set { path: around.child("seccompProfile"), value: profile },
                None => Edit::Set { path: around, value: json!({"seccompProfile": profile}) },
            };
            finding.fix("set securityContext.seccompProfile instead", vec![set, Edit::Remove { path }])
        } else {
            finding
        });
    }
}

fn labels(pod: &Pod<'_>, findings: &mut Vec<Finding>) {
    let path = Pod::path().child("nodeSelector");
    let selector = fields(&pod.spec["nodeSelector"]);
    for (old, new) in LABELS {
        let Some(value) = selector.get(old) else { continue };
        let old_path = path.key(old);
        let message = format!("the label {old} is deprecated, and nodes need not have it");
        let mut finding =
            Finding::new(&DEPRECATED_FIELD, old_path.clone(), message, format!("use {new} instead")).at_key();
        if !selector.contains_key(new) {
            let set = Edit::Set { path: path.key(new), value: value.clone() };
            finding = finding.fix(format!("use {new}"), vec![set, Edit::Remove { path: old_path }]);
        }
        findings.push(finding);
    }
}

fn volumes(pod: &Pod<'_>, findings: &mut Vec<Finding>) {
    for volume in pod.volumes.iter().filter(|volume| volume.json.get("gitRepo").is_some_and(Value::is_object))
    {
        let message =
            format!("the volume {} is a gitRepo, which is deprecated and off by default", quote(volume.name));
        let help = "clone into an emptyDir by an init container that has git";
        findings.push(Finding::new(&DEPRECATED_FIELD, volume.path.child("gitRepo"), message, help).at_key());
    }
}

/// The API server fills in both names, so this can be seen in a file alone.
fn account(pod: &Pod<'_>, findings: &mut Vec<Finding>) {
    let old = text(pod.spec, "serviceAccount");
    if old.is_empty() || !text(pod.spec, "serviceAccountName").is_empty() {
        return;
    }
    let path = Pod::path().child("serviceAccount");
    let edits = vec![
        Edit::Set { path: Pod::path().child("serviceAccountName"), value: old.into() },
        Edit::Remove { path: path.clone() },
    ];
    let message = "serviceAccount is the old name of serviceAccountName".to_owned();
    findings.push(
        Finding::new(&RENAMED_FIELD, path, message, "use serviceAccountName")
            .at_key()
            .fix("rename it", edits),
    );
}

fn tags(pod: &Pod<'_>, findings: &mut Vec<Finding>) {
    for container in &pod.containers {
        let image = container.image;
        let name = image.rsplit('/').next().unwrap_or("");
        let tag = name.split_once(':').map(|(_, tag)| tag);
        // Of this machine it is whatever was made last, which is meant.
        let is_local = image.starts_with("localhost/");
        let is_fixed = image.contains('@') || !matches!(tag, None | Some("latest"));
        if image.is_empty() || is_local || is_fixed || image.contains("$(") {
            continue;
        }
        let message = match tag {
            None => {
                format!("the image {} of {} has no tag, which means latest", quote(image), the(container))
            }
            Some(_) => format!("the image {} of {} has the tag latest", quote(image), the(container)),
        };
        let help = "name a version: what latest is changes between two starts, and it is looked up at each";
        findings.push(Finding::new(&LATEST_TAG, container.path.child("image"), message, help));
    }
}
