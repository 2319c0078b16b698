//! `spec` as a whole.

use std::collections::BTreeSet;

use serde_json::Value;

use super::resources::{self, Owner};
use super::{
    affinity, container, dns, format, invalid, one_of, scheduling, security, source, volume, windows,
};
use crate::field::{FieldError, FieldPath};
use crate::json::{flag, integer, list, object, text};

/// What the rules for containers need of the pod around them.
pub(super) struct PodFacts<'a> {
    /// The names of its volumes.
    pub(super) volumes: BTreeSet<&'a str>,
    /// Those of them that are emptyDir.
    pub(super) empty_dirs: BTreeSet<&'a str>,
    /// `spec.os.name`, when `spec.os` is there.
    pub(super) os: Option<&'a str>,
    pub(super) grace_period_seconds: Option<i64>,
    /// The pod's own `restartPolicy`.
    pub(super) restart_policy: &'a str,
    /// The names of its app containers.
    pub(super) container_names: BTreeSet<&'a str>,
    /// Its users are the host's.
    pub(super) host_users: bool,
}

const RESTART_POLICIES: [&str; 3] = ["Always", "OnFailure", "Never"];
const DNS_POLICIES: [&str; 4] = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];

pub(super) fn validate(pod: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let spec = &pod["spec"];
    let facts = PodFacts {
        volumes: volume::validate(spec, &path.child("volumes"), errors),
        empty_dirs: (list(spec, "volumes").iter())
            .filter(|volume| volume.get("emptyDir").is_some())
            .map(|volume| text(volume, "name"))
            .collect(),
        os: object(spec, "os").map(|os| text(os, "name")),
        grace_period_seconds: integer(spec, "terminationGracePeriodSeconds"),
        restart_policy: text(spec, "restartPolicy"),
        container_names: list(spec, "containers").iter().map(|c| text(c, "name")).collect(),
        host_users: spec.get("hostUsers") != Some(&Value::Bool(false)),
    };
    container::validate_app(spec, &facts, &path.child("containers"), errors);
    container::validate_init(spec, &facts, &path.child("initContainers"), errors);
    if let Some(own) = object(spec, "resources") {
        pod_resources(own, spec, &facts, &path.child("resources"), errors);
    }
    if let Some(overhead) = object(spec, "overhead") {
        resources::validate_limits(overhead, &path.child("overhead"), errors);
    }
    host_network_ports(spec, &path.child("containers"), errors);
    if spec.is_object() {
        one_of(errors, &path.child("restartPolicy"), text(spec, "restartPolicy"), &RESTART_POLICIES);
        one_of(errors, &path.child("dnsPolicy"), text(spec, "dnsPolicy"), &DNS_POLICIES);
    }
    security::validate_pod(spec, path, errors);
    if let Some(seconds) = integer(spec, "activeDeadlineSeconds") {
        let messages = format::in_range(seconds, 1, i64::from(i32::MAX));
        invalid(errors, &path.child("activeDeadlineSeconds"), seconds, messages);
    }
    dns::validate(spec, path, errors);
    for name in ["serviceAccountName", "nodeName", "priorityClassName", "runtimeClassName"] {
        let value = text(spec, name);
        if !value.is_empty() {
            invalid(errors, &path.child(name), value, format::dns_subdomain(value));
        }
    }
    readiness_gates(spec, &path.child("readinessGates"), errors);
    scheduling::validate(spec, path, errors);
    affinity::validate(spec, path, errors);
    host_aliases(spec, &path.child("hostAliases"), errors);
    operating_system(&facts, &path.child("os"), errors);
    windows::validate(spec, facts.os, path, errors);
    source::volumes_of_files(spec, path, errors);
}

fn pod_resources(
    own: &Value,
    spec: &Value,
    facts: &PodFacts<'_>,
    path: &FieldPath,
    errors: &mut Vec<FieldError>,
) {
    if facts.os == Some("windows") {
        errors.push(FieldError::forbidden(path.clone(), "may not be set for a windows pod"));
        return;
    }
    if own.get("claims").is_some_and(Value::is_array) {
        let detail = "claims may not be set for Resources at pod-level";
        errors.push(FieldError::forbidden(path.child("claims"), detail));
    }
    resources::validate(own, Owner::Pod, path, errors);
    resources::validate_together(own, spec, path, errors);
}

fn readiness_gates(spec: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    for (i, gate) in list(spec, "readinessGates").iter().enumerate() {
        let kind = text(gate, "conditionType");
        invalid(errors, &path.index(i).child("conditionType"), kind, format::qualified_name(kind));
    }
}

/// With `hostNetwork` a container's port is the host's.
fn host_network_ports(spec: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    if !flag(spec, "hostNetwork") {
        return;
    }
    for (i, container) in list(spec, "containers").iter().enumerate() {
        for (j, port) in list(container, "ports").iter().enumerate() {
            let (host, own) =
                (integer(port, "hostPort").unwrap_or(0), integer(port, "containerPort").unwrap_or(0));
            if host != own {
                let path = path.index(i).child("ports").index(j).child("hostPort");
                errors.push(FieldError::invalid(
                    path,
                    host,
                    "must match `containerPort` when `hostNetwork` is true",
                ));
            }
        }
    }
}

fn host_aliases(spec: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    for (i, alias) in list(spec, "hostAliases").iter().enumerate() {
        let path = path.index(i);
        let ip = text(alias, "ip");
        invalid(errors, &path.child("ip"), ip, format::ip_address(ip));
        for (j, name) in list(alias, "hostnames").iter().filter_map(Value::as_str).enumerate() {
            invalid(errors, &path.child("hostnames").index(j), name, format::dns_subdomain(name));
        }
    }
}

fn operating_system(facts: &PodFacts<'_>, path: &FieldPath, errors: &mut Vec<FieldError>) {
    match facts.os {
        None | Some("linux" | "windows") => {}
        Some("") => errors.push(FieldError::required(path.child("name"), "")),
        // Kubernetes names the object here, not its field.
        Some(other) => errors.push(FieldError::not_supported(path.clone(), other, &["linux", "windows"])),
    }
}
