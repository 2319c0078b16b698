//! What counts of a pod for the Services that select it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use podspec::json::{fields, list, text};
use serde_json::{Value, json};

use crate::objects::pod_is_over;

/// A pod that is not over, and has an address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Endpoint {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) labels: BTreeMap<String, String>,
    /// Of each family that it has.
    pub(super) addresses: Vec<IpAddr>,
    pub(super) node: String,
    hostname: String,
    subdomain: String,
    pub(super) is_ready: bool,
    pub(super) is_ending: bool,
    ports: Vec<Port>,
}

/// One that a container names; the first of a name counts.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Port {
    name: String,
    protocol: String,
    number: i64,
}

impl Endpoint {
    /// `None` for a pod that is over, or has no address yet.
    pub(super) fn of(pod: &Value) -> Option<Self> {
        let (metadata, spec, status) = (&pod["metadata"], &pod["spec"], &pod["status"]);
        if pod_is_over(pod) {
            return None;
        }
        let own = |name: &str| text(spec, name).to_owned();
        let mut addresses: Vec<IpAddr> =
            list(status, "podIPs").iter().filter_map(|ip| text(ip, "ip").parse().ok()).collect();
        if addresses.is_empty() {
            addresses.extend(text(status, "podIP").parse::<IpAddr>());
        }
        let is_ready = list(status, "conditions")
            .iter()
            .any(|known| text(known, "type") == "Ready" && text(known, "status") == "True");
        (!addresses.is_empty()).then(|| Self {
            namespace: text(metadata, "namespace").to_owned(),
            name: text(metadata, "name").to_owned(),
            uid: text(metadata, "uid").to_owned(),
            labels: labels(&metadata["labels"]),
            addresses,
            node: own("nodeName"),
            hostname: own("hostname"),
            subdomain: own("subdomain"),
            is_ready,
            is_ending: !metadata["deletionTimestamp"].is_null(),
            ports: ports(spec),
        })
    }

    /// Nothing is selected by no labels at all.
    pub(super) fn is_selected_by(&self, selector: &BTreeMap<String, String>) -> bool {
        !selector.is_empty() && selector.iter().all(|(key, value)| self.labels.get(key) == Some(value))
    }

    pub(super) fn address(&self, family: &str) -> Option<IpAddr> {
        self.addresses.iter().find(|address| address.is_ipv4() == (family == "IPv4")).copied()
    }

    pub(super) fn target(&self) -> Value {
        json!({"kind": "Pod", "namespace": self.namespace, "name": self.name, "uid": self.uid})
    }

    /// The name that it has below the Service's.
    pub(super) fn hostname_in(&self, service: &Value) -> Option<&str> {
        let is_of = self.subdomain == text(&service["metadata"], "name");
        (is_of && !self.hostname.is_empty()).then_some(self.hostname.as_str())
    }

    /// The ports of the Service as this pod has them; those that it does not have are left out.
    pub(super) fn ports_for(&self, service: &Value) -> Vec<Value> {
        let ports = list(&service["spec"], "ports").iter();
        let resolved = ports.filter_map(|port| {
            let number = self.number(&port["targetPort"], text(port, "protocol"))?;
            let mut resolved =
                json!({"name": text(port, "name"), "port": number, "protocol": text(port, "protocol")});
            if let Some(spoken) = port.get("appProtocol").filter(|spoken| !spoken.is_null()) {
                resolved["appProtocol"] = spoken.clone();
            }
            Some(resolved)
        });
        resolved.collect()
    }

    fn number(&self, target: &Value, protocol: &str) -> Option<i64> {
        match target {
            Value::String(name) => {
                let own = self.ports.iter().find(|port| port.name == *name && port.protocol == protocol);
                own.map(|port| port.number)
            }
            target => target.as_i64(),
        }
    }
}

fn labels(labels: &Value) -> BTreeMap<String, String> {
    let labels = fields(labels).iter();
    labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// Those of containers that run with the pod: sidecars do, other init containers do not.
fn ports(spec: &Value) -> Vec<Port> {
    let sidecars =
        list(spec, "initContainers").iter().filter(|container| text(container, "restartPolicy") == "Always");
    let containers = list(spec, "containers").iter().chain(sidecars);
    let port = |port: &Value| {
        Some(Port {
            name: text(port, "name").to_owned(),
            protocol: match text(port, "protocol") {
                "" => "TCP".to_owned(),
                protocol => protocol.to_owned(),
            },
            number: port["containerPort"].as_i64()?,
        })
    };
    let named = containers.flat_map(|container| list(container, "ports")).filter_map(port);
    named.filter(|port| !port.name.is_empty()).collect()
}
