//! What is to be in the table, and what has to be done to get from one state to another.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use nftables::{Chain, Element, Family, Operation, Rule, Set, Value};
use podspec::PodUid;

use super::flows::{Flows, Targets};
use super::names::Map;
use super::part::Part;
use super::service::Port;
use super::{frame, pod, service};
use crate::{PodRules, Ranges, ServiceName, ServicePort};

/// Whose a part is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Owner {
    Service(ServiceName),
    Pod(PodUid),
}

/// The key of an element of a shared map.
type Place = (Map, Family, Vec<Value>);

/// What is wanted, and what was last said to be in force.
#[derive(Clone, Debug)]
pub(super) struct Table {
    ranges: Ranges,
    families: Vec<Family>,
    services: BTreeMap<ServiceName, Vec<Port>>,
    pods: BTreeMap<PodUid, PodRules>,
    /// Of whom something is wanted that is not in force yet, with where their connections went.
    changed: BTreeMap<Owner, Targets>,
    in_force: InForce,
}

#[derive(Clone, Default, Debug)]
struct InForce {
    parts: BTreeMap<Owner, Part>,
    /// Who claims an element; the last one has it.
    claims: BTreeMap<Place, Vec<(Owner, Element)>>,
    /// By name, with how many parts have it.
    chains: BTreeMap<String, (usize, Vec<Rule>)>,
}

/// What is to be done to the table, and which connections to look at when it is done.
#[derive(Default, Debug)]
pub(super) struct Change {
    pub(super) operations: Vec<Operation>,
    pub(super) flows: Flows,
}

impl Table {
    pub(super) fn new(ranges: Ranges) -> Self {
        let families = frame::families(&ranges).collect();
        Self {
            ranges,
            families,
            services: BTreeMap::new(),
            pods: BTreeMap::new(),
            changed: BTreeMap::new(),
            in_force: InForce::default(),
        }
    }

    /// With no ports it is removed.
    pub(super) fn set_service(&mut self, name: ServiceName, ports: &[ServicePort]) {
        self.note(Owner::Service(name.clone()));
        let ports = service::ports(ports, &self.families);
        if ports.is_empty() {
            self.services.remove(&name);
        } else {
            self.services.insert(name, ports);
        }
    }

    pub(super) fn set_pod(&mut self, pod: PodRules) {
        self.note(Owner::Pod(pod.uid.clone()));
        self.pods.insert(pod.uid.clone(), pod);
    }

    pub(super) fn remove_pod(&mut self, uid: &PodUid) {
        if !self.pods.contains_key(uid) {
            return;
        }
        self.note(Owner::Pod(uid.clone()));
        self.pods.remove(uid);
    }

    /// Forgets everything that was wanted.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.ranges.clone());
    }

    /// From what is in force to what is wanted, which counts as in force from here on.
    pub(super) fn change(&mut self) -> Change {
        let mut draft = Draft::default();
        let mut flows = Flows::default();
        for (owner, before) in mem::take(&mut self.changed) {
            flows.compare(&before, &self.targets_of(&owner));
            let part = self.compile(&owner);
            self.in_force.put(owner, part, &mut draft);
        }
        Change { operations: draft.operations(&self.in_force), flows }
    }

    /// The whole table, in place of whatever has its name; counts as in force from here on.
    pub(super) fn everything(&mut self) -> Vec<Operation> {
        self.changed.clear();
        self.in_force = InForce::default();
        let mut draft = Draft::default();
        let owners: Vec<Owner> = self.owners().collect();
        for owner in owners {
            let part = self.compile(&owner);
            self.in_force.put(owner, part, &mut draft);
        }
        // So that it is there to be deleted.
        let mut operations = vec![Operation::AddTable, Operation::DeleteTable, Operation::AddTable];
        operations.extend(frame::operations(&self.ranges));
        operations.extend(draft.operations(&self.in_force));
        operations
    }

    /// The maps in force in which rules note where clients went.
    pub(super) fn affinity_maps(&self) -> impl Iterator<Item = &Set> {
        self.in_force.parts.values().flat_map(|part| part.maps.values())
    }

    /// Where connections without an end of their own go.
    pub(super) fn targets(&self) -> Targets {
        let mut targets = Targets::default();
        self.services.values().flatten().for_each(|port| targets.service(port));
        self.pods.values().for_each(|pod| targets.pod(pod));
        targets
    }

    pub(super) fn ranges(&self) -> &Ranges {
        &self.ranges
    }

    fn owners(&self) -> impl Iterator<Item = Owner> {
        let services = self.services.keys().cloned().map(Owner::Service);
        services.chain(self.pods.keys().cloned().map(Owner::Pod))
    }

    fn note(&mut self, owner: Owner) {
        if !self.changed.contains_key(&owner) {
            let targets = self.targets_of(&owner);
            self.changed.insert(owner, targets);
        }
    }

    fn targets_of(&self, owner: &Owner) -> Targets {
        let mut targets = Targets::default();
        match owner {
            Owner::Service(name) => {
                self.services.get(name).into_iter().flatten().for_each(|port| targets.service(port));
            }
            Owner::Pod(uid) => self.pods.get(uid).into_iter().for_each(|pod| targets.pod(pod)),
        }
        targets
    }

    fn compile(&self, owner: &Owner) -> Option<Part> {
        match owner {
            Owner::Service(name) => Some(service::part(name, self.services.get(name)?)),
            Owner::Pod(uid) => Some(pod::part(self.pods.get(uid)?, &self.families)),
        }
    }
}

impl InForce {
    /// Gives the owner another part, or none.
    fn put(&mut self, owner: Owner, part: Option<Part>, draft: &mut Draft) {
        let before = self.parts.remove(&owner).unwrap_or_default();
        let after = part.unwrap_or_default();
        self.put_elements(&owner, &before, &after, draft);
        self.put_chains(&before, &after, draft);
        let is_new = |name: &&String| !before.maps.contains_key(*name);
        draft.add_sets.extend(after.maps.keys().filter(is_new).map(|name| after.maps[name].clone()));
        draft.delete_sets.extend(before.maps.keys().filter(|name| !after.maps.contains_key(*name)).cloned());
        if after != Part::default() {
            self.parts.insert(owner, after);
        }
    }

    fn put_elements(&mut self, owner: &Owner, before: &Part, after: &Part, draft: &mut Draft) {
        let place =
            |((map, family), element): &((Map, Family), Element)| (*map, *family, element.key.clone());
        let (given_up, wanted) = (before.elements.iter(), after.elements.iter());
        let given_up = given_up.filter(|element| !after.elements.contains(element));
        let wanted = wanted.filter(|element| !before.elements.contains(element));
        for element in given_up {
            let place = place(element);
            draft.touch(&place, self);
            if let Some(claims) = self.claims.get_mut(&place) {
                claims.retain(|(claimant, claimed)| claimant != owner || *claimed != element.1);
                if claims.is_empty() {
                    self.claims.remove(&place);
                }
            }
        }
        for element in wanted {
            let place = place(element);
            draft.touch(&place, self);
            self.claims.entry(place).or_default().push((owner.clone(), element.1.clone()));
        }
    }

    fn put_chains(&mut self, before: &Part, after: &Part, draft: &mut Draft) {
        for (name, rules) in &before.chains {
            if after.chains.get(name) != Some(rules) {
                draft.touch_chain(name, self);
                self.release(name);
            }
        }
        for (name, rules) in &after.chains {
            if before.chains.get(name) != Some(rules) {
                draft.touch_chain(name, self);
                self.chains.entry(name.clone()).or_insert_with(|| (0, rules.clone())).0 += 1;
            }
        }
    }

    fn release(&mut self, chain: &str) {
        if let Some((count, _)) = self.chains.get_mut(chain) {
            *count -= 1;
            if *count == 0 {
                self.chains.remove(chain);
            }
        }
    }

    fn rules(&self, chain: &str) -> Option<&Vec<Rule>> {
        self.chains.get(chain).map(|(_, rules)| rules)
    }

    fn holder(&self, place: &Place) -> Option<&Element> {
        self.claims.get(place)?.last().map(|(_, element)| element)
    }
}

/// What is different, as it is found.
#[derive(Default, Debug)]
struct Draft {
    /// Elements that may have changed, as they were.
    places: BTreeMap<Place, Option<Element>>,
    /// Chains that may have come, gone or changed, with their rules as they were.
    chains: BTreeMap<String, Option<Vec<Rule>>>,
    add_sets: Vec<Set>,
    delete_sets: BTreeSet<String>,
}

impl Draft {
    fn touch(&mut self, place: &Place, in_force: &InForce) {
        if !self.places.contains_key(place) {
            self.places.insert(place.clone(), in_force.holder(place).cloned());
        }
    }

    fn touch_chain(&mut self, name: &str, in_force: &InForce) {
        if !self.chains.contains_key(name) {
            self.chains.insert(name.to_owned(), in_force.rules(name).cloned());
        }
    }

    /// In an order in which nothing is used before it is there, nor removed while it is used.
    fn operations(self, after: &InForce) -> Vec<Operation> {
        let mut deleted: BTreeMap<(Map, Family), Vec<Element>> = BTreeMap::new();
        let mut added: BTreeMap<(Map, Family), Vec<Element>> = BTreeMap::new();
        for (place, before) in self.places {
            let after = after.holder(&place);
            if before.as_ref() != after {
                let map = (place.0, place.1);
                before.into_iter().for_each(|element| deleted.entry(map).or_default().push(element));
                after.into_iter().for_each(|element| added.entry(map).or_default().push(element.clone()));
            }
        }
        let (mut come, mut flushed, mut rules, mut gone) = (vec![], vec![], vec![], vec![]);
        for (name, before) in self.chains {
            match (&before, after.rules(&name)) {
                (None, None) => {}
                (Some(_), None) => gone.push(Operation::DeleteChain(name)),
                (Some(before), Some(after)) if before == after => {}
                (_, Some(after)) => {
                    match before {
                        None => come.push(Operation::AddChain(Chain { name: name.clone(), base: None })),
                        Some(_) => flushed.push(Operation::FlushChain(name.clone())),
                    }
                    let own = after.iter().cloned();
                    rules.extend(own.map(|rule| Operation::AddRule { chain: name.clone(), rule }));
                }
            }
        }
        let elements = |of: BTreeMap<(Map, Family), Vec<Element>>,
                        operation: fn(String, Vec<Element>) -> _| {
            of.into_iter().map(move |((map, family), elements)| operation(map.name(family), elements))
        };
        let mut operations: Vec<Operation> =
            elements(deleted, |set, elements| Operation::DeleteElements { set, elements }).collect();
        operations.extend(self.add_sets.into_iter().map(Operation::AddSet));
        operations.extend([come, flushed, rules].into_iter().flatten());
        operations.extend(elements(added, |set, elements| Operation::AddElements { set, elements }));
        operations.extend(gone);
        operations.extend(self.delete_sets.into_iter().map(Operation::DeleteSet));
        operations
    }
}
