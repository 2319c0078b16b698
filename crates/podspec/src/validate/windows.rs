//! Settings of Windows, which change nothing here: a kubelet on Linux leaves them alone.

use serde_json::Value;

use super::{format, invalid};
use crate::field::{FieldError, FieldPath};
use crate::json::{flag, list, object};

const CREDENTIAL_BYTES_MAX: usize = 64 * 1024;
const DOMAIN_BYTES_MAX: usize = 256;
const NET_BIOS_CHARACTERS_MAX: usize = 15;
const USER_BYTES_MAX: usize = 104;
const NOT_IN_NET_BIOS: &str = "\\/:*?\"<>|";
const NOT_IN_USERS: &str = "\"/\\:;|=,+*?<>@[]";

pub(super) fn validate(spec: &Value, os: Option<&str>, path: &FieldPath, errors: &mut Vec<FieldError>) {
    for (context, path) in contexts(spec, path) {
        if let Some(own) = object(context, "windowsOptions") {
            options(own, &path.child("windowsOptions"), errors);
        }
    }
    host_processes(spec, path, errors);
    match os {
        Some("linux") => not_on_linux(spec, path, errors),
        Some("windows") => not_on_windows(spec, path, errors),
        _ => {}
    }
}

/// The security contexts of the pod and of its containers, and where they are.
fn contexts<'a>(spec: &'a Value, path: &FieldPath) -> Vec<(&'a Value, FieldPath)> {
    let mut contexts = vec![(&spec["securityContext"], path.child("securityContext"))];
    contexts.extend(containers(spec, path));
    contexts
}

fn containers<'a>(spec: &'a Value, path: &FieldPath) -> Vec<(&'a Value, FieldPath)> {
    let of = |section: &'static str| {
        let path = path.child(section);
        let owners = list(spec, section).iter().enumerate();
        owners.map(move |(i, owner)| (&owner["securityContext"], path.index(i).child("securityContext")))
    };
    of("initContainers").chain(of("containers")).collect()
}

fn options(options: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let set = |name: &str| options.get(name).and_then(Value::as_str);
    if let Some(name) = set("gmsaCredentialSpecName") {
        invalid(errors, &path.child("gmsaCredentialSpecName"), name, format::dns_subdomain(name));
    }
    if let Some(spec) = set("gmsaCredentialSpec") {
        let message = match spec.len() {
            0 => "gmsaCredentialSpec cannot be an empty string",
            length if length > CREDENTIAL_BYTES_MAX => "gmsaCredentialSpec size must be under 64 KiB",
            _ => return user_name(options, path, errors),
        };
        errors.push(FieldError::invalid(path.child("gmsaCredentialSpec"), spec, message));
    }
    user_name(options, path, errors);
}

/// `[DOMAIN\\]USER`.
fn user_name(options: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let Some(name) = options.get("runAsUserName").and_then(Value::as_str) else { return };
    let mut wrong = |message: &str| {
        let message = format!("runAsUserName{message}");
        errors.push(FieldError::invalid(path.child("runAsUserName"), name, &message));
    };
    if name.is_empty() {
        return wrong(" cannot be an empty string");
    }
    if name.chars().any(|c| c.is_ascii_control()) {
        return wrong(" cannot contain control characters");
    }
    let (domain, user) = match name.split_once('\\') {
        Some((_, user)) if user.contains('\\') => return wrong(" cannot contain more than one backslash"),
        Some((domain, user)) => (Some(domain), user),
        None => (None, name),
    };
    if domain.is_some_and(|domain| domain.len() >= DOMAIN_BYTES_MAX) {
        wrong("'s Domain length must be under 256 characters");
    }
    if domain.is_some_and(|domain| !is_net_bios(domain) && !is_domain(domain)) {
        wrong("'s Domain doesn't match the NetBios nor the DNS format");
    }
    match user.len() {
        0 => wrong("'s User cannot be empty"),
        length if length > USER_BYTES_MAX => wrong("'s User length must not be longer than 104 characters"),
        _ => {}
    }
    if !user.is_empty() && user.chars().all(|c| c == '.' || c == ' ') {
        wrong("'s User cannot contain only periods or spaces");
    }
    if user.contains(|c| NOT_IN_USERS.contains(c)) {
        wrong("'s User cannot contain the following characters: \"/\\:;|=,+*?<>@[]");
    }
}

fn is_net_bios(domain: &str) -> bool {
    let length = domain.chars().count();
    (1..=NET_BIOS_CHARACTERS_MAX).contains(&length)
        && !domain.starts_with('.')
        && !domain.contains(|c| NOT_IN_NET_BIOS.contains(c))
}

fn is_domain(domain: &str) -> bool {
    domain.split('.').all(|label| format::dns_label(&label.to_ascii_lowercase()).is_empty())
}

fn host_processes(spec: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let set = |context: &Value| context["windowsOptions"].get("hostProcess").and_then(Value::as_bool);
    let of_pod = set(&spec["securityContext"]);
    let containers = containers(spec, path);
    for (own, path) in containers.iter().filter_map(|(context, path)| Some((set(context)?, path))) {
        if let Some(of_pod) = of_pod.filter(|of_pod| *of_pod != own) {
            let path = path.child("windowsOptions").child("hostProcess");
            let message =
                format!("pod hostProcess value must be identical if both are specified, was {of_pod}");
            errors.push(FieldError::invalid(path, own, &message));
        }
    }
    let count = containers.iter().filter(|(context, _)| set(context).or(of_pod) == Some(true)).count();
    if count == 0 {
        return;
    }
    if count != containers.len() {
        let message =
            "If pod contains any hostProcess containers then all containers must be HostProcess containers";
        errors.push(FieldError::invalid(path.clone(), "", message));
    }
    if !flag(spec, "hostNetwork") {
        let message = "hostNetwork must be true if pod contains any hostProcess containers";
        errors.push(FieldError::invalid(path.child("hostNetwork"), false, message));
    }
}

fn not_on_linux(spec: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    for (context, path) in contexts(spec, path) {
        if object(context, "windowsOptions").is_some() {
            let message = "windows options cannot be set for a linux pod";
            errors.push(FieldError::forbidden(path.child("windowsOptions"), message));
        }
    }
}

/// What a pod of Windows may not have.
fn not_on_windows(spec: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    const OF_PODS: [&str; 11] = [
        "appArmorProfile",
        "seLinuxOptions",
        "seccompProfile",
        "fsGroup",
        "fsGroupChangePolicy",
        "sysctls",
        "runAsUser",
        "runAsGroup",
        "supplementalGroups",
        "supplementalGroupsPolicy",
        "seLinuxChangePolicy",
    ];
    const OF_CONTAINERS: [&str; 10] = [
        "appArmorProfile",
        "seLinuxOptions",
        "seccompProfile",
        "capabilities",
        "readOnlyRootFilesystem",
        "privileged",
        "allowPrivilegeEscalation",
        "procMount",
        "runAsUser",
        "runAsGroup",
    ];
    // What Go has no pointer to is not set when it is empty.
    let is_set = |owner: &Value, name: &str| match owner.get(name) {
        Some(Value::Bool(false)) => !["hostPID", "hostIPC"].contains(&name),
        Some(Value::Array(items)) => name != "sysctls" || !items.is_empty(),
        found => found.is_some(),
    };
    let mut forbid = |owner: &Value, names: &[&str], path: &FieldPath| {
        for name in names.iter().filter(|name| is_set(owner, name)) {
            errors.push(FieldError::forbidden(path.child(name), "cannot be set for a windows pod"));
        }
    };
    forbid(&spec["securityContext"], &OF_PODS, &path.child("securityContext"));
    forbid(spec, &["hostUsers", "hostPID", "hostIPC", "shareProcessNamespace"], path);
    for section in ["initContainers", "containers"] {
        for (i, container) in list(spec, section).iter().enumerate() {
            let path = path.child(section).index(i).child("securityContext");
            forbid(&container["securityContext"], &OF_CONTAINERS, &path);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::json::text;

    fn errors(spec: &Value) -> Vec<String> {
        let mut errors = Vec::new();
        let os = object(spec, "os").map(|os| text(os, "name"));
        validate(spec, os, &FieldPath::root().child("spec"), &mut errors);
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_pod_that_says_no_system_may_have_them() {
        for name in ["ContainerAdministrator", "DOMAIN\\user", "example.com\\user", "a b"] {
            let options = json!({"windowsOptions": {"runAsUserName": name, "hostProcess": false}});
            let mut spec = json!({"securityContext": options, "containers": [{"securityContext": options}]});
            assert_eq!(errors(&spec), [""; 0], "{name}");
            spec["os"] = json!({"name": "windows"});
            assert_eq!(errors(&spec), [""; 0], "{name}");
        }
    }

    #[test]
    fn a_pod_of_linux_may_not() {
        let options = json!({"windowsOptions": {}});
        let spec = json!({
            "os": {"name": "linux"}, "securityContext": options, "initContainers": [{"securityContext": options}],
        });
        assert_eq!(
            errors(&spec),
            [
                "spec.securityContext.windowsOptions: Forbidden: windows options cannot be set for a linux pod",
                "spec.initContainers[0].securityContext.windowsOptions: Forbidden: windows options cannot be set for a \
                 linux pod",
            ]
        );
    }

    #[test]
    fn names_of_users() {
        for (name, message) in [
            ("", " cannot be an empty string"),
            ("a\u{7}", " cannot contain control characters"),
            ("a\\b\\c", " cannot contain more than one backslash"),
            ("..", "'s User cannot contain only periods or spaces"),
            ("a|b", "'s User cannot contain the following characters: \"/\\:;|=,+*?<>@[]"),
            ("D\\", "'s User cannot be empty"),
            (".x\\u", "'s Domain doesn't match the NetBios nor the DNS format"),
        ] {
            let spec = json!({"securityContext": {"windowsOptions": {"runAsUserName": name}}});
            let found = errors(&spec);
            assert!(found.len() == 1 && found[0].ends_with(&format!("runAsUserName{message}")), "{found:?}");
        }
    }

    #[test]
    fn processes_of_the_host_are_all_or_none_and_have_its_network() {
        let of = |flag: bool| json!({"securityContext": {"windowsOptions": {"hostProcess": flag}}});
        let mut spec = json!({"containers": [of(true), {}], "hostNetwork": true});
        assert!(errors(&spec)[0].contains("all containers must be HostProcess containers"));
        spec["containers"][1] = of(true);
        assert_eq!(errors(&spec), [""; 0]);
        spec["hostNetwork"] = false.into();
        assert!(errors(&spec)[0].contains("hostNetwork must be true"));
        let mut spec = of(false);
        spec["containers"] = json!([of(true)]);
        spec["hostNetwork"] = true.into();
        assert!(errors(&spec)[0].contains("must be identical if both are specified, was false"));
    }
}
