//! Nodes.

use std::collections::BTreeSet;

use podspec::json::{fields, flag, list, text};
use serde_json::Value;

use super::{AGE, NAME, Printed, age, column, name, or, wide};

const ROLE_PREFIX: &str = "node-role.kubernetes.io/";
const ROLE_LABEL: &str = "kubernetes.io/role";

pub static NODES: Printed = Printed {
    columns: const {
        &[
            NAME,
            column("Status", "Whether it is ready, and takes new pods"),
            column("Roles", "From its labels"),
            AGE,
            column("Version", "Of its kubelet"),
            wide("Internal-IP", "Its first address of this type"),
            wide("External-IP", "Its first address of this type"),
            wide("OS-Image", "What /etc/os-release calls it"),
            wide("Kernel-Version", "As uname says, and the architecture"),
            wide("Container-Runtime", "What runs its containers"),
        ]
    },
    cells: |node, now| {
        let info = &node["status"]["nodeInfo"];
        let known = |field| or(text(info, field), "<unknown>");
        let mut kernel = known("kernelVersion");
        let architecture = text(info, "architecture");
        if !architecture.is_empty() {
            kernel.push_str(&format!(" ({architecture})"));
        }
        vec![
            name(node),
            status(node).into(),
            roles(node).into(),
            age(node, now),
            text(info, "kubeletVersion").into(),
            address(node, "InternalIP").into(),
            address(node, "ExternalIP").into(),
            known("osImage").into(),
            kernel.into(),
            known("containerRuntimeVersion").into(),
        ]
    },
};

fn status(node: &Value) -> String {
    let ready =
        list(&node["status"], "conditions").iter().find(|condition| text(condition, "type") == "Ready");
    let status = match ready.map(|condition| text(condition, "status")) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    };
    let closed = if flag(&node["spec"], "unschedulable") { ",SchedulingDisabled" } else { "" };
    format!("{status}{closed}")
}

fn roles(node: &Value) -> String {
    let mut roles = BTreeSet::new();
    for (key, value) in fields(&node["metadata"]["labels"]) {
        match key.strip_prefix(ROLE_PREFIX) {
            Some(role) => roles.insert(role),
            None if key == ROLE_LABEL => roles.insert(value.as_str().unwrap_or("")),
            None => false,
        };
    }
    let roles: Vec<&str> = roles.into_iter().filter(|role| !role.is_empty()).collect();
    or(&roles.join(","), "<none>")
}

fn address(node: &Value, kind: &str) -> String {
    let found = list(&node["status"], "addresses").iter().find(|address| text(address, "type") == kind);
    or(found.map_or("", |address| text(address, "address")), "<none>")
}
