//! Which addresses are given.

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;

use ipnet::IpNet;

use crate::Ranges;
use crate::ranges::nth;

/// The first that a pod may have: before it are the range itself and the gateway.
const FIRST: u32 = 2;

/// A pod has one number, which is its place in each of the ranges.
#[derive(Debug)]
pub(crate) struct Addresses {
    pods: Vec<IpNet>,
    taken: BTreeSet<u32>,
    /// Nobody has had those from here on.
    next: u32,
    /// One more than the last there is.
    end: u32,
    /// In the order in which they were freed.
    freed: VecDeque<u32>,
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "all {count} addresses of {range} are in use: delete pods, or have more with --pod-cidr and a larger range, after \
     `monopod reset`"
)]
pub struct Exhausted {
    count: u32,
    range: IpNet,
}

impl Addresses {
    pub(crate) fn new(ranges: &Ranges) -> Self {
        let end = ranges.pods.first().map_or(FIRST, last).max(FIRST);
        Self { pods: ranges.pods.clone(), taken: BTreeSet::new(), next: FIRST, end, freed: VecDeque::new() }
    }

    /// Takes one that nobody had before, or else the one that has been free the longest.
    pub(crate) fn take(&mut self) -> Result<u32, Exhausted> {
        while self.next < self.end {
            let number = self.next;
            self.next += 1;
            if !self.freed.contains(&number) && self.taken.insert(number) {
                return Ok(number);
            }
        }
        while let Some(number) = self.freed.pop_front() {
            if self.taken.insert(number) {
                return Ok(number);
            }
        }
        let range = self.pods.first().copied().unwrap_or_default();
        Err(Exhausted { count: self.end - FIRST, range })
    }

    /// Of a pod that is there. Says whether nobody else has it.
    pub(crate) fn keep(&mut self, number: u32) -> bool {
        self.taken.insert(number)
    }

    pub(crate) fn free(&mut self, number: u32) {
        if self.taken.remove(&number) {
            self.freed.push_back(number);
        }
    }

    /// Nobody is known to have it; it is given after all others.
    pub(crate) fn doubt(&mut self, number: u32) {
        if !self.taken.contains(&number) && !self.freed.contains(&number) {
            self.freed.push_back(number);
        }
    }

    /// The addresses with this number.
    pub(crate) fn of(&self, number: u32) -> Vec<IpAddr> {
        nth(&self.pods, number as usize)
    }

    /// The number of an address in the first range; `None` for one that no pod may have.
    pub(crate) fn number(&self, address: IpAddr) -> Option<u32> {
        let (IpAddr::V4(first), IpAddr::V4(address)) = (self.pods.first()?.network(), address) else {
            return None;
        };
        let number = u32::from(address).checked_sub(u32::from(first))?;
        (FIRST..self.end).contains(&number).then_some(number)
    }
}

/// The last address of a range of IPv4 is that of all.
fn last(range: &IpNet) -> u32 {
    let bits = range.max_prefix_len() - range.prefix_len();
    1_u32.checked_shl(bits.into()).map_or(u32::MAX, |count| count - 1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Addresses;
    use crate::Ranges;

    fn addresses(range: &str) -> Addresses {
        let pods = vec![range.parse().unwrap(), "fd12::/64".parse().unwrap()];
        Addresses::new(&Ranges { pods, services: Vec::new() })
    }

    #[test]
    fn every_address_is_given_once_and_those_freed_last_are_given_last() {
        let mut addresses = addresses("10.0.0.0/29");
        let all: Vec<u32> = (0..5).map(|_| addresses.take().unwrap()).collect();
        assert_eq!(all, [2, 3, 4, 5, 6]);
        let error = addresses.take().unwrap_err().to_string();
        assert!(error.contains("all 5 addresses of 10.0.0.0/29") && error.contains("--pod-cidr"), "{error}");
        [5, 3, 4].into_iter().for_each(|number| addresses.free(number));
        addresses.free(5);
        assert_eq!([addresses.take(), addresses.take(), addresses.take()], [Ok(5), Ok(3), Ok(4)]);
        assert!(addresses.take().is_err());
    }

    #[test]
    fn what_was_given_before_is_kept_and_what_is_in_doubt_comes_last() {
        let mut addresses = addresses("10.0.0.0/29");
        assert!(addresses.keep(3));
        assert!(!addresses.keep(3), "two pods with one address are found out");
        addresses.doubt(2);
        addresses.doubt(3);
        let given: Vec<u32> = std::iter::from_fn(|| addresses.take().ok()).collect();
        assert_eq!(given, [4, 5, 6, 2]);
    }

    #[test]
    fn a_number_is_a_place_in_each_range() {
        let addresses = addresses("10.0.0.0/16");
        let texts: Vec<String> = addresses.of(258).iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["10.0.1.2", "fd12::102"]);
        for (address, number) in [
            ("10.0.1.2", Some(258)),
            ("10.0.0.1", None),
            ("10.0.255.255", None),
            ("10.1.0.2", None),
            ("fd12::102", None),
        ] {
            assert_eq!(addresses.number(address.parse().unwrap()), number, "{address}");
        }
    }

    #[test]
    fn freed_ones_are_not_taken_for_new_ones() {
        let mut addresses = addresses("10.0.0.0/28");
        let mut given = BTreeSet::new();
        for round in 0..50_u32 {
            while let Ok(number) = addresses.take() {
                assert!(given.insert(number), "{number} twice in round {round}");
            }
            let some: Vec<u32> = given.iter().copied().filter(|number| (number + round) % 3 == 0).collect();
            some.into_iter().for_each(|number| {
                given.remove(&number);
                addresses.free(number);
            });
        }
    }
}
