//! What of a packet a rule can ask for.

use std::fmt;

use crate::value::Kind;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Field {
    /// Of the transport, behind all extension headers.
    Protocol,
    /// Of packets of IPv4, so a rule asks for the family first; so for all addresses.
    Source4,
    Destination4,
    Source6,
    Destination6,
    /// Of whatever the transport is.
    DestinationPort,
    InputInterface,
    OutputInterface,
    /// `RTN_*`: what the address is to the routes of this machine.
    DestinationType,
    /// The number of the interface that the source is reached by; 0 when that is not the one that the packet came in by.
    ReversePath,
    /// Bits of `NF_CT_STATE_*`.
    ConnectionState,
    /// A number below this one, another for every packet.
    Random(u32),
}

impl Field {
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Self::Protocol => Kind::Protocol,
            Self::Source4 | Self::Destination4 => Kind::Ipv4,
            Self::Source6 | Self::Destination6 => Kind::Ipv6,
            Self::DestinationPort => Kind::Port,
            Self::InputInterface | Self::OutputInterface => Kind::Interface,
            Self::DestinationType | Self::ReversePath | Self::ConnectionState | Self::Random(_) => {
                Kind::Number
            }
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Protocol => "meta l4proto",
            Self::Source4 => "ip saddr",
            Self::Destination4 => "ip daddr",
            Self::Source6 => "ip6 saddr",
            Self::Destination6 => "ip6 daddr",
            Self::DestinationPort => "th dport",
            Self::InputInterface => "iifname",
            Self::OutputInterface => "oifname",
            Self::DestinationType => "fib daddr type",
            Self::ReversePath => "fib saddr . iif oif",
            Self::ConnectionState => "ct state",
            Self::Random(below) => return write!(f, "numgen random mod {below}"),
        })
    }
}
