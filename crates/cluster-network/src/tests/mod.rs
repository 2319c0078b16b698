//! Objects in, rules and names out.

#![expect(
    clippy::needless_pass_by_value,
    reason = "tables of cases read better with values than with borrows"
)]

mod policies;
mod services;
mod state;

use std::fmt::Write as _;

use network::{Allowed, Peers, PodPolicy, PortRange, ServicePort};
use serde_json::{Value, json};

/// `10.201.0.7 TCP 80/30080 ~60s -> 10.200.0.5:8080 10.200.0.6:8080`, a line each.
fn shown(ports: &[ServicePort]) -> String {
    let mut lines = Vec::new();
    for port in ports {
        let mut line = String::new();
        for address in &port.addresses {
            write!(line, "{address} ").unwrap();
        }
        write!(line, "{:?} {}", port.protocol, port.port).unwrap();
        if let Some(node_port) = port.node_port {
            write!(line, "/{node_port}").unwrap();
        }
        if let Some(affinity) = port.affinity {
            write!(line, " ~{}s", affinity.as_secs()).unwrap();
        }
        line.push_str(" ->");
        for endpoint in &port.endpoints {
            write!(line, " {endpoint}").unwrap();
        }
        lines.push(line);
    }
    lines.join("\n")
}

/// `ingress 10.200.0.5 Tcp 80-80, any; egress nothing`.
fn shown_policy(policy: &PodPolicy) -> String {
    let port = |range: &PortRange| format!("{:?} {}-{}", range.protocol, range.first, range.last);
    let peers = |peers: &Peers| match peers {
        Peers::Any => "any".to_owned(),
        Peers::Addresses(addresses) => {
            addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join("+")
        }
        Peers::Block { within, except } if except.is_empty() => within.to_string(),
        Peers::Block { within, except } => format!("{within}!{}", except[0]),
    };
    let one = |allowed: &Allowed| {
        let ports: Vec<String> = allowed.ports.iter().map(port).collect();
        format!("{} {}", peers(&allowed.peers), ports.join(" ")).trim_end().to_owned()
    };
    let mut parts = Vec::new();
    for (name, allowed) in [("ingress", &policy.ingress), ("egress", &policy.egress)] {
        let Some(allowed) = allowed else { continue };
        let all: Vec<String> = allowed.iter().map(one).collect();
        let all = if all.is_empty() { "nothing".to_owned() } else { all.join(", ") };
        parts.push(format!("{name} {all}"));
    }
    parts.join("; ")
}

/// Merges `more` into `object`, as far as both are maps.
fn with(mut object: Value, more: Value) -> Value {
    match (&mut object, more) {
        (Value::Object(held), Value::Object(more)) => {
            for (name, value) in more {
                let before = held.remove(&name).unwrap_or(Value::Null);
                held.insert(name, with(before, value));
            }
        }
        (held, more) => *held = more,
    }
    object
}

fn service(name: &str, spec: Value) -> Value {
    let usual = json!({
        "type": "ClusterIP", "clusterIPs": ["10.201.0.7"],
        "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}],
    });
    json!({"metadata": {"namespace": "prod", "name": name}, "spec": with(usual, spec)})
}

fn slice(name: &str, service: &str, endpoints: Value) -> Value {
    json!({
        "metadata": {"namespace": "prod", "name": name, "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4", "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}], "endpoints": endpoints,
    })
}

fn endpoint(address: &str, conditions: Value) -> Value {
    json!({"addresses": [address], "conditions": conditions, "nodeName": "box"})
}

fn pod(namespace: &str, name: &str, ip: &str, labels: Value) -> Value {
    json!({
        "metadata": {"namespace": namespace, "name": name, "uid": format!("uid-{name}"), "labels": labels},
        "spec": {"containers": [{"name": "main", "ports": [
            {"name": "http", "containerPort": 8080, "protocol": "TCP"}, {"containerPort": 9},
        ]}]},
        "status": {"phase": "Running", "podIPs": [{"ip": ip}]},
    })
}

fn policy(name: &str, spec: Value) -> Value {
    json!({"metadata": {"namespace": "prod", "name": name}, "spec": spec})
}
