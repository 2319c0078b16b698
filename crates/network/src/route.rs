//! Routes, as messages.

use std::net::IpAddr;

use ipnet::IpNet;
use rustix::io::Errno;

use crate::netlink::{AF_INET, AF_INET6, Netlink, Reply, Request};
use nftables::netlink::{NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE};

/// Who made a route (`rtm_protocol`): a number that nobody else is known to use. `ip route` shows it as `proto 77`.
pub(crate) const PROTOCOL: u8 = 77;

const NEW_ROUTE: u16 = 24;
const DELETE_ROUTE: u16 = 25;
const ROUTE_GET: u16 = 26;
const HEAD_BYTES: usize = 12;
const TABLE_MAIN: u8 = 254;
const TABLE_LOCAL: u8 = 255;
const SCOPE_UNIVERSE: u8 = 0;
const SCOPE_LINK: u8 = 253;
const SCOPE_HOST: u8 = 254;
const DESTINATION: u16 = 1;
const OUT_INTERFACE: u16 = 4;
const GATEWAY: u16 = 5;
const PREFERRED_SOURCE: u16 = 7;
/// The loopback of every namespace.
pub(crate) const LOOPBACK_INDEX: u32 = 1;

/// What becomes of packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Unicast = 1,
    Local = 2,
    Unreachable = 7,
}

/// One that is made or removed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Route {
    pub(crate) destination: IpNet,
    pub(crate) kind: Kind,
    pub(crate) interface: Option<u32>,
    pub(crate) gateway: Option<IpAddr>,
    /// What this machine speaks from to there.
    pub(crate) source: Option<IpAddr>,
}

/// One that is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Found {
    pub(crate) destination: IpNet,
    pub(crate) kind: u8,
    pub(crate) protocol: u8,
    pub(crate) interface: Option<u32>,
}

impl Route {
    pub(crate) fn to(destination: IpNet, kind: Kind) -> Self {
        Self { destination, kind, interface: None, gateway: None, source: None }
    }

    /// Fails with `EEXIST` where there is one to the same destination.
    pub(crate) fn create(&self) -> Request {
        self.request(NEW_ROUTE, NLM_F_CREATE | NLM_F_EXCL)
    }

    /// In place of one to the same destination.
    pub(crate) fn put(&self) -> Request {
        self.request(NEW_ROUTE, NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// Fails with `ESRCH` where there is none of ours.
    pub(crate) fn remove(&self) -> Request {
        self.request(DELETE_ROUTE, 0)
    }

    fn request(&self, kind: u16, flags: u16) -> Request {
        let table = if self.kind == Kind::Local { TABLE_LOCAL } else { TABLE_MAIN };
        let scope = match self.kind {
            Kind::Local => SCOPE_HOST,
            Kind::Unicast if self.gateway.is_none() => SCOPE_LINK,
            Kind::Unicast | Kind::Unreachable => SCOPE_UNIVERSE,
        };
        let family = family(self.destination.addr());
        let head = [
            family,
            self.destination.prefix_len(),
            0,
            0,
            table,
            PROTOCOL,
            if family == AF_INET6 { SCOPE_UNIVERSE } else { scope },
            self.kind as u8,
            0,
            0,
            0,
            0,
        ];
        let mut request = Request::new(kind, flags, &head);
        if self.destination.prefix_len() > 0 {
            request = request.attribute(DESTINATION, &octets(self.destination.network()));
        }
        if let Some(interface) = self.interface {
            request = request.number(OUT_INTERFACE, interface);
        }
        if let Some(gateway) = self.gateway {
            request = request.attribute(GATEWAY, &octets(gateway));
        }
        if let Some(source) = self.source {
            request = request.attribute(PREFERRED_SOURCE, &octets(source));
        }
        request
    }
}

/// Those of all tables, of both families.
pub(crate) fn all(netlink: &mut Netlink) -> Result<Vec<Found>, Errno> {
    let mut found = Vec::new();
    for family in [AF_INET, AF_INET6] {
        let mut head = [0; HEAD_BYTES];
        head[0] = family;
        match netlink.ask(&Request::new(ROUTE_GET, NLM_F_DUMP, &head), true) {
            Ok(replies) => found.extend(replies.iter().filter_map(parse)),
            // The kernel has no IPv6.
            Err(Errno::OPNOTSUPP | Errno::AFNOSUPPORT) if family == AF_INET6 => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn parse(reply: &Reply) -> Option<Found> {
    let head = reply.head(HEAD_BYTES).filter(|_| reply.kind == NEW_ROUTE)?;
    let (family, prefix, protocol, kind) = (head[0], head[1], head[5], head[7]);
    let mut address = match family {
        AF_INET => IpAddr::from([0; 4]),
        AF_INET6 => IpAddr::from([0; 16]),
        _ => return None,
    };
    let mut interface = None;
    for (attribute, value) in reply.attributes(HEAD_BYTES) {
        match attribute {
            DESTINATION => address = from_octets(value)?,
            OUT_INTERFACE => interface = value.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes)),
            _ => {}
        }
    }
    let destination = IpNet::new(address, prefix).ok()?;
    Some(Found { destination, kind, protocol, interface })
}

pub(crate) fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { AF_INET } else { AF_INET6 }
}

pub(crate) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn from_octets(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = || Some(IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?));
    v4().or_else(|| Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?)))
}
