//! Whether a pod that is on a node can have other resources there: a kubelet's decision, not the scheduler's
//! (<https://kubernetes.io/docs/tasks/configure-pod-container/resize-container-resources/>, KEP-1287).

use std::cmp::Reverse;

use podspec::{Container, ContainerKind, OtherResources, PodSpec, Resources};

use crate::model::Requests;

/// What can be resized, in the order in which it is asked for.
const RESIZABLE: [&str; 2] = ["cpu", "memory"];

/// How a node answers the wish for other resources. Messages are a kubelet's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Resize {
    Granted,
    /// Other pods have what it lacks: it fits when they end or shrink.
    Deferred {
        message: String,
    },
    /// The node has less than that, whatever runs on it.
    Infeasible {
        message: String,
    },
}

/// `held` is what the pod has been granted before, `others` what all other pods of the node have together. What a pod
/// wants less of, or as much as before, is never a reason against it.
#[must_use]
pub fn resize(allocatable: &Requests, others: &Requests, held: &Requests, wanted: &Requests) -> Resize {
    let more = RESIZABLE.into_iter().filter(|name| wanted.amount(name) > held.amount(name));
    let amounts = more.map(|name| (name, wanted.amount(name), others.amount(name), allocatable.amount(name)));
    let amounts: Vec<_> = amounts.collect();
    if let Some((name, asked, _, has)) = amounts.iter().find(|(_, asked, _, has)| asked > has) {
        let message =
            format!("Node didn't have enough capacity: {name}, requested: {asked}, capacity: {has}");
        return Resize::Infeasible { message };
    }
    let lacking = amounts.iter().find(|(_, asked, used, has)| *asked > has.saturating_sub(*used));
    if let Some((name, asked, used, has)) = lacking {
        let message = format!(
            "Node didn't have enough resource: {name}, requested: {asked}, used: {used}, capacity: {has}"
        );
        return Resize::Deferred { message };
    }
    Resize::Granted
}

/// Of several pods that wait, the smallest is looked at first: one that does not grow, then by priority, then a
/// guaranteed one, then the one that has waited the longest.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Turn {
    grows: bool,
    priority: Reverse<i32>,
    guaranteed: Reverse<bool>,
    /// A moment of any clock, as long as it is the same.
    since: i64,
}

impl Turn {
    #[must_use]
    pub fn new(held: &Requests, wanted: &Requests, priority: i32, guaranteed: bool, since: i64) -> Self {
        let grows = RESIZABLE.iter().any(|name| wanted.amount(name) > held.amount(name));
        Self { grows, priority: Reverse(priority), guaranteed: Reverse(guaranteed), since }
    }
}

/// As [`crate::requests_from_json`], of a pod as its node has it: what a kubelet looks at.
#[must_use]
pub fn requests_of(spec: &PodSpec) -> Requests {
    let of = |container: &Container| {
        let mut all = requests(&container.resources);
        let storage = container.other_resources.storage_request();
        all.0.extend(storage.map(|amount| (OtherResources::STORAGE.to_owned(), amount.to_units())));
        all
    };
    let (mut sidecars, mut largest) = (Requests::default(), Requests::default());
    for container in &spec.init_containers {
        let mut here = of(container);
        here.add(&sidecars);
        largest.raise(&here);
        if container.kind == ContainerKind::Sidecar {
            sidecars = here;
        }
    }
    let mut sum = sidecars;
    spec.containers.iter().for_each(|container| sum.add(&of(container)));
    sum.raise(&largest);
    sum.0.extend(spec.resources.iter().flat_map(|own| requests(own).0));
    let overhead = [("cpu", spec.overhead.cpu), ("memory", spec.overhead.memory)];
    let overhead = overhead.into_iter().filter(|(_, amount)| *amount > 0);
    sum.add(&Requests(overhead.map(|(name, amount)| (name.to_owned(), amount)).collect()));
    sum
}

fn requests(resources: &Resources) -> Requests {
    let amounts = [("cpu", resources.cpu_request), ("memory", resources.memory_request)];
    Requests(amounts.into_iter().filter_map(|(name, amount)| Some((name.to_owned(), amount?))).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use podspec::IDENTITY_BYTES;

    use super::{Requests, Resize, Turn, requests_of, resize};

    fn amounts(cpu: u64, memory: u64) -> Requests {
        Requests(BTreeMap::from([("cpu".to_owned(), cpu), ("memory".to_owned(), memory)]))
    }

    #[test]
    fn what_fits_is_granted_and_the_rest_has_its_reason() {
        let deferred = |message: &str| Resize::Deferred { message: message.to_owned() };
        let infeasible = |message: &str| Resize::Infeasible { message: message.to_owned() };
        let node = amounts(4_000, 1_000);
        for (others, held, wanted, answer) in [
            ((0, 0), (100, 100), (4_000, 1_000), Resize::Granted),
            (
                (3_000, 0),
                (500, 100),
                (1_001, 100),
                deferred(
                    "Node didn't have enough resource: cpu, requested: 1001, used: 3000, capacity: 4000",
                ),
            ),
            (
                (3_000, 900),
                (500, 100),
                (1_000, 101),
                deferred(
                    "Node didn't have enough resource: memory, requested: 101, used: 900, capacity: 1000",
                ),
            ),
            (
                (3_000, 0),
                (500, 100),
                (4_001, 2_000),
                infeasible("Node didn't have enough capacity: cpu, requested: 4001, capacity: 4000"),
            ),
            (
                (3_000, 0),
                (500, 100),
                (2_000, 2_000),
                infeasible("Node didn't have enough capacity: memory, requested: 2000, capacity: 1000"),
            ),
            // A node that has promised too much takes back what it can get.
            ((5_000, 2_000), (500, 100), (400, 100), Resize::Granted),
            ((5_000, 0), (5_000, 100), (4_500, 200), Resize::Granted),
        ] {
            let found = resize(
                &node,
                &amounts(others.0, others.1),
                &amounts(held.0, held.1),
                &amounts(wanted.0, wanted.1),
            );
            assert_eq!(found, answer, "{others:?} {held:?} {wanted:?}");
        }
    }

    #[test]
    fn turns() {
        let (one, two) = (amounts(1, 1), amounts(2, 1));
        let turn = |wanted: &Requests, priority, guaranteed, since| {
            Turn::new(&one, wanted, priority, guaranteed, since)
        };
        let ordered = [
            turn(&one, 0, false, 9),
            turn(&two, 7, false, 8),
            turn(&two, 0, true, 7),
            turn(&two, 0, false, 5),
            turn(&two, 0, false, 6),
        ];
        assert!(ordered.is_sorted(), "{ordered:?}");
    }

    #[test]
    fn a_spec_asks_for_what_its_json_does() {
        let asking =
            |cpu: &str, memory: &str| format!("resources: {{requests: {{cpu: {cpu}, memory: {memory}}}}}");
        let text = |own: &str| {
            format!(
                "{{apiVersion: v1, kind: Pod, metadata: {{name: p}}, spec: {{{own}initContainers: [\
                 {{name: first, image: i, {}}}, {{name: side, image: i, restartPolicy: Always, {}}}, \
                 {{name: last, image: i, {}}}], containers: [{{name: a, image: i, {}}}, {{name: b, image: i}}]}}}}",
                asking("3", "1Mi"),
                asking("100m", "2Mi"),
                asking("1", "9Mi"),
                asking("1500m", "1Mi"),
            )
        };
        for (own, cpu, memory) in
            [("", 3_000, 11 << 20), ("resources: {requests: {cpu: 4}}, ", 4_000, 11 << 20)]
        {
            let loaded =
                podspec::load_pods("test", &text(own), || [7; IDENTITY_BYTES]).unwrap().remove(0).admitted;
            let expected = amounts(cpu, memory);
            assert_eq!(requests_of(&loaded.pod.spec), expected);
            let mut from_json = crate::requests_from_json(&loaded.manifest["spec"]);
            from_json.0.retain(|name, _| ["cpu", "memory"].contains(&name.as_str()));
            assert_eq!(from_json, expected);
        }
    }
}
