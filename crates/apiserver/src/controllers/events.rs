//! Events are kept for an hour, and no more than so many.

use std::collections::BTreeMap;
use std::time::Duration;

use podspec::WallTime;
use serde_json::Value;
use store::{ObjectKey, Store};

use super::feed::{Feed, Seen};
use super::write::{kind, log, remove};
use crate::change::DeleteOptions;
use crate::{entropy, objects};

const PART: &str = "event-expiry";
/// As an API server keeps them by default.
const KEPT: Duration = Duration::from_secs(3_600);
const EVENTS_MAX: usize = 10_000;
/// As if for ever, where there are none.
const FAR: Duration = Duration::from_secs(86_400);

/// When each was last told or kept, and in which order.
#[derive(Default)]
struct Ages {
    told: BTreeMap<ObjectKey, WallTime>,
    oldest: BTreeMap<(WallTime, ObjectKey), ()>,
}

pub(super) async fn run(store: Store) {
    let mut events = Feed::new(&store, kind("", "events"));
    let mut ages = Ages::default();
    loop {
        let due = ages.next_due(entropy::now());
        tokio::select! {
            seen = events.next() => match seen {
                Seen::Present(object, _) if is_stray(&store, &object.key) => discard(&store, &object.key).await,
                Seen::Present(object, _) => {
                    let told = objects::shared(&object).ok().and_then(|event| last_told(&event));
                    ages.insert(object.key.clone(), told.unwrap_or_else(entropy::now));
                }
                Seen::Gone(object) => ages.remove(&object.key),
                Seen::Again => {}
            },
            () = tokio::time::sleep(due) => {
                let Some(key) = ages.take_oldest() else { continue };
                discard(&store, &key).await;
            }
        }
    }
}

/// What a kubelet had to say of a pod whose namespace went with it.
fn is_stray(store: &Store, event: &ObjectKey) -> bool {
    store.get(&ObjectKey::new(kind("", "namespaces").stored(), "", event.namespace.as_str())).is_none()
}

async fn discard(store: &Store, event: &ObjectKey) {
    log(PART, event, remove(store, PART, kind("", "events"), event, DeleteOptions::default()).await);
}

impl Ages {
    fn insert(&mut self, key: ObjectKey, told: WallTime) {
        self.remove(&key);
        self.oldest.insert((told, key.clone()), ());
        self.told.insert(key, told);
    }

    fn remove(&mut self, key: &ObjectKey) {
        if let Some(told) = self.told.remove(key) {
            self.oldest.remove(&(told, key.clone()));
        }
    }

    /// How long until one has to go.
    fn next_due(&self, now: WallTime) -> Duration {
        if self.told.len() > EVENTS_MAX {
            return Duration::ZERO;
        }
        let Some(((told, _), ())) = self.oldest.first_key_value() else { return FAR };
        // One from the future is as young as one can be.
        let age = Duration::from_nanos(u64::try_from(now.0.saturating_sub(told.0)).unwrap_or(0));
        KEPT.saturating_sub(age)
    }

    fn take_oldest(&mut self) -> Option<ObjectKey> {
        let ((_, key), ()) = self.oldest.pop_first()?;
        self.told.remove(&key);
        Some(key)
    }
}

/// What it says of itself may lie long before it was sent.
fn last_told(event: &Value) -> Option<WallTime> {
    let times = [
        &event["series"]["lastObservedTime"],
        &event["lastTimestamp"],
        &event["eventTime"],
        &event["metadata"]["creationTimestamp"],
    ];
    times.into_iter().filter_map(|time| cri_log::parse_timestamp(time.as_str()?.as_bytes())).max()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use podspec::WallTime;
    use serde_json::json;
    use store::{ObjectKey, Resource};

    use super::{Ages, EVENTS_MAX, FAR, last_told};

    #[test]
    fn an_event_of_long_ago_is_as_old_as_its_last_change() {
        let made = "1970-01-01T00:01:00Z";
        let told =
            |time: &str| last_told(&json!({"metadata": {"creationTimestamp": made}, "lastTimestamp": time}));
        assert_eq!(told("1970-01-01T00:00:05Z"), Some(WallTime::from_unix(60, 0)));
        assert_eq!(told("1970-01-01T00:02:00Z"), Some(WallTime::from_unix(120, 0)));
    }

    #[test]
    fn the_oldest_goes_first_after_an_hour_or_when_there_are_too_many() {
        let key = |index: usize| ObjectKey::new(Resource::new("events"), "n", format!("{index:06}"));
        let at = |seconds: i64| WallTime::from_unix(seconds, 0);
        let mut ages = Ages::default();
        assert_eq!(ages.next_due(at(0)), FAR);
        ages.insert(key(0), at(100));
        ages.insert(key(1), at(50));
        assert_eq!(ages.next_due(at(200)), Duration::from_secs(3_450));
        ages.insert(key(1), at(150));
        assert_eq!(ages.next_due(at(4_000)), Duration::ZERO);
        assert_eq!(ages.take_oldest(), Some(key(0)));
        (2..=EVENTS_MAX + 2).for_each(|index| ages.insert(key(index), at(150)));
        assert_eq!(ages.next_due(at(150)), Duration::ZERO);
        assert_eq!(ages.take_oldest(), Some(key(1)));
    }
}
