//! Pods that nobody takes away: finished ones beyond a bound, and those on nodes without a kubelet.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use podspec::WallTime;
use podspec::json::text;
use serde_json::Value;
use store::{Object, ObjectKey, Store};

use super::feed::{Feed, Seen};
use super::write::{kind, log, remove};
use crate::change::DeleteOptions;
use crate::{entropy, objects};

const PART: &str = "pod-garbage-collector";
/// Finished pods that are kept; the oldest go first.
const FINISHED_MAX: usize = 2_000;
/// As if for ever, where nothing is due.
const FAR: Duration = Duration::from_secs(86_400);

#[derive(Default)]
struct Known {
    /// When they were made, and their uid.
    finished: BTreeSet<(String, ObjectKey, String)>,
    /// When the grace of those ends that no kubelet ends.
    ending: BTreeMap<ObjectKey, (WallTime, String)>,
}

pub(super) async fn run(store: Store, node: String) {
    let mut pods = Feed::new(&store, kind("", "pods"));
    let mut known = Known::default();
    loop {
        let due = known.next_due(entropy::now());
        tokio::select! {
            seen = pods.next() => match seen {
                Seen::Present(object, _) => known.insert(&object, &node),
                Seen::Gone(object) => known.remove(&object.key),
                Seen::Again => known = Known::default(),
            },
            () = tokio::time::sleep(due) => {
                let Some((key, uid)) = known.take_due(entropy::now()) else { continue };
                let options = DeleteOptions { grace_seconds: Some(0), uid: Some(uid), ..DeleteOptions::default() };
                log(PART, &key, remove(&store, PART, kind("", "pods"), &key, options).await);
            }
        }
    }
}

impl Known {
    fn insert(&mut self, object: &Object, node: &str) {
        self.remove(&object.key);
        let Ok(pod) = objects::shared(object) else { return };
        let ends = deletion_time(&pod);
        if let Some(ends) = ends
            && text(&pod["spec"], "nodeName") != node
        {
            self.ending.insert(object.key.clone(), (ends, object.uid.clone()));
        } else if ends.is_none() && objects::pod_is_over(&pod) {
            let made = text(&pod["metadata"], "creationTimestamp").to_owned();
            self.finished.insert((made, object.key.clone(), object.uid.clone()));
        }
    }

    fn remove(&mut self, key: &ObjectKey) {
        self.finished.retain(|(_, held, _)| held != key);
        self.ending.remove(key);
    }

    fn next_due(&self, now: WallTime) -> Duration {
        if self.finished.len() > FINISHED_MAX {
            return Duration::ZERO;
        }
        let next = self.ending.values().map(|(ends, _)| *ends).min();
        next.map_or(FAR, |ends| {
            Duration::from_nanos(u64::try_from(ends.0.saturating_sub(now.0)).unwrap_or(0))
        })
    }

    /// One pod whose time has come.
    fn take_due(&mut self, now: WallTime) -> Option<(ObjectKey, String)> {
        let due = self.ending.iter().find(|(_, (ends, _))| *ends <= now).map(|(key, _)| key.clone());
        if let Some(key) = due {
            let (_, uid) = self.ending.remove(&key)?;
            return Some((key, uid));
        }
        if self.finished.len() <= FINISHED_MAX {
            return None;
        }
        self.finished.pop_first().map(|(_, key, uid)| (key, uid))
    }
}

fn deletion_time(pod: &Value) -> Option<WallTime> {
    cri_log::parse_timestamp(pod["metadata"]["deletionTimestamp"].as_str()?.as_bytes())
}
