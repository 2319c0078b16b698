//! Pods that want other resources than this node has granted them, and what the node answers.

use std::collections::BTreeMap;

use podspec::{Pod, PodUid, WallTime};
use scheduler::{Requests, Resize, Turn, requests_of, resize};

/// What one pod wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Wish {
    /// The pod as the store has it.
    pub(crate) pod: Pod,
    pub(crate) priority: i32,
    pub(crate) guaranteed: bool,
    /// What was last said of it, also by an engine before this one.
    pub(crate) said: Option<Said>,
}

/// Its condition `PodResizePending`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Said {
    pub(crate) infeasible: bool,
    pub(crate) generation: i64,
    /// `lastTransitionTime`: since when the reason is what it is.
    pub(crate) since: WallTime,
}

/// At most one for each pod that is here.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    waiting: BTreeMap<PodUid, Waiting>,
    /// They are to be looked at.
    due: bool,
}

#[derive(Debug)]
struct Waiting {
    wish: Wish,
    answer: Option<Resize>,
}

impl Wishes {
    /// Takes the place of an earlier one of the same pod.
    pub(crate) fn put(&mut self, wish: Wish) {
        self.due = true;
        self.waiting.insert(wish.pod.uid.clone(), Waiting { wish, answer: None });
    }

    pub(crate) fn forget(&mut self, uid: &PodUid) {
        self.waiting.remove(uid);
    }

    /// This has been said of a pod that waits: its turn among equals is by since when.
    pub(crate) fn said(&mut self, uid: &PodUid, said: Said) {
        if let Some(waiting) = self.waiting.get_mut(uid) {
            waiting.wish.said = Some(said);
        }
    }

    /// Something of the node is free again, or may be.
    pub(crate) fn freed(&mut self) {
        self.due = true;
    }

    pub(crate) fn is_due(&self) -> bool {
        self.due && !self.waiting.is_empty()
    }

    /// Answers that are new, in the order in which they were given. `held`: what each pod of the node has been granted.
    pub(crate) fn settle(
        &mut self,
        allocatable: &Requests,
        mut held: BTreeMap<PodUid, Requests>,
    ) -> Vec<(Wish, Resize)> {
        self.due = false;
        let mut answers = Vec::new();
        // Each round grants one, which may make room for others, or is the last.
        while let Some(uid) = self.grant_one(allocatable, &held) {
            let Some(Waiting { wish, .. }) = self.waiting.remove(&uid) else { break };
            held.insert(uid, requests_of(&wish.pod.spec));
            answers.push((wish, Resize::Granted));
        }
        for (uid, waiting) in &mut self.waiting {
            let answer = decide(allocatable, &held, uid, &waiting.wish);
            if waiting.answer.as_ref() != Some(&answer) {
                waiting.answer = Some(answer.clone());
                answers.push((waiting.wish.clone(), answer));
            }
        }
        answers
    }

    fn grant_one(&self, allocatable: &Requests, held: &BTreeMap<PodUid, Requests>) -> Option<PodUid> {
        let fits = |(uid, waiting): &(&PodUid, &Waiting)| {
            decide(allocatable, held, uid, &waiting.wish) == Resize::Granted
        };
        let first = self.waiting.iter().filter(fits).min_by_key(|(uid, waiting)| {
            let Wish { pod, priority, guaranteed, said } = &waiting.wish;
            let since = said.as_ref().map_or(i64::MAX, |said| said.since.0);
            let own = held.get(*uid).cloned().unwrap_or_default();
            Turn::new(&own, &requests_of(&pod.spec), *priority, *guaranteed, since)
        });
        first.map(|(uid, _)| uid.clone())
    }
}

fn decide(allocatable: &Requests, held: &BTreeMap<PodUid, Requests>, uid: &PodUid, wish: &Wish) -> Resize {
    let (mut others, nothing) = (Requests::default(), Requests::default());
    held.iter().filter(|(other, _)| *other != uid).for_each(|(_, amounts)| others.add(amounts));
    resize(allocatable, &others, held.get(uid).unwrap_or(&nothing), &requests_of(&wish.pod.spec))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use podspec::{IDENTITY_BYTES, Pod, PodUid, WallTime};
    use scheduler::{Requests, Resize, requests_of};

    use super::{Said, Wish, Wishes};

    fn pod(name: &str, cpu: u64, memory: u64) -> Pod {
        let text = format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{containers: [{{name: a, image: i, \
             resources: {{requests: {{cpu: {cpu}, memory: {memory}}}}}}}]}}}}"
        );
        let loaded = podspec::load_pods("test", &text, || [7; IDENTITY_BYTES]).unwrap().remove(0);
        Pod { uid: PodUid::new(name), ..loaded.admitted.pod }
    }

    fn wish(name: &str, cpu: u64, memory: u64, priority: i32, since: i64) -> Wish {
        let said = Said { infeasible: false, generation: 2, since: WallTime(since) };
        Wish { pod: pod(name, cpu, memory), priority, guaranteed: false, said: Some(said) }
    }

    fn held(pods: &[(&str, u64, u64)]) -> BTreeMap<PodUid, Requests> {
        let amounts = |(name, cpu, memory): &(&str, u64, u64)| {
            (PodUid::new(name), requests_of(&pod(name, *cpu, *memory).spec))
        };
        pods.iter().map(amounts).collect()
    }

    /// A node of 10 CPUs and 100 bytes.
    fn settle(wishes: &mut Wishes, pods: &[(&str, u64, u64)]) -> Vec<String> {
        let node = Requests(BTreeMap::from([("cpu".to_owned(), 10_000), ("memory".to_owned(), 100)]));
        let answers = wishes.settle(&node, held(pods));
        let said = |(wish, answer): &(Wish, Resize)| {
            let answer = match answer {
                Resize::Granted => "granted",
                Resize::Deferred { .. } => "deferred",
                Resize::Infeasible { .. } => "infeasible",
            };
            format!("{} {answer}", wish.pod.uid)
        };
        answers.iter().map(said).collect()
    }

    #[test]
    fn one_that_fits_is_granted_and_the_rest_waits() {
        let mut wishes = Wishes::default();
        assert!(!wishes.is_due());
        for wanted in [wish("a", 9, 1, 0, 1), wish("b", 11, 1, 0, 2), wish("c", 2, 1, 0, 3)] {
            wishes.put(wanted);
        }
        assert!(wishes.is_due());
        let pods = [("a", 1, 1), ("b", 1, 1), ("c", 1, 1), ("d", 6, 1)];
        assert_eq!(settle(&mut wishes, &pods), ["c granted", "a deferred", "b infeasible"]);
        assert!(!wishes.is_due());
        // What has not changed is not said again.
        wishes.freed();
        let pods = [("a", 1, 1), ("b", 1, 1), ("c", 2, 1), ("d", 6, 1)];
        assert_eq!(settle(&mut wishes, &pods), [""; 0]);
        wishes.freed();
        assert_eq!(settle(&mut wishes, &[("a", 1, 1), ("b", 1, 1)]), ["a granted"]);
        wishes.forget(&PodUid::new("b"));
        wishes.freed();
        assert!(!wishes.is_due());
    }

    #[test]
    fn the_most_important_has_the_room_and_of_equals_the_oldest() {
        let mut wishes = Wishes::default();
        for wanted in [wish("old", 6, 1, 0, 1), wish("new", 6, 1, 0, 2), wish("vip", 6, 1, 9, 3)] {
            wishes.put(wanted);
        }
        let pods = [("old", 1, 1), ("new", 1, 1), ("vip", 1, 1)];
        assert_eq!(settle(&mut wishes, &pods), ["vip granted", "new deferred", "old deferred"]);
        wishes.freed();
        assert_eq!(settle(&mut wishes, &[("old", 1, 1), ("new", 1, 1)]), ["old granted", "new deferred"]);
    }

    #[test]
    fn of_wishes_that_are_new_the_one_that_was_answered_first_has_its_turn_first() {
        let mut wishes = Wishes::default();
        let pods = [("a", 1, 1), ("b", 1, 1), ("full", 8, 1)];
        for (since, name) in ["b", "a"].into_iter().enumerate() {
            let wish = wish(name, 6, 1, 0, since as i64);
            let said = wish.said.clone();
            wishes.put(Wish { said: None, ..wish });
            assert_eq!(settle(&mut wishes, &pods), [format!("{name} deferred")]);
            wishes.said(&PodUid::new(name), said.unwrap());
        }
        wishes.freed();
        assert_eq!(settle(&mut wishes, &pods[..2]), ["b granted", "a deferred"]);
    }

    /// What one gives back is another's.
    #[test]
    fn a_grant_makes_room_for_the_next() {
        let mut wishes = Wishes::default();
        wishes.put(wish("c", 5, 20, 0, 1));
        wishes.put(wish("b", 1, 60, 0, 2));
        wishes.put(wish("a", 4, 1, 0, 3));
        // b lacks memory that a gives back, and c CPUs that b does.
        let pods = [("a", 3, 30), ("b", 3, 30), ("c", 3, 30)];
        assert_eq!(settle(&mut wishes, &pods), ["a granted", "b granted", "c granted"]);
    }
}
