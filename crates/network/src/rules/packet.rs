//! Where things are in a packet of either family.

use ipnet::IpNet;
use nftables::{Family, Field, Statement};
use podspec::PortProtocol;

/// A packet of a family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Packet(pub(super) Family);

/// Of the range's family.
pub(super) fn of(range: &IpNet) -> Packet {
    Packet(Family::of(range.addr()))
}

/// `IPPROTO_*`
pub(super) fn protocol_number(protocol: PortProtocol) -> u8 {
    match protocol {
        PortProtocol::Tcp => 6,
        PortProtocol::Udp => 17,
        PortProtocol::Sctp => 132,
    }
}

impl Packet {
    /// It is one; comes before everything else.
    pub(super) fn is(self) -> Statement {
        Statement::Of(self.0)
    }

    pub(super) fn source(self) -> Field {
        match self.0 {
            Family::Ipv4 => Field::Source4,
            Family::Ipv6 => Field::Source6,
        }
    }

    pub(super) fn destination(self) -> Field {
        match self.0 {
            Family::Ipv4 => Field::Destination4,
            Family::Ipv6 => Field::Destination6,
        }
    }

    pub(super) fn both(self) -> Vec<Field> {
        vec![self.source(), self.destination()]
    }

    pub(super) fn port(self) -> Vec<Field> {
        vec![Field::Protocol, Field::DestinationPort]
    }

    pub(super) fn addressed(self) -> Vec<Field> {
        vec![self.destination(), Field::Protocol, Field::DestinationPort]
    }
}
