//! Images: how they come onto the node, and how they leave it.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use container_config::ImageConfig;
use lifecycle::Pulled;
use podspec::PullPolicy;

use crate::PortError;

/// A secret with credentials of registries, as a pod names it in `imagePullSecrets`.
#[derive(Clone, PartialEq, Eq)]
pub struct PullSecret {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub kind: PullSecretKind,
    /// The one value that its type stands for.
    pub bytes: Vec<u8>,
}

/// Its type, by the key of its value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PullSecretKind {
    /// `kubernetes.io/dockerconfigjson`: `.dockerconfigjson`.
    DockerConfigJson,
    /// `kubernetes.io/dockercfg`: `.dockercfg`.
    DockerCfg,
}

impl fmt::Debug for PullSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, name, uid, kind, bytes: _ } = self;
        write!(f, "PullSecret({namespace}/{name} {uid} {kind:?})")
    }
}

/// An image that a container of a pod needs.
#[derive(Clone, Copy, Debug)]
pub struct ImageRequest<'r> {
    /// As the pod names it.
    pub image: &'r str,
    pub policy: PullPolicy,
    /// Those of the pod that are there, in its order.
    pub secrets: &'r [PullSecret],
}

/// Hears of a pull while it goes on. Never blocks.
pub trait PullObserver: Send + Sync + 'static {
    /// A registry is about to be asked. Once at most, and before any progress; not for an image that may be used as
    /// it is.
    fn pulling(&self);
    /// How far it is: some ten times a second at most.
    fn progress(&self, progress: &PullProgress);
}

/// Of whoever does not want to know.
#[derive(Clone, Copy, Debug)]
pub struct NoObserver;

impl PullObserver for NoObserver {
    fn pulling(&self) {}
    fn progress(&self, _: &PullProgress) {}
}

/// How far a pull is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PullProgress {
    /// As the pod names it.
    pub image: String,
    /// All that the image consists of; those that are on the node already are done from the start.
    pub layers: Vec<LayerProgress>,
}

impl PullProgress {
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.layers.iter().fold(0, |sum, layer| sum.saturating_add(layer.bytes))
    }

    #[must_use]
    pub fn bytes_done(&self) -> u64 {
        self.layers.iter().fold(0, |sum, layer| sum.saturating_add(layer.bytes_done.min(layer.bytes)))
    }

    #[must_use]
    pub fn layers_done(&self) -> usize {
        self.layers.iter().filter(|layer| layer.bytes_done >= layer.bytes).count()
    }
}

/// One layer, in bytes as they come from the registry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LayerProgress {
    pub digest: String,
    pub bytes: u64,
    pub bytes_done: u64,
}

/// Why an image is not there: `reason` is the container's `waiting.reason`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct ImageError {
    /// `ErrImagePull`, `RegistryUnavailable`, `SignatureValidationFailed`, `ErrImageNeverPull`, `InvalidImageName`,
    /// `ImageInspectError`.
    pub reason: &'static str,
    pub message: String,
}

/// Which unused images are to go, those first that were used longest ago.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reclaim {
    /// Until so many bytes were freed; `None`: all of them.
    pub bytes: Option<u64>,
    /// None that came or was used within this time.
    pub age_min: Duration,
}

/// What became of [`Reclaim`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reclaimed {
    pub images: usize,
    pub bytes: u64,
    /// Of images that could not be removed.
    pub errors: Vec<String>,
}

/// The file system that holds the images.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileSystemBytes {
    pub capacity: u64,
    /// What an ordinary user may still write.
    pub available: u64,
}

/// An image of the node, as `node.status.images` has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImageOnNode {
    /// With digests, `REPOSITORY@DIGEST`, before those with tags.
    pub names: Vec<String>,
    pub bytes: u64,
}

pub trait ImageService: Send + Sync + 'static {
    /// Makes an image present as its policy allows, for a pod that may use it; says what was fetched for it, if
    /// anything. Who waits for the pull of another hears of its progress, too.
    fn ensure(
        &self,
        request: &ImageRequest<'_>,
        observer: Arc<dyn PullObserver>,
    ) -> impl Future<Output = Result<(Arc<ImageConfig>, Option<Pulled>), ImageError>> + Send;

    /// A present image by its id.
    fn inspect(&self, image_id: &str) -> impl Future<Output = Result<Arc<ImageConfig>, ImageError>> + Send;

    /// Removes images that no pod uses. Goes on past errors.
    fn reclaim(&self, wanted: Reclaim) -> impl Future<Output = Result<Reclaimed, PortError>> + Send;

    /// Where the images are.
    fn file_system(&self) -> impl Future<Output = Result<FileSystemBytes, PortError>> + Send;

    /// All images of the node.
    fn list(&self) -> impl Future<Output = Result<Vec<ImageOnNode>, PortError>> + Send;
}
