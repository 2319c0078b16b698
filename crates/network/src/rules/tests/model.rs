//! A table that is as strict as the kernel, and random changes: from wherever, in whatever order, what is wanted is what
//! comes of it, and nothing is used before it is there, or removed while it is used.

use std::collections::BTreeMap;
use std::time::Duration;

use nftables::{Element, Lookup, Operation, Rule, Statement, Verdict};
use podspec::PortProtocol;

use super::{host_port, name, pod, port, ranges, uid};
use crate::rules::table::Table;
use crate::{Allowed, Peers, PodPolicy, PodRules, ServicePort};

const WORLDS: u64 = 60;
const CHANGES: usize = 30;

#[derive(Clone, PartialEq, Debug, Default)]
struct Model {
    chains: BTreeMap<String, Vec<Rule>>,
    sets: BTreeMap<String, BTreeMap<String, Element>>,
}

impl Model {
    fn apply(&mut self, operations: &[Operation]) {
        for operation in operations {
            self.step(operation);
        }
        for (name, rules) in &self.chains {
            assert!(!rules.is_empty() || !name.contains('/'), "{name} does nothing");
        }
    }

    fn step(&mut self, operation: &Operation) {
        match operation {
            Operation::AddTable => {}
            Operation::DeleteTable => *self = Self::default(),
            Operation::AddChain(chain) => {
                assert!(self.chains.insert(chain.name.clone(), vec![]).is_none(), "{operation}");
            }
            Operation::FlushChain(name) => self.chains.get_mut(name).expect("it is there").clear(),
            Operation::DeleteChain(name) => {
                assert!(self.chains.remove(name).is_some(), "{operation}");
                assert!(self.verdicts().all(|verdict| target(&verdict) != Some(name)), "{operation}");
            }
            Operation::AddRule { chain, rule } => {
                for statement in &rule.0 {
                    self.check(statement);
                }
                self.chains.get_mut(chain).expect("it is there").push(rule.clone());
            }
            Operation::AddSet(set) => {
                assert!(self.sets.insert(set.name.clone(), BTreeMap::new()).is_none(), "{operation}");
            }
            Operation::DeleteSet(name) => {
                assert!(self.sets.remove(name).is_some(), "{operation}");
                let used = self.chains.values().flatten().flat_map(|rule| &rule.0).filter_map(used);
                assert!(!used.into_iter().any(|used| used == name), "{operation}");
            }
            Operation::AddElements { set, elements } => {
                for element in elements {
                    if let nftables::Datum::Verdict(verdict) = &element.datum {
                        assert!(self.chains.contains_key(target(verdict).unwrap()), "{operation}");
                    }
                    let set = self.sets.get_mut(set).expect("it is there");
                    assert!(
                        set.insert(format!("{:?}", element.key), element.clone()).is_none(),
                        "{operation}"
                    );
                }
            }
            Operation::DeleteElements { set, elements } => {
                for element in elements {
                    let set = self.sets.get_mut(set).expect("it is there");
                    assert!(set.remove(&format!("{:?}", element.key)).is_some(), "{operation}");
                }
            }
        }
    }

    /// What a rule refers to is there.
    fn check(&self, statement: &Statement) {
        if let Some(set) = used(statement) {
            assert!(self.sets.contains_key(set), "{statement}");
        }
        if let Statement::Do(verdict) = statement
            && let Some(chain) = target(verdict)
        {
            assert!(self.chains.contains_key(chain), "{statement}");
        }
    }

    fn verdicts(&self) -> impl Iterator<Item = Verdict> {
        let rules = self.chains.values().flatten().flat_map(|rule| &rule.0);
        let of_rules = rules.filter_map(|statement| match statement {
            Statement::Do(verdict) => Some(verdict.clone()),
            _ => None,
        });
        let elements = self.sets.values().flat_map(BTreeMap::values);
        let of_elements = elements.filter_map(|element| match &element.datum {
            nftables::Datum::Verdict(verdict) => Some(verdict.clone()),
            _ => None,
        });
        of_rules.chain(of_elements)
    }
}

fn target(verdict: &Verdict) -> Option<&String> {
    match verdict {
        Verdict::Jump(chain) | Verdict::Goto(chain) => Some(chain),
        _ => None,
    }
}

fn used(statement: &Statement) -> Option<&String> {
    match statement {
        Statement::In(_, Lookup::Named(set))
        | Statement::NotIn(_, Lookup::Named(set))
        | Statement::Dispatch(_, Lookup::Named(set))
        | Statement::Choose(_, Lookup::Named(set))
        | Statement::Remember { map: set, .. }
        | Statement::Forget { map: set, .. } => Some(set),
        _ => None,
    }
}

/// The same numbers for the same seed (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn some<T: Clone>(&mut self, all: &[T]) -> Vec<T> {
        all.iter().filter(|_| self.below(2) == 0).cloned().collect()
    }

    fn one<T: Clone>(&mut self, all: &[T]) -> T {
        let index = self.below(all.len() as u64);
        all[usize::try_from(index).unwrap()].clone()
    }

    fn change(&mut self, table: &mut Table) {
        let number = usize::try_from(self.below(4)).unwrap();
        match self.below(5) {
            0 => table.set_service(name(&format!("s{number}")), &[]),
            1 | 2 => {
                let ports: Vec<ServicePort> = (0..self.below(3)).map(|_| self.port()).collect();
                table.set_service(name(&format!("s{number}")), &ports);
            }
            3 => table.remove_pod(&uid(number)),
            _ => table.set_pod(self.pod(number)),
        }
    }

    fn port(&mut self) -> ServicePort {
        let addresses = self.some(&["10.201.0.9", "fd13::9", "10.201.0.10"]);
        let endpoints = self.some(&["10.200.0.2", "10.200.0.3", "fd12::2"]);
        ServicePort {
            protocol: self.one(&[PortProtocol::Tcp, PortProtocol::Udp]),
            port: self.one(&[80, 81]),
            node_port: self.one(&[None, Some(30_080)]),
            affinity: self.one(&[None, None, Some(Duration::from_secs(60))]),
            ..port(&addresses, &endpoints)
        }
    }

    fn pod(&mut self, number: usize) -> PodRules {
        let ports =
            [host_port(None, PortProtocol::Tcp, 80), host_port(Some("192.168.7.1"), PortProtocol::Tcp, 80)];
        PodRules {
            host_ports: self.some(&ports),
            policy: PodPolicy { ingress: self.allowed(), egress: self.allowed() },
            ..pod(number)
        }
    }

    fn allowed(&mut self) -> Option<Vec<Allowed>> {
        let peers = [Peers::Any, Peers::Addresses(vec!["10.200.0.9".parse().unwrap()])];
        let all = peers.map(|peers| Allowed { peers, ports: vec![] });
        self.one(&[true, false]).then(|| self.some(&all))
    }
}

#[test]
fn random_changes_come_to_what_is_wanted() {
    for seed in 1..=WORLDS {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut table = Table::new(ranges());
        let mut model = Model::default();
        model.apply(&table.everything());
        for _ in 0..CHANGES {
            (0..=dice.below(3)).for_each(|_| dice.change(&mut table));
            model.apply(&table.change().operations);
            let mut whole = Model::default();
            whole.apply(&table.clone().everything());
            assert_eq!(without_contested(&model), without_contested(&whole), "seed {seed}");
        }
    }
}

/// Who claims a port last has it, and a whole table knows no last.
fn without_contested(model: &Model) -> Model {
    let mut model = model.clone();
    for (name, set) in &mut model.sets {
        if ["services", "node-ports", "host-"].iter().any(|begin| name.starts_with(begin)) {
            set.values_mut().for_each(|element| element.datum = nftables::Datum::Nothing);
        }
    }
    model
}
