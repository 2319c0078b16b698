//! Volumes of files: what the files are to be comes from `container-config`, what it is made of from the API.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use container_config::{Files, NodeFacts, Objects, Tokens, objects_of_volume, projected_files};
use linux_sys::clock::boot_ns;
use podspec::source::{Projected, Projection, TokenProjection};
use podspec::{BootTime, PodUid, Volume, VolumeSource};
use ports::{ObjectReader, PodContext, PortError, Token};
use tokio::sync::Mutex as AsyncMutex;

/// A token is replaced when this part of its life is over, in percent.
const TOKEN_USED_PERCENT: u32 = 80;
/// However long it lives, as in Kubernetes.
const TOKEN_AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What is known of the pods whose volumes have files.
#[derive(Debug)]
pub(crate) struct Reader {
    objects: Arc<dyn ObjectReader>,
    node: NodeFacts,
    pods: Mutex<BTreeMap<PodUid, Arc<AsyncMutex<HeldTokens>>>>,
}

/// The tokens in a pod's files. Whoever holds the lock has the pod's files to itself.
pub(crate) type HeldTokens = BTreeMap<TokenProjection, HeldToken>;

#[derive(Debug)]
pub(crate) struct HeldToken {
    text: String,
    /// When it is to be replaced.
    due: BootTime,
}

/// The files that each volume is to have, by the volume's place.
pub(crate) type Contents = BTreeMap<usize, Result<Files, String>>;

impl Reader {
    pub(crate) fn new(node: NodeFacts, objects: Arc<dyn ObjectReader>) -> Self {
        Self { objects, node, pods: Mutex::default() }
    }

    pub(crate) fn objects(&self) -> &dyn ObjectReader {
        &*self.objects
    }

    pub(crate) fn held(&self, uid: &PodUid) -> Arc<AsyncMutex<HeldTokens>> {
        Arc::clone(self.pods().entry(uid.clone()).or_default())
    }

    pub(crate) fn forget(&self, uid: &PodUid) {
        self.pods().remove(uid);
    }

    /// Reads what the pod's volumes are made of. A token that is held is used until it is due.
    pub(crate) async fn contents(&self, pod: &PodContext, held: &mut HeldTokens) -> Contents {
        let mut contents = Contents::new();
        for (place, volume) in pod.pod.spec.volumes.iter().enumerate() {
            if let VolumeSource::Projected(projected) = &volume.source {
                contents.insert(place, self.content(pod, volume, projected, held).await);
            }
        }
        contents
    }

    async fn content(
        &self,
        pod: &PodContext,
        volume: &Volume,
        projected: &Projected,
        held: &mut HeldTokens,
    ) -> Result<Files, String> {
        let mut objects = Objects::default();
        for object in objects_of_volume(volume) {
            let read = self.objects.read(&pod.pod.namespace, object.kind, &object.name).await;
            if let Some(data) = read.map_err(|PortError(why)| why)? {
                objects.insert(object.kind, &object.name, data);
            }
        }
        let mut tokens = Tokens::new();
        for source in &projected.sources {
            if let Projection::Token(wanted) = source {
                tokens.insert(wanted.clone(), self.token(pod, wanted, held).await);
            }
        }
        projected_files(&pod.pod, projected, &objects, &tokens, &self.node)
    }

    async fn token(
        &self,
        pod: &PodContext,
        wanted: &TokenProjection,
        held: &mut HeldTokens,
    ) -> Result<String, String> {
        let now = BootTime(boot_ns());
        if let Some(token) = held.get(wanted).filter(|token| token.due > now) {
            return Ok(token.text.clone());
        }
        let issued = self.objects.token(&pod.pod, wanted).await;
        let Token { text, lifetime } =
            issued.map_err(|PortError(why)| format!("failed to fetch token: {why}"))?;
        let due = now.after((lifetime * TOKEN_USED_PERCENT / 100).min(TOKEN_AGE_MAX));
        held.insert(wanted.clone(), HeldToken { text: text.clone(), due });
        Ok(text)
    }

    fn pods(&self) -> MutexGuard<'_, BTreeMap<PodUid, Arc<AsyncMutex<HeldTokens>>>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When the first of the tokens is to be replaced.
pub(crate) fn due_in(held: &HeldTokens) -> Option<Duration> {
    let now = BootTime(boot_ns());
    held.values().map(|token| token.due.since(now)).min()
}

pub(crate) fn has_files(pod: &PodContext) -> bool {
    pod.pod.spec.volumes.iter().any(|volume| matches!(volume.source, VolumeSource::Projected(_)))
}
