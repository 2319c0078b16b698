//! Services and where they lead.

use std::collections::BTreeSet;

use podspec::json::{integer, list, text};
use serde_json::Value;

use super::{AGE, NAME, Printed, age, column, labels, name, or, wide};

/// Shown in one cell; the rest is counted.
const SHOWN_MAX: usize = 3;

pub static SERVICES: Printed = Printed {
    columns: const {
        &[
            NAME,
            column("Type", "How it is reached"),
            column("Cluster-IP", "Its address inside"),
            column("External-IP", "Its addresses outside"),
            column("Port(s)", "What it listens on"),
            AGE,
            wide("Selector", "The labels of the pods behind it"),
        ]
    },
    cells: |service, now| {
        let spec = &service["spec"];
        let ip = list(spec, "clusterIPs").first().and_then(Value::as_str).unwrap_or("<none>");
        let ports: Vec<String> = list(spec, "ports").iter().map(port).collect();
        vec![
            name(service),
            text(spec, "type").into(),
            ip.into(),
            external(service).into(),
            or(&ports.join(","), "<none>").into(),
            age(service, now),
            labels(&spec["selector"]).into(),
        ]
    },
};

pub static ENDPOINTS: Printed = Printed {
    columns: const { &[NAME, column("Endpoints", "Addresses and ports"), AGE] },
    cells: |object, now| vec![name(object), endpoints(object).into(), age(object, now)],
};

pub static ENDPOINT_SLICES: Printed = Printed {
    columns: const {
        &[
            NAME,
            column("AddressType", "IPv4, IPv6 or FQDN"),
            column("Ports", "The ports of each address"),
            column("Endpoints", "The addresses"),
            AGE,
        ]
    },
    cells: |slice, now| {
        let number = |port: &Value| match (integer(port, "port"), port.get("name").and_then(Value::as_str)) {
            (Some(number), _) => number.to_string(),
            (None, Some(name)) => name.to_owned(),
            (None, None) => "*".to_owned(),
        };
        let ports = list(slice, "ports").iter().map(number).collect();
        let addresses = list(slice, "endpoints").iter().flat_map(|endpoint| list(endpoint, "addresses"));
        let addresses = addresses.filter_map(Value::as_str).map(str::to_owned).collect();
        vec![
            name(slice),
            text(slice, "addressType").into(),
            some(ports, "<unset>").into(),
            some(addresses, "<unset>").into(),
            age(slice, now),
        ]
    },
};

fn port(port: &Value) -> String {
    let (number, protocol) = (integer(port, "port").unwrap_or(0), text(port, "protocol"));
    match integer(port, "nodePort").unwrap_or(0) {
        0 => format!("{number}/{protocol}"),
        node => format!("{number}:{node}/{protocol}"),
    }
}

fn external(service: &Value) -> String {
    let spec = &service["spec"];
    let given: Vec<String> =
        list(spec, "externalIPs").iter().filter_map(Value::as_str).map(str::to_owned).collect();
    match text(spec, "type") {
        "ClusterIP" | "NodePort" => or(&given.join(","), "<none>"),
        "LoadBalancer" => {
            let ingress = list(&service["status"]["loadBalancer"], "ingress").iter();
            let address = |entry: &Value| or(text(entry, "ip"), text(entry, "hostname"));
            let balanced: BTreeSet<String> =
                ingress.map(address).filter(|address| !address.is_empty()).collect();
            or(&balanced.into_iter().chain(given).collect::<Vec<_>>().join(","), "<pending>")
        }
        "ExternalName" => text(spec, "externalName").to_owned(),
        _ => "<unknown>".to_owned(),
    }
}

fn endpoints(object: &Value) -> String {
    let mut all = Vec::new();
    for subset in list(object, "subsets") {
        let ports = list(subset, "ports");
        let addresses = list(subset, "addresses").iter().map(|address| text(address, "ip"));
        if ports.is_empty() {
            all.extend(addresses.map(str::to_owned));
            continue;
        }
        for port in ports {
            let number = integer(port, "port").unwrap_or(0);
            let addresses = list(subset, "addresses").iter().map(|address| text(address, "ip"));
            all.extend(addresses.map(|ip| {
                if ip.contains(':') { format!("[{ip}]:{number}") } else { format!("{ip}:{number}") }
            }));
        }
    }
    some(all, "<none>")
}

/// The first of them, and how many more there are.
fn some(all: Vec<String>, none: &str) -> String {
    let (count, shown) = (all.len(), all.into_iter().take(SHOWN_MAX).collect::<Vec<_>>().join(","));
    if count > SHOWN_MAX { format!("{shown} + {} more...", count - SHOWN_MAX) } else { or(&shown, none) }
}
