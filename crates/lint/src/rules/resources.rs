//! Memory and limits that do not fit together (KEP-2837;
//! <https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/>).

use podspec::field::quote;
use podspec::json::text;
use podspec::quantity::Quantity;
use serde_json::Value;

use super::volumes::the;
use crate::finding::{Context, Finding};
use crate::pod::{Kind, Pod};
use crate::rule::{LIMITS_BELOW_SIDECARS, MEMORY_VOLUME_WITHOUT_LIMIT};

pub(super) fn check(pod: &Pod<'_>, _: &Context, findings: &mut Vec<Finding>) {
    memory_volumes(pod, findings);
    limits(pod, findings);
}

/// A volume in memory whose files count against nobody's limit.
fn memory_volumes(pod: &Pod<'_>, findings: &mut Vec<Finding>) {
    if amount(&pod.spec["resources"], "limits", "memory").is_some() {
        return;
    }
    for volume in &pod.volumes {
        let source = &volume.json["emptyDir"];
        let has_limit = source.get("sizeLimit").is_some_and(|limit| !limit.is_null());
        if text(source, "medium") != "Memory" || has_limit {
            continue;
        }
        let free = pod
            .mounts_of(volume.name)
            .find(|(_, container, _)| amount(&container.json["resources"], "limits", "memory").is_none());
        let Some((_, container, mount)) = free else { continue };
        let message = format!(
            "the volume {} is in memory and has no sizeLimit, nor has {} a memory limit: it can fill the node's memory",
            quote(volume.name),
            the(container)
        );
        let help = "set emptyDir.sizeLimit, or a memory limit for each container that mounts it";
        findings.push(
            Finding::new(&MEMORY_VOLUME_WITHOUT_LIMIT, volume.path.child("emptyDir"), message, help)
                .related(mount.path.clone(), format!("mounted by {}", the(container))),
        );
    }
}

/// Sidecars that ask for all that the pod may have.
fn limits(pod: &Pod<'_>, findings: &mut Vec<Finding>) {
    for resource in ["cpu", "memory"] {
        let Some(limit) = amount(&pod.spec["resources"], "limits", resource) else { continue };
        let asked = |json: &Value| {
            amount(&json["resources"], "requests", resource)
                .or_else(|| amount(&json["resources"], "limits", resource))
        };
        let sidecars = pod.containers.iter().filter(|container| container.kind == Kind::Sidecar);
        let sum = sidecars.filter_map(|container| asked(container.json)).reduce(Quantity::plus);
        let without = pod.containers.iter().find(|c| c.kind == Kind::App && asked(c.json).is_none());
        let (Some(sum), Some(app)) = (sum.filter(|sum| *sum >= limit), without) else { continue };
        let message = format!(
            "the sidecars alone ask for {resource} {sum}, and the whole pod may have {limit}: nothing is left to {}",
            the(app)
        );
        let help = format!(
            "raise spec.resources.limits[{resource}] above what the sidecars ask for, or let them ask for less"
        );
        let path = Pod::path().child("resources").child("limits").key(resource);
        findings.push(
            Finding::new(&LIMITS_BELOW_SIDECARS, path, message, help)
                .related(app.path.clone(), "asks for nothing"),
        );
    }
}

fn amount(resources: &Value, list: &str, resource: &str) -> Option<Quantity> {
    match resources.get(list)?.get(resource)? {
        Value::String(text) => Quantity::parse(text).ok(),
        Value::Number(number) => Quantity::parse(&number.to_string()).ok(),
        _ => None,
    }
}
