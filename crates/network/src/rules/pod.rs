//! A pod as a part of the table.

use std::net::{IpAddr, SocketAddr};

use nftables::{Element, Family, Value, Verdict};

use super::names::Map;
use super::packet::protocol_number;
use super::part::Part;
use super::policy::{self, Direction};
use super::service::endpoint;
use crate::{HostPort, PodRules};

/// `families` are those that the network has.
pub(super) fn part(pod: &PodRules, families: &[Family]) -> Part {
    let mut part = Part::default();
    let directions = [(Direction::Egress, &pod.policy.egress), (Direction::Ingress, &pod.policy.ingress)];
    let chains = directions.map(|(direction, allowed)| {
        let rules = policy::rules(direction, allowed.as_deref()?);
        Some((direction, policy::name(direction, &rules), rules))
    });
    for &address in pod.addresses.iter().filter(|address| families.contains(&Family::of(**address))) {
        let family = Family::of(address);
        let value = Value::from(address);
        for (direction, chain, _) in chains.iter().flatten() {
            let isolate = Element::verdict(vec![value.clone()], Verdict::Jump(chain.clone()));
            part.element(direction.map(), family, isolate);
        }
        if !pod.host_ports.is_empty() {
            part.own(address);
        }
        for port in &pod.host_ports {
            host_port(&mut part, port, address);
        }
    }
    part.chains.extend(chains.into_iter().flatten().map(|(_, chain, rules)| (chain, rules)));
    part
}

/// Leads it to the pod's address, if that is of its family.
fn host_port(part: &mut Part, port: &HostPort, to: IpAddr) {
    let family = Family::of(to);
    let key = vec![Value::Protocol(protocol_number(port.protocol)), Value::Port(port.host_port)];
    let to = endpoint(SocketAddr::new(to, port.pod_port));
    match port.address {
        Some(address) if Family::of(address) != family => {}
        // 0.0.0.0 and :: are how every address of a family is written.
        Some(address) if !address.is_unspecified() => {
            let key = [vec![address.into()], key].concat();
            part.element(Map::HostAddresses, family, Element::values(key, to));
        }
        _ => part.element(Map::HostPorts, family, Element::values(key, to)),
    }
}
