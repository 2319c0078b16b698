//! The scheduler's loop: pending pods get nodes, or are told why not.

use std::collections::BTreeMap;

use podspec::json::{list, text};
use scheduler::{Cluster, Decision, Pod, Victim, node_from_json, pod_from_json};
use serde_json::{Value, json};
use store::{Object, ObjectKey, Store};
use tokio::task::JoinSet;
use tracing::{Instrument, trace_span};

use super::feed::{Feed, Seen, merged};
use super::recorder::{Told, record};
use super::write::{edit, kind, log, remove};
use crate::change::DeleteOptions;
use crate::rules::pod::{bind, set_condition};
use crate::{entropy, objects};

const PART: &str = "scheduler";
pub(super) const NAME: &str = "default-scheduler";

struct Scheduler {
    store: Store,
    cluster: Cluster,
    pending: BTreeMap<String, Pending>,
}

struct Pending {
    pod: Pod,
    /// To be looked at.
    due: bool,
    /// What was last said of it.
    said: Option<String>,
}

pub(super) async fn run(store: Store) {
    let mut nodes = Feed::new(&store, kind("", "nodes"));
    let mut pods = Feed::new(&store, kind("", "pods"));
    let mut claims = Feed::new(&store, kind("resource.k8s.io", "resourceclaims"));
    let mut storage = JoinSet::new();
    let mut volumes =
        merged(&store, super::claims::KINDS.iter().map(|(group, plural)| kind(group, plural)), &mut storage);
    let mut scheduler = Scheduler { store, cluster: Cluster::default(), pending: BTreeMap::new() };
    loop {
        tokio::select! {
            // A pod is placed by what is known of nodes and of the pods there, so those come first.
            biased;
            seen = nodes.next() => scheduler.node(&seen),
            seen = claims.next() => scheduler.claim(&seen),
            // What is not known yet of claims only makes pods wait.
            Some(_) = volumes.recv() => scheduler.storage(),
            seen = pods.next() => scheduler.pod(&seen),
            () = std::future::ready(()), if scheduler.is_due() => scheduler.place_next().await,
        }
    }
}

impl Scheduler {
    fn node(&mut self, seen: &Seen) {
        match seen {
            Seen::Present(object, _) => {
                let Ok(node) = objects::value(object) else { return };
                let node = node_from_json(&node);
                if self.cluster.node(&node.name) == Some(&node) {
                    // A heartbeat changes nothing here.
                    return;
                }
                self.cluster.insert_node(node);
            }
            Seen::Gone(object) => self.cluster.remove_node(&object.key.name),
            Seen::Again => self.cluster.forget_nodes(),
        }
        self.wake();
    }

    fn claim(&mut self, seen: &Seen) {
        match seen {
            Seen::Present(object, _) => self.cluster.insert_claim(&object.key.namespace, &object.key.name),
            Seen::Gone(object) => self.cluster.remove_claim(&object.key.namespace, &object.key.name),
            Seen::Again => return,
        }
        self.wake();
    }

    fn storage(&mut self) {
        if self.cluster.set_volume_claims(super::claims::states(&self.store)) {
            self.wake();
        }
    }

    fn pod(&mut self, seen: &Seen) {
        match seen {
            Seen::Present(object, _) => self.present(object),
            Seen::Gone(object) => {
                self.pending.remove(&object.uid);
                self.cluster.remove_pod(&object.uid);
                self.wake();
            }
            Seen::Again => {
                self.pending.clear();
                self.cluster.forget_pods();
            }
        }
    }

    fn present(&mut self, object: &Object) {
        let Ok(value) = objects::shared(object) else { return };
        let pod = pod_from_json(&value, started(&value));
        if !pod.node.is_empty() || pod.finished || pod.deleting {
            self.pending.remove(&object.uid);
            let is_known = pod.finished || self.cluster.has_as(&pod);
            if self.cluster.insert_pod(pod) {
                self.wake();
            } else if !is_known {
                self.wake_neighbours();
            }
            return;
        }
        let named = text(&value["spec"], "schedulerName");
        if !["", NAME].contains(&named) {
            return;
        }
        self.cluster.insert_pod(pod.clone());
        match self.pending.get_mut(&object.uid) {
            // A write of its status, as this scheduler's own, is no reason to look at it again.
            Some(held) if held.pod == pod => {}
            Some(held) => {
                held.due |= Pod { nominated: String::new(), ..held.pod.clone() }
                    != Pod { nominated: String::new(), ..pod.clone() };
                held.pod = pod;
            }
            None => {
                let said = condition_message(&value);
                self.pending.insert(object.uid.clone(), Pending { pod, due: true, said });
            }
        }
    }

    /// Something has changed that may help those that wait.
    fn wake(&mut self) {
        self.pending.values_mut().for_each(|pending| pending.due = true);
    }

    /// A pod has come, or is another, which may help those that depend on the pods around them.
    fn wake_neighbours(&mut self) {
        let depends = |pod: &Pod| !pod.affinity.with.is_empty() || !pod.spread.is_empty();
        let depending = self.pending.values_mut().filter(|pending| depends(&pending.pod));
        depending.for_each(|pending| pending.due = true);
    }

    fn is_due(&self) -> bool {
        self.pending.values().any(|pending| pending.due)
    }

    /// The most important of those that are due.
    async fn place_next(&mut self) {
        let due = self.pending.iter().filter(|(_, pending)| pending.due);
        let next = due.max_by_key(|(_, pending)| pending.pod.importance()).map(|(uid, _)| uid.clone());
        let Some(pending) = next.and_then(|uid| self.pending.get_mut(&uid)) else { return };
        pending.due = false;
        let pod = pending.pod.clone();
        let span = trace_span!(target: "start", parent: None, "schedule", pod = pod.uid.as_str());
        self.place(pod).instrument(span).await;
    }

    async fn place(&mut self, pod: Pod) {
        match self.cluster.decide(&pod) {
            Decision::Gated => {}
            Decision::Bind { node } => self.bind(pod, node).await,
            Decision::Unschedulable { message } => self.refuse(&pod, message, None).await,
            Decision::Preempt { node, victims, message } => {
                self.refuse(&pod, message, Some(node.clone())).await;
                for victim in victims {
                    self.preempt(&pod, &node, victim).await;
                }
            }
        }
    }

    async fn bind(&mut self, pod: Pod, node: String) {
        // Those that wait for the first pod are bound before it is; then the pod is looked at again.
        let unbound = self.cluster.unbound_claims(&pod);
        if !unbound.is_empty() {
            for claim in unbound {
                super::claims::select_node(&self.store, &pod.namespace, claim, &node).await;
            }
            return;
        }
        let (pods, key) = (kind("", "pods"), key(&pod));
        // What the kubelet has to say of the pod comes after.
        let at = entropy::now();
        let target = node.clone();
        let bound = edit(&self.store, pods, key.clone(), pod.uid.clone(), move |pod| {
            let free =
                text(&pod["spec"], "nodeName").is_empty() && pod["metadata"]["deletionTimestamp"].is_null();
            if free {
                bind(pod, &target, &entropy::now().rfc3339_seconds());
            }
            free
        });
        let bound = bound.await;
        self.pending.remove(&pod.uid);
        if let Ok(true) = bound {
            let message = format!("Successfully assigned {}/{} to {node}", pod.namespace, pod.name);
            let told = Told { source: NAME, is_warning: false, reason: "Scheduled", message: &message, at };
            record(&self.store, &about(&pod.namespace, &pod.name, &pod.uid), told)
                .instrument(trace_span!(target: "start", "event"))
                .await;
            // Known here before the watch says it, so that the next pod is not given the same room.
            self.cluster.insert_pod(Pod { node, nominated: String::new(), ..pod });
            self.wake_neighbours();
        } else {
            log(PART, &key, bound.map(|_| ()));
        }
    }

    async fn refuse(&mut self, pod: &Pod, message: String, nominated: Option<String>) {
        let said = self.pending.get(&pod.uid).and_then(|pending| pending.said.as_ref());
        if said == Some(&message) && nominated.is_none() {
            return;
        }
        let (key, text) = (key(pod), message.clone());
        let node = nominated.clone();
        let written = edit(&self.store, kind("", "pods"), key.clone(), pod.uid.clone(), move |pod| {
            let condition = json!({
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": text,
            });
            let mut changed = set_condition(pod, condition, &entropy::now().rfc3339_seconds());
            if let Some(node) = node {
                changed |= pod["status"]["nominatedNodeName"] != node;
                pod["status"]["nominatedNodeName"] = node.into();
            }
            changed
        });
        log(PART, &key, written.await.map(|_| ()));
        let told = Told {
            source: NAME,
            is_warning: true,
            reason: "FailedScheduling",
            message: &message,
            at: entropy::now(),
        };
        record(&self.store, &about(&pod.namespace, &pod.name, &pod.uid), told).await;
        if let Some(pending) = self.pending.get_mut(&pod.uid) {
            pending.said = Some(message);
            if let Some(node) = nominated {
                pending.pod.nominated = node;
                self.cluster.insert_pod(pending.pod.clone());
            }
        }
    }

    /// Tells a pod that it has to go, and takes it away.
    async fn preempt(&mut self, pod: &Pod, node: &str, victim: Victim) {
        let pods = kind("", "pods");
        let at = ObjectKey::new(pods.stored(), victim.namespace.as_str(), victim.name.as_str());
        let told = edit(&self.store, pods, at.clone(), victim.uid.clone(), |pod| {
            let condition = json!({
                "type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
                "message": "default-scheduler: preempting to accommodate a higher priority pod",
            });
            set_condition(pod, condition, &entropy::now().rfc3339_seconds())
        });
        log(PART, &at, told.await.map(|_| ()));
        let options = DeleteOptions { uid: Some(victim.uid.clone()), ..DeleteOptions::default() };
        log(PART, &at, remove(&self.store, PART, pods, &at, options).await);
        let gone = about(&victim.namespace, &victim.name, &victim.uid);
        let message = format!("Preempted by pod {} on node {node}", pod.uid);
        let told = Told {
            source: NAME,
            is_warning: false,
            reason: "Preempted",
            message: &message,
            at: entropy::now(),
        };
        record(&self.store, &gone, told).await;
    }
}

fn key(pod: &Pod) -> ObjectKey {
    ObjectKey::new(kind("", "pods").stored(), pod.namespace.as_str(), pod.name.as_str())
}

/// What an event is about.
pub(super) fn about(namespace: &str, name: &str, uid: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": namespace, "name": name, "uid": uid}})
}

/// Since when it counts as being there.
fn started(pod: &Value) -> i64 {
    let time = match text(&pod["status"], "startTime") {
        "" => text(&pod["metadata"], "creationTimestamp"),
        time => time,
    };
    cri_log::parse_timestamp(time.as_bytes()).map_or(0, |time| time.0)
}

/// What a scheduler before this one has said of it.
fn condition_message(pod: &Value) -> Option<String> {
    let conditions = list(&pod["status"], "conditions").iter();
    let said = conditions.filter(|condition| text(condition, "reason") == "Unschedulable");
    said.map(|condition| text(condition, "message").to_owned()).next()
}
