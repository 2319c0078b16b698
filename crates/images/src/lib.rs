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
mod store;
mod stored;
mod tar_writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use container_config::ImageConfig;
use lifecycle::Pulled;
use podspec::PullPolicy;
use ports::{
    FileSystemBytes, ImageError, ImageOnNode, ImageRequest, ImageService, PortError, PullObserver, Reclaim,
    Reclaimed,
};

pub use access::Verdict;
pub use archive::{ArchiveError, LoadOptions, Loaded, Progress, SaveError, SaveFormat, Source};

pub use filesystem::unfit_for_layers;
use host::HostImage;
pub use host::HostImageError;
pub use import::{Applets, AppletsError, ElfError, ImportError, ImportOptions, ImportedProcess};
pub use layer::{LayerError, Refusal};
pub use registry::{Digest, ParseError, Reference};
pub use store::{
    ConfigError, ImageDetails, ImageSummary, LayerDetails, LivingPods, PodImages, RemoveError, Removed,
    SelectError, Store, StoreError,
};
use stored::StoredImages;

/// The images of one node.
#[derive(Debug)]
pub struct Images {
    /// `None` when the built-in image is switched off.
    host: Option<Arc<HostImage>>,
    stored: Arc<StoredImages>,
}

impl Images {
    /// `images_dir` is `DATA/images`; engines on one directory may run side by side. `built_in`
    /// says whether `localhost/host` is to be had.
    #[must_use]
    pub fn new(images_dir: &Path, built_in: bool) -> Self {
        let host = built_in.then(|| Arc::new(HostImage::new(PathBuf::from("/"), images_dir.join("host"))));
        Self { host, stored: Arc::new(StoredImages::new(Store::new(images_dir))) }
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
        _: Arc<dyn PullObserver>,
    ) -> Result<(Arc<ImageConfig>, Option<Pulled>), ImageError> {
        let ImageRequest { image, policy, secrets: _ } = *request;
        let reference = Reference::parse(image).map_err(|error| invalid_name(image, &error))?;
        if reference.is_built_in() {
            return match self.built_in(image, &reference).await {
                Err(error) if error.reason == PULL_FAILED && policy == PullPolicy::Never => {
                    Err(never_pull(image))
                }
                ensured => ensured.map(|config| (config, None)),
            };
        }
        let is_local = reference.domain == "localhost";
        match (self.stored(image, &reference).await?, policy) {
            (Some(config), PullPolicy::IfNotPresent | PullPolicy::Never) => Ok((config, None)),
            (Some(config), PullPolicy::Always) if is_local => Ok((config, None)),
            (Some(_), PullPolicy::Always) => Err(cannot_pull(&reference, ALWAYS_PULLED)),
            (None, PullPolicy::Never) => Err(never_pull(image)),
            (None, _) => Err(cannot_pull(&reference, NO_REGISTRIES)),
        }
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

    async fn reclaim(&self, _: Reclaim) -> Result<Reclaimed, PortError> {
        Err(PortError("this monopod removes no images by itself".to_owned()))
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
const ALWAYS_PULLED: &str = "this monopod cannot pull from registries, and its imagePullPolicy is Always, as it is \
                             for the tag latest unless given; set imagePullPolicy: IfNotPresent to use the image \
                             that was loaded";
const NO_REGISTRIES: &str = "this monopod cannot pull from registries; load an archive of the image with `monopod \
                             image load`; image: localhost/host runs the programs of this machine";

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
