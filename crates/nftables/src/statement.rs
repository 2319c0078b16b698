//! What a rule is made of: conditions, choices and ends, from left to right. A condition that does not hold ends the
//! rule; the next one follows.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::field::Field;
use crate::object::Element;
use crate::value::{Kind, Value, joined};

/// All of it for one packet, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule(pub Vec<Statement>);

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Statement {
    /// The packet is of this family. Has to come before any address.
    Of(Family),
    Is(Field, Value),
    IsNot(Field, Value),
    /// An interface's name begins like this.
    Begins(Field, String),
    BeginsNot(Field, String),
    /// Has one of these bits.
    HasAny(Field, u32),
    Within(Field, IpNet),
    NotWithin(Field, IpNet),
    In(Vec<Field>, Lookup),
    NotIn(Vec<Field>, Lookup),
    /// The verdict of the element, if there is one.
    Dispatch(Vec<Field>, Lookup),
    /// An address and a port, from a map, for the statements that follow.
    Choose(Vec<Field>, Lookup),
    /// This address and port, whatever the packet.
    ChooseOnly(Vec<Value>),
    /// What was chosen is in the set.
    ChosenIn(Lookup),
    /// Notes in a map what was chosen, or, when it is there, counts its time anew. Ends the rule when the map is full.
    Remember {
        map: String,
        key: Field,
        timeout: Duration,
    },
    Forget {
        map: String,
        key: Field,
    },
    /// Sends the connection to what was chosen.
    DnatToChosen(Family),
    Snat(IpAddr),
    /// With the address of the interface it leaves by, and a port that nobody can guess.
    Masquerade,
    RejectWithReset,
    /// With an ICMP "port unreachable".
    RejectPort,
    Do(Verdict),
}

/// `NFPROTO_*`
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Family {
    Ipv4,
    Ipv6,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    Accept,
    Drop,
    Return,
    /// To a chain, and back at its end.
    Jump(String),
    Goto(String),
}

/// What is looked up in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Lookup {
    /// A set or map of the table.
    Named(String),
    /// One of this rule alone, which ends with it.
    Elements(Vec<Element>),
    /// From the first to the last, in ascending order; none touches another.
    Ranges(Vec<(Value, Value)>),
}

impl Family {
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::Ipv4 } else { Self::Ipv6 }
    }

    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Ipv4 => 2,
            Self::Ipv6 => 10,
        }
    }
}

impl Statement {
    /// What of the kernel it needs beside nf_tables itself, as modules.
    pub(crate) fn module(&self) -> Option<&'static str> {
        let by_field = |fields: &[Field]| {
            fields.iter().find_map(|field| match field {
                Field::DestinationType | Field::ReversePath => Some("nft_fib_inet"),
                Field::ConnectionState => Some("nft_ct"),
                Field::Random(_) => Some("nft_numgen"),
                _ => None,
            })
        };
        match self {
            Self::Is(field, _) | Self::IsNot(field, _) | Self::HasAny(field, _) => by_field(&[*field]),
            Self::Choose(fields, _) | Self::In(fields, _) | Self::NotIn(fields, _) => by_field(fields),
            Self::DnatToChosen(_) | Self::Snat(_) => Some("nft_nat"),
            Self::Masquerade => Some("nft_masq"),
            Self::RejectWithReset | Self::RejectPort => Some("nft_reject_inet"),
            _ => None,
        }
    }

    /// The set that is made with the rule.
    pub(crate) fn lookup(&self) -> Option<&Lookup> {
        match self {
            Self::In(_, lookup)
            | Self::NotIn(_, lookup)
            | Self::Dispatch(_, lookup)
            | Self::Choose(_, lookup)
            | Self::ChosenIn(lookup) => Some(lookup),
            _ => None,
        }
    }
}

impl Lookup {
    /// Of a set that is made with the rule.
    pub(crate) fn kinds(&self) -> Vec<Kind> {
        let of = |values: &[Value]| values.iter().map(Value::kind).collect();
        match self {
            Self::Named(_) => vec![],
            Self::Elements(elements) => elements.first().map(|element| of(&element.key)).unwrap_or_default(),
            Self::Ranges(ranges) => ranges.first().map(|(first, _)| vec![first.kind()]).unwrap_or_default(),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, statement) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str(" ")?;
            }
            statement.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(family) => write!(f, "meta nfproto {family}"),
            Self::Is(field, value) => write!(f, "{field} {}", shown(*field, value)),
            Self::IsNot(field, value) => write!(f, "{field} != {}", shown(*field, value)),
            Self::Begins(field, begin) => write!(f, "{field} \"{begin}*\""),
            Self::BeginsNot(field, begin) => write!(f, "{field} != \"{begin}*\""),
            Self::HasAny(field, bits) => write!(f, "{field} {}", shown(*field, &Value::Number(*bits))),
            Self::Within(field, range) => write!(f, "{field} {range}"),
            Self::NotWithin(field, range) => write!(f, "{field} != {range}"),
            Self::In(fields, lookup) => write!(f, "{} {lookup}", joined(fields)),
            Self::NotIn(fields, lookup) => write!(f, "{} != {lookup}", joined(fields)),
            Self::Dispatch(fields, lookup) => write!(f, "{} vmap {lookup}", joined(fields)),
            Self::Choose(fields, lookup) => write!(f, "choose {} map {lookup}", joined(fields)),
            Self::ChooseOnly(values) => write!(f, "choose {}", joined(values)),
            Self::ChosenIn(lookup) => write!(f, "chosen {lookup}"),
            Self::Remember { map, key, timeout } => {
                write!(f, "update @{map} {{ {key} timeout {}s : chosen }}", timeout.as_secs())
            }
            Self::Forget { map, key } => write!(f, "delete @{map} {{ {key} : chosen }}"),
            Self::DnatToChosen(Family::Ipv4) => f.write_str("dnat ip to chosen"),
            Self::DnatToChosen(Family::Ipv6) => f.write_str("dnat ip6 to chosen"),
            Self::Snat(address) => {
                write!(f, "snat {} to {address}", if address.is_ipv4() { "ip" } else { "ip6" })
            }
            Self::Masquerade => f.write_str("masquerade fully-random"),
            Self::RejectWithReset => f.write_str("reject with tcp reset"),
            Self::RejectPort => f.write_str("reject"),
            Self::Do(verdict) => verdict.fmt(f),
        }
    }
}

/// What numbers mean in their field.
fn shown(field: Field, value: &Value) -> String {
    const STATES: [(u32, &str); 4] = [(1, "invalid"), (2, "established"), (4, "related"), (8, "new")];
    match (field, value) {
        (Field::ConnectionState, Value::Number(bits)) => {
            let names: Vec<&str> =
                STATES.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect();
            names.join(",")
        }
        (Field::DestinationType, Value::Number(2)) => "local".to_owned(),
        (Field::ReversePath, Value::Number(0)) => "missing".to_owned(),
        _ => value.to_string(),
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept => f.write_str("accept"),
            Self::Drop => f.write_str("drop"),
            Self::Return => f.write_str("return"),
            Self::Jump(chain) => write!(f, "jump {chain}"),
            Self::Goto(chain) => write!(f, "goto {chain}"),
        }
    }
}

impl fmt::Display for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = match self {
            Self::Named(name) => return write!(f, "@{name}"),
            Self::Elements(elements) => elements.iter().map(ToString::to_string).collect(),
            Self::Ranges(ranges) => ranges
                .iter()
                .map(|(first, last)| match first == last {
                    true => first.to_string(),
                    false => format!("{first}-{last}"),
                })
                .collect(),
        };
        write!(f, "{{ {} }}", parts.join(", "))
    }
}
