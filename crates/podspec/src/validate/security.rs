//! Security contexts of pods and containers.

use serde_json::{Value, json};

use super::{format, invalid};
use crate::field::{FieldError, FieldPath};
use crate::json::{flag, integer, list, object, text};
use crate::lower::sysctl_name;

const SYSCTL_BYTES_MAX: usize = 253;
/// `PATH_MAX`, less its end.
const PROFILE_BYTES_MAX: usize = 4095;

pub(super) fn validate_pod(spec: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let context = &spec["securityContext"];
    if spec.get("hostUsers") == Some(&Value::Bool(false)) {
        // Kubernetes writes the last two as Go does.
        for (field, name) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")]
        {
            if flag(spec, field) {
                errors.push(FieldError::forbidden(path.child(name), "when `hostUsers` is false"));
            }
        }
    }
    let path = &path.child("securityContext");
    ids(context, &["fsGroup", "runAsUser", "runAsGroup"], path, errors);
    for (i, group) in list(context, "supplementalGroups").iter().filter_map(Value::as_i64).enumerate() {
        invalid(errors, &path.child("supplementalGroups").index(i), group, format::id(group));
    }
    if flag(spec, "hostPID") && flag(spec, "shareProcessNamespace") {
        let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.push(FieldError::invalid(path.child("shareProcessNamespace"), true, detail));
    }
    sysctls(context, spec, &path.child("sysctls"), errors);
    enumeration(context, "fsGroupChangePolicy", &["Always", "OnRootMismatch"], path, errors);
    seccomp(context, path, errors);
    app_armor(context, path, errors);
    enumeration(context, "supplementalGroupsPolicy", &["Merge", "Strict"], path, errors);
    enumeration(context, "seLinuxChangePolicy", &["MountOption", "Recursive"], path, errors);
}

pub(super) fn validate_container(
    context: &Value,
    host_users: bool,
    path: &FieldPath,
    errors: &mut Vec<FieldError>,
) {
    ids(context, &["runAsUser", "runAsGroup"], path, errors);
    enumeration(context, "procMount", &["Default", "Unmasked"], path, errors);
    if host_users && text(context, "procMount") == "Unmasked" {
        let detail = "`hostUsers` must be false to use `Unmasked`";
        errors.push(FieldError::invalid(path.child("procMount"), "Unmasked", detail));
    }
    seccomp(context, path, errors);
    privilege_escalation(context, path, errors);
    app_armor(context, path, errors);
}

fn privilege_escalation(context: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    if context.get("allowPrivilegeEscalation") != Some(&Value::Bool(false)) {
        return;
    }
    let mut contradicts = |what: &str| {
        let detail = format!("cannot set `allowPrivilegeEscalation` to false and {what}");
        errors.push(FieldError::invalid(path.clone(), context.clone(), &detail));
    };
    if context.get("privileged") == Some(&Value::Bool(true)) {
        contradicts("`privileged` to true");
    }
    let added = list(&context["capabilities"], "add");
    for _ in added.iter().filter(|c| c.as_str() == Some("CAP_SYS_ADMIN")) {
        contradicts("`capabilities.Add` CAP_SYS_ADMIN");
    }
}

fn ids(context: &Value, names: &[&str], path: &FieldPath, errors: &mut Vec<FieldError>) {
    for name in names {
        if let Some(id) = integer(context, name) {
            invalid(errors, &path.child(name), id, format::id(id));
        }
    }
}

fn enumeration(
    context: &Value,
    name: &str,
    supported: &[&str],
    path: &FieldPath,
    errors: &mut Vec<FieldError>,
) {
    let value = context.get(name).and_then(Value::as_str);
    if let Some(value) = value.filter(|v| !supported.contains(v)) {
        errors.push(FieldError::not_supported(path.child(name), value, supported));
    }
}

fn seccomp(context: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let Some(profile) = object(context, "seccompProfile") else { return };
    let path = path.child("seccompProfile");
    let kind = text(profile, "type");
    match kind {
        "Localhost" | "RuntimeDefault" | "Unconfined" => {}
        "" => {
            errors.push(FieldError::required(
                path.child("type"),
                "type is required when seccompProfile is set",
            ));
        }
        _ => {
            let supported = ["Localhost", "RuntimeDefault", "Unconfined"];
            errors.push(FieldError::not_supported(path.child("type"), kind, &supported));
        }
    }
    let file = profile.get("localhostProfile").and_then(Value::as_str);
    match (kind, file) {
        ("Localhost", None) => {
            let detail = "must be set when seccomp type is Localhost";
            errors.push(FieldError::required(path.child("localhostProfile"), detail));
        }
        ("Localhost", Some(file)) => super::descending(file, &path.child("localhostProfile"), errors),
        (_, None) => {}
        (_, Some(file)) => {
            let value = json!({ "Type": kind, "LocalhostProfile": file });
            let detail = "can only be set when seccomp type is Localhost";
            errors.push(FieldError::invalid(path.child("localhostProfile"), value, detail));
        }
    }
}

fn sysctls(context: &Value, spec: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let items = list(context, "sysctls");
    for (i, sysctl) in items.iter().enumerate() {
        let (name, path) = (text(sysctl, "name"), path.index(i).child("name"));
        if name.is_empty() {
            errors.push(FieldError::required(path.clone(), ""));
        } else if name.len() > SYSCTL_BYTES_MAX || !name.split(['.', '/']).all(is_sysctl_part) {
            let detail = format!(
                "must have at most {SYSCTL_BYTES_MAX} characters and match regex \
                 ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"
            );
            errors.push(FieldError::invalid(path.clone(), name, &detail));
        } else if items[..i].iter().any(|before| text(before, "name") == name) {
            errors.push(FieldError::duplicate(path.clone(), name));
        }
        for (kind, field) in [(SysctlNamespace::Net, "hostNetwork"), (SysctlNamespace::Ipc, "hostIPC")] {
            if flag(spec, field) && sysctl_namespace(&sysctl_name(name)) == Some(kind) {
                let detail = format!("may not be specified when '{field}' is true");
                errors.push(FieldError::invalid(path.clone(), name, &detail));
            }
        }
    }
}

/// `[a-z0-9]([-_a-z0-9]*[a-z0-9])?`
fn is_sysctl_part(part: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = [part.bytes().next(), part.bytes().last()];
    ends.iter().all(|end| end.is_some_and(alphanumeric))
        && part.bytes().all(|b| alphanumeric(b) || b == b'-' || b == b'_')
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum SysctlNamespace {
    Ipc,
    Net,
}

/// The namespace that a parameter is of; `None` where it is the whole machine's.
fn sysctl_namespace(name: &str) -> Option<SysctlNamespace> {
    const IPC: [&str; 10] = [
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
        "kernel.shm",
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.msg",
    ];
    if IPC.contains(&name) || name.starts_with("fs.mqueue.") {
        return Some(SysctlNamespace::Ipc);
    }
    name.starts_with("net.").then_some(SysctlNamespace::Net)
}

fn app_armor(context: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let Some(profile) = object(context, "appArmorProfile") else { return };
    let path = path.child("appArmorProfile");
    let name_path = path.child("localhostProfile");
    let name = profile.get("localhostProfile").and_then(Value::as_str);
    match (text(profile, "type"), name) {
        ("Localhost", None | Some("")) => {
            errors.push(FieldError::required(name_path, "must be set when AppArmor type is Localhost"));
        }
        ("Localhost", Some(name)) => {
            if name.trim() != name {
                let detail = "must not be padded with whitespace";
                errors.push(FieldError::invalid(name_path.clone(), name, detail));
            }
            if name.len() > PROFILE_BYTES_MAX {
                errors.push(FieldError::too_long(name_path, PROFILE_BYTES_MAX));
            }
        }
        ("RuntimeDefault" | "Unconfined", Some(name)) => {
            let detail = "can only be set when AppArmor type is Localhost";
            errors.push(FieldError::invalid(name_path, name, detail));
        }
        ("RuntimeDefault" | "Unconfined", None) => {}
        ("", _) => {
            let detail = "type is required when appArmorProfile is set";
            errors.push(FieldError::required(path.child("type"), detail));
        }
        (other, _) => {
            let supported = ["Localhost", "RuntimeDefault", "Unconfined"];
            errors.push(FieldError::not_supported(path.child("type"), other, &supported));
        }
    }
}
