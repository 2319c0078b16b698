//! Connection tracking: which connections there are, and their deletion.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use rustix::io::Errno;

use crate::dump::complete;
use crate::error::Error;
use crate::netlink::{Attributes, Header, NLM_F_ACK, Writer, messages};
use crate::socket::{Socket, head};
use crate::statement::Family;

const NFNL_SUBSYS_CTNETLINK: u16 = 1;
const IPCTNL_MSG_CT_GET: u16 = 1;
const IPCTNL_MSG_CT_DELETE: u16 = 2;

const ANY_FAMILY: u8 = 0;

const TUPLE_ORIGINAL: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const ID: u16 = 12;
const FILTER: u16 = 25;

const TUPLE_IP: u16 = 1;
const TUPLE_PROTOCOL: u16 = 2;
const PROTOCOL_NUMBER: u16 = 1;
const PROTOCOL_SOURCE_PORT: u16 = 2;
const PROTOCOL_DESTINATION_PORT: u16 = 3;

/// A socket to the connections of the network namespace in which it was opened.
#[derive(Debug)]
pub struct Conntrack {
    socket: Socket,
}

/// Which connections to list; the kernel goes through all, and sends these.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlowFilter {
    pub family: Family,
    /// `IPPROTO_*`
    pub protocol: u8,
    /// What the first packet was sent to; `None`: any.
    pub port: Option<u16>,
}

/// A connection with ports.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Flow {
    pub protocol: u8,
    pub source: SocketAddr,
    /// Where its first packet was sent.
    pub destination: SocketAddr,
    /// Where answers come from: the destination, or what it was translated to.
    pub answers: SocketAddr,
    /// Its number, so that another in its place is not meant.
    id: u32,
}

impl Conntrack {
    /// # Errors
    /// When the kernel has no netfilter netlink.
    pub fn open() -> Result<Self, Error> {
        let socket = Socket::open(0).map_err(|source| Error::Socket { source })?;
        Ok(Self { socket })
    }

    /// All there are of the protocols with ports, as far as `wanted` wants them. In one walk: the kernel has none that
    /// is for some protocols of both families.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn all(&mut self, wanted: impl Fn(&Flow) -> bool) -> Result<Vec<Flow>, Error> {
        let kind = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET;
        let read = |_: u8, attributes: Attributes<'_>| Flow::read(attributes).filter(&wanted);
        complete(&mut self.socket, "list connections", kind, ANY_FAMILY, |_| {}, read)
    }

    /// # Errors
    /// When the kernel does not tell.
    pub fn flows(&mut self, filter: FlowFilter) -> Result<Vec<Flow>, Error> {
        let request = |writer: &mut Writer| filter.write(writer);
        let kind = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET;
        let family = filter.family.number();
        let read =
            |_: u8, attributes: Attributes<'_>| Flow::read(attributes).filter(|flow| filter.matches(flow));
        complete(&mut self.socket, "list connections", kind, family, request, read)
    }

    /// Forgets a connection: its next packet is the first of a new one. One that has ended meanwhile is no error.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn delete(&mut self, flow: &Flow) -> Result<(), Error> {
        let failed = |source| Error::Connection { flow: flow.to_string(), source };
        let sequence = self.socket.sequence();
        let mut writer = Writer::default();
        let header =
            Header { kind: NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE, flags: NLM_F_ACK, sequence };
        let family = Family::of(flow.source.ip());
        writer.message(header, &head(family.number(), 0), |writer| {
            let tuple = Tuple { protocol: flow.protocol, source: flow.source, destination: flow.destination };
            writer.nested(TUPLE_ORIGINAL, |writer| tuple.write(writer));
            writer.u32(ID, flow.id);
        });
        self.socket.send(&writer.into_bytes(), sequence.wrapping_add(1)).map_err(failed)?;
        let mut buffer = vec![];
        loop {
            let bytes = self.socket.receive(&mut buffer).map_err(failed)?;
            let answer = messages(bytes).find(|message| message.sequence == sequence);
            match answer.and_then(|message| message.outcome()) {
                None => {}
                Some(Ok(()) | Err(Errno::NOENT)) => return Ok(()),
                Some(Err(source)) => return Err(failed(source)),
            }
        }
    }
}

impl FlowFilter {
    /// With what of it counts (`CTA_FILTER`, since Linux 5.8). The kernel's comparisons of answers and of addresses of
    /// IPv6 are not to be relied on, so there are none.
    fn write(&self, writer: &mut Writer) {
        const ORIGINAL_FLAGS: u16 = 1;
        const REPLY_FLAGS: u16 = 2;
        const PROTOCOL: u32 = 1 << 3;
        const DESTINATION_PORT: u32 = 1 << 5;
        let flags = PROTOCOL | self.port.map_or(0, |_| DESTINATION_PORT);
        writer.nested(TUPLE_ORIGINAL, |writer| {
            writer.nested(TUPLE_PROTOCOL, |writer| {
                writer.bytes(PROTOCOL_NUMBER, &[self.protocol]);
                if let Some(port) = self.port {
                    writer.bytes(PROTOCOL_DESTINATION_PORT, &port.to_be_bytes());
                }
            });
        });
        writer.nested(FILTER, |writer| {
            // In the machine's order, unlike everything else.
            writer.bytes(ORIGINAL_FLAGS, &flags.to_ne_bytes());
            writer.bytes(REPLY_FLAGS, &[0; 4]);
        });
    }

    fn matches(&self, flow: &Flow) -> bool {
        self.port.is_none_or(|port| flow.destination.port() == port)
            && flow.protocol == self.protocol
            && Family::of(flow.source.ip()) == self.family
    }
}

/// One direction of a connection.
struct Tuple {
    protocol: u8,
    source: SocketAddr,
    destination: SocketAddr,
}

impl Tuple {
    fn write(&self, writer: &mut Writer) {
        let ends =
            [(self.source, 1, 3, PROTOCOL_SOURCE_PORT), (self.destination, 2, 4, PROTOCOL_DESTINATION_PORT)];
        writer.nested(TUPLE_IP, |writer| {
            for (end, v4, v6, _) in ends {
                match end.ip() {
                    IpAddr::V4(address) => writer.bytes(v4, &address.octets()),
                    IpAddr::V6(address) => writer.bytes(v6, &address.octets()),
                }
            }
        });
        writer.nested(TUPLE_PROTOCOL, |writer| {
            writer.bytes(PROTOCOL_NUMBER, &[self.protocol]);
            for (end, _, _, port) in ends {
                writer.bytes(port, &end.port().to_be_bytes());
            }
        });
    }

    fn read(attributes: Attributes<'_>) -> Option<Self> {
        let (addresses, ports) = (attributes.nested(TUPLE_IP), attributes.nested(TUPLE_PROTOCOL));
        let end = |v4, v6, port| {
            let address = match addresses.value(v4) {
                Some(bytes) => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
                None => IpAddr::from(<[u8; 16]>::try_from(addresses.value(v6)?).ok()?),
            };
            let port = u16::from_be_bytes(ports.value(port)?.try_into().ok()?);
            Some(SocketAddr::new(address, port))
        };
        Some(Self {
            protocol: *ports.value(PROTOCOL_NUMBER)?.first()?,
            source: end(1, 3, PROTOCOL_SOURCE_PORT)?,
            destination: end(2, 4, PROTOCOL_DESTINATION_PORT)?,
        })
    }
}

impl Flow {
    /// `None` for one of a protocol without ports.
    fn read(attributes: Attributes<'_>) -> Option<Self> {
        let Tuple { protocol, source, destination } = Tuple::read(attributes.nested(TUPLE_ORIGINAL))?;
        let answers = Tuple::read(attributes.nested(TUPLE_REPLY))?.source;
        Some(Self { protocol, source, destination, answers, id: attributes.u32(ID)? })
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { protocol, source, destination, answers, .. } = self;
        write!(f, "{source} -> {destination} of protocol {protocol}, answered by {answers}")
    }
}
