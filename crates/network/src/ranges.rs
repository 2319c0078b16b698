//! The addresses of a network.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Which addresses a network gives to pods and to Services: one range of each family that it has, IPv4 first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ranges {
    pub pods: Vec<IpNet>,
    pub services: Vec<IpNet>,
}

/// Of `kube-system/kube-dns`, as most clusters have it.
const DNS_NUMBER: usize = 10;

impl Ranges {
    /// The engine's own addresses in the network: the first of each range of pods.
    #[must_use]
    pub fn gateways(&self) -> Vec<IpAddr> {
        nth(&self.pods, 1)
    }

    /// Leaves IPv4.
    pub(crate) fn forget_v6(&mut self) {
        for ranges in [&mut self.pods, &mut self.services] {
            ranges.retain(|range| range.addr().is_ipv4());
        }
    }

    /// Of the Service `default/kubernetes`.
    #[must_use]
    pub fn api(&self) -> Vec<IpAddr> {
        nth(&self.services, 1)
    }

    /// Of the Service `kube-system/kube-dns`.
    #[must_use]
    pub fn dns(&self) -> Vec<IpAddr> {
        nth(&self.services, DNS_NUMBER)
    }
}

/// The address so many after the first of each range.
pub(crate) fn nth(ranges: &[IpNet], number: usize) -> Vec<IpAddr> {
    let address = |range: &IpNet| match (range.network(), u128::try_from(number).ok()?) {
        (IpAddr::V4(first), number) => {
            let address = u32::from(first).checked_add(u32::try_from(number).ok()?)?;
            Some(IpAddr::V4(address.into()))
        }
        (IpAddr::V6(first), number) => Some(IpAddr::V6(u128::from(first).checked_add(number)?.into())),
    };
    ranges.iter().filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::Ranges;

    #[test]
    fn some_addresses_are_nobodys_to_choose() {
        let ranges = Ranges {
            pods: vec!["10.200.0.0/16".parse().unwrap(), "fd12:3456:789a:1::/64".parse().unwrap()],
            services: vec!["10.201.0.0/16".parse().unwrap(), "fd12:3456:789a:2::/112".parse().unwrap()],
        };
        let texts = |addresses: Vec<std::net::IpAddr>| -> Vec<String> {
            addresses.iter().map(ToString::to_string).collect()
        };
        assert_eq!(texts(ranges.gateways()), ["10.200.0.1", "fd12:3456:789a:1::1"]);
        assert_eq!(texts(ranges.api()), ["10.201.0.1", "fd12:3456:789a:2::1"]);
        assert_eq!(texts(ranges.dns()), ["10.201.0.10", "fd12:3456:789a:2::a"]);
    }
}
