//! Keeps the files of running pods up to date: one task watches config maps and secrets, hears of pods whose labels
//! changed, and knows when the next token is to be replaced.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use container_config::{objects_of_variables, objects_of_volume};
use kubelet::Node;
use podspec::source::{ObjectKind, ObjectRef, Projection};
use podspec::{Pod, PodUid, VolumeSource};
use ports::PortError;
use store::{Change, Watch, WatchError};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::cluster::Shared;
use crate::objects::resource_of;

/// After a failure nothing else may come of, as of a token that could not be had.
const AGAIN: Duration = Duration::from_secs(60);

/// Which pods are to be looked at, and when: at most once for each pod that is here.
#[derive(Debug, Default)]
pub(crate) struct Updates {
    due: Mutex<BTreeMap<PodUid, Instant>>,
    earlier: Notify,
}

impl Updates {
    /// The pod's files are to be looked at after `delay`, or before if that was said already.
    pub(crate) fn look(&self, uid: &PodUid, delay: Duration) {
        let at = Instant::now() + delay;
        let mut due = self.due();
        let held = due.entry(uid.clone()).or_insert(at);
        *held = at.min(*held);
        drop(due);
        self.earlier.notify_one();
    }

    /// A pod has begun: its first tokens are made a moment later.
    pub(crate) fn begun(&self, pod: &Pod) {
        if let Some(delay) = token_use(pod) {
            self.look(&pod.uid, delay);
        }
    }

    /// Waits until a pod is to be looked at. Cancel-safe.
    async fn next(&self) -> PodUid {
        loop {
            let first = self.due().iter().min_by_key(|(_, at)| **at).map(|(uid, at)| (uid.clone(), *at));
            match first {
                Some((uid, at)) if at <= Instant::now() => {
                    self.due().remove(&uid);
                    return uid;
                }
                Some((_, at)) => tokio::select! {
                    () = sleep_until(at) => {}
                    () = self.earlier.notified() => {}
                },
                None => self.earlier.notified().await,
            }
        }
    }

    fn due(&self) -> MutexGuard<'_, BTreeMap<PodUid, Instant>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long the first of the pod's tokens to end may be used, counted from before it was made.
fn token_use(pod: &Pod) -> Option<Duration> {
    let sources = pod.spec.volumes.iter().flat_map(|volume| match &volume.source {
        VolumeSource::Projected(projected) => projected.sources.as_slice(),
        _ => &[],
    });
    let lifetime = sources.filter_map(|source| match source {
        Projection::Token(token) => Some(token.lifetime),
        _ => None,
    });
    lifetime.min().map(|lifetime| lifetime * 4 / 5)
}

/// For as long as the process lives.
pub(crate) async fn follow<N: Node>(shared: Arc<Shared<N>>) {
    loop {
        let from = shared.store.revision();
        let watch = |kind| shared.store.watch(resource_of(kind), None, from);
        let (Ok(config_maps), Ok(secrets)) = (watch(ObjectKind::ConfigMap), watch(ObjectKind::Secret)) else {
            continue;
        };
        // What changed while nobody watched is not known.
        for pod in shared.kubelet.pods_here().iter().map(|pod| &pod.pod) {
            if pod.spec.volumes.iter().any(|volume| matches!(volume.source, VolumeSource::Projected(_))) {
                shared.updates.look(&pod.uid, Duration::ZERO);
            }
        }
        // An error says that this fell behind the store's history.
        let _ = see(&shared, config_maps, secrets).await;
    }
}

async fn see<N: Node>(
    shared: &Arc<Shared<N>>,
    mut config_maps: Watch,
    mut secrets: Watch,
) -> Result<(), WatchError> {
    loop {
        tokio::select! {
            change = config_maps.next() => concern(shared, ObjectKind::ConfigMap, &change?),
            change = secrets.next() => concern(shared, ObjectKind::Secret, &change?),
            uid = shared.updates.next() => refresh(shared, &uid).await,
        }
    }
}

/// Looks at the pods that name the object.
fn concern<N: Node>(shared: &Shared<N>, kind: ObjectKind, change: &Change) {
    let key = &change.object.key;
    for pod in shared.kubelet.pods_here().iter().map(|pod| &pod.pod) {
        if pod.namespace != key.namespace {
            continue;
        }
        let is_it = |object: &ObjectRef| object.kind == kind && object.name == key.name;
        let in_files = pod.spec.volumes.iter().flat_map(objects_of_volume).any(is_it);
        if in_files {
            shared.updates.look(&pod.uid, Duration::ZERO);
        }
        if in_files || pod.spec.all_containers().flat_map(objects_of_variables).any(is_it) {
            shared.kubelet.objects_changed(&pod.uid);
        }
    }
}

async fn refresh<N: Node>(shared: &Arc<Shared<N>>, uid: &PodUid) {
    let Some(pod) = shared.kubelet.pod(uid) else { return };
    let again = match shared.kubelet.refresh_volumes(uid).await {
        // Without a token yet: its volumes are not there yet.
        Ok(due) => due.or_else(|| token_use(&pod.pod)),
        Err(PortError(why)) => {
            let (namespace, name) = (&pod.pod.namespace, &pod.pod.name);
            tracing::warn!("files of pod {namespace}/{name} stay as they are: {why}");
            token_use(&pod.pod).map(|_| AGAIN)
        }
    };
    if let Some(delay) = again {
        shared.updates.look(uid, delay);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use podspec::{IDENTITY_BYTES, PodUid};
    use tokio::time::timeout;

    use super::{Updates, token_use};

    #[tokio::test]
    async fn the_earliest_comes_first_and_each_once() {
        let updates = Updates::default();
        let (a, b, later) = (PodUid::new("a"), PodUid::new("b"), PodUid::new("later"));
        updates.look(&later, Duration::from_secs(3_600));
        updates.look(&a, Duration::from_secs(3_600));
        updates.look(&b, Duration::from_millis(20));
        updates.look(&a, Duration::ZERO);
        updates.look(&a, Duration::from_secs(60));
        assert_eq!(updates.next().await, a);
        assert_eq!(updates.next().await, b);
        let none = timeout(Duration::from_millis(20), updates.next()).await;
        assert!(none.is_err(), "{none:?}");
        // One that is to come sooner wakes whoever waits.
        let (next, ()) = tokio::join!(updates.next(), async { updates.look(&later, Duration::ZERO) });
        assert_eq!(next, later);
    }

    #[test]
    fn the_shortest_token_says_when() {
        let pod = |volumes: &str| {
            let text = format!(
                "{{apiVersion: v1, kind: Pod, metadata: {{name: p}}, spec: {{containers: [{{name: a, image: i}}], \
                 volumes: [{volumes}]}}}}"
            );
            podspec::load_pods("test", &text, || [7; IDENTITY_BYTES]).unwrap().remove(0).admitted.pod
        };
        let tokens = "{name: v, projected: {sources: [{serviceAccountToken: {path: a}}, \
                      {serviceAccountToken: {path: b, expirationSeconds: 600}}]}}";
        assert_eq!(token_use(&pod(tokens)), Some(Duration::from_secs(480)));
        assert_eq!(token_use(&pod("{name: v, configMap: {name: c}}")), None);
    }
}
