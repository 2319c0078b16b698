//! The known ways to more than a container's rights.

use std::collections::BTreeSet;

use podspec::json::{flag, integer, list, object, text};
use serde_json::Value;

use super::Pod;
use super::words::{containers, listed, plural, quoted, setters};
use crate::evaluate::Violation;

/// What engines give to every container, or at least did.
pub(super) const CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Those of the pod alone, each with the first `v1.N` that allows it.
pub(super) const SYSCTLS: [(&str, u64); 12] = [
    ("kernel.shm_rmid_forced", 0),
    ("net.ipv4.ip_local_port_range", 0),
    ("net.ipv4.tcp_syncookies", 0),
    ("net.ipv4.ping_group_range", 0),
    ("net.ipv4.ip_unprivileged_port_start", 0),
    ("net.ipv4.ip_local_reserved_ports", 27),
    ("net.ipv4.tcp_keepalive_time", 29),
    ("net.ipv4.tcp_fin_timeout", 29),
    ("net.ipv4.tcp_keepalive_intvl", 29),
    ("net.ipv4.tcp_keepalive_probes", 29),
    ("net.ipv4.tcp_rmem", 32),
    ("net.ipv4.tcp_wmem", 32),
];

pub(super) fn capabilities(pod: &Pod<'_>) -> Option<Violation> {
    let mut forbidden = BTreeSet::new();
    let bad = pod.contexts_where(|context| {
        let added = list(&context["capabilities"], "add").iter().filter_map(Value::as_str);
        let before: Vec<&str> = added.filter(|name| !CAPABILITIES.contains(name)).collect();
        forbidden.extend(&before);
        !before.is_empty()
    });
    let detail = || {
        format!(
            "{} must not include {} in securityContext.capabilities.add",
            containers(&bad),
            quoted(&forbidden)
        )
    };
    (!bad.is_empty()).then(|| Violation { reason: "non-default capabilities", detail: detail() })
}

pub(super) fn host_namespaces(pod: &Pod<'_>) -> Option<Violation> {
    let shared = ["hostNetwork", "hostPID", "hostIPC"].into_iter().filter(|name| flag(pod.spec, name));
    let shared: Vec<String> = shared.map(|name| format!("{name}=true")).collect();
    (!shared.is_empty()).then(|| Violation { reason: "host namespaces", detail: shared.join(", ") })
}

pub(super) fn host_path_volumes(pod: &Pod<'_>) -> Option<Violation> {
    let volumes = list(pod.spec, "volumes").iter().filter(|volume| object(volume, "hostPath").is_some());
    let names: Vec<&str> = volumes.map(|volume| text(volume, "name")).collect();
    let detail = || format!("{} {}", plural(names.len(), "volume", "volumes"), quoted(&names));
    (!names.is_empty()).then(|| Violation { reason: "hostPath volumes", detail: detail() })
}

pub(super) fn host_ports(pod: &Pod<'_>) -> Option<Violation> {
    let mut ports = BTreeSet::new();
    let bad = pod.containers_where(|container| {
        let taken = list(container, "ports").iter().filter_map(|port| integer(port, "hostPort"));
        let taken: Vec<String> = taken.filter(|port| *port != 0).map(|port| port.to_string()).collect();
        let is_bad = !taken.is_empty();
        ports.extend(taken);
        is_bad
    });
    let detail = || {
        let (uses, noun) = (plural(bad.len(), "uses", "use"), plural(ports.len(), "hostPort", "hostPorts"));
        format!("{} {uses} {noun} {}", containers(&bad), listed(&ports))
    };
    (!bad.is_empty()).then(|| Violation { reason: "hostPort", detail: detail() })
}

/// A probe or hook that goes elsewhere goes there from the node.
pub(super) fn hosts_of_handlers(pod: &Pod<'_>) -> Option<Violation> {
    let (mut names, mut hosts) = (BTreeSet::new(), BTreeSet::new());
    for container in pod.containers() {
        let lifecycle = &container["lifecycle"];
        let handlers = [
            &container["livenessProbe"],
            &container["readinessProbe"],
            &container["startupProbe"],
            &lifecycle["postStart"],
            &lifecycle["preStop"],
        ];
        let found = handlers
            .iter()
            .flat_map(|handler| ["httpGet", "tcpSocket"].map(|way| text(&handler[way], "host")));
        let found: Vec<&str> = found.filter(|host| !host.is_empty()).collect();
        if !found.is_empty() {
            names.insert(text(container, "name"));
            hosts.extend(found);
        }
    }
    let names: Vec<&str> = names.into_iter().collect();
    let detail = || {
        let uses = plural(names.len(), "uses", "use");
        let noun = plural(hosts.len(), "probe or lifecycle host", "probe or lifecycle hosts");
        format!("{} {uses} {noun} {}", containers(&names), quoted(&hosts))
    };
    (!names.is_empty()).then(|| Violation { reason: "probe or lifecycle host", detail: detail() })
}

pub(super) fn privileged(pod: &Pod<'_>) -> Option<Violation> {
    let bad = pod.contexts_where(|context| flag(context, "privileged"));
    let detail = || format!("{} must not set securityContext.privileged=true", containers(&bad));
    (!bad.is_empty()).then(|| Violation { reason: "privileged", detail: detail() })
}

/// In a user namespace of its own, the whole of `/proc` shows no more than the pod.
pub(super) fn proc_mount(pod: &Pod<'_>) -> Option<Violation> {
    if pod.version.has(35) && pod.has_own_users() { None } else { unmasked_proc(pod) }
}

/// User namespace or not.
pub(super) fn unmasked_proc(pod: &Pod<'_>) -> Option<Violation> {
    let mut kinds = BTreeSet::new();
    let bad = pod.contexts_where(|context| {
        let kind = context.get("procMount").and_then(Value::as_str).filter(|kind| *kind != "Default");
        kinds.extend(kind);
        kind.is_some()
    });
    let detail =
        || format!("{} must not set securityContext.procMount to {}", containers(&bad), quoted(&kinds));
    (!bad.is_empty()).then(|| Violation { reason: "procMount", detail: detail() })
}

pub(super) fn sysctls(pod: &Pod<'_>) -> Option<Violation> {
    let is_allowed =
        |name: &str| SYSCTLS.iter().any(|(allowed, since)| *allowed == name && pod.version.has(*since));
    let names = list(pod.context(), "sysctls").iter().map(|sysctl| text(sysctl, "name"));
    let bad: Vec<&str> = names.filter(|name| !is_allowed(name)).collect();
    (!bad.is_empty()).then(|| Violation { reason: "forbidden sysctls", detail: bad.join(", ") })
}

pub(super) fn windows_host_process(pod: &Pod<'_>) -> Option<Violation> {
    let is_set = |context: &Value| flag(&context["windowsOptions"], "hostProcess");
    let setters = setters(is_set(pod.context()), &pod.contexts_where(is_set))?;
    let detail = format!("{setters} must not set securityContext.windowsOptions.hostProcess=true");
    Some(Violation { reason: "hostProcess", detail })
}
