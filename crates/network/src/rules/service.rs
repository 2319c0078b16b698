//! A Service as a part of the table: for each port and family a chain, and the elements that lead to it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use nftables::{Data, Element, Family, Field, Kind, Lookup, Rule, Set, Statement, Value, Verdict};
use podspec::PortProtocol;

use super::names::{self, Map};
use super::packet::{Packet, protocol_number};
use super::part::Part;
use crate::{ServiceName, ServicePort};

/// Of one port: beyond that many, those who come are sent anywhere, until others are forgotten.
const REMEMBERED_CLIENTS_MAX: u32 = 65_536;

/// One port of a Service, of one family.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Port {
    pub(super) protocol: PortProtocol,
    pub(super) number: u16,
    pub(super) family: Family,
    pub(super) addresses: BTreeSet<IpAddr>,
    pub(super) node_ports: BTreeSet<u16>,
    pub(super) endpoints: BTreeSet<SocketAddr>,
    affinity: Option<Duration>,
}

/// The Service's ports by family; `families` are those that the network has.
pub(super) fn ports(ports: &[ServicePort], families: &[Family]) -> Vec<Port> {
    let mut found: BTreeMap<(u8, u16, Family), Port> = BTreeMap::new();
    for port in ports {
        for &family in families.iter().filter(|family| is_of(port, **family)) {
            let of_family = |address: &IpAddr| Family::of(*address) == family;
            let addresses = port.addresses.iter().copied().filter(of_family);
            let endpoints = port.endpoints.iter().copied().filter(|endpoint| of_family(&endpoint.ip()));
            let key = (protocol_number(port.protocol), port.port, family);
            let one = found.entry(key).or_insert_with(|| Port {
                protocol: port.protocol,
                number: port.port,
                family,
                addresses: BTreeSet::new(),
                node_ports: BTreeSet::new(),
                endpoints: BTreeSet::new(),
                affinity: port.affinity,
            });
            one.addresses.extend(addresses);
            one.node_ports.extend(port.node_port);
            one.endpoints.extend(endpoints);
        }
    }
    found.into_values().collect()
}

/// By its addresses; one that has none is of the families of its endpoints, or of any.
fn is_of(port: &ServicePort, family: Family) -> bool {
    let endpoints: Vec<IpAddr> = port.endpoints.iter().map(SocketAddr::ip).collect();
    let known = if port.addresses.is_empty() { &endpoints } else { &port.addresses };
    known.is_empty() || known.iter().any(|address| Family::of(*address) == family)
}

pub(super) fn part(name: &ServiceName, ports: &[Port]) -> Part {
    let mut part = Part::default();
    for port in ports {
        if port.endpoints.is_empty() {
            // Its addresses are refused as all of the range are that nobody serves.
            for number in &port.node_ports {
                part.element(Map::RefusedPorts, port.family, Element::new(port.key(*number)));
            }
            continue;
        }
        let chain = names::service(name, port.protocol, port.number, port.family);
        let lead = |key| Element::verdict(key, Verdict::Goto(chain.clone()));
        for address in &port.addresses {
            let key = [vec![Value::from(*address)], port.key(port.number)].concat();
            part.element(Map::Services, port.family, lead(key));
        }
        for number in &port.node_ports {
            part.element(Map::NodePorts, port.family, lead(port.key(*number)));
        }
        let endpoints: BTreeSet<IpAddr> = port.endpoints.iter().map(SocketAddr::ip).collect();
        endpoints.into_iter().for_each(|address| part.own(address));
        let rules = match port.affinity {
            None => vec![port.to_any(None)],
            Some(timeout) => {
                let map = names::affinity(name, port.protocol, port.number, port.family);
                let rules = port.to_same(&map, timeout);
                part.maps.insert(map.clone(), affinity_map(map, port.family));
                rules
            }
        };
        part.chains.insert(chain, rules);
    }
    part
}

/// The map in which rules note where a client went.
fn affinity_map(name: String, family: Family) -> Set {
    let client = Packet(family).source().kind();
    let data = Data::Values(vec![client, Kind::Port]);
    Set { name, key: vec![client], data, remembers: Some(REMEMBERED_CLIENTS_MAX) }
}

impl Port {
    fn key(&self, number: u16) -> Vec<Value> {
        vec![Value::Protocol(protocol_number(self.protocol)), Value::Port(number)]
    }

    /// One of the endpoints, each as likely as another.
    fn to_any(&self, remember: Option<[Statement; 2]>) -> Rule {
        let mut rule = vec![self.choice()];
        rule.extend(remember.into_iter().flatten());
        rule.push(Statement::DnatToChosen(self.family));
        Rule(rule)
    }

    fn choice(&self) -> Statement {
        if let (Some(only), 1) = (self.endpoints.first(), self.endpoints.len()) {
            return Statement::ChooseOnly(endpoint(*only));
        }
        let count = u32::try_from(self.endpoints.len()).unwrap_or(u32::MAX);
        let choices = (0..count).zip(&self.endpoints);
        let choices = choices.map(|(n, to)| Element::values(vec![Value::Number(n)], endpoint(*to)));
        Statement::Choose(vec![Field::Random(count)], Lookup::Elements(choices.collect()))
    }

    /// The endpoint of the client's last connection, if it is still there; else any, which is noted. What is noted of an
    /// endpoint that is gone has to be taken away first, for the kernel keeps what it has.
    fn to_same(&self, map: &str, timeout: Duration) -> Vec<Rule> {
        let key = Packet(self.family).source();
        let remember = || Statement::Remember { map: map.to_owned(), key, timeout };
        let endpoints = self.endpoints.iter().map(|to| Element::new(endpoint(*to))).collect();
        let known = Rule(vec![
            Statement::Choose(vec![key], Lookup::Named(map.to_owned())),
            Statement::ChosenIn(Lookup::Elements(endpoints)),
            remember(),
            Statement::DnatToChosen(self.family),
        ]);
        let forget = Statement::Forget { map: map.to_owned(), key };
        vec![known, self.to_any(Some([forget, remember()])), self.to_any(None)]
    }
}

pub(super) fn endpoint(endpoint: SocketAddr) -> Vec<Value> {
    vec![endpoint.ip().into(), Value::Port(endpoint.port())]
}
