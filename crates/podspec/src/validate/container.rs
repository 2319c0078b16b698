//! Containers and init containers.

use std::collections::BTreeSet;

use serde_json::Value;

use super::handler::{self, ProbeKind};
use super::pod::PodFacts;
use super::resources::{self, Owner};
use super::{ERRORS_MAX, descending, format, invalid, one_of, required_label, restart, security, source};
use crate::field::{FieldError, FieldPath};
use crate::json::{flag, integer, list, object, text};
use crate::schema::nearest;

const PROBES: [(&str, ProbeKind); 3] = [
    ("livenessProbe", ProbeKind::Liveness),
    ("readinessProbe", ProbeKind::Readiness),
    ("startupProbe", ProbeKind::Startup),
];

/// Names looked for by likeness, which takes time.
const SUGGESTIONS_MAX: usize = 100;

/// `spec.containers`
pub(super) fn validate_app(
    spec: &Value,
    facts: &PodFacts<'_>,
    path: &FieldPath,
    errors: &mut Vec<FieldError>,
) {
    let containers = list(spec, "containers");
    if containers.is_empty() {
        errors.push(FieldError::required(path.clone(), ""));
    }
    let mut names = BTreeSet::new();
    for (i, container) in containers.iter().enumerate() {
        if errors.len() > ERRORS_MAX {
            break;
        }
        let path = path.index(i);
        common(container, facts, &path, errors);
        unique_name(container, &mut names, &path, errors);
        hooks_and_probes(container, facts, &path, errors);
        restart::validate(container, &path, errors);
    }
    let all: Vec<(usize, &Value)> = containers.iter().enumerate().collect();
    host_ports(&all, path, errors);
}

/// `spec.initContainers`
pub(super) fn validate_init(
    spec: &Value,
    facts: &PodFacts<'_>,
    path: &FieldPath,
    errors: &mut Vec<FieldError>,
) {
    let mut names = facts.container_names.clone();
    for (i, container) in list(spec, "initContainers").iter().enumerate() {
        if errors.len() > ERRORS_MAX {
            break;
        }
        // One after the other, so each has the host's ports for itself.
        host_ports(&[(i, container)], path, errors);
        let path = path.index(i);
        common(container, facts, &path, errors);
        restart::validate(container, &path, errors);
        unique_name(container, &mut names, &path, errors);
        if text(container, "restartPolicy") == "Always" {
            hooks_and_probes(container, facts, &path, errors);
            continue;
        }
        for name in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            if object(container, name).is_some() {
                let detail = "may not be set for init containers without restartPolicy=Always";
                let error = FieldError::forbidden(path.child(name), detail);
                errors.push(error.hint("a sidecar has restartPolicy: Always on the container itself"));
            }
        }
        resources::no_restart_to_resize(container, &path.child("resizePolicy"), errors);
    }
}

fn common(container: &Value, facts: &PodFacts<'_>, path: &FieldPath, errors: &mut Vec<FieldError>) {
    required_label(errors, &path.child("name"), text(container, "name"));
    let image = text(container, "image");
    if image.is_empty() {
        errors.push(FieldError::required(path.child("image"), ""));
    } else if image.trim() != image {
        let detail = "must not have leading or trailing whitespace";
        errors.push(FieldError::invalid(path.child("image"), image, detail));
    }
    let message_policies = ["File", "FallbackToLogsOnError"];
    let policy_path = path.child("terminationMessagePolicy");
    one_of(errors, &policy_path, text(container, "terminationMessagePolicy"), &message_policies);
    ports(container, &path.child("ports"), errors);
    source::variables(container, &path.child("env"), errors);
    source::objects_of_variables(container, &path.child("envFrom"), errors);
    mounts(container, facts, &path.child("volumeMounts"), errors);
    let pull_policies = ["Always", "IfNotPresent", "Never"];
    one_of(errors, &path.child("imagePullPolicy"), text(container, "imagePullPolicy"), &pull_policies);
    resources::validate(&container["resources"], Owner::Container, &path.child("resources"), errors);
    resources::resize_policy(container, facts, &path.child("resizePolicy"), errors);
    let context = &container["securityContext"];
    security::validate_container(context, facts.host_users, &path.child("securityContext"), errors);
}

fn unique_name<'a>(
    container: &'a Value,
    names: &mut BTreeSet<&'a str>,
    path: &FieldPath,
    errors: &mut Vec<FieldError>,
) {
    let name = text(container, "name");
    if !name.is_empty() && !names.insert(name) {
        errors.push(FieldError::duplicate(path.child("name"), name));
    }
}

fn hooks_and_probes(container: &Value, facts: &PodFacts<'_>, path: &FieldPath, errors: &mut Vec<FieldError>) {
    if let Some(lifecycle) = object(container, "lifecycle") {
        handler::lifecycle(lifecycle, facts, &path.child("lifecycle"), errors);
    }
    for (name, kind) in PROBES {
        if let Some(probe) = object(container, name) {
            handler::probe(probe, kind, facts, &path.child(name), errors);
        }
    }
}

fn ports(container: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let mut names = BTreeSet::new();
    for (i, port) in list(container, "ports").iter().enumerate() {
        let path = path.index(i);
        let name = text(port, "name");
        if !name.is_empty() {
            let messages = format::port_name(name);
            if messages.is_empty() && !names.insert(name) {
                errors.push(FieldError::duplicate(path.child("name"), name));
            }
            invalid(errors, &path.child("name"), name, messages);
        }
        match integer(port, "containerPort").unwrap_or(0) {
            0 => errors.push(FieldError::required(path.child("containerPort"), "")),
            number => invalid(errors, &path.child("containerPort"), number, format::port_number(number)),
        }
        if let Some(number) = integer(port, "hostPort").filter(|n| *n != 0) {
            invalid(errors, &path.child("hostPort"), number, format::port_number(number));
        }
        // Kubernetes takes anything, and lets the pod fail on its node.
        let host_ip = text(port, "hostIP");
        if !host_ip.is_empty() {
            invalid(errors, &path.child("hostIP"), host_ip, format::ip_address(host_ip));
        }
        one_of(errors, &path.child("protocol"), text(port, "protocol"), &["SCTP", "TCP", "UDP"]);
    }
}

/// No two containers that run at the same time may have one port of the host.
fn host_ports(containers: &[(usize, &Value)], path: &FieldPath, errors: &mut Vec<FieldError>) {
    let mut taken = BTreeSet::new();
    for (i, container) in containers {
        for (j, port) in list(container, "ports").iter().enumerate() {
            let Some(number) = integer(port, "hostPort").filter(|n| *n != 0) else { continue };
            let key = format!("{}/{}/{number}", text(port, "protocol"), text(port, "hostIP"));
            if taken.contains(&key) {
                let path = path.index(*i).child("ports").index(j).child("hostPort");
                errors.push(FieldError::duplicate(path, key.as_str()));
            }
            taken.insert(key);
        }
    }
}

fn mounts(container: &Value, facts: &PodFacts<'_>, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let mut targets = BTreeSet::new();
    for (i, mount) in list(container, "volumeMounts").iter().enumerate() {
        let path = path.index(i);
        let (name, target) = (text(mount, "name"), text(mount, "mountPath"));
        if name.is_empty() {
            errors.push(FieldError::required(path.child("name"), ""));
        }
        if !facts.volumes.contains(&name) {
            let suggest = errors.len() < SUGGESTIONS_MAX;
            errors.push(undefined_volume(name, facts, path.child("name"), suggest));
        }
        if target.is_empty() {
            errors.push(FieldError::required(path.child("mountPath"), ""));
        }
        if !targets.insert(target) {
            errors.push(FieldError::invalid(path.child("mountPath"), target, "must be unique"));
        }
        sub_path(mount, &path, errors);
        propagation(container, mount, facts, &path, errors);
    }
}

/// The commonest mistake with shared volumes, so it names the way out.
fn undefined_volume(name: &str, facts: &PodFacts<'_>, path: FieldPath, suggest: bool) -> FieldError {
    let error = FieldError::not_found(path, name);
    let volumes = facts.volumes.iter().copied().filter(|_| suggest);
    match nearest(name, volumes) {
        Some(meant) => error.hint(format!("did you mean \"{meant}\"?")),
        None if name.is_empty() => error,
        None => {
            error.hint(format!("define it under spec.volumes, as \"- name: {name}\" with emptyDir: {{}}"))
        }
    }
}

fn sub_path(mount: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let (literal, expression) = (text(mount, "subPath"), text(mount, "subPathExpr"));
    descending(literal, &path.child("subPath"), errors);
    if !literal.is_empty() && !expression.is_empty() {
        let detail = "subPathExpr and subPath are mutually exclusive";
        errors.push(FieldError::invalid(path.child("subPathExpr"), expression, detail));
    }
    descending(expression, &path.child("subPathExpr"), errors);
}

/// What Kubernetes takes, and would be nothing here.
fn shared_mounts(mount: &Value, facts: &PodFacts<'_>, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let is_volume = facts.volumes.contains(text(mount, "name"));
    let detail = if !facts.host_users {
        "the kernel lets no mount out of the pod's user namespace: set hostUsers to true, or this to HostToContainer"
    } else if is_volume && !facts.empty_dirs.contains(text(mount, "name")) {
        "what a container mounts never reaches the host: only mounts in emptyDir volumes, which other containers of the \
         pod see with HostToContainer, can be Bidirectional"
    } else {
        return;
    };
    errors.push(FieldError::refused(path.child("mountPropagation"), detail));
}

fn propagation(
    container: &Value,
    mount: &Value,
    facts: &PodFacts<'_>,
    path: &FieldPath,
    errors: &mut Vec<FieldError>,
) {
    let privileged = container["securityContext"]["privileged"] == Value::Bool(true);
    match text(mount, "mountPropagation") {
        "" | "None" | "HostToContainer" => {}
        "Bidirectional" if privileged => shared_mounts(mount, facts, path, errors),
        "Bidirectional" => {
            let detail = "Bidirectional mount propagation is available only to privileged containers";
            errors.push(FieldError::refused(path.child("mountPropagation"), detail));
        }
        other => {
            let supported = ["Bidirectional", "HostToContainer", "None"];
            errors.push(FieldError::not_supported(path.child("mountPropagation"), other, &supported));
        }
    }
    let recursive = text(mount, "recursiveReadOnly");
    let path = path.child("recursiveReadOnly");
    let mut forbidden = |detail| errors.push(FieldError::forbidden(path.clone(), detail));
    if ["Enabled", "IfPossible"].contains(&recursive) {
        if !flag(mount, "readOnly") {
            forbidden("may only be specified when readOnly is true");
        }
        if !["", "None"].contains(&text(mount, "mountPropagation")) {
            forbidden("may only be specified when mountPropagation is None or not specified");
        }
    } else if !["", "Disabled"].contains(&recursive) {
        let supported = ["Disabled", "Enabled", "IfPossible"];
        errors.push(FieldError::not_supported(path, recursive, &supported));
    }
}
