//! Pods whose volumes hold more than they may are evicted. Nothing says when files grow, so they are looked at; only
//! those of pods with such a limit, one pod at a time.

use std::sync::Arc;
use std::time::Duration;

use kubelet::Node;
use podspec::PodUid;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::cluster::Shared;

/// As a kubelet's eviction manager does.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Who measures.
#[derive(Debug)]
pub(crate) struct Measuring(Semaphore);

impl Default for Measuring {
    fn default() -> Self {
        Self(Semaphore::new(1))
    }
}

/// Looks at a pod until it ends, when it has limits at all. To be aborted when nobody tends the pod any more.
pub(crate) fn watch<N: Node>(shared: &Arc<Shared<N>>, uid: &PodUid) -> Option<JoinHandle<()>> {
    let pod = shared.kubelet.pod(uid)?;
    let limited = shared.kubelet.has_volume_limits(&pod);
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
        match shared.kubelet.over_limit(&uid).await {
            Ok(None) => failing = false,
            Ok(Some(message)) => return shared.kubelet.evict_pod(&uid, message),
            // Said once, until it works again.
            Err(error) if !std::mem::replace(&mut failing, true) => {
                tracing::warn!("the limits of the volumes of pod {uid} are not kept: {error}");
            }
            Err(_) => {}
        }
    }
}
