//! Pull policies and the errors of images that are not there.

use std::path::Path;
use std::sync::Arc;

use container_config::ImageConfig;
use lifecycle::Pulled;
use podspec::PullPolicy;
use ports::{ImageError, ImageRequest, ImageService as _, NoObserver};

use super::Images;
use super::{Applets, ImportOptions, ImportedProcess, Reference, Source, Store};
use crate::host::tests::Directory;

const POLICIES: [PullPolicy; 3] = [PullPolicy::Always, PullPolicy::IfNotPresent, PullPolicy::Never];

pub(crate) async fn ensure(
    images: &Images,
    image: &str,
    policy: PullPolicy,
) -> Result<(Arc<ImageConfig>, Option<Pulled>), ImageError> {
    images.ensure(&ImageRequest { image, policy, secrets: &[] }, Arc::new(NoObserver)).await
}

/// `reason: message`
async fn refusal(images: &Images, image: &str, policy: PullPolicy) -> String {
    let error = ensure(images, image, policy).await.expect_err("no such image");
    format!("{}: {}", error.reason, error.message)
}

#[tokio::test]
async fn images_of_registries_are_refused_by_policy() {
    let images = Images::new(Path::new("/nonexistent"), true);
    for policy in [PullPolicy::Always, PullPolicy::IfNotPresent] {
        assert_eq!(
            refusal(&images, "busybox", policy).await,
            "ErrImagePull: failed to pull image \"docker.io/library/busybox:latest\": no registry is asked here; load \
             an archive of the image with `monopod image load`; image: localhost/host runs the programs of this \
             machine"
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
        let (config, pulled) = ensure(&images, "localhost/host", policy).await.expect("present");
        assert_eq!(pulled, None);
        assert!(config.id.starts_with("localhost/host@sha256:"), "{}", config.id);
        let by_digest = ensure(&images, &config.id, policy).await.expect("present by its digest");
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

/// Names `localhost/a:1` and `b:latest` lead to one image each.
fn with_two_images(directory: &Directory) -> Store {
    let files = directory.path().join("files");
    std::fs::create_dir(&files).expect("a directory");
    let store = Store::new(&directory.path().join("images"));
    for (name, cmd) in [("localhost/a:1", "a"), ("b", "b")] {
        let process = ImportedProcess { cmd: vec![cmd.to_owned()], ..ImportedProcess::default() };
        let name = Reference::parse(name).expect("a name");
        let options = ImportOptions { name, applets: Applets::Auto, process };
        store.import(&Source::Path(files.clone()), &options, &|| Ok(Vec::new())).expect("imported");
    }
    store
}

#[tokio::test]
async fn images_of_the_store_are_there_unless_they_are_to_be_pulled() {
    let Some(directory) = Directory::for_owned_layers() else { return };
    let images = Images::new(&directory.path().join("images"), true);
    assert!(refusal(&images, "localhost/a:1", PullPolicy::IfNotPresent).await.contains("monopod image load"));
    let store = with_two_images(&directory);
    for policy in POLICIES {
        let (config, pulled) = ensure(&images, "localhost/a:1", policy).await.expect("present");
        assert_eq!((config.cmd.as_slice(), pulled), (&["a".to_owned()][..], None));
        assert_eq!(images.inspect(&config.id).await.expect("present"), config);
        let again = ensure(&images, "localhost/a:1", policy).await.expect("present").0;
        assert!(Arc::ptr_eq(&config, &again), "nothing is read again");
    }
    let (config, _) = ensure(&images, "b", PullPolicy::IfNotPresent).await.expect("present");
    assert_eq!(ensure(&images, "docker.io/library/b", PullPolicy::Never).await.expect("present").0, config);
    assert_eq!(
        refusal(&images, "b", PullPolicy::Always).await,
        "ErrImagePull: failed to pull image \"docker.io/library/b:latest\": no registry is asked here; load an \
         archive of the image with `monopod image load`; image: localhost/host runs the programs of this machine"
    );
    store.remove("b", false, &|| Ok(Vec::new())).expect("removed");
    assert!(refusal(&images, "b", PullPolicy::Never).await.starts_with("ErrImageNeverPull"), "seen at once");
    let gone = images.inspect(&config.id).await.expect_err("removed");
    assert_eq!(gone.reason, "ImageInspectError");
    assert!(ensure(&images, "localhost/a:1", PullPolicy::Never).await.is_ok());
}
