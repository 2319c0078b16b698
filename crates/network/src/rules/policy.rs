//! What NetworkPolicies leave, as a chain: it returns for what is allowed, and drops at its end. Pods of which the same
//! is said share a chain.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use nftables::{Element, Family, Field, Lookup, Rule, Statement, Value, Verdict};
use sha2::{Digest, Sha256};

use super::names::Map;
use super::packet::{Packet, of, protocol_number};
use crate::{Allowed, Peers, PortRange};

/// Of connections, as the pod sees them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Direction {
    Ingress,
    Egress,
}

impl Direction {
    /// Pods' addresses, and their chains.
    pub(super) fn map(self) -> Map {
        match self {
            Self::Ingress => Map::Ingress,
            Self::Egress => Map::Egress,
        }
    }

    /// The other end's address.
    fn peer(self, packet: Packet) -> Field {
        match self {
            Self::Ingress => packet.source(),
            Self::Egress => packet.destination(),
        }
    }
}

/// Of the chain with these rules: the same for the same.
pub(super) fn name(direction: Direction, rules: &[Rule]) -> String {
    const DIGEST_BYTES: usize = 16;
    let mut digest = Sha256::new();
    for rule in rules {
        digest.update(rule.to_string());
        digest.update("\n");
    }
    let direction = match direction {
        Direction::Ingress => "ingress",
        Direction::Egress => "egress",
    };
    let mut name = format!("{direction}/");
    for byte in &digest.finalize()[..DIGEST_BYTES] {
        write!(name, "{byte:02x}").expect("a string takes everything");
    }
    name
}

/// What any of `allowed` lets through returns.
pub(super) fn rules(direction: Direction, allowed: &[Allowed]) -> Vec<Rule> {
    let rule =
        |conditions: Vec<Statement>, verdict| Rule([conditions, vec![Statement::Do(verdict)]].concat());
    let mut rules = vec![];
    for Allowed { peers, ports } in allowed {
        let (peers, ports) = (peer_conditions(direction, peers), port_conditions(ports));
        for peer in &peers {
            for port in &ports {
                rules.push(rule([peer.clone(), port.clone()].concat(), Verdict::Return));
            }
        }
    }
    rules.push(rule(vec![], Verdict::Drop));
    rules
}

/// Alternatives, each a list of conditions.
fn peer_conditions(direction: Direction, peers: &Peers) -> Vec<Vec<Statement>> {
    match peers {
        Peers::Any => vec![vec![]],
        Peers::Addresses(addresses) => [Family::Ipv4, Family::Ipv6]
            .into_iter()
            .filter_map(|family| {
                let mut own: Vec<IpAddr> =
                    addresses.iter().copied().filter(|address| Family::of(*address) == family).collect();
                own.sort_unstable();
                own.dedup();
                let elements: Vec<Element> =
                    own.into_iter().map(|address| Element::new(vec![address.into()])).collect();
                let packet = Packet(family);
                let is_one = Statement::In(vec![direction.peer(packet)], Lookup::Elements(elements.clone()));
                (!elements.is_empty()).then(|| vec![packet.is(), is_one])
            })
            .collect(),
        Peers::Block { within, except } => {
            let packet = of(within);
            let peer = direction.peer(packet);
            let mut conditions = vec![packet.is(), Statement::Within(peer, *within)];
            let ranges = address_ranges(within, except);
            if !ranges.is_empty() {
                conditions.push(Statement::NotIn(vec![peer], Lookup::Ranges(ranges)));
            }
            vec![conditions]
        }
    }
}

/// Those of `except` that are of the block's family, as ranges that do not touch.
fn address_ranges(within: &IpNet, except: &[IpNet]) -> Vec<(Value, Value)> {
    let numbers: Vec<(u128, u128)> = except
        .iter()
        .filter_map(|range| match (within, range) {
            (IpNet::V4(_), IpNet::V4(range)) => Some(ends_v4(range)),
            (IpNet::V6(_), IpNet::V6(range)) => Some(ends_v6(range)),
            _ => None,
        })
        .collect();
    let value = |number: u128| match within {
        IpNet::V4(_) => Value::Ipv4(u32::try_from(number).expect("it was an address of IPv4").into()),
        IpNet::V6(_) => Value::Ipv6(number.into()),
    };
    merge(numbers).into_iter().map(|(first, last)| (value(first), value(last))).collect()
}

fn ends_v4(range: &Ipv4Net) -> (u128, u128) {
    (u32::from(range.network()).into(), u32::from(range.broadcast()).into())
}

fn ends_v6(range: &Ipv6Net) -> (u128, u128) {
    (range.network().into(), range.broadcast().into())
}

/// Alternatives, one for each protocol; none at all is one that asks nothing.
fn port_conditions(ports: &[PortRange]) -> Vec<Vec<Statement>> {
    if ports.is_empty() {
        return vec![vec![]];
    }
    let mut by_protocol: BTreeMap<u8, Vec<(u128, u128)>> = BTreeMap::new();
    for PortRange { protocol, first, last } in ports {
        if first <= last {
            let ranges = by_protocol.entry(protocol_number(*protocol)).or_default();
            ranges.push(((*first).into(), (*last).into()));
        }
    }
    let port = |number: u128| Value::Port(u16::try_from(number).expect("it was a port"));
    by_protocol
        .into_iter()
        .map(|(protocol, ranges)| {
            let ranges = merge(ranges).into_iter().map(|(first, last)| (port(first), port(last))).collect();
            vec![
                Statement::Is(Field::Protocol, Value::Protocol(protocol)),
                Statement::In(vec![Field::DestinationPort], Lookup::Ranges(ranges)),
            ]
        })
        .collect()
}

/// In ascending order, with what overlaps or touches put together.
fn merge(mut ranges: Vec<(u128, u128)>) -> Vec<(u128, u128)> {
    ranges.sort_unstable();
    let mut merged: Vec<(u128, u128)> = vec![];
    for (first, last) in ranges {
        match merged.last_mut() {
            Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
            _ => merged.push((first, last)),
        }
    }
    merged
}
