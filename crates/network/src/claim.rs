//! Ranges of addresses: which are free, and that they are ours.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

use crate::Ranges;
use crate::link::{LinkError, add_address, remove_address};
use crate::netlink::Netlink;
use crate::route::{self, Found, Kind, LOOPBACK_INDEX, PROTOCOL, Route};

/// Room for the gateway, a pod, and the two addresses that no pod has.
const POD_PREFIX_MAX: u8 = 29;
/// The tenth address is that of DNS.
const SERVICE_PREFIX_MAX: u8 = 28;
const POD_PREFIX_MAX_V6: u8 = 112;
const SERVICE_PREFIX_MAX_V6: u8 = 120;

/// Which ranges a network is to have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// Of each family at most one, IPv4 among them; empty for the first that are free.
    pub pods: Vec<IpNet>,
    pub services: Vec<IpNet>,
    pub size: Size,
}

/// How large the ranges are that nobody chose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Size {
    /// Of an engine that lasts.
    Large,
    /// Of one that ends with its pods: there may be many.
    Small,
}

/// When a network's ranges became its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Claimed {
    /// By this engine, a moment ago: there is no pod and no Service yet that anybody could have a connection to.
    Now,
    /// An engine before this one may have led connections.
    Before,
}

#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    #[error("cannot read the routes of this machine")]
    Routes(#[source] std::io::Error),
    #[error(
        "the range {range} is not free: this machine has a route to {route}: choose another one with --pod-cidr and \
         --service-cidr, or remove the route (`ip route show table all {route}`)"
    )]
    Collides { range: IpNet, route: IpNet },
    #[error(
        "none of the ranges that monopod takes by itself is free, the first because of the route to {route}: choose \
         others with --pod-cidr and --service-cidr"
    )]
    NoneFree { route: IpNet },
    #[error("{range} is no range for {of}: {why}")]
    Unfit { range: IpNet, of: &'static str, why: String },
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("cannot make the prefix of a range")]
    Random(#[source] std::io::Error),
}

/// Of what there is, what is wanted and free. IPv6 is for machines that have it.
pub(crate) fn choose(netlink: &mut Netlink, wanted: &Wanted, has_v6: bool) -> Result<Ranges, ClaimError> {
    check(wanted)?;
    let routes = foreign(netlink, None)?;
    let mut first_collision = None;
    for ranges in candidates(wanted) {
        match collision(&ranges, &routes) {
            None => return with_v6(ranges, has_v6, &routes),
            Some(found) => _ = first_collision.get_or_insert(found),
        }
    }
    let (range, route) = first_collision.unwrap_or_default();
    if wanted.pods.is_empty() {
        Err(ClaimError::NoneFree { route })
    } else {
        Err(ClaimError::Collides { range, route })
    }
}

/// Whether ranges of before are still nobody else's.
pub(crate) fn check_again(netlink: &mut Netlink, ranges: &Ranges) -> Result<(), ClaimError> {
    let routes = foreign(netlink, Some(ranges))?;
    match collision(ranges, &routes) {
        Some((range, route)) => Err(ClaimError::Collides { range, route }),
        None => Ok(()),
    }
}

/// Makes the routes that say whose the ranges are. `false` where somebody was faster; nothing is left then.
pub(crate) fn claim(netlink: &mut Netlink, ranges: &Ranges, is_ours: bool) -> Result<bool, ClaimError> {
    let mut made = Vec::new();
    for address in ranges.gateways().into_iter().filter(IpAddr::is_ipv6) {
        // A source of routes has to be an address there, for IPv6.
        let request = add_address(LOOPBACK_INDEX, address);
        let failed = LinkError::of(format!("give {address} to the loopback interface, which has to be up"));
        netlink.send(vec![request]).map_err(|(_, errno)| failed(errno))?;
    }
    for route in claims(ranges) {
        match netlink.send(vec![route.create()]) {
            Ok(()) => made.push(route),
            Err((_, Errno::EXIST)) if is_ours => {}
            Err((_, errno)) => {
                for route in made.iter().rev() {
                    let _ = netlink.send(vec![route.remove()]);
                }
                return match errno {
                    Errno::EXIST => Ok(false),
                    errno => {
                        let what =
                            format!("make a route to {}, with the loopback interface up", route.destination);
                        Err(LinkError::of(what)(errno).into())
                    }
                };
            }
        }
    }
    Ok(true)
}

/// Idempotent.
pub(crate) fn give_up(netlink: &mut Netlink, ranges: &Ranges) -> Result<(), ClaimError> {
    for route in claims(ranges).iter().rev() {
        match netlink.send(vec![route.remove()]) {
            Ok(()) | Err((_, Errno::SRCH | Errno::NOENT | Errno::NODEV)) => {}
            Err((_, errno)) => {
                return Err(LinkError::of(format!("remove the route to {}", route.destination))(errno).into());
            }
        }
    }
    for address in ranges.gateways().into_iter().filter(IpAddr::is_ipv6) {
        match netlink.send(vec![remove_address(LOOPBACK_INDEX, address)]) {
            Ok(()) | Err((_, Errno::ADDRNOTAVAIL | Errno::NODEV)) => {}
            Err((_, errno)) => {
                let failed = LinkError::of(format!("take {address} from the loopback interface"));
                return Err(failed(errno).into());
            }
        }
    }
    Ok(())
}

/// In the order in which one needs the other.
fn claims(ranges: &Ranges) -> Vec<Route> {
    let gateways = ranges.gateways();
    let local = |destination, source| Route {
        interface: Some(LOOPBACK_INDEX),
        source,
        ..Route::to(destination, Kind::Local)
    };
    let of_family = |range: &IpNet| gateways.iter().find(|g| g.is_ipv4() == range.addr().is_ipv4()).copied();
    let own =
        gateways.iter().filter(|gateway| gateway.is_ipv4()).map(|gateway| local(IpNet::from(*gateway), None));
    let services = ranges.services.iter().map(|range| local(*range, of_family(range)));
    let pods = ranges.pods.iter().map(|range| Route {
        interface: range.addr().is_ipv6().then_some(LOOPBACK_INDEX),
        ..Route::to(*range, Kind::Unreachable)
    });
    own.chain(services).chain(pods).collect()
}

/// Routes that mean certain addresses and are not those of the network with the ranges of `own`.
fn foreign(netlink: &mut Netlink, own: Option<&Ranges>) -> Result<Vec<Found>, ClaimError> {
    let mut routes = route::all(netlink).map_err(|errno| ClaimError::Routes(errno.into()))?;
    let is_own = |route: &Found| {
        let within = |ranges: &Ranges| {
            ranges.pods.iter().chain(&ranges.services).any(|range| range.contains(&route.destination))
        };
        // The kernel makes those of the gateway's address.
        let is_gateway = |ranges: &Ranges| {
            ranges.gateways().contains(&route.destination.addr()) && route.interface == Some(LOOPBACK_INDEX)
        };
        own.is_some_and(|own| is_gateway(own) || route.protocol == PROTOCOL && within(own))
    };
    routes.retain(|route| route.destination.prefix_len() > 0 && !is_own(route));
    Ok(routes)
}

/// A range, and the destination of a route that has to do with it.
fn collision(ranges: &Ranges, routes: &[Found]) -> Option<(IpNet, IpNet)> {
    let overlap = |a: &IpNet, b: &IpNet| a.contains(b) || b.contains(a);
    ranges.pods.iter().chain(&ranges.services).find_map(|range| {
        let route = routes.iter().find(|route| overlap(range, &route.destination))?;
        Some((*range, route.destination))
    })
}

/// With a prefix of its own where one is lacking (RFC 4193).
fn with_v6(ranges: Ranges, has_v6: bool, routes: &[Found]) -> Result<Ranges, ClaimError> {
    let Ranges { mut pods, mut services } = ranges;
    let chosen = pods.iter().chain(&services).find(|range| range.addr().is_ipv6()).copied();
    match chosen {
        Some(range) if !has_v6 => {
            let why = "IPv6 is off on this machine (sysctl net.ipv6.conf.all.disable_ipv6, default and lo)"
                .to_owned();
            return Err(ClaimError::Unfit { range, of: "a network", why });
        }
        None if !has_v6 => return Ok(Ranges { pods, services }),
        _ => {}
    }
    let [a, b, c, d, e] = random()?;
    let within = |last: u16| {
        let [first, second, third] = [[0xfd, a], [b, c], [d, e]].map(u16::from_be_bytes);
        IpAddr::V6(Ipv6Addr::new(first, second, third, last, 0, 0, 0, 0))
    };
    for (ranges, last, prefix) in [(&mut pods, 1, 64), (&mut services, 2, 112)] {
        if !ranges.iter().any(|range| range.addr().is_ipv6()) {
            ranges.push(range(within(last), prefix));
        }
    }
    let ranges = Ranges { pods, services };
    match collision(&ranges, routes) {
        // One in 2^40, unless it was chosen.
        Some((range, route)) => Err(ClaimError::Collides { range, route }),
        None => Ok(ranges),
    }
}

/// What tells networks of the same name apart.
pub(crate) fn tag() -> Result<u32, ClaimError> {
    random().map(u32::from_ne_bytes)
}

fn random<const N: usize>() -> Result<[u8; N], ClaimError> {
    let mut bytes = [0; N];
    getrandom(&mut bytes, GetRandomFlags::empty()).map_err(|errno| ClaimError::Random(errno.into()))?;
    Ok(bytes)
}

/// In the order in which to try them.
fn candidates(wanted: &Wanted) -> Vec<Ranges> {
    let ours: Vec<Ranges> = match wanted.size {
        Size::Large => large().collect(),
        Size::Small => small().collect(),
    };
    if wanted.pods.is_empty() && wanted.services.is_empty() {
        return ours;
    }
    let overlap = |a: &IpNet, b: &IpNet| a.contains(b) || b.contains(a);
    let fits =
        |ranges: &Ranges| !ranges.pods.iter().any(|pods| ranges.services.iter().any(|s| overlap(pods, s)));
    ours.into_iter()
        .map(|ours| Ranges {
            pods: if wanted.pods.is_empty() { ours.pods } else { wanted.pods.clone() },
            services: if wanted.services.is_empty() { ours.services } else { wanted.services.clone() },
        })
        .filter(fits)
        .collect()
}

/// Pairs of /16, of blocks that few use: 10.200.0.0/11, then the end of 172.16.0.0/12, and 198.18.0.0/15 (RFC 2544).
fn large() -> impl Iterator<Item = Ranges> {
    let of_10 = (200..232).step_by(2).map(|second| (10, second));
    let of_172 = (22..32).step_by(2).map(|second| (172, second));
    of_10.chain(of_172).chain([(198, 18)]).map(|(first, second)| Ranges {
        pods: vec![v4(first, second, 0, 16)],
        services: vec![v4(first, second + 1, 0, 16)],
    })
}

/// Pairs of /20 of 10.232.0.0 to 10.255.0.0, then of 172.21.0.0.
fn small() -> impl Iterator<Item = Ranges> {
    let of_10 = (232..=255).map(|second| (10, second));
    let blocks = of_10.chain([(172, 21)]);
    let pairs = blocks.flat_map(|(first, second)| (0..8_u8).map(move |pair| (first, second, pair * 32)));
    pairs.map(|(first, second, third)| Ranges {
        pods: vec![v4(first, second, third, 20)],
        services: vec![v4(first, second, third + 16, 20)],
    })
}

fn v4(first: u8, second: u8, third: u8, prefix: u8) -> IpNet {
    range(IpAddr::from([first, second, third, 0]), prefix)
}

fn range(address: IpAddr, prefix: u8) -> IpNet {
    // Every prefix here is one of its family.
    IpNet::new(address, prefix).unwrap_or_else(|_| IpNet::from(address))
}

/// Whether what somebody chose can be a network's.
fn check(wanted: &Wanted) -> Result<(), ClaimError> {
    let both = [
        (&wanted.pods, "pods", POD_PREFIX_MAX, POD_PREFIX_MAX_V6),
        (&wanted.services, "Services", SERVICE_PREFIX_MAX, SERVICE_PREFIX_MAX_V6),
    ];
    for (ranges, of, max, max_v6) in both {
        for range in ranges {
            let unfit = |why: String| ClaimError::Unfit { range: *range, of, why };
            let max = if range.addr().is_ipv4() { max } else { max_v6 };
            if range.prefix_len() > max {
                return Err(unfit(format!("it is too small, at most /{max} is large enough")));
            }
            if range.addr() != range.network() {
                return Err(unfit(format!("the range that it is in is {}", range.trunc())));
            }
        }
        let of_v4 = ranges.iter().filter(|range| range.addr().is_ipv4()).count();
        if let Some(range) = ranges.first()
            && (of_v4 != 1 || ranges.len() > 2 || range.addr().is_ipv6())
        {
            let why = "give one of IPv4, and after it, if you like, one of IPv6".to_owned();
            return Err(ClaimError::Unfit { range: *range, of, why });
        }
    }
    if !wanted.pods.is_empty() && !wanted.services.is_empty() && wanted.pods.len() != wanted.services.len() {
        let why = "give ranges of the same families for pods and for Services".to_owned();
        return Err(ClaimError::Unfit { range: wanted.pods[0], of: "pods", why });
    }
    for (pods, services) in wanted.pods.iter().flat_map(|pods| wanted.services.iter().map(move |s| (pods, s)))
    {
        if pods.contains(services) || services.contains(pods) {
            return Err(ClaimError::Unfit {
                range: *pods,
                of: "pods",
                why: format!("it overlaps {services}"),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Ranges, Size, Wanted, candidates, check, collision};
    use crate::route::Found;

    fn wanted(pods: &[&str], services: &[&str], size: Size) -> Wanted {
        let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Wanted { pods: parse(pods), services: parse(services), size }
    }

    fn found(destination: &str) -> Found {
        Found { destination: destination.parse().unwrap(), kind: 1, protocol: 4, interface: None }
    }

    #[test]
    fn no_two_candidates_overlap() {
        for size in [Size::Large, Size::Small] {
            let all: Vec<_> = candidates(&wanted(&[], &[], size))
                .into_iter()
                .flat_map(|Ranges { pods, services }| pods.into_iter().chain(services))
                .collect();
            for (at, one) in all.iter().enumerate() {
                assert_eq!(one.addr(), one.network(), "{one}");
                for other in &all[at + 1..] {
                    assert!(!one.contains(other) && !other.contains(one), "{one} {other}");
                }
            }
        }
    }

    #[test]
    fn what_a_route_has_to_do_with_is_not_free() {
        let all = candidates(&wanted(&[], &[], Size::Large));
        for (route, collides) in [
            ("10.200.3.0/24", true),
            ("10.201.0.0/16", true),
            ("10.0.0.0/8", true),
            ("10.202.0.0/16", false),
            ("192.168.0.0/16", false),
        ] {
            assert_eq!(collision(&all[0], &[found(route)]).is_some(), collides, "{route}");
        }
        let free = all.iter().find(|ranges| collision(ranges, &[found("10.0.0.0/8")]).is_none()).unwrap();
        assert_eq!(free.pods[0].to_string(), "172.22.0.0/16");
    }

    #[test]
    fn ranges_that_are_chosen_are_checked() {
        for (pods, services, part) in [
            (&["10.1.0.0/16"][..], &[][..], None),
            (&["10.1.0.0/29"], &["10.2.0.0/28"], None),
            (&["10.1.0.0/16", "fd00:1::/64"], &["10.2.0.0/16", "fd00:2::/112"], None),
            (&["10.1.0.0/30"], &[], Some("too small")),
            (&["10.1.0.7/16"], &[], Some("10.1.0.0/16")),
            (&["fd00::/64"], &[], Some("one of IPv4")),
            (&["10.1.0.0/16", "10.3.0.0/16"], &[], Some("one of IPv4")),
            (&["10.1.0.0/16"], &["10.1.2.0/24"], Some("overlaps 10.1.2.0/24")),
            (&["10.1.0.0/16", "fd00::/64"], &["10.2.0.0/16"], Some("same families")),
            (&[], &["10.2.0.0/29"], Some("too small")),
        ] {
            let checked = check(&wanted(pods, services, Size::Large)).map_err(|error| error.to_string());
            match part {
                None => assert_eq!(checked, Ok(()), "{pods:?} {services:?}"),
                Some(part) => assert!(checked.clone().unwrap_err().contains(part), "{checked:?}"),
            }
        }
        let mixed = candidates(&wanted(&["10.201.0.0/16"], &[], Size::Large));
        assert_eq!(mixed[0].services[0].to_string(), "10.203.0.0/16", "never overlapping what is chosen");
    }
}
