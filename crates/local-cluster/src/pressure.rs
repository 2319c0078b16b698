//! A node that is short of memory, disk or processes says so, and evicts the pod that is the first to go
//! (<https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/>). Which one that is decides
//! [`scheduler::pressure`]; here the machine is looked at, and only while there are pods.

mod look;
mod stalls;
mod tell;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kubelet::{Kubelet, Node, PodView, Subscription};
use linux_sys::clock;
use podspec::{BootTime, Pod, PodUid};
use ports::PodContext;
use scheduler::pod_from_json;
use scheduler::pressure::{Levels, Pressure, Pressures, Signal, Thresholds, message, refusal, victim};
use store::{ObjectKey, Resource, Store};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::images::{ImageThresholds, NodeImages};
use crate::usage::pods::running_of;
use stalls::Stalls;

/// Nothing says when a file system fills or processes multiply, so they are looked at: as often as a kubelet's
/// eviction manager does. Of memory the kernel tells, where it can.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How long an evicted pod may take to end before the node is looked at again: a kubelet's.
const END_TIME: Duration = Duration::from_secs(30);

/// What is to be watched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PressureSettings {
    pub thresholds: Thresholds,
    pub images: ImageThresholds,
    pub node_name: String,
    /// Where pods and images are kept.
    pub data_dir: PathBuf,
}

/// Watches the node until it is dropped.
#[derive(Debug)]
pub struct PressureWatch {
    task: JoinHandle<()>,
    images: JoinHandle<()>,
    held: watch::Receiver<Vec<Pressure>>,
    store: Store,
}

impl PressureWatch {
    /// Needs a tokio runtime. Without thresholds nothing is looked at.
    pub fn start<N: Node>(store: Store, kubelet: Arc<Kubelet<N>>, settings: PressureSettings) -> Self {
        let (sender, held) = watch::channel(Vec::new());
        let node_name = settings.node_name.clone();
        let images = NodeImages::new(store.clone(), Arc::clone(&kubelet), node_name, settings.images);
        let images = Arc::new(images);
        let watcher = Watcher {
            store: store.clone(),
            kubelet,
            settings,
            pressures: Pressures::default(),
            held: sender,
            evicted: BTreeSet::new(),
            images: Arc::clone(&images),
        };
        let images = tokio::spawn(async move { images.follow().await });
        Self { task: tokio::spawn(watcher.run()), images, held, store }
    }

    /// Why a pod that comes now cannot stay.
    #[must_use]
    pub fn refusal(&self, pod: &Pod) -> Option<String> {
        let held = self.held.borrow().clone();
        if held.is_empty() {
            return None;
        }
        let key = ObjectKey::new(Resource::new("pods"), &*pod.namespace, &*pod.name);
        let object = apiserver::objects::value(&*self.store.get(&key)?).ok()?;
        let is_best_effort = object["status"]["qosClass"] == "BestEffort";
        refusal(&held, &pod_from_json(&object, 0), is_best_effort)
    }
}

impl Drop for PressureWatch {
    fn drop(&mut self) {
        self.task.abort();
        self.images.abort();
    }
}

struct Watcher<N: Node> {
    store: Store,
    kubelet: Arc<Kubelet<N>>,
    settings: PressureSettings,
    pressures: Pressures,
    held: watch::Sender<Vec<Pressure>>,
    /// That are here still.
    evicted: BTreeSet<PodUid>,
    images: Arc<NodeImages<N>>,
}

impl<N: Node> Watcher<N> {
    async fn run(mut self) {
        if self.settings.thresholds.0.is_empty() {
            return;
        }
        let mut stalls = Stalls::of_memory();
        loop {
            self.wait_for_pods().await;
            if let Some(uid) = self.look().await {
                self.wait_for_end(&uid).await;
                continue;
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = stalls.next() => {}
            }
        }
    }

    /// Also a condition that has been told is looked after, until it ends.
    async fn wait_for_pods(&self) {
        let resource = Resource::new("pods");
        loop {
            // Whatever happens from now on is seen.
            let changes = self.store.watch(resource, None, self.store.revision());
            let mut statuses = self.statuses();
            if !self.active().is_empty() || !self.held.borrow().is_empty() {
                return;
            }
            // An error says that much has happened.
            if let Ok(mut changes) = changes {
                tokio::select! {
                    _ = changes.next() => {}
                    Some(_) = statuses.join_next() => {}
                }
            }
        }
    }

    /// Ends when another status of a pod is known than now. Pods that an engine takes over are not written again when
    /// they are as they were.
    fn statuses(&self) -> JoinSet<()> {
        let mut statuses = JoinSet::new();
        for pod in self.kubelet.pods_here() {
            if let Ok(Subscription { mut view, .. }) = self.kubelet.subscribe(&pod.pod.uid) {
                view.mark_unchanged();
                statuses.spawn(async move {
                    // An error says that the pod is gone.
                    let _ = view.changed().await;
                });
            }
        }
        statuses
    }

    /// Looks once; the pod that was evicted, if one was.
    async fn look(&mut self) -> Option<PodUid> {
        self.images.collect(false).await;
        let (mut levels, mut met) = self.measure().await;
        self.tell(&met).await;
        let first = *met.first()?;
        let by_images = look::holds_images(first, &levels);
        if by_images {
            tell::reclaiming(&self.store, &self.settings.node_name, first.starved().name()).await;
            self.images.reclaim_all().await;
            (levels, met) = self.measure().await;
            self.tell(&met).await;
        }
        let signal = met.into_iter().find(|signal| look::is_of_pods(*signal))?;
        let active = self.active();
        if active.is_empty() {
            return None;
        }
        if !by_images || signal != first {
            tell::reclaiming(&self.store, &self.settings.node_name, signal.starved().name()).await;
        }
        self.evict(signal, &levels, active).await
    }

    /// What is left of the machine, and of what that is too little.
    async fn measure(&self) -> (Levels, Vec<Signal>) {
        let data_dir = self.settings.data_dir.clone();
        let levels = tokio::task::spawn_blocking(move || look::levels(&data_dir)).await.unwrap_or_default();
        let met = self.settings.thresholds.met(&levels);
        (levels, met)
    }

    /// The conditions of the node, when they are others than before.
    async fn tell(&mut self, met: &[Signal]) {
        let held = self.pressures.see(met, BootTime(clock::boot_ns()));
        let before = self.held.send_replace(held.clone());
        if before != held {
            tell::conditions(&self.store, &self.settings.node_name, &before, &held).await;
        }
    }

    async fn evict(&mut self, signal: Signal, levels: &Levels, active: Vec<PodView>) -> Option<PodUid> {
        let priorities: Vec<i32> = active.iter().map(|view| priority_of(&self.store, &view.pod)).collect();
        let uids: Vec<PodUid> = active.iter().map(|view| view.pod.pod.uid.clone()).collect();
        let candidates = move || look::candidates(signal, &active, &priorities);
        let candidates = tokio::task::spawn_blocking(candidates).await.unwrap_or_default();
        let Some(index) = victim(signal.starved(), &candidates) else {
            tracing::warn!("{signal} is below its threshold, and there is no pod that may be evicted");
            return None;
        };
        let (uid, candidate) = (uids.get(index)?.clone(), &candidates[index]);
        let why = message(signal, &self.settings.thresholds, levels, candidate);
        tracing::warn!("evicting pod {}: {why}", candidate.name);
        self.kubelet.evict_pod(&uid, why);
        self.evicted.insert(uid.clone());
        Some(uid)
    }

    async fn wait_for_end(&self, uid: &PodUid) {
        let Ok(mut subscription) = self.kubelet.subscribe(uid) else { return };
        let has_ended =
            |view: &Option<PodView>| view.as_ref().is_some_and(|view| running_of(view).is_empty());
        // One that takes longer is not the only one that can go.
        let _ = tokio::time::timeout(END_TIME, subscription.view.wait_for(has_ended)).await;
    }

    /// Pods that have something running, and were not told to end.
    fn active(&self) -> Vec<PodView> {
        let pods = self.kubelet.pods_here();
        let view = |pod: &Arc<PodContext>| self.kubelet.subscribe(&pod.pod.uid).ok()?.view.borrow().clone();
        let is_active = |view: &PodView| {
            !view.deleting && !self.evicted.contains(&view.pod.pod.uid) && !running_of(view).is_empty()
        };
        pods.iter().filter_map(view).filter(is_active).collect()
    }
}

/// As its object says, and 0 without one.
pub(crate) fn priority_of(store: &Store, pod: &PodContext) -> i32 {
    let key = ObjectKey::new(Resource::new("pods"), &*pod.pod.namespace, &*pod.pod.name);
    let object = store.get(&key).and_then(|object| apiserver::objects::value(&object).ok());
    object.map_or(0, |object| pod_from_json(&object, 0).priority)
}
