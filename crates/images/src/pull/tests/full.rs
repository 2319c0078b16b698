//! A disk that is full: in a mount namespace of the test's own.

use std::process::Command;

use podspec::PullPolicy;
use registry_double::{Double, Image};
use rustix::mount::MountFlags;

use super::{Bed, collect, engine, ensure, layer, noise};
use crate::Policy;
use crate::host::tests::Directory;

/// Set for the process that has one.
const INSIDE: &str = "MONOPOD_IMAGES_TEST_FULL_DISK";
const TEST: &str = "pull::tests::full::a_full_disk_is_told_and_leaves_the_store_as_it_was";
const DISK_BYTES: &str = "size=12m";

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_and_leaves_the_store_as_it_was() {
    if std::env::var_os(INSIDE).is_some() {
        return inside().await;
    }
    if Bed::new().is_none() {
        return;
    }
    let own = std::env::current_exe().expect("a program");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private"]).arg(own).args([TEST, "--exact", "--nocapture"]);
    match command.env(INSIDE, "1").output() {
        Err(error) => println!("Skipped(no mount namespace: {error})"),
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && text.contains("1 passed"), "{text}");
        }
    }
}

async fn inside() {
    let directory = Directory::new();
    let options = std::ffi::CString::new(DISK_BYTES).expect("no NUL");
    rustix::mount::mount("images", directory.path(), "tmpfs", MountFlags::empty(), options.as_c_str())
        .expect("a file system");
    let double = Double::start();
    // Little to fetch, and more than there is room for.
    let zeroes = vec![0; 30 << 20];
    let good = layer("good", &noise(1, 1 << 20));
    double.push("small", Some("1"), &Image::new(vec![good.clone()]));
    double.push("large", Some("1"), &Image::new(vec![good, layer("zeroes", &zeroes)]));
    double.push("huge", Some("1"), &Image::new(vec![layer("noise", &noise(2, 30 << 20))]));
    let images = engine(directory.path(), Policy::accept_anything());
    let name = |repository: &str| format!("{}/{repository}:1", double.host());
    ensure(&images, &name("small"), PullPolicy::IfNotPresent).await.expect("there is room");
    let tree = || {
        let root = directory.path().join("images");
        let mut files = std::collections::BTreeMap::new();
        collect(&root, &root, &mut files);
        files
    };
    let before = tree();
    for (repository, part) in [("large", "is full: make room there"), ("huge", "has room for")] {
        let error = ensure(&images, &name(repository), PullPolicy::IfNotPresent).await.expect_err("no room");
        assert_eq!(error.reason, "ErrImagePull");
        assert!(error.message.contains(part), "{}", error.message);
        images.idle().await;
        assert_eq!(tree(), before, "{repository}");
    }
    let again = engine(directory.path(), Policy::accept_anything());
    ensure(&again, &name("small"), PullPolicy::IfNotPresent).await.expect("the store is as it was");
    rustix::mount::unmount(directory.path(), rustix::mount::UnmountFlags::DETACH).expect("unmounted");
}
