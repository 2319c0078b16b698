//! What of the table is always there: base chains, the maps that Services and pods put elements in, and the rules that
//! lead to them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use nftables::{
    Base, Chain, ChainType, Data, Family, Field, Hook, Kind, Lookup, Operation, Policy, Rule, Set, Statement,
    Value, Verdict,
};
use podspec::PortProtocol;

use super::names::{self, Map};
use super::packet::{Packet, of, protocol_number};
use crate::Ranges;

/// Before all others of their kind (`NF_IP_PRI_*`): a port that is ours to translate is translated by us.
const BEFORE: i32 = -5;
const RAW: i32 = -300;
const DESTINATION_NAT: i32 = -100;
const SOURCE_NAT: i32 = 100;
const FILTER: i32 = 0;

/// `RTN_LOCAL`
const LOCAL: u32 = 2;
/// `NF_CT_STATE_BIT` of established and related.
const KNOWN: u32 = 2 | 4;

/// Everything, in a table that is empty.
pub(super) fn operations(ranges: &Ranges) -> Vec<Operation> {
    let frame = Frame { ranges, interfaces: names::interfaces(&ranges.pods) };
    let mut operations = vec![];
    for family in families(ranges) {
        operations.extend(Map::ALL.map(|map| Operation::AddSet(set(map, family))));
    }
    operations.extend(chains());
    let rules = [
        frame.guard(),
        frame.pods(),
        frame.destination_nat(),
        frame.services(),
        frame.ports(),
        frame.source_nat(),
        frame.input(),
        frame.gateway(),
        frame.unserved(),
        frame.forward(),
        frame.refuse(),
    ];
    operations.extend(
        rules
            .into_iter()
            .flatten()
            .map(|(chain, rule)| Operation::AddRule { chain: chain.to_owned(), rule: Rule(rule) }),
    );
    operations
}

/// Those that the network has.
pub(super) fn families(ranges: &Ranges) -> impl Iterator<Item = Family> {
    ranges.pods.iter().map(|range| Family::of(range.addr()))
}

fn set(map: Map, family: Family) -> Set {
    let address = Packet(family).destination().kind();
    let (port, service) = ([Kind::Protocol, Kind::Port], [address, Kind::Protocol, Kind::Port]);
    let endpoint = Data::Values(vec![address, Kind::Port]);
    let (key, data): (&[Kind], Data) = match map {
        Map::Services => (&service, Data::Verdict),
        Map::NodePorts => (&port, Data::Verdict),
        Map::RefusedPorts => (&port, Data::Nothing),
        Map::HostPorts => (&port, endpoint),
        Map::HostAddresses => (&service, endpoint),
        Map::Own => (&[address, address], Data::Nothing),
        Map::Egress | Map::Ingress => (&[address], Data::Verdict),
    };
    Set { name: map.name(family), key: key.to_vec(), data, remembers: None }
}

fn chains() -> impl Iterator<Item = Operation> {
    let bases = [
        (names::GUARD, ChainType::Filter, Hook::Prerouting, RAW),
        (names::PREROUTING, ChainType::Nat, Hook::Prerouting, DESTINATION_NAT),
        (names::OUTPUT, ChainType::Nat, Hook::Output, DESTINATION_NAT),
        (names::POSTROUTING, ChainType::Nat, Hook::Postrouting, SOURCE_NAT),
        (names::INPUT, ChainType::Filter, Hook::Input, FILTER),
        (names::FORWARD, ChainType::Filter, Hook::Forward, FILTER),
    ];
    let plain =
        [names::FROM_PODS, names::SERVICES, names::PORTS, names::GATEWAY, names::UNSERVED, names::REFUSE];
    let bases = bases.map(|(name, chain_type, hook, priority)| {
        let base = Base { chain_type, hook, priority: priority + BEFORE, policy: Policy::Accept };
        (name, Some(base))
    });
    bases
        .into_iter()
        .chain(plain.map(|name| (name, None)))
        .map(|(name, base)| Operation::AddChain(Chain { name: name.to_owned(), base }))
}

/// A chain and a rule at its end.
type Line = (&'static str, Vec<Statement>);

struct Frame<'a> {
    ranges: &'a Ranges,
    /// How the names of its pods' interfaces begin.
    interfaces: Vec<String>,
}

impl Frame<'_> {
    /// Nobody sends as somebody else: a pod has its own addresses, and nobody but a pod of this network has one of its.
    fn guard(&self) -> Vec<Line> {
        let mut lines = vec![(names::GUARD, vec![from_loopback(), accept()])];
        lines.extend(self.interfaces.iter().map(|begin| {
            let ours = Statement::Begins(Field::InputInterface, begin.clone());
            (names::GUARD, vec![ours, goto(names::FROM_PODS)])
        }));
        lines.extend(self.ranges.pods.iter().map(|range| {
            let packet = of(range);
            (names::GUARD, vec![packet.is(), Statement::Within(packet.source(), *range), drop()])
        }));
        lines
    }

    /// Nor does a pod reach what listens on this machine's loopback: `route_localnet`, which node ports of 127.0.0.1
    /// need, would let it.
    fn pods(&self) -> Vec<Line> {
        let to_loopback = Statement::Within(Field::Destination4, loopback_range());
        let mut lines = vec![(names::FROM_PODS, vec![Packet(Family::Ipv4).is(), to_loopback, drop()])];
        // The host's routes to its pods say whose an address is, so nobody has to be told of a pod for this.
        lines.push((names::FROM_PODS, vec![Statement::Is(Field::ReversePath, Value::Number(0)), drop()]));
        lines
    }

    /// Addresses of Services are for pods of this network and for this machine; ports of this machine are for everybody.
    fn destination_nat(&self) -> Vec<Line> {
        let mut lines = vec![];
        for range in &self.ranges.services {
            let packet = of(range);
            let to_service = || Statement::Within(packet.destination(), *range);
            for begin in &self.interfaces {
                let ours = Statement::Begins(Field::InputInterface, begin.clone());
                lines.push((names::PREROUTING, vec![packet.is(), to_service(), ours, goto(names::SERVICES)]));
            }
            // These are addresses of this machine, but node ports are not to be found there.
            lines.push((names::PREROUTING, vec![packet.is(), to_service(), accept()]));
            lines.push((names::OUTPUT, vec![packet.is(), to_service(), goto(names::SERVICES)]));
        }
        for chain in [names::PREROUTING, names::OUTPUT] {
            lines.push((chain, vec![to_this_machine(), goto(names::PORTS)]));
        }
        lines
    }

    fn services(&self) -> Vec<Line> {
        let line = |family| {
            let packet = Packet(family);
            let dispatch = Statement::Dispatch(packet.addressed(), named(Map::Services, family));
            (names::SERVICES, vec![packet.is(), dispatch])
        };
        families(self.ranges).map(line).collect()
    }

    /// A host port is a pod's alone, and the scheduler keeps others away; a node port of the same number gives way.
    ///
    /// Not at ::1, where connections that were translated are lost: the kernel has no `route_localnet` for IPv6.
    fn ports(&self) -> Vec<Line> {
        let of_family = |family| {
            let packet = Packet(family);
            let to_loopback = Statement::Is(packet.destination(), IpAddr::from(Ipv6Addr::LOCALHOST).into());
            let not_there = (names::PORTS, vec![packet.is(), to_loopback, accept()]);
            let choose = |fields, map| {
                let chosen = Statement::Choose(fields, named(map, family));
                (names::PORTS, vec![packet.is(), chosen, Statement::DnatToChosen(family)])
            };
            let node_ports = Statement::Dispatch(packet.port(), named(Map::NodePorts, family));
            let mut lines = if family == Family::Ipv6 { vec![not_there] } else { vec![] };
            lines.extend([
                choose(packet.addressed(), Map::HostAddresses),
                choose(packet.port(), Map::HostPorts),
                (names::PORTS, vec![packet.is(), node_ports]),
            ]);
            lines
        };
        families(self.ranges).flat_map(of_family).collect()
    }

    /// The sources that pods see: a client's own, wherever it can be answered; else the gateway's.
    fn source_nat(&self) -> Vec<Line> {
        let mut lines = vec![];
        for (range, gateway) in self.ranges.pods.iter().zip(self.ranges.gateways()) {
            let packet = of(range);
            let as_gateway = || Statement::Snat(gateway);
            for begin in &self.interfaces {
                let to_pods = || Statement::Begins(Field::OutputInterface, begin.clone());
                if packet.0 == Family::Ipv4 {
                    let from_loopback = Statement::Within(packet.source(), loopback_range());
                    lines.push((
                        names::POSTROUTING,
                        vec![packet.is(), to_pods(), from_loopback, as_gateway()],
                    ));
                }
                let own = Statement::In(packet.both(), named(Map::Own, packet.0));
                lines.push((names::POSTROUTING, vec![packet.is(), to_pods(), own, as_gateway()]));
            }
            let from_pods = Statement::Within(packet.source(), *range);
            let to_others = Statement::BeginsNot(Field::OutputInterface, names::POD_INTERFACES.to_owned());
            let not_local = Statement::IsNot(Field::OutputInterface, loopback());
            lines.push((
                names::POSTROUTING,
                vec![packet.is(), from_pods, to_others, not_local, Statement::Masquerade],
            ));
        }
        lines
    }

    /// To this machine itself, also from itself.
    fn input(&self) -> Vec<Line> {
        let mut lines = vec![(names::INPUT, vec![known(), accept()])];
        for gateway in self.ranges.gateways() {
            let packet = Packet(Family::of(gateway));
            let to_gateway = Statement::Is(packet.destination(), gateway.into());
            lines.push((names::INPUT, vec![packet.is(), to_gateway, jump(names::GATEWAY)]));
        }
        for range in &self.ranges.services {
            let packet = of(range);
            let to_service = Statement::Within(packet.destination(), *range);
            lines.push((names::INPUT, vec![packet.is(), to_service, goto(names::UNSERVED)]));
        }
        for family in families(self.ranges) {
            let packet = Packet(family);
            let refused = Statement::In(packet.port(), named(Map::RefusedPorts, family));
            lines.push((names::INPUT, vec![packet.is(), refused, goto(names::REFUSE)]));
            let isolated = Statement::Dispatch(vec![packet.source()], named(Map::Egress, family));
            lines.push((names::INPUT, vec![packet.is(), isolated]));
        }
        lines
    }

    /// The API and DNS of this network are for its pods and this machine.
    fn gateway(&self) -> Vec<Line> {
        self.only_ours(names::GATEWAY, || Statement::Do(Verdict::Return))
    }

    /// What a Service does not offer is refused at once.
    fn unserved(&self) -> Vec<Line> {
        self.only_ours(names::UNSERVED, || goto(names::REFUSE))
    }

    fn only_ours(&self, chain: &'static str, then: impl Fn() -> Statement) -> Vec<Line> {
        let mut lines = vec![(chain, vec![from_loopback(), then()])];
        lines.extend(
            self.interfaces
                .iter()
                .map(|begin| (chain, vec![Statement::Begins(Field::InputInterface, begin.clone()), then()])),
        );
        lines.push((chain, vec![drop()]));
        lines
    }

    /// What is translated already: both ends are those that talk.
    fn forward(&self) -> Vec<Line> {
        let mut lines = vec![(names::FORWARD, vec![known(), accept()])];
        for family in families(self.ranges) {
            let packet = Packet(family);
            let own = Statement::In(packet.both(), named(Map::Own, family));
            lines.push((names::FORWARD, vec![packet.is(), own, accept()]));
            for (field, map) in [(packet.source(), Map::Egress), (packet.destination(), Map::Ingress)] {
                let isolated = Statement::Dispatch(vec![field], named(map, family));
                lines.push((names::FORWARD, vec![packet.is(), isolated]));
            }
        }
        lines
    }

    fn refuse(&self) -> Vec<Line> {
        vec![
            (names::REFUSE, vec![is_tcp(), Statement::RejectWithReset]),
            (names::REFUSE, vec![Statement::RejectPort]),
        ]
    }
}

fn named(map: Map, family: Family) -> Lookup {
    Lookup::Named(map.name(family))
}

fn accept() -> Statement {
    Statement::Do(Verdict::Accept)
}

fn drop() -> Statement {
    Statement::Do(Verdict::Drop)
}

fn goto(chain: &str) -> Statement {
    Statement::Do(Verdict::Goto(chain.to_owned()))
}

fn jump(chain: &str) -> Statement {
    Statement::Do(Verdict::Jump(chain.to_owned()))
}

/// 127.0.0.0/8
fn loopback_range() -> IpNet {
    IpNet::new_assert(Ipv4Addr::new(127, 0, 0, 0).into(), 8)
}

fn loopback() -> Value {
    Value::Interface(names::LOOPBACK.to_owned())
}

fn from_loopback() -> Statement {
    Statement::Is(Field::InputInterface, loopback())
}

fn is_tcp() -> Statement {
    Statement::Is(Field::Protocol, Value::Protocol(protocol_number(PortProtocol::Tcp)))
}

fn to_this_machine() -> Statement {
    Statement::Is(Field::DestinationType, Value::Number(LOCAL))
}

/// Of a connection that was let through.
fn known() -> Statement {
    Statement::HasAny(Field::ConnectionState, KNOWN)
}
