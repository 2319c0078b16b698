//! From a Service and its EndpointSlices to where its addresses and names lead: pure functions
//! (<https://kubernetes.io/docs/reference/networking/virtual-ips/>).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use dns::LeadsTo;
use network::ServicePort;
use podspec::PortProtocol;
use podspec::json::{integer, list, text};
use serde_json::Value;

/// Of a slice: whose endpoints it has.
pub(crate) const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// A Service with this label is somebody else's to lead anywhere.
const PROXY_NAME: &str = "service.kubernetes.io/service-proxy-name";
/// Endpoints in a slice with this label are for names alone.
const HEADLESS: &str = "service.kubernetes.io/headless";
/// Of `sessionAffinity: ClientIP`.
const AFFINITY_SECONDS: u64 = 10_800;

/// Where connections to the Service go. None: it has no addresses of its own.
pub(crate) fn ports(service: &Value, slices: &[&Value], node: &str) -> Vec<ServicePort> {
    let spec = &service["spec"];
    if service["metadata"]["labels"].get(PROXY_NAME).is_some() || text(spec, "type") == "ExternalName" {
        return Vec::new();
    }
    let addresses = cluster_ips(spec);
    if addresses.is_empty() {
        return Vec::new();
    }
    let led_to = |slice: &&&Value| slice["metadata"]["labels"].get(HEADLESS).is_none();
    let slices: Vec<&Value> = slices.iter().filter(led_to).copied().collect();
    let mut ports = Vec::new();
    for port in list(spec, "ports") {
        let Some(number) = number(port, "port") else { continue };
        let protocol = protocol(port);
        let endpoints = |policy: &str| {
            let only_on = (text(spec, policy) == "Local").then_some(node);
            endpoints(text(port, "name"), protocol, &slices, only_on)
        };
        let inside = ServicePort {
            addresses: addresses.clone(),
            protocol,
            port: number,
            node_port: self::number(port, "nodePort"),
            affinity: affinity(spec),
            endpoints: endpoints("internalTrafficPolicy"),
        };
        let outside = endpoints("externalTrafficPolicy");
        if inside.node_port.is_some() && outside != inside.endpoints {
            ports.push(ServicePort { addresses: Vec::new(), endpoints: outside, ..inside.clone() });
            ports.push(ServicePort { node_port: None, ..inside });
        } else {
            ports.push(inside);
        }
    }
    ports
}

/// What the Service's names lead to.
pub(crate) fn names(service: &Value, slices: &[&Value]) -> dns::Service {
    let spec = &service["spec"];
    let addresses = cluster_ips(spec);
    let leads_to = match text(spec, "type") {
        "ExternalName" => LeadsTo::Elsewhere(text(spec, "externalName").to_owned()),
        _ if addresses.is_empty() => LeadsTo::Endpoints,
        _ => LeadsTo::Addresses(addresses),
    };
    let port = |port: &Value, number| dns::Port {
        name: text(port, "name").to_owned(),
        protocol: protocol(port),
        port: number,
    };
    let own = list(spec, "ports").iter().filter_map(|held| Some(port(held, number(held, "port")?)));
    let mut endpoints: Vec<dns::Endpoint> = Vec::new();
    for slice in slices {
        let held = list(slice, "ports").iter();
        let ports: Vec<dns::Port> = held.filter_map(|held| Some(port(held, number(held, "port")?))).collect();
        for endpoint in list(slice, "endpoints").iter().filter(|endpoint| State::of(endpoint).ready) {
            let hostname = endpoint.get("hostname").and_then(Value::as_str).filter(|name| !name.is_empty());
            let hostname = hostname.map(str::to_owned);
            if let Some(address) = address_of(slice, endpoint) {
                let known = endpoints.iter_mut().find(|known| known.address == address);
                match known.filter(|known| known.hostname == hostname) {
                    // Of several slices, as one has them for each of its ports.
                    Some(known) => {
                        known.ports.extend(ports.iter().cloned());
                        known.ports.sort_by(|a, b| (&a.name, a.port).cmp(&(&b.name, b.port)));
                        known.ports.dedup();
                    }
                    None => endpoints.push(dns::Endpoint {
                        address,
                        hostname: hostname.clone(),
                        ports: ports.clone(),
                    }),
                }
            }
        }
    }
    endpoints.sort_by(|a, b| (a.address, &a.hostname).cmp(&(b.address, &b.hostname)));
    dns::Service { leads_to, ports: own.collect(), endpoints }
}

#[derive(Clone, Copy)]
struct State {
    ready: bool,
    serving: bool,
    terminating: bool,
}

impl State {
    /// What is not said is as good as it can be.
    fn of(endpoint: &Value) -> Self {
        let said = |name: &str| endpoint["conditions"].get(name).and_then(Value::as_bool);
        let ready = said("ready").unwrap_or(true);
        Self {
            ready,
            serving: said("serving").unwrap_or(ready),
            terminating: said("terminating").unwrap_or(false),
        }
    }
}

/// Those that are ready; when there is none, those that are on their way out and still serve.
fn endpoints(
    name: &str,
    protocol: PortProtocol,
    slices: &[&Value],
    only_on: Option<&str>,
) -> Vec<SocketAddr> {
    // The same endpoint may be in several slices, also while it moves from one to another: it is what any says.
    let mut found: BTreeMap<SocketAddr, (bool, bool)> = BTreeMap::new();
    for slice in slices {
        let is_meant = |port: &&Value| text(port, "name") == name && self::protocol(port) == protocol;
        let Some(port) = list(slice, "ports").iter().find(is_meant) else { continue };
        let Some(port) = number(port, "port") else { continue };
        for endpoint in list(slice, "endpoints") {
            if only_on.is_some_and(|node| text(endpoint, "nodeName") != node) {
                continue;
            }
            let state = State::of(endpoint);
            if let Some(address) = address_of(slice, endpoint) {
                let known = found.entry(SocketAddr::new(address, port)).or_default();
                known.0 |= state.ready;
                known.1 |= state.serving && state.terminating;
            }
        }
    }
    let ready: Vec<SocketAddr> =
        found.iter().filter(|(_, (ready, _))| *ready).map(|(address, _)| *address).collect();
    if !ready.is_empty() {
        return ready;
    }
    found.iter().filter(|(_, (_, leaves))| *leaves).map(|(address, _)| *address).collect()
}

/// The first address is the endpoint (<https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/>).
fn address_of(slice: &Value, endpoint: &Value) -> Option<IpAddr> {
    let address: IpAddr = list(endpoint, "addresses").first()?.as_str()?.parse().ok()?;
    let is_of_family = match text(slice, "addressType") {
        "IPv4" => address.is_ipv4(),
        "IPv6" => address.is_ipv6(),
        _ => false,
    };
    is_of_family.then_some(address)
}

fn cluster_ips(spec: &Value) -> Vec<IpAddr> {
    list(spec, "clusterIPs").iter().filter_map(|ip| ip.as_str()?.parse().ok()).collect()
}

fn affinity(spec: &Value) -> Option<Duration> {
    let seconds = integer(&spec["sessionAffinityConfig"]["clientIP"], "timeoutSeconds");
    let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(AFFINITY_SECONDS);
    (text(spec, "sessionAffinity") == "ClientIP").then(|| Duration::from_secs(seconds))
}

fn number(port: &Value, name: &str) -> Option<u16> {
    integer(port, name).and_then(|number| u16::try_from(number).ok()).filter(|number| *number > 0)
}

pub(crate) fn protocol(port: &Value) -> PortProtocol {
    match text(port, "protocol") {
        "UDP" => PortProtocol::Udp,
        "SCTP" => PortProtocol::Sctp,
        _ => PortProtocol::Tcp,
    }
}
