//! Pods that have more on the disk than they may are evicted: in a volume, in a container, or altogether. Nothing says
//! when files grow, so they are looked at; only those of pods with such a limit, one pod at a time.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kubelet::{Node, PodView};
use linux_sys::tree_usage::tree_usage;
use podspec::PodUid;
use ports::PortError;
use scheduler::pressure::CRITICAL;
use scheduler::storage::{StorageLimits, StorageUsage};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::cluster::Shared;
use crate::pressure::priority_of;
use crate::stats::Trees;
use crate::usage::pods::running_of;

/// As a kubelet's eviction manager does.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Names that are looked at in one tree. What they take alone is more than most limits by then.
const ENTRIES_MAX: usize = 4_000_000;

/// Who measures.
#[derive(Debug)]
pub(crate) struct Measuring(Semaphore);

impl Default for Measuring {
    fn default() -> Self {
        Self(Semaphore::new(1))
    }
}

/// Looks at a pod until it ends, when it has limits at all and is not critical, for no node evicts those. To be aborted
/// when nobody tends the pod any more.
pub(crate) fn watch<N: Node>(shared: &Arc<Shared<N>>, uid: &PodUid) -> Option<JoinHandle<()>> {
    let pod = shared.kubelet.pod(uid)?;
    let limited = shared.kubelet.has_volume_limits(&pod) || StorageLimits::of(&pod.pod.spec).is_some();
    let limited = limited && priority_of(&shared.store, &pod) < CRITICAL;
    limited.then(|| tokio::spawn(follow(Arc::clone(shared), uid.clone())))
}

async fn follow<N: Node>(shared: Arc<Shared<N>>, uid: PodUid) {
    let mut failing = false;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if shared.tended().get(&uid).is_none_or(|tended| tended.finished) {
            return;
        }
        let Ok(_turn) = shared.measuring.0.acquire().await else { return };
        match over_limit(&shared, &uid).await {
            Ok(None) => failing = false,
            Ok(Some(message)) => return shared.kubelet.evict_pod(&uid, message),
            // Said once, until it works again.
            Err(error) if !std::mem::replace(&mut failing, true) => {
                tracing::warn!("the limits of disk space of pod {uid} are not kept: {error}");
            }
            Err(_) => {}
        }
    }
}

/// Volumes come first, as they do for a kubelet.
async fn over_limit<N: Node>(shared: &Shared<N>, uid: &PodUid) -> Result<Option<String>, PortError> {
    if let Some(message) = shared.kubelet.over_limit(uid).await? {
        return Ok(Some(message));
    }
    let Ok(subscription) = shared.kubelet.subscribe(uid) else { return Ok(None) };
    let Some(view) = subscription.view.borrow().clone() else { return Ok(None) };
    let Some(limits) = StorageLimits::of(&view.pod.pod.spec) else { return Ok(None) };
    let measured = tokio::task::spawn_blocking(move || storage_of(&view)).await;
    let storage = measured.map_err(|_| PortError("the engine is shutting down".to_owned()))?;
    Ok(limits.exceeded(&storage?))
}

/// What the pod has on the disk. Blocks.
fn storage_of(view: &PodView) -> Result<StorageUsage, PortError> {
    let running = running_of(view);
    let trees = Trees::of(&view.pod, running.iter().map(|of| (of.name.as_str(), of.attempt)));
    let held = |path: &Path| {
        let usage = tree_usage(path, ENTRIES_MAX, u64::MAX);
        usage
            .map(|usage| usage.bytes)
            .map_err(|error| PortError(format!("cannot measure what is in {}: {error}", path.display())))
    };
    let mut storage = StorageUsage::default();
    for (_, path) in &trees.volumes {
        storage.volumes = storage.volumes.saturating_add(held(path)?);
    }
    for (container, (layer, logs)) in running.into_iter().zip(&trees.containers) {
        storage.containers.push((container.name, held(layer)?.saturating_add(held(logs)?)));
    }
    Ok(storage)
}
