//! What this node writes to the store: the status of its pods, their removal, and itself. These writes reach the
//! disk a moment later than clients' do; a new engine makes them again from the pods' own records.

use std::convert::Infallible;
use std::time::{SystemTime, UNIX_EPOCH};

use apiserver::kinds::Kind;
use apiserver::objects;
use kubelet::render::{RenderFacts, pod_status};
use kubelet::resize::Granted;
use kubelet::{Node, PodView};
use lifecycle::Phase;
use podspec::WallTime;
use ports::PodContext;
use serde_json::{Value, json};
use store::{Durability, ObjectKey, Store, Tx, WriteError};

use crate::cluster::{Pending, Settings, Shared};
use crate::merge::merge_status;
use crate::node_object::node_object;
use crate::random;

pub(crate) fn wall_now() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// What of a resize is not in the pod's view.
pub(crate) struct Resizing<'a> {
    pub(crate) pending: Option<&'a Pending>,
    /// The generation whose resize is under way.
    pub(crate) under_way: Option<i64>,
}

pub(crate) async fn write_status<N: Node>(shared: &Shared<N>, view: &PodView, resizing: &Resizing<'_>) {
    let (pod, host_ips) = (&view.pod, shared.settings.machine.addresses.clone());
    let facts = RenderFacts { host_ips, generation: pod.pod.generation };
    let mut status = pod_status(&pod.pod, view, &facts);
    tell_resizing(&mut status, view, resizing);
    let key = ObjectKey::new(shared.pods.stored(), &*pod.pod.namespace, &*pod.pod.name);
    change_pod(&shared.store, shared.pods, key, pod.pod.uid.as_str().to_owned(), take_status(status)).await;
}

fn take_status(status: Value) -> impl FnOnce(&mut Value) -> bool {
    move |object| {
        let merged = merge_status(&object["status"], &status);
        let changed = object["status"] != merged;
        object["status"] = merged;
        changed
    }
}

/// The conditions of a resize. One that waits is shown until the status is one of the pod that was granted it: at no
/// time there is a status that says nothing of it and shows the resources of before.
fn tell_resizing(status: &mut Value, view: &PodView, resizing: &Resizing<'_>) {
    let pod = &view.pod.pod;
    let over = matches!(view.status.phase, Phase::Succeeded | Phase::Failed);
    let Some(conditions) = status["conditions"].as_array_mut() else { return };
    if let Some(generation) = resizing.under_way {
        let under_way = conditions.iter_mut().find(|held| held["type"] == "PodResizeInProgress");
        under_way.into_iter().for_each(|held| held["observedGeneration"] = generation.into());
    }
    let waits = |pending: &&Pending| {
        let is_newest = pod.generation <= pending.said.generation;
        is_newest && !over && Granted::of(&pod.spec) != Granted::of(&pending.pod.spec)
    };
    if let Some(Pending { said, message, .. }) = resizing.pending.filter(waits) {
        let pending = json!({
            "type": "PodResizePending",
            "observedGeneration": said.generation,
            "status": "True",
            "lastProbeTime": null,
            "lastTransitionTime": said.since.rfc3339_seconds(),
            "reason": if said.infeasible { "Infeasible" } else { "Deferred" },
            "message": message,
        });
        conditions.insert(0, pending);
    }
}

/// A pod that this node cannot even begin, for its own reasons: it has failed, and says why.
pub(crate) async fn fail_pod<N: Node>(shared: &Shared<N>, pod: &Value, why: &str) {
    let why = why.to_owned();
    let uid = pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    change_pod(&shared.store, shared.pods, objects::key(shared.pods, pod), uid, move |object| {
        object["status"]["phase"] = "Failed".into();
        object["status"]["reason"] = "NodeCannotBegin".into();
        object["status"]["message"] = why.as_str().into();
        true
    })
    .await;
}

/// The pod with this uid, unless it has gone or is another of its name; `change` says whether it did.
async fn change_pod(
    store: &Store,
    kind: &'static Kind,
    key: ObjectKey,
    uid: String,
    change: impl FnOnce(&mut Value) -> bool + Send + 'static,
) {
    let name = key.to_string();
    let written = store.write(Durability::Lazy, move |tx| {
        if let Some(mut object) = held(tx, &key, &uid)
            && change(&mut object)
        {
            objects::put(tx, kind, &mut object);
        }
        Ok::<_, Infallible>(())
    });
    if let Err(error) = written.await {
        tracing::error!("the status of {name} is not up to date: {error}");
    }
}

fn held(tx: &Tx<'_>, key: &ObjectKey, uid: &str) -> Option<Value> {
    let held = tx.get(key).filter(|object| object.uid == uid)?;
    objects::value(&held).ok()
}

pub(crate) async fn remove_pod_of<N: Node>(shared: &Shared<N>, pod: &PodContext) {
    let (namespace, name) = (pod.pod.namespace.as_str(), pod.pod.name.as_str());
    let object = json!({"metadata": {"namespace": namespace, "name": name}});
    remove_pod(shared, pod.pod.uid.as_str(), &object).await;
}

/// Everything of the pod is gone from this node: the object goes, or waits for its finalizers alone.
pub(crate) async fn remove_pod<N: Node>(shared: &Shared<N>, uid: &str, pod: &Value) {
    let kind = shared.pods;
    let (key, uid) = (objects::key(kind, pod), uid.to_owned());
    let name = key.to_string();
    let written = shared.store.write(Durability::Lazy, move |tx| {
        let Some(mut object) = held(tx, &key, &uid) else { return Ok::<_, Infallible>(()) };
        let metadata = &mut object["metadata"];
        if metadata["deletionTimestamp"].is_null() {
            return Ok(());
        }
        let unfinished = metadata["finalizers"].as_array().is_some_and(|list| !list.is_empty());
        if !unfinished {
            objects::remove(tx, kind, &mut object);
        } else if metadata["deletionGracePeriodSeconds"] != 0 {
            metadata["deletionGracePeriodSeconds"] = 0.into();
            objects::put(tx, kind, &mut object);
        }
        Ok(())
    });
    // The store of an engine that ends need not know, and the next one sees it.
    if let Err(error) = written.await
        && !matches!(error, WriteError::Closed)
    {
        tracing::error!("{name} is gone from this node and not from the store: {error}");
    }
}

/// Makes or renews this machine's Node object, before anybody looks for a node.
///
/// # Panics
/// When the API server does not serve nodes.
pub async fn write_node(store: &Store, settings: &Settings) {
    let kind = Kind::find("", "v1", "nodes").expect("the API server serves nodes");
    let settings = settings.clone();
    let written = store.write(Durability::Lazy, move |tx| {
        let key = ObjectKey::new(kind.stored(), "", &*settings.machine.name);
        let stored = tx.get(&key).and_then(|object| objects::value(&object).ok());
        let now = wall_now();
        let mut node = node_object(stored.as_ref(), &settings.machine, &settings.version, now);
        if stored.is_none() {
            node["metadata"]["uid"] = random::uid().into();
            node["metadata"]["creationTimestamp"] = now.rfc3339_seconds().into();
        }
        objects::put(tx, kind, &mut node);
        Ok::<_, Infallible>(())
    });
    if let Err(error) = written.await {
        tracing::error!("the node is not in the store: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use apiserver::kinds::Kind;
    use apiserver::objects;
    use kubelet::PodView;
    use lifecycle::{Condition, ConditionKind, Observed, Phase};
    use podspec::{IDENTITY_BYTES, Moment, Pod, WallTime};
    use ports::PodContext;
    use serde_json::{Value, json};
    use store::{Durability, Options, Place, Store};

    use super::{Pending, Resizing, change_pod, take_status, tell_resizing};
    use crate::wishes::Said;

    struct Bed {
        store: Store,
        pods: &'static Kind,
    }

    impl Bed {
        fn new() -> Self {
            let store = Store::open(Place::Memory, Options { index: objects::index_stored }).unwrap();
            Self { store, pods: Kind::find("", "v1", "pods").unwrap() }
        }

        async fn put(&self, uid: &str, status: Value) {
            let pods = self.pods;
            let mut pod =
                json!({"metadata": {"namespace": "n", "name": "web", "uid": uid}, "status": status});
            let written =
                self.store.write(Durability::Lazy, move |tx| Ok::<_, ()>(objects::put(tx, pods, &mut pod)));
            written.await.unwrap().unwrap();
        }

        /// What a node says of the pod with this uid.
        async fn say(&self, uid: &str, status: Value) -> Option<Value> {
            let key = objects::key(self.pods, &json!({"metadata": {"namespace": "n", "name": "web"}}));
            change_pod(&self.store, self.pods, key.clone(), uid.to_owned(), take_status(status)).await;
            self.store.get(&key).map(|object| objects::value(&object).unwrap()["status"].take())
        }
    }

    #[tokio::test]
    async fn what_is_said_of_a_pod_is_not_another_pods() {
        let bed = Bed::new();
        let running = json!({"phase": "Running", "conditions": []});
        assert_eq!(bed.say("old", running.clone()).await, None);
        bed.put("new", json!({"phase": "Pending"})).await;
        assert_eq!(bed.say("old", running.clone()).await, Some(json!({"phase": "Pending"})));
        assert_eq!(bed.say("new", running.clone()).await, Some(running));
    }

    #[tokio::test]
    async fn a_pod_that_has_ended_stays_so_and_an_equal_status_writes_nothing() {
        let bed = Bed::new();
        bed.put("u", json!({"phase": "Failed", "reason": "Evicted"})).await;
        let said =
            bed.say("u", json!({"phase": "Running", "reason": "Evicted", "conditions": []})).await.unwrap();
        assert_eq!((&said["phase"], &said["reason"]), (&json!("Failed"), &json!("Evicted")));
        let revision = bed.store.revision();
        bed.say("u", json!({"phase": "Failed", "reason": "Evicted", "conditions": []})).await;
        assert_eq!(bed.store.revision(), revision);
    }

    fn pod(cpu: &str, generation: i64) -> Pod {
        let text = format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: web}}, spec: {{containers: [{{name: a, image: i, resources: \
             {{requests: {{cpu: {cpu}}}}}}}]}}}}"
        );
        let loaded = podspec::load_pods("test", &text, || [7; IDENTITY_BYTES]).unwrap().remove(0);
        Pod { generation, ..loaded.admitted.pod }
    }

    fn view(pod: Pod, phase: Phase, progresses: bool) -> PodView {
        let mut status = lifecycle::plan(&pod.spec, &Observed::default(), Moment::default()).status;
        status.phase = phase;
        let condition =
            Condition { kind: ConditionKind::PodResizeInProgress, status: true, reason: None, message: None };
        status.conditions.extend(progresses.then_some(condition));
        let [pod_dir, run_dir, log_dir] = ["pod", "run", "log"].map(Into::into);
        let pod = Arc::new(PodContext { pod, pod_dir, run_dir, log_dir, bound: true });
        PodView { pod, status, conditions: BTreeMap::new(), deleting: false, at_rest: false, seq: 0 }
    }

    /// Type, generation and reason of the conditions of resizing.
    fn shown(view: &PodView, pending: Option<&Pending>, under_way: Option<i64>) -> Vec<String> {
        let facts = kubelet::render::RenderFacts {
            host_ips: vec!["10.0.0.1".parse().unwrap()],
            generation: view.pod.pod.generation,
        };
        let mut status = kubelet::render::pod_status(&view.pod.pod, view, &facts);
        tell_resizing(&mut status, view, &Resizing { pending, under_way });
        let conditions = status["conditions"].as_array().unwrap().iter();
        let of_resizing = conditions.filter(|held| held["type"].as_str().unwrap().starts_with("PodResize"));
        let line = |held: &Value| {
            let text = |name: &str| held[name].as_str().unwrap_or_default().to_owned();
            format!("{} {} {}", text("type"), held["observedGeneration"], text("reason"))
                .trim_end()
                .to_owned()
        };
        of_resizing.map(line).collect()
    }

    /// Clients take a status of the newest generation without these conditions for the end of a resize.
    #[test]
    fn a_resize_is_shown_until_it_has_been_granted_and_done() {
        let said = |generation| Said { infeasible: false, generation, since: WallTime(0) };
        let pending = Pending { pod: pod("2", 2), said: said(2), message: "why".to_owned(), told: true };
        let waits = ["PodResizePending 2 Deferred"];
        assert_eq!(shown(&view(pod("1", 1), Phase::Running, false), Some(&pending), None), waits);
        assert_eq!(shown(&view(pod("1", 2), Phase::Running, false), Some(&pending), None), waits);
        let granted = view(pod("2", 2), Phase::Running, true);
        assert_eq!(shown(&granted, Some(&pending), Some(2)), ["PodResizeInProgress 2"]);
        // Other changes of the pod meanwhile are no other resize.
        let changed = view(pod("2", 3), Phase::Running, true);
        assert_eq!(shown(&changed, Some(&pending), Some(2)), ["PodResizeInProgress 2"]);
        // An earlier one says nothing of a pod that was resized since.
        assert_eq!(shown(&view(pod("3", 3), Phase::Running, false), Some(&pending), None), [""; 0]);
        let over = view(pod("1", 2), Phase::Failed, false);
        assert_eq!(shown(&over, Some(&pending), None), [""; 0]);
        let infeasible = Said { infeasible: true, ..said(2) };
        let vain = Pending { said: infeasible, ..pending };
        assert_eq!(
            shown(&view(pod("1", 2), Phase::Running, false), Some(&vain), None),
            ["PodResizePending 2 Infeasible"]
        );
    }
}
