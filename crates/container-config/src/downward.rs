//! What a pod may know of itself (<https://kubernetes.io/docs/concepts/workloads/pods/downward-api/>).

use core::net::IpAddr;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use podspec::field::quote;
use podspec::source::{DownwardValue, PodField, ResourceField, ResourceName};
use podspec::{Container, Pod};

use crate::config::NodeFacts;
use crate::error::ConfigError;
use crate::resources::bounded;

/// `own` is the container that asks, when one does; `ips` the pod's, which files never have.
pub(crate) fn value(
    wanted: &DownwardValue,
    pod: &Pod,
    own: Option<&Container>,
    node: &NodeFacts,
    ips: &[IpAddr],
) -> Result<String, ConfigError> {
    match wanted {
        DownwardValue::Field(field) => Ok(pod_field(field, pod, node, ips)),
        DownwardValue::Resource(field) => resource(field, pod, own, node),
    }
}

fn pod_field(field: &PodField, pod: &Pod, node: &NodeFacts, ips: &[IpAddr]) -> String {
    let entry = |map: &BTreeMap<String, String>, key: &str| map.get(key).cloned().unwrap_or_default();
    match field {
        PodField::Name => pod.name.clone(),
        PodField::Namespace => pod.namespace.clone(),
        PodField::Uid => pod.uid.to_string(),
        PodField::Labels => lines(&pod.labels),
        PodField::Annotations => lines(&pod.annotations),
        PodField::Label(key) => entry(&pod.labels, key),
        PodField::Annotation(key) => entry(&pod.annotations, key),
        PodField::NodeName => node.name.clone(),
        PodField::ServiceAccountName => pod.spec.service_account.clone(),
        PodField::HostIp => all(&node.addresses[..node.addresses.len().min(1)]),
        PodField::HostIps => all(&node.addresses),
        PodField::PodIp => all(&ips[..ips.len().min(1)]),
        PodField::PodIps => all(ips),
    }
}

fn all(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// `key="value"`, a line each, without a newline at the end.
fn lines(map: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (key, value) in map {
        let newline = if text.is_empty() { "" } else { "\n" };
        // Writing to a String does not fail.
        let _ = write!(text, "{newline}{key}={}", quote(value));
    }
    text
}

/// Without a limit it is the pod's own, or what the node has; without a request it is 0.
fn resource(
    field: &ResourceField,
    pod: &Pod,
    own: Option<&Container>,
    node: &NodeFacts,
) -> Result<String, ConfigError> {
    let container = match &field.container {
        Some(name) => {
            pod.spec.container(name).ok_or_else(|| ConfigError::NoSuchContainer { name: name.clone() })?
        }
        None => own.ok_or(ConfigError::NoContainer)?,
    };
    let resources = bounded(&pod.spec, container);
    let (limit, request, of_node) = match field.resource {
        ResourceName::Cpu => (resources.cpu_limit, resources.cpu_request, node.cpu_milli),
        ResourceName::Memory => (resources.memory_limit, resources.memory_request, node.memory_bytes),
        ResourceName::EphemeralStorage => {
            let (own, units) = (&container.other_resources, podspec::quantity::Quantity::to_units);
            (own.storage_limit().map(units), own.storage_request().map(units), node.storage_bytes)
        }
    };
    let amount = if field.limit {
        limit.filter(|amount| *amount > 0).unwrap_or(of_node)
    } else {
        request.unwrap_or(0)
    };
    Ok(amount.div_ceil(field.divisor.max(1)).to_string())
}
