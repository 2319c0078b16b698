//! Pods that the store binds to this node are begun, changed and ended here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use apiserver::objects;
use kubelet::Node;
use podspec::{Pod, PodUid};
use serde_json::Value;
use store::{Change, ChangeKind, Object};

use crate::cluster::Shared;
use crate::{sink, tend};

/// Follows the store for as long as the process lives.
pub(crate) async fn follow<N: Node>(shared: Arc<Shared<N>>) {
    loop {
        let resource = shared.pods.stored();
        let listing = shared.store.list(resource, None, None, None, |_| true);
        let mut here = BTreeSet::new();
        for object in &listing.objects {
            here.insert(PodUid::new(&object.uid));
            take(&shared, object).await;
        }
        end_all_but(&shared, &here);
        let watched = shared.store.watch(resource, None, listing.revision);
        let Ok(mut watch) = watched else { continue };
        // An error says that this fell behind the store's history: everything is looked at anew.
        while let Ok(change) = watch.next().await {
            see(&shared, &change).await;
        }
    }
}

async fn see<N: Node>(shared: &Arc<Shared<N>>, change: &Change) {
    if change.kind != ChangeKind::Deleted {
        return take(shared, &change.object).await;
    }
    // Nobody waits for its containers any more; an error says that it was not here.
    let _ = shared.kubelet.delete_pod(&PodUid::new(&change.object.uid), Duration::ZERO);
}

/// Pods that were here before and that the store does not know: somebody deleted them by force meanwhile.
fn end_all_but<N: Node>(shared: &Shared<N>, known: &BTreeSet<PodUid>) {
    let gone: Vec<PodUid> = shared.tended().keys().filter(|uid| !known.contains(*uid)).cloned().collect();
    for uid in gone {
        if let Ok(subscription) = shared.kubelet.subscribe(&uid) {
            let grace = subscription.pod.pod.spec.termination_grace_period;
            let _ = shared.kubelet.delete_pod(&uid, grace);
        }
    }
}

/// Brings the kubelet to what the store says of one pod.
async fn take<N: Node>(shared: &Arc<Shared<N>>, object: &Object) {
    let pod = match objects::value(object) {
        Ok(pod) => pod,
        Err(error) => return tracing::error!("{} in the store is damaged: {error}", object.key),
    };
    if pod["spec"]["nodeName"] != shared.node_name() {
        return;
    }
    let uid = PodUid::new(&object.uid);
    let known = shared.tended().contains_key(&uid);
    if !pod["metadata"]["deletionTimestamp"].is_null() {
        return end(shared, &uid, known, &pod).await;
    }
    if known {
        return update(shared, &uid, &pod);
    }
    let phase = &pod["status"]["phase"];
    if phase != "Succeeded" && phase != "Failed" {
        begin(shared, &pod).await;
    }
}

async fn end<N: Node>(shared: &Arc<Shared<N>>, uid: &PodUid, known: bool, pod: &Value) {
    if known {
        let seconds = pod["metadata"]["deletionGracePeriodSeconds"].as_u64().unwrap_or(0);
        let _ = shared.kubelet.delete_pod(uid, Duration::from_secs(seconds));
    } else {
        // It never ran here, or everything of it is gone already.
        sink::remove_pod(shared, uid.as_str(), pod).await;
    }
}

fn update<N: Node>(shared: &Shared<N>, uid: &PodUid, pod: &Value) {
    let generation = generation(pod);
    let Some(held) = shared.kubelet.pod(uid) else { return };
    let same_spec = shared.tended().get(uid).is_none_or(|tended| *tended.generation.borrow() == generation);
    // These count up nothing.
    let is_same = |name: &str, held| string_map(&pod["metadata"][name]).eq(entries(held));
    let same_words = is_same("labels", &held.pod.labels) && is_same("annotations", &held.pod.annotations);
    if same_spec && same_words {
        return;
    }
    if let Err(error) = shared.kubelet.update_pod(podspec::lower(pod)) {
        tracing::warn!("cannot change pod {}: {error}", full_name(pod));
    }
    if !same_spec && let Some(tended) = shared.tended().get(uid) {
        tended.generation.send_replace(generation);
    }
    if !same_words {
        shared.updates.look(uid, Duration::ZERO);
    }
}

fn entries(map: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    map.iter().map(|(key, value)| (key.as_str(), value.as_str()))
}

/// In the order of the keys, as serde_json has them.
fn string_map(map: &Value) -> impl Iterator<Item = (&str, &str)> {
    let entries = map.as_object().into_iter().flatten();
    entries.map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default()))
}

async fn begin<N: Node>(shared: &Arc<Shared<N>>, object: &Value) {
    let pod: Pod = podspec::lower(object);
    match (shared.begin)(pod) {
        Ok(subscription) => {
            shared.updates.begun(&subscription.pod.pod);
            tend::tend(shared, subscription, generation(object));
        }
        Err(error) => {
            tracing::error!("cannot begin pod {}: {error}", full_name(object));
            sink::fail_pod(shared, object, &error.to_string()).await;
        }
    }
}

pub(crate) fn generation(pod: &Value) -> i64 {
    pod["metadata"]["generation"].as_i64().unwrap_or(0)
}

fn full_name(pod: &Value) -> String {
    let text = |name: &str| pod["metadata"][name].as_str().unwrap_or_default();
    format!("{}/{}", text("namespace"), text("name"))
}
