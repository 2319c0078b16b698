//! Images: those of the store, `localhost/host`, which is built in, and the errors of all others, by pull
//! policy (<https://kubernetes.io/docs/concepts/containers/images/>).

mod access;
mod archive;
mod config;
mod filesystem;
mod host;
mod import;
mod layer;
mod load;
mod manifest;
mod platform;
mod pull;
mod signature;
mod store;
mod stored;
mod tar_writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use container_config::ImageConfig;
use lifecycle::Pulled;
use podspec::PullPolicy;
use ports::{
    FileSystemBytes, ImageError, ImageOnNode, ImageRequest, ImageService, PortError, PullObserver,
    PullProgress, PullSecret, PullSecretKind, Reclaim, Reclaimed,
};

pub use access::Verdict;
pub use archive::{ArchiveError, LoadOptions, Loaded, Progress, SaveError, SaveFormat, Source};

pub use config::Platform;
pub use filesystem::unfit_for_layers;
use host::HostImage;
pub use host::HostImageError;
pub use import::{Applets, AppletsError, ElfError, ImportError, ImportOptions, ImportedProcess};
pub use layer::{LayerError, Refusal};
pub use platform::PlatformError;
pub use pull::{ManifestError, PullError};
use pull::{Pulls, Wanted};
pub use registry::{Digest, ParseError, Reference};
use registry::{NodeCredentials, SecretData, SecretKind};
pub use signature::{DEFAULT_POLICY_PATH, Policy, PolicyError, SignatureError};
pub use store::{
    ConfigError, ImageDetails, ImageSummary, LayerDetails, LivingPods, PodImages, PruneOptions, Pruned,
    RemoveError, Removed, SelectError, SharedPods, Store, StoreError,
};
use stored::StoredImages;

/// The images of one node.
#[derive(Debug)]
pub struct Images {
    /// `None` when the built-in image is switched off.
    host: Option<Arc<HostImage>>,
    stored: Arc<StoredImages>,
    pods: SharedPods,
    /// `None` where no registry is asked.
    pulls: Option<Arc<Pulls>>,
}

/// With what registries are asked.
#[derive(Debug)]
pub struct Registries {
    pub client: registry::Client,
    /// Of this machine's users: everybody's on the node.
    pub credentials: NodeCredentials,
    /// Which images may be pulled at all.
    pub policy: Policy,
    /// Images that are pulled at the same time, at most; others wait for their turn.
    pub pulls_at_once: usize,
}

impl Images {
    /// Those of `images_dir`, `DATA/images`; engines on one directory may run side by side. `built_in`
    /// says whether `localhost/host` is to be had. No registry is asked.
    #[must_use]
    pub fn new(images_dir: &Path, built_in: bool) -> Self {
        let host = built_in.then(|| Arc::new(HostImage::new(PathBuf::from("/"), images_dir.join("host"))));
        let not_known =
            SharedPods::new(|| Err(PortError("which images are in use is not known here".to_owned())));
        let stored = Arc::new(StoredImages::new(Store::new(images_dir)));
        Self { host, stored, pods: not_known, pulls: None }
    }

    /// Pulls what is not there. `pods` says what living pods have of images: nothing of that is ever removed.
    #[must_use]
    pub fn with_registries(self, registries: Registries, pods: SharedPods) -> Self {
        let pulls = Pulls::new(self.stored.store().clone(), registries, pods.clone());
        Self { pods, pulls: Some(Arc::new(pulls)), ..self }
    }

    /// Asks its registry for an image in any case, with the credentials of the node alone; for this machine's platform
    /// unless another one is given. A pull whose future is dropped is given up, see [`Images::idle`].
    ///
    /// # Errors
    /// When the image cannot be had; what was whole of its layers stays for the next attempt.
    pub async fn pull(
        &self,
        image: &str,
        platform: Option<Platform>,
        observer: &dyn PullObserver,
    ) -> Result<(Arc<ImageConfig>, Pulled), ImageError> {
        let reference = Reference::parse(image).map_err(|error| invalid_name(image, &error))?;
        let pulls = self.registry_of(&reference)?;
        let platform = platform.unwrap_or_else(Platform::host);
        let wanted = Wanted { reference, always: true, platform, secrets: Vec::new() };
        self.pull_wanted(pulls, image, wanted, observer).await
    }

    /// With what the registry is asked that an image is in.
    fn registry_of(&self, reference: &Reference) -> Result<&Arc<Pulls>, ImageError> {
        match &self.pulls {
            _ if reference.domain == LOCAL => Err(cannot_pull(reference, LOCAL_ONLY)),
            None => Err(cannot_pull(reference, NO_REGISTRIES)),
            Some(pulls) => Ok(pulls),
        }
    }

    /// Waits until no pull is under way, and all that those left is cleared away.
    pub async fn idle(&self) {
        if let Some(pulls) = &self.pulls {
            pulls.idle().await;
        }
    }

    /// Where they are kept.
    #[must_use]
    pub fn store(&self) -> &Store {
        self.stored.store()
    }

    /// Begins to make what these images need that are made here and not there yet, beside whatever else is done. Who needs
    /// one waits for it, and is told what is wrong.
    pub fn prepare<'a>(&self, mut images: impl Iterator<Item = &'a str>) {
        let Some(host) = &self.host else { return };
        if images.any(|image| Reference::parse(image).is_ok_and(|image| image.is_built_in())) {
            let host = Arc::clone(host);
            tokio::task::spawn_blocking(move || host.ensure().map(drop));
        }
    }

    /// `localhost/host`, if that is what it is.
    async fn built_in(&self, image: &str, reference: &Reference) -> Result<Arc<ImageConfig>, ImageError> {
        let why = if let Some(host) = &self.host {
            let config = ensure_host(host).await.map_err(|error| inspect_failed(image, &error))?;
            if reference.digest.as_ref().is_none_or(|digest| config.id.ends_with(&format!("@{digest}"))) {
                return Ok(config);
            }
            "the built-in image is never pulled, and this machine's has another digest"
        } else {
            "the built-in image is switched off on this node"
        };
        Err(cannot_pull(reference, why))
    }

    /// Asks the registry, together with all who want the same.
    async fn pull_wanted(
        &self,
        pulls: &Arc<Pulls>,
        image: &str,
        wanted: Wanted,
        observer: &dyn PullObserver,
    ) -> Result<(Arc<ImageConfig>, Pulled), ImageError> {
        let reference = wanted.reference.clone();
        observer.pulling();
        let show = |progress: &PullProgress| {
            observer.progress(&PullProgress { image: image.to_owned(), ..progress.clone() });
        };
        let done = pulls.pull(wanted, PROGRESS_PAUSE, show).await.map_err(|error| ImageError {
            reason: error.reason(),
            message: format!("failed to pull image \"{reference}\": {}", PortError::chain(&*error)),
        })?;
        let found = self.stored(image, &reference).await?;
        // What it leads to now may be another one's, with other rights.
        let Some(config) = found.filter(|found| found.id == done.image.to_string()) else {
            return Err(cannot_pull(&reference, "somebody else has removed or replaced it at once"));
        };
        let stored = Arc::clone(&self.stored);
        let bytes = tokio::task::spawn_blocking(move || stored.store().size_bytes(done.image)).await;
        let bytes = bytes.ok().and_then(Result::ok).unwrap_or_default();
        Ok((config, Pulled { took: done.took, waited: done.waited, bytes }))
    }

    /// Whether whoever has the secrets may use what was pulled, perhaps by others.
    async fn may_use(&self, config: &ImageConfig, reference: &Reference, secrets: &[SecretData]) -> bool {
        let (Some(image), Some(_)) = (Digest::parse(&config.id), &config.repo_digest) else { return true };
        let (store, reference) = (self.stored.store().clone(), reference.clone());
        // What is wrong with a secret is told when it is needed.
        let (candidates, _) = registry::of_secrets(secrets, &reference);
        let verdict =
            tokio::task::spawn_blocking(move || store.may_use(image, true, &reference, &candidates)).await;
        verdict.is_ok_and(|verdict| verdict == Verdict::Allowed)
    }

    async fn stored(
        &self,
        image: &str,
        reference: &Reference,
    ) -> Result<Option<Arc<ImageConfig>>, ImageError> {
        if let Some(config) = self.stored.unchanged(reference) {
            return Ok(Some(config));
        }
        let (stored, wanted) = (Arc::clone(&self.stored), reference.clone());
        let found = tokio::task::spawn_blocking(move || stored.find(&wanted)).await;
        let found = found.map_err(|_| inspect_failed(image, &HostImageError::Interrupted))?;
        found.map_err(|error| inspect_failed(image, &error))
    }
}

impl ImageService for Images {
    async fn ensure(
        &self,
        request: &ImageRequest<'_>,
        observer: Arc<dyn PullObserver>,
    ) -> Result<(Arc<ImageConfig>, Option<Pulled>), ImageError> {
        let ImageRequest { image, policy, secrets } = *request;
        let reference = Reference::parse(image).map_err(|error| invalid_name(image, &error))?;
        if reference.is_built_in() {
            return match self.built_in(image, &reference).await {
                Err(error) if error.reason == PULL_FAILED && policy == PullPolicy::Never => {
                    Err(never_pull(image))
                }
                ensured => ensured.map(|config| (config, None)),
            };
        }
        let secrets: Vec<SecretData> = secrets.iter().map(secret_data).collect();
        let mut has_to_be_asked = policy == PullPolicy::Always && reference.domain != LOCAL;
        if !has_to_be_asked {
            match self.stored(image, &reference).await? {
                Some(config) if self.may_use(&config, &reference, &secrets).await => {
                    return Ok((config, None));
                }
                // A kubelet says the same: a pod without the right is not told that the image is there.
                Some(_) if policy == PullPolicy::Never => {
                    tracing::info!(
                        "{image} is present, but the pod has none of the secrets it was pulled with"
                    );
                    return Err(never_pull(image));
                }
                None if policy == PullPolicy::Never => return Err(never_pull(image)),
                // Of whom it is, the registry knows.
                present => has_to_be_asked = present.is_some(),
            }
        }
        let pulls = self.registry_of(&reference)?;
        let platform = Platform::host();
        let wanted = Wanted { reference, always: has_to_be_asked, platform, secrets };
        let (config, pulled) = self.pull_wanted(pulls, image, wanted, &*observer).await?;
        Ok((config, Some(pulled)))
    }

    async fn inspect(&self, image_id: &str) -> Result<Arc<ImageConfig>, ImageError> {
        let absent = || ImageError {
            reason: "ImageInspectError",
            message: format!("Failed to inspect image \"{image_id}\": there is no such image"),
        };
        if let Some(image) = Digest::parse(image_id) {
            let found = self.stored.inspect(image).map_err(|error| inspect_failed(image_id, &error))?;
            return found.ok_or_else(absent);
        }
        let host = self.host.as_ref().ok_or_else(absent)?;
        let found = host.inspect(image_id).map_err(|error| inspect_failed(image_id, &error))?;
        found.ok_or_else(absent)
    }

    /// An image that was loaded or imported stays: it could not be had again by whoever needs it next.
    async fn reclaim(&self, wanted: Reclaim) -> Result<Reclaimed, PortError> {
        let (store, pods) = (self.stored.store().clone(), self.pods.clone());
        let options = PruneOptions {
            images: true,
            unused_for: wanted.age_min,
            bytes: wanted.bytes,
            ..PruneOptions::default()
        };
        let pruned = tokio::task::spawn_blocking(move || store.prune(&options, pods.ask())).await;
        let pruned = pruned.map_err(|error| PortError::chain(&error))?;
        let pruned = pruned.map_err(|error| PortError::chain(&error))?;
        Ok(Reclaimed { images: pruned.images, bytes: pruned.bytes, errors: Vec::new() })
    }

    async fn file_system(&self) -> Result<FileSystemBytes, PortError> {
        self.stored.file_system().map_err(|error| PortError::chain(&error))
    }

    async fn list(&self) -> Result<Vec<ImageOnNode>, PortError> {
        let stored = Arc::clone(&self.stored);
        let listed = tokio::task::spawn_blocking(move || stored.on_node()).await;
        let listed = listed.map_err(|error| PortError::chain(&error))?;
        listed.map_err(|error| PortError::chain(&error))
    }
}

const PULL_FAILED: &str = "ErrImagePull";
/// What is called `localhost/NAME` is this machine's own; `localhost:PORT/NAME` is in a registry.
const LOCAL: &str = "localhost";
const LOCAL_ONLY: &str = "images of localhost are never pulled; load an archive of it with `monopod image load`, or make \
                          it with `monopod image import`; image: localhost/host runs the programs of this machine";
const NO_REGISTRIES: &str = "no registry is asked here; load an archive of the image with `monopod image load`; image: \
                             localhost/host runs the programs of this machine";
/// Between two reports of how far a pull is.
const PROGRESS_PAUSE: Duration = Duration::from_millis(100);

/// Off the async threads when there is work to do.
async fn ensure_host(host: &Arc<HostImage>) -> Result<Arc<ImageConfig>, HostImageError> {
    if let Some(config) = host.unchanged() {
        return Ok(config);
    }
    let host = Arc::clone(host);
    tokio::task::spawn_blocking(move || host.ensure()).await.map_err(|_| HostImageError::Interrupted)?
}

fn invalid_name(image: &str, error: &ParseError) -> ImageError {
    let message = format!(
        "Failed to apply default image tag \"{image}\": couldn't parse image name \"{image}\": {error}"
    );
    ImageError { reason: "InvalidImageName", message }
}

fn secret_data(secret: &PullSecret) -> SecretData {
    let PullSecret { namespace, name, uid, kind, bytes } = secret.clone();
    let kind = match kind {
        PullSecretKind::DockerConfigJson => SecretKind::DockerConfigJson,
        PullSecretKind::DockerCfg => SecretKind::DockerCfg,
    };
    SecretData { namespace, name, uid, kind, bytes }
}

fn never_pull(image: &str) -> ImageError {
    let message = format!("Container image \"{image}\" is not present with pull policy of Never");
    ImageError { reason: "ErrImageNeverPull", message }
}

fn cannot_pull(reference: &Reference, why: &str) -> ImageError {
    let message = format!("failed to pull image \"{reference}\": {why}");
    ImageError { reason: PULL_FAILED, message }
}

fn inspect_failed(image: &str, error: &(dyn std::error::Error + 'static)) -> ImageError {
    let message = format!("Failed to inspect image \"{image}\": {}", PortError::chain(error));
    ImageError { reason: "ImageInspectError", message }
}

#[cfg(test)]
mod tests;
