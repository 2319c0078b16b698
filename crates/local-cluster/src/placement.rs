//! Pods that were put here by their `nodeName`, and what a pod's class of runtimes is here.

use std::sync::Arc;

use apiserver::objects;
use kubelet::Node;
use kubelet::events::{Event, EventType};
use lifecycle::{Rejection, RejectionReason};
use podspec::json::{list, text};
use podspec::{Moment, PodUid};
use ports::PodContext;
use scheduler::{node_from_json, pod_from_json, unfit};
use serde_json::Value;
use store::{ObjectKey, Resource, Store};

use crate::cluster::Shared;
use crate::events::EventWriter;
use crate::sink;

/// The handler that a RuntimeClass names; `None`: there is no such class.
pub(crate) fn handler(store: &Store, class: &str) -> Option<String> {
    let class = store.get(&ObjectKey::new(Resource::new("runtimeclasses.node.k8s.io"), "", class))?;
    Some(text(&objects::value(&class).ok()?, "handler").to_owned())
}

/// Says which of the secrets that are to pull its images are not there. It runs all the same with images that are.
pub(crate) async fn warn_of_secrets<N: Node>(shared: &Shared<N>, begun: &Arc<PodContext>, pod: &Value) {
    let names = list(&pod["spec"], "imagePullSecrets").iter().map(|secret| text(secret, "name"));
    let missing = names.filter(|name| !name.is_empty()).filter(|name| {
        shared.store.get(&ObjectKey::new(Resource::new("secrets"), &*begun.pod.namespace, *name)).is_none()
    });
    let missing: Vec<&str> = missing.collect();
    if missing.is_empty() {
        return;
    }
    let message = format!(
        "Unable to retrieve some image pull secrets ({}); attempting to pull the image may not succeed.",
        missing.join(", ")
    );
    let at = Moment { wall: sink::wall_now(), ..Moment::default() };
    let (kind, reason) = (EventType::Warning, "FailedToRetrieveImagePullSecret");
    EventWriter::new(begun).events(shared, &[Event { at, kind, reason, message, field_path: None }]).await;
}

/// Why this node does not take a pod that no scheduler has looked at.
pub(crate) fn rejection<N: Node>(shared: &Shared<N>, pod: &Value) -> Option<Rejection> {
    if is_scheduled(pod) {
        return None;
    }
    let node = shared.store.get(&ObjectKey::new(Resource::new("nodes"), "", shared.node_name()))?;
    let node = node_from_json(&objects::value(&node).ok()?);
    let listing = shared.store.list(shared.pods.stored(), None, None, None, |_| true);
    let uid = text(&pod["metadata"], "uid");
    let is_here = |object: &store::Object| {
        let tended = shared.tended();
        let held = tended.get(&PodUid::new(&object.uid));
        object.uid != uid && held.is_some_and(|tended| !tended.finished)
    };
    let there = listing.objects.iter().filter(|object| is_here(object));
    let there: Vec<_> =
        there.filter_map(|object| Some(pod_from_json(&objects::value(object).ok()?, 0))).collect();
    let unfit = unfit(&node, &there, &pod_from_json(pod, 0))?;
    let reason = RejectionReason::named(&unfit.reason())?;
    Some(Rejection { reason, message: unfit.to_string() })
}

/// Bound by a scheduler, which had the same rules.
fn is_scheduled(pod: &Value) -> bool {
    let mut conditions = list(&pod["status"], "conditions").iter();
    conditions.any(|held| text(held, "type") == "PodScheduled" && text(held, "status") == "True")
}
