//! What fields of packets are compared with, and what sets are made of.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Of `struct ifreq`: a name and its NUL.
const INTERFACE_BYTES: usize = 16;
/// A register; the parts of a concatenation begin at one.
pub(crate) const REGISTER_BYTES: usize = 4;

/// A type of values.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    Ipv4,
    Ipv6,
    /// `IPPROTO_*`
    Protocol,
    Port,
    Interface,
    /// 32 bits in the machine's order.
    Number,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Value {
    Ipv4(Ipv4Addr),
    Ipv6(Ipv6Addr),
    Protocol(u8),
    Port(u16),
    Interface(String),
    Number(u32),
}

impl Kind {
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::Ipv4 | Self::Number => 4,
            Self::Ipv6 => 16,
            Self::Protocol => 1,
            Self::Port => 2,
            Self::Interface => INTERFACE_BYTES,
        }
    }

    /// As `nft` numbers types; the kernel keeps the number for it.
    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Number => 4,
            Self::Ipv4 => 7,
            Self::Ipv6 => 8,
            Self::Protocol => 12,
            Self::Port => 13,
            Self::Interface => 41,
        }
    }

    /// From its bytes in a set.
    pub(crate) fn read(self, bytes: &[u8]) -> Option<Value> {
        let bytes = bytes.get(..self.bytes())?;
        Some(match self {
            Self::Ipv4 => Value::Ipv4(<[u8; 4]>::try_from(bytes).ok()?.into()),
            Self::Ipv6 => Value::Ipv6(<[u8; 16]>::try_from(bytes).ok()?.into()),
            Self::Protocol => Value::Protocol(bytes[0]),
            Self::Port => Value::Port(u16::from_be_bytes(bytes.try_into().ok()?)),
            Self::Interface => {
                let name = std::str::from_utf8(bytes).ok()?;
                Value::Interface(name.trim_end_matches('\0').to_owned())
            }
            Self::Number => Value::Number(u32::from_ne_bytes(bytes.try_into().ok()?)),
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "ipv4_addr",
            Self::Ipv6 => "ipv6_addr",
            Self::Protocol => "inet_proto",
            Self::Port => "inet_service",
            Self::Interface => "ifname",
            Self::Number => "integer",
        })
    }
}

impl Value {
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Ipv4(_) => Kind::Ipv4,
            Self::Ipv6(_) => Kind::Ipv6,
            Self::Protocol(_) => Kind::Protocol,
            Self::Port(_) => Kind::Port,
            Self::Interface(_) => Kind::Interface,
            Self::Number(_) => Kind::Number,
        }
    }

    /// As a packet or a register has it; an interface's name is filled with NULs, and cut off where it is too long for one.
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Ipv4(address) => address.octets().to_vec(),
            Self::Ipv6(address) => address.octets().to_vec(),
            Self::Protocol(protocol) => vec![*protocol],
            Self::Port(port) => port.to_be_bytes().to_vec(),
            Self::Interface(name) => {
                let mut bytes = name.as_bytes().to_vec();
                bytes.resize(INTERFACE_BYTES, 0);
                bytes
            }
            Self::Number(number) => number.to_ne_bytes().to_vec(),
        }
    }
}

impl From<IpAddr> for Value {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::Ipv4(address),
            IpAddr::V6(address) => Self::Ipv6(address),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipv4(address) => address.fmt(f),
            Self::Ipv6(address) => address.fmt(f),
            Self::Protocol(protocol) => match protocol {
                1 => f.write_str("icmp"),
                6 => f.write_str("tcp"),
                17 => f.write_str("udp"),
                58 => f.write_str("ipv6-icmp"),
                132 => f.write_str("sctp"),
                other => other.fmt(f),
            },
            Self::Port(number) => number.fmt(f),
            Self::Interface(name) => write!(f, "\"{name}\""),
            Self::Number(number) => number.fmt(f),
        }
    }
}

/// Of several values one after the other, each from a register's begin on; a single one is as long as it is.
pub(crate) fn concatenate(values: &[Value]) -> Vec<u8> {
    if let [single] = values {
        return single.encode();
    }
    let mut bytes = vec![];
    for value in values {
        bytes.extend(value.encode());
        bytes.resize(bytes.len().next_multiple_of(REGISTER_BYTES), 0);
    }
    bytes
}

/// How long [`concatenate`] makes values of these types.
pub(crate) fn length(kinds: &[Kind]) -> usize {
    match kinds {
        [single] => single.bytes(),
        several => several.iter().map(|kind| kind.bytes().next_multiple_of(REGISTER_BYTES)).sum(),
    }
}

/// The values that [`concatenate`] made these bytes of.
pub(crate) fn separate(kinds: &[Kind], mut bytes: &[u8]) -> Option<Vec<Value>> {
    kinds
        .iter()
        .map(|kind| {
            let value = kind.read(bytes)?;
            bytes = bytes.get(kind.bytes().next_multiple_of(REGISTER_BYTES)..).unwrap_or_default();
            Some(value)
        })
        .collect()
}

/// As `nft` numbers a concatenation of types.
pub(crate) fn number(kinds: &[Kind]) -> u32 {
    const BITS: u32 = 6;
    kinds.iter().fold(0, |number, kind| number << BITS | kind.number())
}

pub(crate) fn joined<T: fmt::Display>(parts: &[T]) -> String {
    parts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" . ")
}

#[cfg(test)]
mod tests {
    use super::{Kind, Value, concatenate, length, number, separate};

    #[test]
    fn parts_of_a_concatenation_begin_at_registers() {
        let values = vec![Value::Ipv4([10, 200, 0, 2].into()), Value::Protocol(6), Value::Port(0x1f90)];
        let kinds = [Kind::Ipv4, Kind::Protocol, Kind::Port];
        let bytes = concatenate(&values);
        assert_eq!(bytes, [10, 200, 0, 2, 6, 0, 0, 0, 0x1f, 0x90, 0, 0]);
        assert_eq!(length(&kinds), bytes.len());
        assert_eq!(separate(&kinds, &bytes), Some(values));
        assert_eq!(separate(&kinds, &bytes[..6]), None);
        assert_eq!(number(&kinds), (7 << 6 | 12) << 6 | 13);
    }

    #[test]
    fn a_single_value_has_its_own_length() {
        for (value, bytes) in [
            (Value::Protocol(17), vec![17]),
            (Value::Port(53), vec![0, 53]),
            (Value::Number(1), 1_u32.to_ne_bytes().to_vec()),
            (Value::Interface("lo".to_owned()), [b"lo".as_slice(), &[0; 14]].concat()),
        ] {
            let single = [value.clone()];
            assert_eq!(concatenate(&single), bytes);
            assert_eq!(length(&[value.kind()]), bytes.len());
            assert_eq!(separate(&[value.kind()], &bytes), Some(single.to_vec()));
        }
    }
}
