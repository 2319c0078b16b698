//! What is used of each quota.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use podspec::quantity::Quantity;
use serde_json::{Value, json};
use store::{Object, Store};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::feed::{Seen, merged, stored_kinds};
use super::write::{edit, kind, log};
use crate::admission::quota::{counted_kinds, used_of_kind};
use crate::kinds::Kind;
use crate::objects;
use crate::rules::{parsed, printed};

const PART: &str = "resourcequota-controller";
/// Changes of one namespace within this time are counted once.
const GATHER: Duration = Duration::from_millis(100);

pub(super) async fn run(store: Store) {
    let mut tasks = JoinSet::new();
    let kinds = stored_kinds().filter(|kind| kind.namespaced && kind.kind != "Event");
    let mut feed = merged(&store, kinds, &mut tasks);
    // Namespaces to be counted, and when.
    let mut due: BTreeMap<String, Instant> = BTreeMap::new();
    loop {
        let next = due.values().min().copied();
        tokio::select! {
            received = feed.recv() => {
                let Some((kind, seen)) = received else { return };
                if let Some(namespace) = concerned(&store, kind, &seen) {
                    due.entry(namespace).or_insert_with(|| Instant::now() + GATHER);
                }
            }
            () = tokio::time::sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                let now = Instant::now();
                let names: BTreeSet<String> =
                    due.iter().filter(|(_, at)| **at <= now).map(|(name, _)| name.clone()).collect();
                for name in names {
                    due.remove(&name);
                    count(&store, &name).await;
                }
            }
        }
    }
}

/// The namespace whose quotas may be used otherwise now.
fn concerned(store: &Store, kind: &Kind, seen: &Seen) -> Option<String> {
    let (object, before) = match seen {
        Seen::Present(object, before) => (object, before.as_ref()),
        Seen::Gone(object) => (object, None),
        Seen::Again => return None,
    };
    let has_quota = || {
        let quotas = super::write::kind("", "resourcequotas").stored();
        !store.list(quotas, Some(&object.key.namespace), None, Some(1), |_| true).objects.is_empty()
    };
    // Most changes of a pod are of its status, and of that only the phase counts.
    let phase = |object: &Arc<Object>| {
        object.fields.iter().find(|(name, _)| *name == "status.phase").map(|(_, phase)| phase.clone())
    };
    let same = kind.kind == "Pod" && before.is_some_and(|before| phase(before) == phase(object));
    let counted_only = kind.kind != "Pod" && kind.kind != "ResourceQuota" && before.is_some();
    (!same && !counted_only && has_quota()).then(|| object.key.namespace.clone())
}

async fn count(store: &Store, namespace: &str) {
    let quotas = kind("", "resourcequotas");
    let mut read: BTreeMap<&'static str, Vec<Value>> = BTreeMap::new();
    for object in store.list(quotas.stored(), Some(namespace), None, None, |_| true).objects {
        let Ok(quota) = objects::value(&object) else { continue };
        let spec = &quota["spec"];
        let mut used: BTreeMap<String, Quantity> =
            parsed(&spec["hard"]).into_keys().map(|name| (name, Quantity::from_units(0))).collect();
        for kind in counted_kinds(&spec["hard"]) {
            let all = read.entry(kind.stored().name()).or_insert_with(|| {
                let all = store.list(kind.stored(), Some(namespace), None, None, |_| true).objects;
                all.iter().filter_map(|object| objects::value(object).ok()).collect()
            });
            for (name, amount) in used_of_kind(spec, kind, all.iter()) {
                if let Some(held) = used.get_mut(&name) {
                    *held = amount;
                }
            }
        }
        let status = json!({"hard": spec["hard"], "used": printed(&used)});
        if quota["status"] == status {
            continue;
        }
        let written = edit(store, quotas, object.key.clone(), object.uid.clone(), move |quota| {
            let changed = quota["status"] != status;
            quota["status"] = status;
            changed
        });
        log(PART, &object.key, written.await.map(|_| ()));
    }
}
