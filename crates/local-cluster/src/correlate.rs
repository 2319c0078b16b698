//! How repeated events become counts: the rules of Kubernetes' event recorder, which keep a container
//! that crashes for a week from filling the store.
//!
//! Three steps for each event, with the numbers of client-go: more than `SIMILAR_MAX` events that
//! differ in their message alone, within `SIMILAR_WITHIN`, become one that says so; an event that was
//! there before counts up; and of one pod's events only `BURST` are let through, and after that one
//! every `REFILL`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kubelet::events::{Event, EventType, PULL_PROGRESS};
use podspec::Moment;

const SIMILAR_MAX: usize = 10;
const SIMILAR_WITHIN: Duration = Duration::from_secs(600);
const BURST: f64 = 25.0;
const REFILL: Duration = Duration::from_secs(300);
/// Different events of one pod that are kept in mind; beyond, the oldest is forgotten and would be told
/// anew.
const KEYS_MAX: usize = 512;

/// What is to be stored of an event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// `metadata.name`; the same for each repetition.
    pub name: String,
    pub message: String,
    pub count: u32,
    pub first: Moment,
    pub last: Moment,
}

/// The events of one pod so far.
#[derive(Debug)]
pub struct Correlator {
    pod_name: String,
    similar: BTreeMap<Similar, SimilarSeen>,
    told: BTreeMap<Key, Told>,
    tokens: f64,
    refilled: Option<Moment>,
}

/// All that events have in common but the message.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Similar {
    warning: bool,
    reason: String,
    field_path: String,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Key {
    similar: Similar,
    /// `None`: all messages together.
    message: Option<String>,
}

#[derive(Debug)]
struct SimilarSeen {
    messages: BTreeSet<String>,
    last: Moment,
}

impl Correlator {
    #[must_use]
    pub fn new(pod_name: &str) -> Self {
        Self {
            pod_name: pod_name.to_owned(),
            similar: BTreeMap::new(),
            told: BTreeMap::new(),
            tokens: BURST,
            refilled: None,
        }
    }

    /// What to store for this event; `None` when there were too many.
    pub fn tell(&mut self, event: &Event) -> Option<Told> {
        let similar = Similar {
            warning: event.kind == EventType::Warning,
            reason: event.reason.to_owned(),
            field_path: event.field_path.clone().unwrap_or_default(),
        };
        if event.reason == PULL_PROGRESS {
            // One object for each image, which moves. It comes rarely, and leaves the burst to what happens.
            let image = event.message.split('"').nth(1).unwrap_or_default().to_owned();
            let key = Key { similar, message: Some(image) };
            return Some(self.count(key, event.message.clone(), event.at));
        }
        let (key, message) = self.combine(similar, event);
        let told = self.count(key, message, event.at);
        self.take_token(event.at).then_some(told)
    }

    fn combine(&mut self, similar: Similar, event: &Event) -> (Key, String) {
        let seen = (self.similar.entry(similar.clone()))
            .or_insert_with(|| SimilarSeen { messages: BTreeSet::new(), last: event.at });
        if event.at.boot.since(seen.last.boot) > SIMILAR_WITHIN {
            seen.messages.clear();
        }
        seen.last = event.at;
        seen.messages.insert(event.message.clone());
        if seen.messages.len() < SIMILAR_MAX {
            return (Key { similar, message: Some(event.message.clone()) }, event.message.clone());
        }
        // So that the set does not grow.
        seen.messages.pop_first();
        let message = format!("(combined from similar events): {}", event.message);
        (Key { similar, message: None }, message)
    }

    fn count(&mut self, key: Key, message: String, at: Moment) -> Told {
        if self.told.len() >= KEYS_MAX && !self.told.contains_key(&key) {
            let oldest = self.told.iter().min_by_key(|(_, told)| told.last.boot).map(|(key, _)| key.clone());
            oldest.and_then(|oldest| self.told.remove(&oldest));
        }
        let next = self.told.len();
        let told = self.told.entry(key).or_insert_with(|| Told {
            name: event_name(&self.pod_name, at, next),
            message: String::new(),
            count: 0,
            first: at,
            last: at,
        });
        told.message = message;
        told.count += 1;
        told.last = at;
        told.clone()
    }

    fn take_token(&mut self, at: Moment) -> bool {
        if let Some(refilled) = self.refilled {
            let gained = at.boot.since(refilled.boot).as_secs_f64() / REFILL.as_secs_f64();
            self.tokens = (self.tokens + gained).min(BURST);
        }
        self.refilled = Some(at);
        let enough = self.tokens >= 1.0;
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }
}

/// `POD.HEX` of the nanosecond, as client-go has it; `next` keeps events of one moment apart. A pod's name
/// can fill the 253 characters that names have.
fn event_name(pod: &str, at: Moment, next: usize) -> String {
    const NAME_BYTES_MAX: usize = 253;
    let suffix = format!(".{:x}", at.wall.0.wrapping_add(i64::try_from(next).unwrap_or(0)));
    let room = NAME_BYTES_MAX - suffix.len();
    let pod = pod.get(..room).unwrap_or(pod).trim_end_matches(['-', '.']);
    format!("{pod}{suffix}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kubelet::events::{Event, EventType};
    use podspec::{BootTime, Moment, WallTime};

    use super::{Correlator, Told, event_name};

    const SECOND: i64 = 1_000_000_000;

    fn event(second: i64, reason: &'static str, message: &str) -> Event {
        let at = Moment { boot: BootTime(second * SECOND), wall: WallTime(second * SECOND) };
        Event { at, kind: EventType::Normal, reason, message: message.to_owned(), field_path: None }
    }

    #[test]
    fn the_same_event_again_counts_up_under_its_name() {
        let mut correlator = Correlator::new("web");
        let first = correlator.tell(&event(1, "Started", "Container started")).unwrap();
        let second = correlator.tell(&event(9, "Started", "Container started")).unwrap();
        assert_eq!((first.count, second.count), (1, 2));
        assert_eq!(first.name, second.name);
        assert_eq!(second.first, first.first);
        assert_eq!(second.last.boot, BootTime(9 * SECOND));
        let other = correlator.tell(&event(9, "Killing", "Stopping container a")).unwrap();
        assert_eq!(other.count, 1);
        assert_ne!(other.name, second.name);
    }

    #[test]
    fn the_tenth_that_differs_only_in_words_is_combined() {
        let mut correlator = Correlator::new("web");
        for n in 1..10 {
            let told = correlator.tell(&event(n, "Unhealthy", &format!("failed {n}"))).unwrap();
            assert_eq!(told.message, format!("failed {n}"));
        }
        let combined = correlator.tell(&event(10, "Unhealthy", "failed 10")).unwrap();
        assert_eq!(combined.message, "(combined from similar events): failed 10");
        let again = correlator.tell(&event(11, "Unhealthy", "failed 11")).unwrap();
        assert_eq!((again.name, again.count), (combined.name, 2));
        // Ten quiet minutes later each is told by itself again.
        let alone = correlator.tell(&event(11 + 601, "Unhealthy", "failed 12")).unwrap();
        assert_eq!(alone.message, "failed 12");
    }

    #[test]
    fn one_pod_cannot_flood_the_store() {
        let mut correlator = Correlator::new("web");
        let told = (0..60).filter(|_| correlator.tell(&event(1, "BackOff", "again")).is_some()).count();
        assert_eq!(told, 25);
        assert!(correlator.tell(&event(200, "BackOff", "again")).is_none());
        let late = correlator.tell(&event(302, "BackOff", "again")).unwrap();
        assert_eq!(late.count, 62, "what is not told is counted all the same");
    }

    /// An hour of a probe that fails each second: what it says is the same, or another thing each time.
    #[test]
    fn an_hour_of_failures_is_few_objects_and_few_writes() {
        for (differs, objects) in [(false, 1), (true, 10)] {
            let mut correlator = Correlator::new("web");
            let told: Vec<Told> = (1..=3_600)
                .filter_map(|second| {
                    let port = if differs { 30_000 + second } else { 30_000 };
                    let message = format!("Readiness probe failed: dial tcp 127.0.0.1:{port}");
                    correlator.tell(&event(second, "Unhealthy", &message))
                })
                .collect();
            // The burst, and one every five minutes.
            assert_eq!(told.len(), 25 + 12 - 1, "{differs}");
            let names: BTreeSet<&str> = told.iter().map(|told| told.name.as_str()).collect();
            assert_eq!(names.len(), objects, "{differs}");
            assert!(told.windows(2).all(|pair| pair[0].count < pair[1].count || pair[1].count == 1));
            let last = told.last().unwrap();
            // What was not written is counted all the same: the last was written within five minutes of the end.
            assert!(last.count > 3_300 - 10, "{last:?}");
            assert_eq!(last.message.starts_with("(combined from similar events): "), differs);
            // A pod is not silenced for good: half an hour later it says six things, and the one it had nearly gained.
            let later = |n: i64| event(3_600 + 1_800 + n, "Killing", "Stopping container main");
            assert_eq!((0..60).filter(|n| correlator.tell(&later(*n)).is_some()).count(), 7);
        }
    }

    /// An hour of a pull, and after it the pod still has its say.
    #[test]
    fn a_pull_under_way_is_one_event_that_moves() {
        let mut correlator = Correlator::new("web");
        let pull = |n: i64, image: &str| {
            event(n * 10, "PullProgress", &format!("Pulling image \"{image}\": {n} MiB of 400 MiB"))
        };
        let told: Vec<Told> = (1..=360).filter_map(|n| correlator.tell(&pull(n, "a"))).collect();
        let other = correlator.tell(&pull(361, "b")).unwrap();
        assert_eq!(told.len(), 360);
        assert!(told.iter().all(|one| one.name == told[0].name) && other.name != told[0].name);
        assert_eq!((told[359].count, other.count), (360, 1));
        assert_eq!(told[359].message, "Pulling image \"a\": 360 MiB of 400 MiB");
        let said = (0..60).filter(|_| correlator.tell(&event(3_620, "BackOff", "again")).is_some());
        assert_eq!(said.count(), 25);
    }

    #[test]
    fn names_have_room_for_the_moment() {
        let at = Moment { boot: BootTime(0), wall: WallTime(0x1234) };
        assert_eq!(event_name("web", at, 0), "web.1234");
        assert_eq!(event_name(&"p".repeat(253), at, 0).len(), 253);
    }
}
