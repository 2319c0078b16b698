//! Images: `localhost/host`, which is built in, and the errors of all others, by pull policy
//! (<https://kubernetes.io/docs/concepts/containers/images/>).

mod filesystem;
mod host;
mod layer;
mod reference;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use container_config::ImageConfig;
use lifecycle::Pulled;
use podspec::PullPolicy;
use ports::{ImageError, ImageService, PortError};

use host::HostImage;
pub use host::HostImageError;
pub use reference::{ParseError, Reference};

/// The images of one node.
#[derive(Debug)]
pub struct Images {
    /// `None` when the built-in image is switched off.
    host: Option<Arc<HostImage>>,
}

impl Images {
    /// `images_dir` is `DATA/images`; engines on one directory may run side by side. `built_in`
    /// says whether `localhost/host` is to be had.
    #[must_use]
    pub fn new(images_dir: &Path, built_in: bool) -> Self {
        let host = built_in.then(|| Arc::new(HostImage::new(PathBuf::from("/"), images_dir.join("host"))));
        Self { host }
    }
}

impl ImageService for Images {
    async fn ensure(
        &self,
        image: &str,
        policy: PullPolicy,
    ) -> Result<(Arc<ImageConfig>, Option<Pulled>), ImageError> {
        let reference = Reference::parse(image).map_err(|error| invalid_name(image, &error))?;
        let is_host = reference.is("localhost", "host");
        if let Some(host) = self.host.as_ref().filter(|_| is_host) {
            let config = ensure_host(host).await.map_err(|error| inspect_failed(image, &error))?;
            if reference.digest.as_ref().is_none_or(|digest| config.id.ends_with(&format!("@{digest}"))) {
                return Ok((config, None));
            }
        }
        if policy == PullPolicy::Never {
            return Err(never_pull(image));
        }
        let why = if is_host && self.host.is_none() {
            "the built-in image is switched off on this node"
        } else if is_host {
            "the built-in image is never pulled, and this machine's has another digest"
        } else {
            "this monopod cannot pull from registries; image: localhost/host runs the programs of this machine"
        };
        let message = format!("failed to pull image \"{reference}\": {why}");
        Err(ImageError { reason: "ErrImagePull", message })
    }

    async fn inspect(&self, image_id: &str) -> Result<Arc<ImageConfig>, ImageError> {
        let absent = || ImageError {
            reason: "ImageInspectError",
            message: format!("Failed to inspect image \"{image_id}\": there is no such image"),
        };
        let host = self.host.as_ref().ok_or_else(absent)?;
        let found = host.inspect(image_id).map_err(|error| inspect_failed(image_id, &error))?;
        found.ok_or_else(absent)
    }
}

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

fn inspect_failed(image: &str, error: &HostImageError) -> ImageError {
    let message = format!("Failed to inspect image \"{image}\": {}", PortError::chain(error));
    ImageError { reason: "ImageInspectError", message }
}

#[cfg(test)]
mod tests;
