//! Connections without an end, as those of UDP are to the kernel: they go on where they went first, for as long as
//! packets come, whatever rules say by then. When that is wrong they have to be forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use nftables::{Conntrack, Error, Family, Flow, FlowFilter};
use podspec::PortProtocol;

use super::packet::protocol_number;
use super::service::Port;
use crate::{PodRules, Ranges};

/// What is sent here comes to be translated.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Entrance {
    At(SocketAddr),
    /// At every address of this machine.
    Port(Family, u16),
}

/// Where connections of such protocols go.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Targets(BTreeMap<(u8, Entrance), BTreeSet<SocketAddr>>);

/// Which connections to look at. For each filter, and for all, the kernel walks all that it has, which takes milliseconds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Flows {
    All,
    Of(Vec<FlowFilter>),
}

const PROTOCOLS: [PortProtocol; 2] = [PortProtocol::Udp, PortProtocol::Sctp];

impl Targets {
    pub(super) fn service(&mut self, port: &Port) {
        let addresses = port.addresses.iter().map(|address| Entrance::At((*address, port.number).into()));
        let ports = port.node_ports.iter().map(|number| Entrance::Port(port.family, *number));
        for entrance in addresses.chain(ports) {
            self.put(port.protocol, entrance, &port.endpoints);
        }
    }

    pub(super) fn pod(&mut self, pod: &PodRules) {
        for port in &pod.host_ports {
            for address in &pod.addresses {
                let family = Family::of(*address);
                let entrance = match port.address {
                    Some(at) if Family::of(at) != family => continue,
                    Some(at) if !at.is_unspecified() => Entrance::At((at, port.host_port).into()),
                    _ => Entrance::Port(family, port.host_port),
                };
                self.put(port.protocol, entrance, &BTreeSet::from([(*address, port.pod_port).into()]));
            }
        }
    }

    fn put(&mut self, protocol: PortProtocol, entrance: Entrance, endpoints: &BTreeSet<SocketAddr>) {
        if PROTOCOLS.contains(&protocol) {
            let key = (protocol_number(protocol), entrance);
            self.0.entry(key).or_default().extend(endpoints);
        }
    }

    /// What the rules of now make of a connection to there.
    fn of(&self, protocol: u8, to: SocketAddr) -> Option<&BTreeSet<SocketAddr>> {
        let at = self.0.get(&(protocol, Entrance::At(to)));
        at.or_else(|| self.0.get(&(protocol, Entrance::Port(Family::of(to.ip()), to.port()))))
    }

    /// Whether a connection would go elsewhere if it began now.
    fn outdate(&self, flow: &Flow, ranges: &Ranges) -> bool {
        let contains =
            |ranges: &[IpNet], address: IpAddr| ranges.iter().any(|range| range.contains(&address));
        let is_translated = flow.answers != flow.destination;
        // Others translate, too.
        let is_ours =
            contains(&ranges.services, flow.destination.ip()) || contains(&ranges.pods, flow.answers.ip());
        match self.of(flow.protocol, flow.destination) {
            Some(endpoints) if endpoints.contains(&flow.answers) => false,
            Some(endpoints) if !is_translated => !endpoints.is_empty(),
            _ => is_translated && is_ours,
        }
    }
}

impl Flows {
    /// Those that may be wrong under the first table of a network whose ranges were nobody's before: what was sent to
    /// addresses of others, such as the machine's own.
    pub(super) fn of_new_network(targets: &Targets, ranges: &Ranges) -> Self {
        let is_ours = |entrance: &Entrance| match entrance {
            Entrance::At(at) => ranges.services.iter().any(|range| range.contains(&at.ip())),
            Entrance::Port(..) => false,
        };
        let mut outside = targets.clone();
        outside.0.retain(|(_, entrance), _| !is_ours(entrance));
        let mut flows = Self::default();
        flows.compare(&Targets::default(), &outside);
        flows
    }

    /// Notes where a change from some targets to others makes connections wrong: those to endpoints that are gone, and
    /// those that were sent when there were none.
    pub(super) fn compare(&mut self, before: &Targets, after: &Targets) {
        for (key @ (protocol, entrance), endpoints) in &before.0 {
            let is_left = |endpoint| after.0.get(key).is_some_and(|left| left.contains(endpoint));
            if !endpoints.iter().all(is_left) {
                self.add(*protocol, *entrance);
            }
        }
        for (key @ (protocol, entrance), endpoints) in &after.0 {
            let were_none = before.0.get(key).is_none_or(BTreeSet::is_empty);
            if were_none && !endpoints.is_empty() {
                self.add(*protocol, *entrance);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Forgets those of them that `targets` outdate; how many they were.
    pub(super) fn forget(
        &self,
        conntrack: &mut Conntrack,
        targets: &Targets,
        ranges: &Ranges,
    ) -> Result<usize, Error> {
        let is_outdated = |flow: &Flow| targets.outdate(flow, ranges);
        let mut outdated = BTreeSet::new();
        match self {
            Self::All => {
                let numbers = PROTOCOLS.map(protocol_number);
                let is_meant = |flow: &Flow| numbers.contains(&flow.protocol) && is_outdated(flow);
                outdated.extend(conntrack.all(is_meant)?);
            }
            Self::Of(filters) => {
                for filter in filters {
                    outdated.extend(conntrack.flows(*filter)?.into_iter().filter(is_outdated));
                }
            }
        }
        outdated.iter().try_for_each(|flow| conntrack.delete(flow))?;
        Ok(outdated.len())
    }

    fn add(&mut self, protocol: u8, entrance: Entrance) {
        let (family, port) = match entrance {
            Entrance::At(at) => (Family::of(at.ip()), at.port()),
            Entrance::Port(family, port) => (family, port),
        };
        let filter = FlowFilter { family, protocol, port: Some(port) };
        match self {
            Self::Of(filters) if !filters.contains(&filter) => filters.push(filter),
            Self::Of(_) | Self::All => {}
        }
    }
}

/// None.
impl Default for Flows {
    fn default() -> Self {
        Self::Of(Vec::new())
    }
}
