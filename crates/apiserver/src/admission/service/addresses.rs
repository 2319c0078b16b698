//! Cluster IPs: asked for, or drawn.
//!
//! What is drawn comes from the upper part of a range as long as it has room, and what people write down is best taken
//! from the lower one (<https://kubernetes.io/docs/concepts/services-networking/cluster-ip-allocation/>).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

use apimachinery::Status;
use ipnet::IpNet;
use podspec::json::{list, text, texts};
use podspec::{FieldError, FieldPath};
use serde_json::Value;

use crate::rules::{is_headless, is_type};

/// The lower part: a sixteenth of the range, but no fewer and no more than these.
const LOWER_SHARE: u128 = 16;
const LOWER_MIN: u128 = 16;
const LOWER_MAX: u128 = 256;
/// No more of a range is drawn from: an IPv6 range has more than anybody can use.
const WIDTH_MAX: u128 = 1 << 32;

/// Whether [`give`] has to know what others have.
pub(super) fn is_needed(service: &Value, old: Option<&Value>) -> bool {
    if is_type(service, "ExternalName") || is_headless(service) {
        return false;
    }
    let had = old.map(|old| list(&old["spec"], "clusterIPs")).unwrap_or_default();
    let ips = list(&service["spec"], "clusterIPs");
    ips.len() < list(&service["spec"], "ipFamilies").len() || ips.iter().any(|ip| !had.contains(ip))
}

/// Completes `clusterIPs`, one for each of `ipFamilies`, none of which is among those of `others` or `reserved`; those of `old` are
/// the service's already.
pub(super) fn give(
    service: &mut Value,
    old: Option<&Value>,
    ranges: &[IpNet],
    (others, reserved): (&[Value], &[IpAddr]),
    random: &mut dyn FnMut() -> u64,
) -> Result<(), Status> {
    if is_type(service, "ExternalName") || is_headless(service) {
        return Ok(());
    }
    let families = texts(&service["spec"], "ipFamilies").unwrap_or_default();
    let mut ips = texts(&service["spec"], "clusterIPs").unwrap_or_default();
    let used: BTreeSet<IpAddr> =
        others.iter().flat_map(addresses_of).chain(reserved.iter().copied()).collect();
    let had = old.map(|old| list(&old["spec"], "clusterIPs")).unwrap_or_default();
    for ip in ips.iter().filter(|ip| !had.iter().any(|had| had == ip.as_str())) {
        asked(ip, ranges, &used).map_err(|why| {
            let at = FieldPath::root().child("spec").child("clusterIPs");
            let message = format!("failed to allocate IP {ip}: {why}");
            super::refuse(service, &[FieldError::invalid(at, ips.clone(), &message)])
        })?;
    }
    for family in families.iter().skip(ips.len()) {
        let range = ranges.iter().find(|range| range.addr().is_ipv4() == (family == "IPv4"));
        let drawn = range.and_then(|range| drawn(range, &used, random));
        let name = text(&service["metadata"], "name");
        let full = || format!("failed to allocate a serviceIP for Service {name:?}: range is full");
        ips.push(drawn.ok_or_else(|| Status::internal(&full()))?.to_string());
    }
    if let Some(first) = ips.first() {
        service["spec"]["clusterIP"] = first.as_str().into();
        service["spec"]["clusterIPs"] = ips.into();
    }
    Ok(())
}

fn addresses_of(service: &Value) -> Vec<IpAddr> {
    let ips = list(&service["spec"], "clusterIPs").iter();
    ips.filter_map(|ip| ip.as_str()?.parse().ok()).collect()
}

fn asked(ip: &str, ranges: &[IpNet], used: &BTreeSet<IpAddr>) -> Result<(), String> {
    let Ok(ip) = ip.parse::<IpAddr>() else { return Err(format!("{ip:?} is no address")) };
    let Some(range) = ranges.iter().find(|range| range.contains(&ip)) else {
        return Err("the provided network does not match the current range".to_owned());
    };
    let bounds = Bounds::of(range);
    if !(bounds.first..=bounds.last).contains(&number(ip)) {
        return Err(format!(
            "the provided IP ({ip}) is not in the valid range. The range of valid IPs is {range}"
        ));
    }
    if used.contains(&ip) {
        return Err("provided IP is already allocated".to_owned());
    }
    Ok(())
}

/// A free address; `None` when there is none.
fn drawn(range: &IpNet, used: &BTreeSet<IpAddr>, random: &mut dyn FnMut() -> u64) -> Option<IpAddr> {
    let Bounds { first, upper, last } = Bounds::of(range);
    let is_ipv4 = range.addr().is_ipv4();
    let mut within = |first: u128, last: u128| {
        let width = (last + 1).checked_sub(first)?.min(WIDTH_MAX);
        let begin = u128::from(random()).checked_rem(width)?;
        // One of more than there are used must be free.
        let tries = width.min(used.len() as u128 + 1);
        (0..tries).map(|step| address(first + (begin + step) % width, is_ipv4)).find(|ip| !used.contains(ip))
    };
    within(upper, last).or_else(|| within(first, upper.checked_sub(1)?))
}

/// The addresses of a range, as numbers.
#[derive(Debug, PartialEq, Eq)]
struct Bounds {
    first: u128,
    /// Where the upper part begins.
    upper: u128,
    last: u128,
}

impl Bounds {
    fn of(range: &IpNet) -> Self {
        // The network's own address is nobody's, nor is what IPv4 broadcasts to.
        let first = number(range.network()).saturating_add(1);
        let last = number(range.broadcast()) - u128::from(range.addr().is_ipv4());
        let size = number(range.broadcast()) - number(range.network()) + 1;
        let lower = match size {
            size if size <= LOWER_MIN => 0,
            size => (size / LOWER_SHARE).clamp(LOWER_MIN, LOWER_MAX),
        };
        Self { first, upper: first + lower, last }
    }
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip)),
        IpAddr::V6(ip) => ip.into(),
    }
}

fn address(number: u128, is_ipv4: bool) -> IpAddr {
    match u32::try_from(number) {
        Ok(number) if is_ipv4 => IpAddr::V4(number.into()),
        _ => IpAddr::V6(Ipv6Addr::from(number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_drawn_leaves_the_lower_part_to_those_who_ask() {
        for (text, lower) in [
            ("10.0.0.0/28", 0),
            ("10.0.0.0/24", 16),
            ("10.0.0.0/20", 256),
            ("10.0.0.0/16", 256),
            ("fd00::/112", 256),
        ] {
            let Bounds { first, upper, .. } = Bounds::of(&range(text));
            assert_eq!(upper - first, lower, "{text}");
        }
        let used = BTreeSet::new();
        for random in [0, 1, 77, u64::MAX] {
            let drawn = drawn(&range("10.0.0.0/24"), &used, &mut || random).unwrap();
            assert!(drawn >= "10.0.0.17".parse::<IpAddr>().unwrap(), "{drawn}");
            assert!(drawn <= "10.0.0.254".parse::<IpAddr>().unwrap(), "{drawn}");
        }
    }

    #[test]
    fn every_address_can_be_had_and_then_none() {
        for (text, count) in
            [("10.0.0.0/24", 254), ("10.0.0.0/29", 6), ("fd00::/120", 255), ("10.0.0.0/30", 2)]
        {
            let (range, mut used) = (range(text), BTreeSet::new());
            let mut random = 7_u64;
            let mut next = || {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                random >> 11
            };
            while let Some(ip) = drawn(&range, &used, &mut next) {
                assert!(range.contains(&ip));
                assert!(used.insert(ip), "{ip} came twice");
            }
            assert_eq!(used.len(), count, "{text}");
        }
    }

    #[test]
    fn a_range_without_room_gives_nothing() {
        for text in ["10.0.0.0/32", "10.0.0.0/31"] {
            assert_eq!(drawn(&range(text), &BTreeSet::new(), &mut || 5), None, "{text}");
        }
    }

    #[test]
    fn an_address_that_is_asked_for_has_to_be_free_and_of_the_range() {
        let used = BTreeSet::from(["10.0.0.7".parse().unwrap()]);
        let ranges = [range("10.0.0.0/24"), range("fd00::/112")];
        for (ip, why) in [
            ("10.0.0.8", None),
            ("10.0.0.1", None),
            ("fd00::ffff", None),
            ("10.0.0.7", Some("provided IP is already allocated")),
            ("10.1.0.7", Some("the provided network does not match the current range")),
            ("fd01::1", Some("the provided network does not match the current range")),
            (
                "10.0.0.255",
                Some(
                    "the provided IP (10.0.0.255) is not in the valid range. The range of valid IPs is 10.0.0.0/24",
                ),
            ),
        ] {
            assert_eq!(asked(ip, &ranges, &used).err().as_deref(), why, "{ip}");
        }
    }
}
