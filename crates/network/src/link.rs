//! The link of a pod: a pair of interfaces, and all that goes with it on both sides.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd};

use ipnet::IpNet;
use rustix::io::Errno;

use crate::netlink::{AF_INET6, Netlink, Request};
use crate::route::{Kind, LOOPBACK_INDEX, Route, family, octets};
use nftables::netlink::{NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE};

/// What pods send to whatever is not themselves.
pub(crate) const GATEWAYS: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(169, 254, 1, 1)), IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1))];
/// Of an interface without a better reason for another.
pub(crate) const MTU: u32 = 1_500;
/// Of every interface of a pod on the host.
const HOST_ADDRESS: [u8; 6] = [0xee; 6];
/// A pod's end has it and its IPv4 address: locally administered, and of one machine.
const POD_PREFIX: [u8; 2] = [0x0a, 0x58];
const POD_INTERFACE: &str = "eth0";

const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
const LINK_GET: u16 = 18;
const LINK_SET: u16 = 19;
const NEW_ADDRESS: u16 = 20;
const DELETE_ADDRESS: u16 = 21;
const NEW_NEIGHBOUR: u16 = 28;
const LINK_HEAD_BYTES: usize = 16;
const UP: u32 = 1;
/// `IFLA_*`
const ADDRESS: u16 = 1;
const NAME: u16 = 3;
const LINK_MTU: u16 = 4;
const LINK_INFO: u16 = 18;
const AF_SPEC: u16 = 26;
const NETNS_FD: u16 = 28;
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const VETH_PEER: u16 = 1;
const ADDRESS_GENERATION: u16 = 8;
const ADDRESS_GENERATION_NONE: u8 = 1;
/// `IFA_*`
const LOCAL: u16 = 2;
const NO_DUPLICATE_DETECTION: u8 = 0x02;
const SCOPE_UNIVERSE: u8 = 0;
/// `NDA_*`
const NEIGHBOUR_DESTINATION: u16 = 1;
const NEIGHBOUR_ADDRESS: u16 = 2;
const PERMANENT: u16 = 0x80;

/// What a link is made of.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// Of the pod, IPv4 first.
    pub(crate) addresses: Vec<IpAddr>,
    /// What the machine speaks from to it, of each family.
    pub(crate) gateways: Vec<IpAddr>,
    pub(crate) mtu: u32,
}

/// Which step failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what}")]
pub struct LinkError {
    what: String,
    source: io::Error,
}

impl LinkError {
    pub(crate) fn of(what: impl Into<String>) -> impl FnOnce(Errno) -> Self {
        let what = what.into();
        |errno| Self { what, source: errno.into() }
    }

    fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        |source| Self { what, source }
    }
}

/// `mp` and the pod's IPv4 address.
fn name(address: Ipv4Addr) -> String {
    format!("mp{:08x}", u32::from(address))
}

/// The name of the interface of the pod with these addresses.
pub(crate) fn of(addresses: &[IpAddr]) -> String {
    let v4 = addresses.iter().find_map(|address| match address {
        IpAddr::V4(address) => Some(*address),
        IpAddr::V6(_) => None,
    });
    name(v4.unwrap_or(Ipv4Addr::UNSPECIFIED))
}

/// The address that the name of an interface is made of, if it is one of ours.
pub(crate) fn address(name: &str) -> Option<Ipv4Addr> {
    let digits = name.strip_prefix("mp").filter(|digits| digits.len() == 8)?;
    u32::from_str_radix(digits, 16).ok().map(Ipv4Addr::from)
}

impl Link {
    fn ipv4(&self) -> Ipv4Addr {
        let v4 = self.addresses.iter().find_map(|address| match address {
            IpAddr::V4(address) => Some(*address),
            IpAddr::V6(_) => None,
        });
        v4.unwrap_or(Ipv4Addr::UNSPECIFIED)
    }

    pub(crate) fn name(&self) -> String {
        name(self.ipv4())
    }

    fn has_v6(&self) -> bool {
        self.addresses.iter().any(IpAddr::is_ipv6)
    }

    fn pod_hardware_address(&self) -> [u8; 6] {
        let [a, b] = POD_PREFIX;
        let [c, d, e, f] = self.ipv4().octets();
        [a, b, c, d, e, f]
    }

    /// Makes it, with one end in `netns`, to which `pod` is a connection. One of the same name is of a namespace that
    /// is about to be gone.
    pub(crate) fn make(
        &self,
        host: &mut Netlink,
        pod: &mut Netlink,
        netns: BorrowedFd<'_>,
    ) -> Result<(), LinkError> {
        let name = self.name();
        let pair = |host: &mut Netlink| host.send(vec![self.pair(&name, netns)]).map_err(|(_, errno)| errno);
        let made = match pair(host) {
            Err(Errno::EXIST) => {
                remove(host, &name)?;
                pair(host)
            }
            made => made,
        };
        made.map_err(LinkError::of(format!("make the interfaces {name} and {POD_INTERFACE}")))?;
        let made = self.set_up_host(host, &name).and_then(|()| self.set_up_pod(pod));
        if made.is_err() {
            // The error to report is the first one.
            let _ = remove(host, &name);
        }
        made
    }

    fn pair(&self, name: &str, netns: BorrowedFd<'_>) -> Request {
        let request = Request::new(NEW_LINK, NLM_F_CREATE | NLM_F_EXCL, &[0; LINK_HEAD_BYTES])
            .text(NAME, name)
            .attribute(ADDRESS, &HOST_ADDRESS)
            .number(LINK_MTU, self.mtu);
        request.nested(LINK_INFO, |info| {
            info.text(INFO_KIND, "veth");
            info.nested(INFO_DATA, |data| {
                data.nested(VETH_PEER, |peer| {
                    peer.raw(&[0; LINK_HEAD_BYTES]);
                    peer.text(NAME, POD_INTERFACE);
                    peer.bytes(ADDRESS, &self.pod_hardware_address());
                    peer.native_u32(LINK_MTU, self.mtu);
                    peer.bytes(NETNS_FD, &netns.as_raw_fd().to_ne_bytes());
                });
            });
        })
    }

    fn set_up_host(&self, host: &mut Netlink, name: &str) -> Result<(), LinkError> {
        set_sysctls(name, self.has_v6())?;
        let index = index(host, name)?;
        let mut requests = up(index, self.has_v6());
        requests.extend(self.host_side(index));
        host.send(requests).map_err(|(_, errno)| LinkError::of(format!("set up the interface {name}"))(errno))
    }

    /// What leads to the pod; may be there.
    fn host_side(&self, index: u32) -> Vec<Request> {
        let mut requests = Vec::new();
        for &address in &self.addresses {
            let source = self.gateways.iter().find(|gateway| gateway.is_ipv4() == address.is_ipv4()).copied();
            let route =
                Route { interface: Some(index), source, ..Route::to(IpNet::from(address), Kind::Unicast) };
            requests.push(neighbour(index, address, self.pod_hardware_address()));
            requests.push(route.put());
        }
        requests
    }

    /// Puts back what leads to the pod, where somebody has taken it away.
    pub(crate) fn restore(&self, host: &mut Netlink) -> Result<(), LinkError> {
        let name = self.name();
        let index = index(host, &name)?;
        let restored = host.send(self.host_side(index));
        restored.map_err(|(_, errno)| LinkError::of(format!("lead the way to {name} again"))(errno))
    }

    fn set_up_pod(&self, pod: &mut Netlink) -> Result<(), LinkError> {
        let index = index(pod, POD_INTERFACE)?;
        let mut requests = vec![set_up(LOOPBACK_INDEX)];
        requests.extend(up(index, self.has_v6()));
        for &address in &self.addresses {
            let gateway = GATEWAYS.into_iter().find(|gateway| gateway.is_ipv4() == address.is_ipv4());
            let (Some(gateway), default) = (gateway, default_of(address)) else { continue };
            let direct = Route { interface: Some(index), ..Route::to(IpNet::from(gateway), Kind::Unicast) };
            let source = Some(address);
            let default = Route { gateway: Some(gateway), source, ..Route::to(default, Kind::Unicast) };
            requests.push(add_address(index, address));
            requests.push(neighbour(index, gateway, HOST_ADDRESS));
            requests.push(direct.put());
            requests.push(Route { interface: Some(index), ..default }.put());
        }
        pod.send(requests)
            .map_err(|(_, errno)| LinkError::of(format!("set up {POD_INTERFACE} of the pod"))(errno))
    }
}

/// Idempotent.
pub(crate) fn remove(host: &mut Netlink, name: &str) -> Result<(), LinkError> {
    let request = Request::new(DELETE_LINK, 0, &[0; LINK_HEAD_BYTES]).text(NAME, name);
    match host.send(vec![request]) {
        Ok(()) | Err((_, Errno::NODEV)) => Ok(()),
        Err((_, errno)) => Err(LinkError::of(format!("remove the interface {name}"))(errno)),
    }
}

/// The names of the interfaces that links have on the host.
pub(crate) fn names(host: &mut Netlink) -> Result<Vec<String>, LinkError> {
    let request = Request::new(LINK_GET, NLM_F_DUMP, &[0; LINK_HEAD_BYTES]);
    let replies = host.ask(&request, true).map_err(LinkError::of("list the machine's interfaces"))?;
    let name = |reply: &crate::netlink::Reply| {
        let value = reply.attributes(LINK_HEAD_BYTES).find(|(kind, _)| *kind == NAME)?.1;
        Some(String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned())
    };
    Ok(replies.iter().filter_map(name).collect())
}

/// Its name and its MTU.
pub(crate) fn describe(host: &mut Netlink, index: u32) -> Option<(String, u32)> {
    let mut head = [0; LINK_HEAD_BYTES];
    head[4..8].copy_from_slice(&index.to_ne_bytes());
    let replies = host.ask(&Request::new(LINK_GET, 0, &head), false).ok()?;
    let reply = replies.first()?;
    let mut found = (None, None);
    for (kind, value) in reply.attributes(LINK_HEAD_BYTES) {
        match kind {
            NAME => found.0 = value.strip_suffix(&[0]).map(|name| String::from_utf8_lossy(name).into_owned()),
            LINK_MTU => found.1 = value.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes)),
            _ => {}
        }
    }
    Some((found.0?, found.1?))
}

pub(crate) fn index(netlink: &mut Netlink, name: &str) -> Result<u32, LinkError> {
    let request = Request::new(LINK_GET, 0, &[0; LINK_HEAD_BYTES]).text(NAME, name);
    let replies =
        netlink.ask(&request, false).map_err(LinkError::of(format!("find the interface {name}")))?;
    let head = replies.first().and_then(|reply| reply.head(LINK_HEAD_BYTES));
    let index = head.and_then(|head| head[4..8].first_chunk().map(|bytes| u32::from_ne_bytes(*bytes)));
    index.ok_or(Errno::NODEV).map_err(LinkError::of(format!("find the interface {name}")))
}

fn set_up(index: u32) -> Request {
    let mut head = [0; LINK_HEAD_BYTES];
    head[4..8].copy_from_slice(&index.to_ne_bytes());
    head[8..12].copy_from_slice(&UP.to_ne_bytes());
    head[12..16].copy_from_slice(&UP.to_ne_bytes());
    Request::new(LINK_SET, 0, &head)
}

/// Without addresses of its own making, for which routers would be asked and neighbours be heard.
fn up(index: u32, has_v6: bool) -> Vec<Request> {
    let mut head = [0; LINK_HEAD_BYTES];
    head[4..8].copy_from_slice(&index.to_ne_bytes());
    let silent = Request::new(LINK_SET, 0, &head).nested(AF_SPEC, |spec| {
        spec.nested(u16::from(AF_INET6), |v6| v6.bytes(ADDRESS_GENERATION, &[ADDRESS_GENERATION_NONE]));
    });
    has_v6.then_some(silent).into_iter().chain([set_up(index)]).collect()
}

/// A whole one, of nobody else on the link.
pub(crate) fn add_address(index: u32, address: IpAddr) -> Request {
    address_request(NEW_ADDRESS, NLM_F_CREATE | NLM_F_REPLACE, index, address)
}

pub(crate) fn remove_address(index: u32, address: IpAddr) -> Request {
    address_request(DELETE_ADDRESS, 0, index, address)
}

fn address_request(kind: u16, flags: u16, index: u32, address: IpAddr) -> Request {
    let octets = octets(address);
    let prefix = u8::try_from(octets.len() * 8).unwrap_or(u8::MAX);
    let mut head = vec![family(address), prefix, NO_DUPLICATE_DETECTION, SCOPE_UNIVERSE];
    head.extend_from_slice(&index.to_ne_bytes());
    Request::new(kind, flags, &head).attribute(LOCAL, &octets).attribute(ADDRESS, &octets)
}

fn neighbour(index: u32, address: IpAddr, hardware: [u8; 6]) -> Request {
    let mut head = vec![family(address), 0, 0, 0];
    head.extend_from_slice(&index.to_ne_bytes());
    head.extend_from_slice(&PERMANENT.to_ne_bytes());
    head.extend_from_slice(&[0, 0]);
    Request::new(NEW_NEIGHBOUR, NLM_F_CREATE | NLM_F_REPLACE, &head)
        .attribute(NEIGHBOUR_DESTINATION, &octets(address))
        .attribute(NEIGHBOUR_ADDRESS, &hardware)
}

fn default_of(address: IpAddr) -> IpNet {
    let unspecified: IpAddr =
        if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // A prefix of no bits is one of both families.
    IpNet::new(unspecified, 0).unwrap_or_else(|_| IpNet::from(unspecified))
}

/// Of the host's end: packets go on from it, also those that come back to 127.0.0.1 from where a host port led;
/// none of what a pod says of routes is heard, and none goes on that is not from the pod's own address.
fn set_sysctls(name: &str, has_v6: bool) -> Result<(), LinkError> {
    let v4 = [("forwarding", "1"), ("route_localnet", "1"), ("rp_filter", "1"), ("accept_redirects", "0")];
    let v6 = [("accept_ra", "0"), ("accept_redirects", "0")];
    let v4 = v4.into_iter().map(|(key, value)| ("ipv4", key, value, true));
    let v6 = v6.into_iter().map(|(key, value)| ("ipv6", key, value, true));
    let forced = std::iter::once(("ipv6", "force_forwarding", "1", false));
    for (family, key, value, required) in v4.chain(v6.chain(forced).filter(|_| has_v6)) {
        let path = format!("/proc/sys/net/{family}/conf/{name}/{key}");
        match fs::write(&path, value) {
            Err(error) if !required && error.kind() == io::ErrorKind::NotFound => {}
            written => written.map_err(LinkError::io(format!("write {path}")))?,
        }
    }
    Ok(())
}
