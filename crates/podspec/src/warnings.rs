//! What is allowed but most likely not meant, as Kubernetes warns of it, in its own words. What it does not see is `lint`'s to say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use crate::field::{FieldPath, quote};
use crate::json::{fields, list, text};
use crate::quantity::Quantity;

/// What is allowed but most likely not meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Warning {
    pub topic: WarningTopic,
    pub path: FieldPath,
    pub message: String,
}

/// What a warning is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WarningTopic {
    HiddenVariable,
    FractionalBytes,
    UnknownPortName,
    RepeatedPortName,
}

impl fmt::Display for Warning {
    /// In one line that begins with the field's path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// The warnings about a valid pod.
pub(crate) fn warnings(pod: &Value) -> Vec<Warning> {
    let spec = &pod["spec"];
    let path = FieldPath::root().child("spec");
    let mut warnings = Vec::new();
    for section in ["initContainers", "containers"] {
        for (i, container) in list(spec, section).iter().enumerate() {
            let path = path.child(section).index(i);
            hidden_variables(container, &path, &mut warnings);
            fractional_bytes(container, &path, &mut warnings);
            unknown_ports(container, &path, &mut warnings);
        }
    }
    repeated_port_names(spec, &path, &mut warnings);
    warnings
}

fn hidden_variables(container: &Value, path: &FieldPath, warnings: &mut Vec<Warning>) {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (i, variable) in list(container, "env").iter().enumerate() {
        let (name, value) = (text(variable, "name"), text(variable, "value"));
        let reference = format!("$({name})");
        let extends = value.contains(&reference) && value != reference;
        if seen.insert(name, i).is_some() && !extends {
            let path = path.child("env").index(i);
            let name = quote(name);
            let message =
                format!("hides previous definition of {name}, which may be dropped when using apply");
            warnings.push(Warning { topic: WarningTopic::HiddenVariable, path, message });
        }
    }
}

/// `memory: 128m` is an eighth of a byte.
fn fractional_bytes(container: &Value, path: &FieldPath, warnings: &mut Vec<Warning>) {
    for list in ["limits", "requests"] {
        let Some(memory) = fields(&container["resources"][list]).get("memory") else { continue };
        let Ok(quantity) = Quantity::parse(memory.as_str().unwrap_or("")) else { continue };
        if !quantity.is_whole() {
            let path = path.child("resources").child(list).key("memory");
            let message = format!("fractional byte value \"{quantity}\" is invalid, must be an integer");
            warnings.push(Warning { topic: WarningTopic::FractionalBytes, path, message });
        }
    }
}

/// A probe or hook that names a port of none of the container's: it errs each time, as in Kubernetes.
fn unknown_ports(container: &Value, path: &FieldPath, warnings: &mut Vec<Warning>) {
    let names: BTreeSet<&str> = list(container, "ports").iter().map(|port| text(port, "name")).collect();
    let handlers = [
        ("livenessProbe", None),
        ("readinessProbe", None),
        ("startupProbe", None),
        ("lifecycle", Some("postStart")),
        ("lifecycle", Some("preStop")),
    ];
    for (field, hook) in handlers {
        let (mut holder, mut path) = (&container[field], path.child(field));
        if let Some(hook) = hook {
            (holder, path) = (&holder[hook], path.child(hook));
        }
        for action in ["httpGet", "tcpSocket"] {
            let Some(name) = holder[action]["port"].as_str().filter(|name| !names.contains(name)) else {
                continue;
            };
            let (path, name) = (path.child(action).child("port"), quote(name));
            let message = format!("none of the container's ports has the name {name}");
            warnings.push(Warning { topic: WarningTopic::UnknownPortName, path, message });
        }
    }
}

fn repeated_port_names(spec: &Value, path: &FieldPath, warnings: &mut Vec<Warning>) {
    let mut seen: BTreeMap<&str, FieldPath> = BTreeMap::new();
    for section in ["initContainers", "containers"] {
        for (i, container) in list(spec, section).iter().enumerate() {
            let path = path.child(section).index(i).child("ports");
            for (j, port) in list(container, "ports").iter().enumerate() {
                let (name, path) = (text(port, "name"), path.index(j));
                if name.is_empty() {
                    continue;
                }
                let Some(first) = seen.get(name) else {
                    seen.insert(name, path);
                    continue;
                };
                let name = quote(name);
                let message = format!(
                    "duplicate port name {name} with {first}, services and probes that select ports by name will use \
                     {first}"
                );
                warnings.push(Warning { topic: WarningTopic::RepeatedPortName, path, message });
            }
        }
    }
}
