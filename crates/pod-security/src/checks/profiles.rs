//! Profiles of the kernel's security modules and of system calls.

use std::collections::BTreeSet;

use podspec::field::quote;
use podspec::json::{fields, object, text};
use serde_json::Value;

use super::words::{containers, listed, plural, quoted, setters};
use super::{Pod, profile_type};
use crate::evaluate::Violation;

/// Before there was a field: this and the container's name.
const APP_ARMOR_ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";
const SECCOMP_ANNOTATION: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_ANNOTATION_OF: &str = "container.seccomp.security.alpha.kubernetes.io/";

/// `v1.N` that reads the field of a seccomp profile instead of the annotations.
const SECCOMP_FIELD_SINCE: u64 = 19;

fn is_confined(profile: &str) -> bool {
    matches!(profile, "RuntimeDefault" | "Localhost")
}

pub(super) fn app_armor(pod: &Pod<'_>) -> Option<Violation> {
    let mut kinds = BTreeSet::new();
    let mut is_bad = |context| {
        let kind = profile_type(context, "appArmorProfile").filter(|kind| !is_confined(kind));
        kinds.extend(kind);
        kind.is_some()
    };
    let pod_is_bad = is_bad(pod.context());
    let bad = pod.contexts_where(is_bad);
    let mut setters: Vec<String> = setters(pod_is_bad, &bad).into_iter().collect();
    let mut values: Vec<String> = kinds.into_iter().map(str::to_owned).collect();
    let annotations = forbidden_app_armor_annotations(&pod.metadata["annotations"]);
    if !annotations.is_empty() {
        setters.push(plural(annotations.len(), "annotation", "annotations").to_owned());
        values.extend(annotations);
    }
    if setters.is_empty() {
        return None;
    }
    let texts: Vec<&str> = values.iter().map(String::as_str).collect();
    Some(Violation {
        reason: plural(values.len(), "forbidden AppArmor profile", "forbidden AppArmor profiles"),
        detail: format!("{} must not set AppArmor profile type to {}", setters.join(" and "), quoted(&texts)),
    })
}

fn forbidden_app_armor_annotations(annotations: &Value) -> BTreeSet<String> {
    let is_allowed =
        |value: &str| value.is_empty() || value == "runtime/default" || value.starts_with("localhost/");
    let texts = fields(annotations).iter().filter(|(name, _)| name.starts_with(APP_ARMOR_ANNOTATION));
    let texts = texts.filter_map(|(name, value)| Some((name, value.as_str()?)));
    texts
        .filter(|(_, value)| !is_allowed(value))
        .map(|(name, value)| format!("{name}={}", quote(value)))
        .collect()
}

pub(super) fn se_linux(pod: &Pod<'_>) -> Option<Violation> {
    let is_allowed = |kind: &str| match kind {
        "" | "container_t" | "container_init_t" | "container_kvm_t" => true,
        "container_engine_t" => pod.version.has(31),
        _ => false,
    };
    let (mut kinds, mut has_user, mut has_role) = (BTreeSet::new(), false, false);
    let mut is_bad = |context| {
        let Some(options) = object(context, "seLinuxOptions") else { return false };
        let kind = Some(text(options, "type")).filter(|kind| !is_allowed(kind));
        let (user, role) = (!text(options, "user").is_empty(), !text(options, "role").is_empty());
        kinds.extend(kind);
        has_user |= user;
        has_role |= role;
        kind.is_some() || user || role
    };
    let pod_is_bad = is_bad(pod.context());
    let bad = pod.contexts_where(is_bad);
    let setters = setters(pod_is_bad, &bad)?;
    let mut faults = Vec::new();
    if !kinds.is_empty() {
        faults.push(format!("{} {}", plural(kinds.len(), "type", "types"), quoted(&kinds)));
    }
    if has_user {
        faults.push("user may not be set".to_owned());
    }
    if has_role {
        faults.push("role may not be set".to_owned());
    }
    let detail = format!("{setters} set forbidden securityContext.seLinuxOptions: {}", faults.join("; "));
    Some(Violation { reason: "seLinuxOptions", detail })
}

/// No profile is what the engine does by itself; only asking for less is forbidden.
pub(super) fn seccomp(pod: &Pod<'_>) -> Option<Violation> {
    if pod.version.has(SECCOMP_FIELD_SINCE) { unconfined(pod) } else { unconfined_by_annotation(pod) }
}

/// The pod, or each of its containers, has to ask for a profile.
pub(super) fn seccomp_is_set(pod: &Pod<'_>) -> Option<Violation> {
    if pod.version.has(25) && pod.is_of_windows() {
        return None;
    }
    if let Some(violation) = unconfined(pod) {
        return Some(violation);
    }
    let name = "seccompProfile";
    let of_pod = profile_type(pod.context(), name).is_some();
    let bad = pod.contexts_where(|context| !of_pod && profile_type(context, name).is_none());
    let detail = || {
        let who = containers(&bad);
        format!(
            "pod or {who} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\""
        )
    };
    (!bad.is_empty()).then(|| Violation { reason: "seccompProfile", detail: detail() })
}

fn unconfined(pod: &Pod<'_>) -> Option<Violation> {
    let mut kinds = BTreeSet::new();
    let mut is_bad = |context| {
        let kind = profile_type(context, "seccompProfile").filter(|kind| !is_confined(kind));
        kinds.extend(kind);
        kind.is_some()
    };
    let pod_is_bad = is_bad(pod.context());
    let bad = pod.contexts_where(is_bad);
    let setters = setters(pod_is_bad, &bad)?;
    let detail = format!("{setters} must not set securityContext.seccompProfile.type to {}", quoted(&kinds));
    Some(Violation { reason: "seccompProfile", detail })
}

fn unconfined_by_annotation(pod: &Pod<'_>) -> Option<Violation> {
    let of_containers =
        pod.containers().map(|container| format!("{SECCOMP_ANNOTATION_OF}{}", text(container, "name")));
    let names = of_containers.chain([SECCOMP_ANNOTATION.to_owned()]);
    let is_allowed = |value: &str| {
        matches!(value, "runtime/default" | "docker/default") || value.starts_with("localhost/")
    };
    let annotations = &pod.metadata["annotations"];
    let set = names.filter_map(|name| Some((annotations.get(&name)?.as_str()?, name)));
    let bad: BTreeSet<String> = set
        .filter(|(value, _)| !is_allowed(value))
        .map(|(value, name)| format!("{name}={}", quote(value)))
        .collect();
    let detail = || format!("forbidden {} {}", plural(bad.len(), "annotation", "annotations"), listed(&bad));
    (!bad.is_empty()).then(|| Violation { reason: "seccompProfile", detail: detail() })
}
