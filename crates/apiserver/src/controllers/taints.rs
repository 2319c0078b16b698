//! NoExecute taints drive pods away, some after a while.

use std::collections::BTreeMap;
use std::time::Duration;

use scheduler::{Eviction, Taint, Toleration, eviction, node_from_json, pod_from_json};
use serde_json::json;
use store::{ObjectKey, Store};
use tokio::time::Instant;

use super::feed::{Feed, Seen};
use super::recorder::{Told, record};
use super::scheduling::about;
use super::write::{edit, kind, log, remove};
use crate::change::DeleteOptions;
use crate::rules::pod::set_condition;
use crate::{entropy, objects};

const PART: &str = "taint-eviction-controller";
/// As if for ever, where nothing is due.
const FAR: Duration = Duration::from_secs(86_400);

struct Evictor {
    store: Store,
    /// Their NoExecute taints, by node.
    taints: BTreeMap<String, Vec<Taint>>,
    /// Pods that are on nodes and stay until they are told.
    pods: BTreeMap<String, Tenant>,
}

struct Tenant {
    key: ObjectKey,
    node: String,
    tolerations: Vec<Toleration>,
    /// When the taints that it has to do with were first seen, and how long it may stay from then.
    due: Option<(Instant, Duration)>,
}

pub(super) async fn run(store: Store) {
    let mut nodes = Feed::new(&store, kind("", "nodes"));
    let mut pods = Feed::new(&store, kind("", "pods"));
    let mut evictor = Evictor { store, taints: BTreeMap::new(), pods: BTreeMap::new() };
    loop {
        let next = evictor.pods.values().filter_map(Tenant::deadline).min();
        let next = next.unwrap_or_else(|| Instant::now() + FAR);
        tokio::select! {
            seen = nodes.next() => evictor.node(&seen),
            seen = pods.next() => evictor.pod(&seen),
            () = tokio::time::sleep_until(next) => evictor.evict_due().await,
        }
    }
}

impl Tenant {
    fn deadline(&self) -> Option<Instant> {
        self.due.map(|(since, stay)| since + stay)
    }

    fn judge(&mut self, taints: &[Taint]) {
        self.due = match eviction(taints, &self.tolerations) {
            Eviction::Never => None,
            Eviction::After { seconds } => {
                let since = self.due.map_or_else(Instant::now, |(since, _)| since);
                Some((since, Duration::from_secs(seconds).min(FAR * 365)))
            }
        };
    }
}

impl Evictor {
    fn node(&mut self, seen: &Seen) {
        let (name, taints) = match seen {
            Seen::Present(object, _) => {
                let Ok(node) = objects::value(object) else { return };
                (object.key.name.as_str(), node_from_json(&node).taints)
            }
            Seen::Gone(object) => (object.key.name.as_str(), Vec::new()),
            Seen::Again => return,
        };
        let taints: Vec<Taint> =
            taints.into_iter().filter(|taint| taint.effect == scheduler::Effect::NoExecute).collect();
        if self.taints.get(name).map_or(&[][..], Vec::as_slice) == taints {
            return;
        }
        self.pods.values_mut().filter(|tenant| tenant.node == name).for_each(|tenant| tenant.judge(&taints));
        self.taints.insert(name.to_owned(), taints);
    }

    fn pod(&mut self, seen: &Seen) {
        match seen {
            Seen::Present(object, _) => {
                let Ok(value) = objects::shared(object) else { return };
                let pod = pod_from_json(&value, 0);
                if pod.node.is_empty() || pod.finished || pod.deleting {
                    self.pods.remove(&object.uid);
                    return;
                }
                let taints = self.taints.get(&pod.node).map_or(&[][..], Vec::as_slice);
                let tenant = self.pods.entry(object.uid.clone()).or_insert_with(|| Tenant {
                    key: object.key.clone(),
                    node: pod.node.clone(),
                    tolerations: Vec::new(),
                    due: None,
                });
                tenant.tolerations = pod.tolerations;
                tenant.judge(taints);
            }
            Seen::Gone(object) => {
                self.pods.remove(&object.uid);
            }
            Seen::Again => {}
        }
    }

    async fn evict_due(&mut self) {
        let now = Instant::now();
        let due = self.pods.iter().filter(|(_, tenant)| tenant.deadline().is_some_and(|due| due <= now));
        let due: Vec<(String, ObjectKey)> =
            due.map(|(uid, tenant)| (uid.clone(), tenant.key.clone())).collect();
        for (uid, key) in due {
            self.pods.remove(&uid);
            self.evict(uid, key).await;
        }
    }

    async fn evict(&self, uid: String, key: ObjectKey) {
        let pods = kind("", "pods");
        let message = format!("Marking for deletion Pod {}/{}", key.namespace, key.name);
        let about = about(&key.namespace, &key.name, &uid);
        let told = Told {
            source: PART,
            is_warning: false,
            reason: "TaintManagerEviction",
            message: &message,
            at: entropy::now(),
        };
        record(&self.store, &about, told).await;
        let told = edit(&self.store, pods, key.clone(), uid.clone(), |pod| {
            let condition = json!({
                "type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager",
                "message": "Taint manager: deleting due to NoExecute taint",
            });
            set_condition(pod, condition, &entropy::now().rfc3339_seconds())
        });
        log(PART, &key, told.await.map(|_| ()));
        let options = DeleteOptions { uid: Some(uid), ..DeleteOptions::default() };
        log(PART, &key, remove(&self.store, PART, pods, &key, options).await);
    }
}
