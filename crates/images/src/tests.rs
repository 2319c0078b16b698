//! Pull policies and the errors of images that are not there.

use std::path::Path;

use podspec::PullPolicy;
use ports::ImageService as _;

use super::Images;
use crate::host::tests::Directory;

const POLICIES: [PullPolicy; 3] = [PullPolicy::Always, PullPolicy::IfNotPresent, PullPolicy::Never];

/// `reason: message`
async fn refusal(images: &Images, image: &str, policy: PullPolicy) -> String {
    let error = images.ensure(image, policy).await.expect_err("no such image");
    format!("{}: {}", error.reason, error.message)
}

#[tokio::test]
async fn images_of_registries_are_refused_by_policy() {
    let images = Images::new(Path::new("/nonexistent"), true);
    for policy in [PullPolicy::Always, PullPolicy::IfNotPresent] {
        assert_eq!(
            refusal(&images, "busybox", policy).await,
            "ErrImagePull: failed to pull image \"docker.io/library/busybox:latest\": this monopod cannot pull \
             from registries; load an archive of the image with `monopod image load`; image: localhost/host \
             runs the programs of this machine"
        );
    }
    assert_eq!(
        refusal(&images, "busybox", PullPolicy::Never).await,
        "ErrImageNeverPull: Container image \"busybox\" is not present with pull policy of Never"
    );
    for policy in POLICIES {
        assert_eq!(
            refusal(&images, "Busy Box", policy).await,
            "InvalidImageName: Failed to apply default image tag \"Busy Box\": couldn't parse image name \
             \"Busy Box\": invalid reference format: repository name (library/Busy Box) must be lowercase"
        );
    }
}

#[tokio::test]
async fn the_built_in_image_can_be_switched_off() {
    let images = Images::new(Path::new("/nonexistent"), false);
    assert_eq!(
        refusal(&images, "localhost/host", PullPolicy::Always).await,
        "ErrImagePull: failed to pull image \"localhost/host:latest\": the built-in image is switched off on \
         this node"
    );
    assert!(refusal(&images, "localhost/host", PullPolicy::Never).await.starts_with("ErrImageNeverPull: "));
}

#[tokio::test]
async fn the_built_in_image_is_present_under_every_policy_and_never_pulled() {
    let Some(directory) = Directory::for_layers() else { return };
    let images = Images::new(directory.path(), true);
    for policy in POLICIES {
        let (config, pulled) = images.ensure("localhost/host", policy).await.expect("present");
        assert_eq!(pulled, None);
        assert!(config.id.starts_with("localhost/host@sha256:"), "{}", config.id);
        let by_digest = images.ensure(&config.id, policy).await.expect("present by its digest");
        assert_eq!(by_digest.0, config);
        assert_eq!(images.inspect(&config.id).await.expect("present"), config);
    }
    let other = format!("localhost/host@sha256:{}", "0".repeat(64));
    assert!(refusal(&images, &other, PullPolicy::Always).await.contains("has another digest"));
    let unknown = images.inspect(&other).await.expect_err("not present");
    assert_eq!(unknown.reason, "ImageInspectError");
    assert!(
        refusal(&images, "localhost/host:other", PullPolicy::IfNotPresent).await.starts_with("ErrImagePull")
    );
}
