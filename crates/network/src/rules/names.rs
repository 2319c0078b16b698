//! What chains, sets and interfaces are called.

use ipnet::IpNet;
use nftables::Family;
use podspec::PortProtocol;

use crate::ServiceName;

/// Every pod's interface on the host has a name that begins like this, in every network of this machine.
pub(super) const POD_INTERFACES: &str = "mp";
pub(super) const LOOPBACK: &str = "lo";

/// Base chains have the names of their hooks, but for the first of all.
pub(super) const GUARD: &str = "guard";
pub(super) const PREROUTING: &str = "prerouting";
pub(super) const OUTPUT: &str = "output";
pub(super) const POSTROUTING: &str = "postrouting";
pub(super) const INPUT: &str = "input";
pub(super) const FORWARD: &str = "forward";

/// From a pod's interface: nothing but what is its own.
pub(super) const FROM_PODS: &str = "from-pods";
/// To a Service's address.
pub(super) const SERVICES: &str = "services";
/// To a port of this machine.
pub(super) const PORTS: &str = "ports";
/// To the engine's own address.
pub(super) const GATEWAY: &str = "gateway";
/// To an address of the range of Services that no rule translated.
pub(super) const UNSERVED: &str = "unserved";
pub(super) const REFUSE: &str = "refuse";

/// A set or map of which each family has one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Map {
    /// Address, protocol and port of a Service: its chain.
    Services,
    /// Protocol and port: the Service's chain.
    NodePorts,
    /// Protocol and port of a Service that has no endpoint.
    RefusedPorts,
    /// Protocol and port: a pod's address and port.
    HostPorts,
    /// Address, protocol and port: a pod's address and port.
    HostAddresses,
    /// The address of one who may come to connect to itself, twice.
    Own,
    /// A pod's address: the chain of what it may connect to.
    Egress,
    /// A pod's address: the chain of who may connect to it.
    Ingress,
}

impl Map {
    pub(super) const ALL: [Self; 8] = [
        Self::Services,
        Self::NodePorts,
        Self::RefusedPorts,
        Self::HostPorts,
        Self::HostAddresses,
        Self::Own,
        Self::Egress,
        Self::Ingress,
    ];

    pub(super) fn name(self, family: Family) -> String {
        let name = match self {
            Self::Services => "services",
            Self::NodePorts => "node-ports",
            Self::RefusedPorts => "refused-ports",
            Self::HostPorts => "host-ports",
            Self::HostAddresses => "host-addresses",
            Self::Own => "own",
            Self::Egress => "egress",
            Self::Ingress => "ingress",
        };
        format!("{name}-{family}")
    }
}

/// Of the chain that sends a port's connections to its endpoints.
pub(super) fn service(name: &ServiceName, protocol: PortProtocol, port: u16, family: Family) -> String {
    of_port("service", name, protocol, port, family)
}

/// Of the map that holds which client went where.
pub(super) fn affinity(name: &ServiceName, protocol: PortProtocol, port: u16, family: Family) -> String {
    of_port("affinity", name, protocol, port, family)
}

/// Names of chains may have slashes, and 255 characters: more than a namespace and a Service can have together.
fn of_port(what: &str, name: &ServiceName, protocol: PortProtocol, port: u16, family: Family) -> String {
    let protocol = match protocol {
        PortProtocol::Tcp => "tcp",
        PortProtocol::Udp => "udp",
        PortProtocol::Sctp => "sctp",
    };
    format!("{what}/{}/{}/{protocol}/{port}/{family}", name.namespace, name.name)
}

/// What the names of the interfaces of a network's pods begin with, and no others': the addresses' common digits.
pub(super) fn interfaces(pods: &[IpNet]) -> Vec<String> {
    const BITS_PER_DIGIT: u8 = 4;
    let Some(IpNet::V4(range)) = pods.iter().find(|range| matches!(range, IpNet::V4(_))) else {
        return vec![POD_INTERFACES.to_owned()];
    };
    let digits = range.prefix_len().div_ceil(BITS_PER_DIGIT);
    let whole = range.subnets(digits * BITS_PER_DIGIT);
    let begins = whole.into_iter().flatten().map(|range| {
        let name = format!("{POD_INTERFACES}{:08x}", u32::from(range.network()));
        name[..POD_INTERFACES.len() + usize::from(digits)].to_owned()
    });
    begins.collect()
}

#[cfg(test)]
mod tests {
    use ipnet::IpNet;

    use super::interfaces;

    #[test]
    fn interfaces_are_known_by_the_begin_of_their_names() {
        let cases: [(&str, &[&str]); 4] = [
            ("10.200.0.0/16", &["mp0ac8"]),
            ("10.200.16.0/20", &["mp0ac81"]),
            ("10.200.4.0/22", &["mp0ac804", "mp0ac805", "mp0ac806", "mp0ac807"]),
            ("10.200.0.0/15", &["mp0ac8", "mp0ac9"]),
        ];
        for (range, begins) in cases {
            let range: IpNet = range.parse().unwrap();
            assert_eq!(interfaces(&[range]), begins, "{range}");
            for address in range.hosts().step_by(1000) {
                let name = crate::link::of(&[address]);
                assert_eq!(begins.iter().filter(|begin| name.starts_with(*begin)).count(), 1, "{name}");
            }
        }
    }
}
