//! What one Service or one pod has in the table.

use std::collections::BTreeMap;
use std::net::IpAddr;

use nftables::{Element, Family, Rule, Set};

use super::names::Map;

/// Elements of maps that all share, and chains and maps of its own.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Part {
    pub(super) elements: Vec<((Map, Family), Element)>,
    /// By name. One that several parts have is the same in all.
    pub(super) chains: BTreeMap<String, Vec<Rule>>,
    /// By name.
    pub(super) maps: BTreeMap<String, Set>,
}

impl Part {
    pub(super) fn element(&mut self, map: Map, family: Family, element: Element) {
        let entry = ((map, family), element);
        if !self.elements.contains(&entry) {
            self.elements.push(entry);
        }
    }

    /// The one with this address may come to connect to itself.
    pub(super) fn own(&mut self, address: IpAddr) {
        let element = Element::new(vec![address.into(), address.into()]);
        self.element(Map::Own, Family::of(address), element);
    }
}
