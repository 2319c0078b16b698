//! Images that are being pulled for a pod: with which secrets, and how far they are.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lifecycle::{Observation, PullAmount};
use podspec::{BootTime, ContainerName, Pod, PullPolicy};
use ports::{Clock, ImageRequest, ImageService, Observer, PortError, PullObserver, PullProgress, PullSecret};
use tokio::sync::watch;

use crate::Node;
use crate::apply::Effects;
use crate::inbox::Inbox;

/// A pull that lasts is told of in the pod's events so often.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// How far the pulls under way for a pod are, by the container that asked for the image.
pub type Pulls = BTreeMap<ContainerName, PullProgress>;

impl<N: Node> Effects<N> {
    pub(crate) async fn ensure_image(
        &self,
        container: ContainerName,
        image: String,
        policy: PullPolicy,
    ) -> Observation {
        let secrets = self.pull_secrets().await;
        let request = ImageRequest { image: &image, policy, secrets: &secrets };
        let pull = Arc::new(Pull {
            container: container.clone(),
            image: image.clone(),
            inbox: Arc::clone(&self.inbox),
            node: Arc::clone(&self.node),
            pulls: self.pulls.clone(),
            told: Mutex::new(None),
        });
        let _shown = Shown(Arc::clone(&pull));
        match self.node.images().ensure(&request, pull).await {
            Ok((config, pulled)) => {
                if pulled.is_some() {
                    self.pulled.notify_one();
                }
                let (image_id, repo_digest) = (config.id.clone(), config.repo_digest.clone());
                Observation::ImageReady { container, image, image_id, repo_digest, pulled }
            }
            Err(error) => Observation::ImageFailed {
                container,
                image,
                reason: error.reason.to_owned(),
                message: error.message,
            },
        }
    }

    /// Those of the pod that are there: an image may be had without the others.
    async fn pull_secrets(&self) -> Vec<PullSecret> {
        let pod = self.pod();
        let Pod { namespace, name: pod, spec, .. } = &pod.pod;
        let mut secrets = Vec::with_capacity(spec.image_pull_secrets.len());
        for name in &spec.image_pull_secrets {
            match self.node.objects().pull_secret(namespace, name).await {
                Ok(secret) => secrets.extend(secret),
                Err(PortError(why)) => {
                    tracing::warn!(%namespace, %pod, "images are pulled without the secret {name}: {why}");
                }
            }
        }
        secrets
    }
}

/// One image that is being made present.
struct Pull<N: Node> {
    container: ContainerName,
    image: String,
    inbox: Arc<Inbox<N>>,
    node: Arc<N>,
    pulls: watch::Sender<Pulls>,
    /// When it began, or was told of last.
    told: Mutex<Option<BootTime>>,
}

impl<N: Node> PullObserver for Pull<N> {
    fn pulling(&self) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.node.clock().now().boot);
        let (container, image) = (self.container.clone(), self.image.clone());
        self.inbox.observe(Observation::ImagePulling { container, image });
    }

    fn progress(&self, progress: &PullProgress) {
        self.pulls.send_modify(|pulls| {
            pulls.insert(self.container.clone(), progress.clone());
        });
        let now = self.node.clock().now().boot;
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if now.since(*told.get_or_insert(now)) < TELL_EVERY {
            return;
        }
        *told = Some(now);
        drop(told);
        self.inbox.observe(Observation::ImageProgress {
            container: self.container.clone(),
            image: self.image.clone(),
            progress: amount(progress),
        });
    }
}

fn amount(progress: &PullProgress) -> PullAmount {
    PullAmount {
        bytes: progress.bytes(),
        bytes_done: progress.bytes_done(),
        layers: progress.layers.len(),
        layers_done: progress.layers_done(),
    }
}

/// What is over is shown no longer, also when nobody waits for it any more.
struct Shown<N: Node>(Arc<Pull<N>>);

impl<N: Node> Drop for Shown<N> {
    fn drop(&mut self) {
        let Pull { container, pulls, .. } = &*self.0;
        pulls.send_if_modified(|pulls| pulls.remove(container).is_some());
    }
}
