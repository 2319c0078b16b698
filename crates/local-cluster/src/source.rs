//! Pods that the store binds to this node are begun, changed and ended here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use apiserver::objects;
use kubelet::Node;
use kubelet::resize::Granted;
use podspec::json::{integer, list, text};
use podspec::{Pod, PodUid, WallTime};
use scheduler::{Requests, Resize, requests_of};
use serde_json::Value;
use store::{Change, ChangeKind, Object, ObjectKey, Resource};
use tracing::{Instrument, trace_span};

use crate::cluster::{Pending, Shared};
use crate::wishes::{Said, Wish, Wishes};
use crate::{placement, sink, tend};

/// Follows the store for as long as the process lives.
pub(crate) async fn follow<N: Node>(shared: Arc<Shared<N>>) {
    let mut source = Source { shared, wishes: Wishes::default() };
    loop {
        let resource = source.shared.pods.stored();
        let listing = source.shared.store.list(resource, None, None, None, |_| true);
        let mut here = BTreeSet::new();
        for object in &listing.objects {
            here.insert(PodUid::new(&object.uid));
            source.take(object).await;
        }
        source.end_all_but(&here);
        // No resize is granted before all is known that takes of the node.
        source.settle();
        source.known();
        let watched = source.shared.store.watch(resource, None, listing.revision);
        let Ok(mut watch) = watched else { continue };
        // An error says that this fell behind the store's history: everything is looked at anew.
        while let Ok(change) = watch.next().await {
            source.see(&change).await;
            source.settle();
        }
    }
}

struct Source<N: Node> {
    shared: Arc<Shared<N>>,
    wishes: Wishes,
}

impl<N: Node> Source<N> {
    async fn see(&mut self, change: &Change) {
        if change.kind != ChangeKind::Deleted {
            return self.take(&change.object).await;
        }
        let uid = PodUid::new(&change.object.uid);
        // Nobody waits for its containers any more; an error says that it was not here.
        let _ = self.shared.kubelet.delete_pod(&uid, Duration::ZERO);
        self.finished(&uid);
    }

    /// Pods that were here before and that the store does not know: somebody deleted them by force meanwhile.
    fn end_all_but(&mut self, known: &BTreeSet<PodUid>) {
        let gone: Vec<PodUid> =
            self.shared.tended().keys().filter(|uid| !known.contains(*uid)).cloned().collect();
        for uid in gone {
            if let Ok(subscription) = self.shared.kubelet.subscribe(&uid) {
                let grace = subscription.pod.pod.spec.termination_grace_period;
                let _ = self.shared.kubelet.delete_pod(&uid, grace);
            }
            self.finished(&uid);
        }
    }

    /// Every pod that is here is as the store has it, or waits.
    fn known(&self) {
        for tended in self.shared.tended().values() {
            tended.wanted.send_if_modified(|wanted| !std::mem::replace(&mut wanted.known, true));
        }
    }

    /// It takes nothing more of the node.
    fn finished(&mut self, uid: &PodUid) {
        self.wishes.forget(uid);
        self.wishes.freed();
        if let Some(tended) = self.shared.tended().get_mut(uid) {
            tended.finished = true;
        }
    }

    /// Brings the kubelet to what the store says of one pod.
    async fn take(&mut self, object: &Object) {
        let pod = match objects::shared(object) {
            Ok(pod) => pod,
            Err(error) => return tracing::error!("{} in the store is damaged: {error}", object.key),
        };
        if pod["spec"]["nodeName"] != self.shared.node_name() {
            return;
        }
        let uid = PodUid::new(&object.uid);
        let finished = objects::pod_is_over(&pod);
        let was_finished = self.shared.tended().get(&uid).map(|tended| tended.finished);
        if finished && was_finished == Some(false) {
            self.finished(&uid);
        }
        let known = was_finished.is_some();
        if !pod["metadata"]["deletionTimestamp"].is_null() {
            return self.end(&uid, known, &pod).await;
        }
        if known {
            tell_gates(&self.shared, &uid, &pod);
            self.update(&uid, &pod);
        } else if !finished {
            let span = trace_span!(
                target: "start", parent: None, "begin", pod = uid.as_str(), name = full_name(&pod)
            );
            self.begin(&pod).instrument(span).await;
        }
    }

    async fn end(&self, uid: &PodUid, known: bool, pod: &Value) {
        if known {
            let seconds = pod["metadata"]["deletionGracePeriodSeconds"].as_u64().unwrap_or(0);
            let grace = Some(Duration::from_secs(seconds));
            // Its object changes with each step of its end.
            if self.shared.tended().get(uid).is_some_and(|tended| tended.grace == grace) {
                return;
            }
            if self.shared.kubelet.delete_pod(uid, Duration::from_secs(seconds)).is_ok()
                && let Some(tended) = self.shared.tended().get_mut(uid)
            {
                tended.grace = grace;
            }
        } else {
            // It never ran here, or everything of it is gone already.
            sink::remove_pod(&self.shared, uid.as_str(), pod).await;
        }
    }

    fn update(&mut self, uid: &PodUid, object: &Value) {
        let generation = generation(object);
        let Some(held) = self.shared.kubelet.pod(uid) else { return };
        // These count up nothing.
        let is_same = |name: &str, held| string_map(&object["metadata"][name]).eq(entries(held));
        let same_words = is_same("labels", &held.pod.labels) && is_same("annotations", &held.pod.annotations);
        let finished = {
            let mut tended = self.shared.tended();
            let Some(tended) = tended.get_mut(uid) else { return };
            if tended.generation == generation && same_words {
                return;
            }
            tended.generation = generation;
            tended.finished
        };
        let granted = Granted::of(&held.pod.spec);
        let mut pod = podspec::lower(object);
        pod.spec.runtime_class.clone_from(&held.pod.spec.runtime_class);
        if finished {
            granted.put(&mut pod.spec);
        }
        if Granted::of(&pod.spec) == granted {
            self.wishes.forget(uid);
            change(&self.shared, pod);
        } else {
            // The kubelet hears of all that is new together with the answer.
            self.wishes.put(wish(pod, object));
        }
    }

    /// Answers the pods that want other resources, as far as there is anything new to say.
    fn settle(&mut self) {
        if !self.wishes.is_due() {
            return;
        }
        let pods = self.shared.kubelet.pods_here();
        let held = {
            let tended = self.shared.tended();
            let takes = |uid: &PodUid| tended.get(uid).is_some_and(|tended| !tended.finished);
            let pods = pods.iter().map(|pod| &pod.pod).filter(|pod| takes(&pod.uid));
            pods.map(|pod| (pod.uid.clone(), requests_of(&pod.spec))).collect()
        };
        for (wish, answer) in self.wishes.settle(&allocatable(&self.shared), held) {
            let uid = wish.pod.uid.clone();
            let said = match answer {
                Resize::Granted => {
                    change(&self.shared, wish.pod);
                    None
                }
                Resize::Deferred { message } => wait(&self.shared, wish, false, message),
                Resize::Infeasible { message } => wait(&self.shared, wish, true, message),
            };
            if let Some(said) = said {
                self.wishes.said(&uid, said);
            }
        }
    }

    async fn begin(&mut self, object: &Value) {
        let mut pod: Pod = podspec::lower(object);
        if let Some(class) = &mut pod.spec.runtime_class {
            class.handler = placement::handler(&self.shared.store, &class.name);
        }
        let rejected = placement::rejection(&self.shared, object);
        match (self.shared.begin)(pod, rejected) {
            Ok(subscription) => {
                let uid = subscription.pod.pod.uid.clone();
                self.shared.updates.begun(&subscription.pod.pod);
                let begun = Arc::clone(&subscription.pod);
                tend::tend(&self.shared, subscription, true);
                placement::warn_of_secrets(&self.shared, &begun, object).await;
                if let Some(tended) = self.shared.tended().get_mut(&uid) {
                    tended.generation = generation(object);
                }
                tell_gates(&self.shared, &uid, object);
            }
            Err(error) => {
                tracing::error!("cannot begin pod {}: {error}", full_name(object));
                sink::fail_pod(&self.shared, object, &error.to_string()).await;
            }
        }
    }
}

/// What a node gives pods, as the scheduler sees it.
fn allocatable<N: Node>(shared: &Shared<N>) -> Requests {
    let node = shared.store.get(&ObjectKey::new(Resource::new("nodes"), "", shared.node_name()));
    let node = node.and_then(|node| objects::value(&node).ok());
    node.map(|node| scheduler::node_from_json(&node).allocatable).unwrap_or_default()
}

/// Hands the kubelet the pod.
fn change<N: Node>(shared: &Shared<N>, pod: Pod) {
    let uid = pod.uid.clone();
    let words = |pod: &Pod| (pod.labels.clone(), pod.annotations.clone());
    let name = format!("{}/{}", pod.namespace, pod.name);
    let relabelled = shared.kubelet.pod(&uid).is_some_and(|held| words(&held.pod) != words(&pod));
    if let Err(error) = shared.kubelet.update_pod(pod) {
        tracing::warn!("cannot change pod {name}: {error}");
    }
    if relabelled {
        shared.updates.look(&uid, Duration::ZERO);
    }
}

/// Whatever else is new of the pod, it keeps the resources that it has been granted. What has been said of it.
fn wait<N: Node>(shared: &Shared<N>, wish: Wish, infeasible: bool, message: String) -> Option<Said> {
    let held = shared.kubelet.pod(&wish.pod.uid)?;
    let mut answer = None;
    let generation = wish.pod.generation;
    if let Some(tended) = shared.tended().get(&wish.pod.uid) {
        let before = tended.wanted.borrow().pending.as_ref().map(|pending| pending.said.clone());
        // An earlier resize, which was granted, says nothing of this one.
        let before = before.filter(|before| before.generation == generation).or(wish.said);
        let since = before.as_ref().filter(|before| before.infeasible == infeasible);
        let said = Said { infeasible, generation, since: since.map_or_else(sink::wall_now, |s| s.since) };
        let told = before.as_ref() == Some(&said);
        answer = Some(said.clone());
        // Before the pod, so that no status of it comes without.
        let pending = Pending { pod: wish.pod.clone(), said, message, told };
        tended.wanted.send_modify(|wanted| wanted.pending = Some(pending));
    }
    let mut pod = wish.pod;
    Granted::of(&held.pod.spec).put(&mut pod.spec);
    change(shared, pod);
    answer
}

fn wish(pod: Pod, object: &Value) -> Wish {
    let mut conditions = list(&object["status"], "conditions").iter();
    let pending = conditions.find(|condition| text(condition, "type") == "PodResizePending");
    let said = pending.map(|pending| Said {
        infeasible: text(pending, "reason") == "Infeasible",
        generation: integer(pending, "observedGeneration").unwrap_or(0),
        since: cri_log::parse_timestamp(text(pending, "lastTransitionTime").as_bytes())
            .unwrap_or(WallTime(0)),
    });
    let priority = integer(&object["spec"], "priority").and_then(|priority| i32::try_from(priority).ok());
    let guaranteed = text(&object["status"], "qosClass") == "Guaranteed";
    Wish { pod, priority: priority.unwrap_or(0), guaranteed, said }
}

/// Hands the kubelet what others say of the pod's readiness gates, when it is new.
fn tell_gates<N: Node>(shared: &Shared<N>, uid: &PodUid, pod: &Value) {
    if list(&pod["spec"], "readinessGates").is_empty() {
        return;
    }
    let gates = gates(pod);
    if let Some(tended) = shared.tended().get_mut(uid)
        && tended.gates.as_ref() != Some(&gates)
    {
        tended.gates = Some(gates.clone());
        shared.kubelet.gates_changed(uid, gates);
    }
}

/// The status of each condition that the pod's readiness gates name.
fn gates(pod: &Value) -> BTreeMap<String, String> {
    let conditions = list(&pod["status"], "conditions");
    let gates = list(&pod["spec"], "readinessGates").iter().map(|gate| text(gate, "conditionType"));
    let status = |gate: &str| {
        let condition = conditions.iter().find(|condition| text(condition, "type") == gate)?;
        Some((gate.to_owned(), text(condition, "status").to_owned()))
    };
    gates.filter_map(status).collect()
}

fn entries(map: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    map.iter().map(|(key, value)| (key.as_str(), value.as_str()))
}

/// In the order of the keys, as serde_json has them.
fn string_map(map: &Value) -> impl Iterator<Item = (&str, &str)> {
    let entries = map.as_object().into_iter().flatten();
    entries.map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default()))
}

fn generation(pod: &Value) -> i64 {
    pod["metadata"]["generation"].as_i64().unwrap_or(0)
}

fn full_name(pod: &Value) -> String {
    let text = |name: &str| pod["metadata"][name].as_str().unwrap_or_default();
    format!("{}/{}", text("namespace"), text("name"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::gates;

    #[test]
    fn only_conditions_that_are_gates_are_told() {
        let pod = json!({
            "spec": {"readinessGates": [{"conditionType": "a/b"}, {"conditionType": "c/d"}]},
            "status": {"conditions": [{"type": "a/b", "status": "False"}, {"type": "Ready", "status": "True"}]},
        });
        assert_eq!(gates(&pod), BTreeMap::from([("a/b".to_owned(), "False".to_owned())]));
        assert_eq!(gates(&json!({"spec": {}, "status": pod["status"]})), BTreeMap::new());
    }
}
