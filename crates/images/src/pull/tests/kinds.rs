//! What there is in registries.

use std::sync::Arc;

use podspec::PullPolicy;
use ports::{ImageRequest, ImageService as _, NoObserver};
use registry_double::{Compression, Image, Platform};
use serde_json::json;

use super::{Bed, SOON, Told, ensure, file, image, layer, noise};

fn platform(architecture: &str, variant: Option<&str>) -> Platform {
    Platform { os: "linux".into(), architecture: architecture.into(), variant: variant.map(Into::into) }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_every_compression_in_both_formats() {
    let Some(bed) = Bed::new() else { return };
    let kinds = [Compression::None, Compression::Gzip, Compression::Zstd];
    for docker in [false, true] {
        let layers = kinds.iter().map(|kind| layer(&format!("{kind:?}"), b"x").compressed(*kind)).collect();
        let mut image = Image::new(layers).config(json!({"Entrypoint": ["/x"], "Env": ["A=1"]}));
        image.docker = docker;
        let repository = format!("some/docker-{docker}");
        let pushed = bed.double.push(&repository, Some("1"), &image);
        let (config, pulled) = bed.pull(&format!("{repository}:1")).await.expect("pulled");
        assert_eq!(config.id, pushed.config.digest);
        assert_eq!(config.repo_digest, Some(format!("{}@{}", bed.name(&repository), pushed.manifest.digest)));
        assert_eq!(
            (config.entrypoint.as_slice(), config.env.as_slice()),
            (&["/x".into()][..], &["A=1".into()][..])
        );
        assert_eq!(config.layers[0].lower.len(), 3);
        for kind in kinds {
            assert_eq!(file(&config, &format!("{kind:?}")).as_deref(), Some(&b"x"[..]));
        }
        assert!(pulled.is_some_and(|pulled| pulled.bytes == 3));
        let again = bed.pull(&format!("{repository}:1")).await.expect("present");
        assert_eq!((&again.0, again.1), (&config, None));
        assert!(Arc::ptr_eq(&again.0, &config), "nothing is read again");
        assert_eq!(bed.images.inspect(&config.id).await.expect("present").id, config.id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_index_the_image_for_this_machine() {
    let Some(bed) = Bed::new() else { return };
    for docker in [false, true] {
        let own = bed.double.push("a", None, &image(&["own"]));
        let other = bed.double.push("a", None, &image(&["other"]).platform(platform("z80", None)));
        let own_platform = Platform::default();
        let manifests =
            [(other.manifest.clone(), platform("z80", None)), (own.manifest.clone(), own_platform)];
        let tag = format!("{docker}");
        let index = bed.double.push_index("a", Some(&tag), &manifests, docker);
        let (config, _) = bed.pull(&format!("a:{tag}")).await.expect("pulled");
        assert_eq!(config.id, own.config.digest);
        assert_eq!(config.repo_digest, Some(format!("{}@{}", bed.name("a"), index.digest)), "the index's");
        let by_manifest = bed.pull(&format!("a@{}", own.manifest.digest)).await.expect("present");
        assert_eq!((by_manifest.0.id.clone(), by_manifest.1), (own.config.digest.clone(), None));
        // Another one's.
        let foreign = bed.double.push_index("b", Some(&tag), &manifests[..1], docker);
        let refusal = bed.refusal(&format!("b:{tag}")).await;
        assert!(refusal.contains("for linux/") && refusal.contains("it is for linux/z80"), "{refusal}");
        assert!(refusal.starts_with("ErrImagePull"), "{refusal} {}", foreign.digest);
    }
    assert_eq!(bed.double.requests("/b/blobs"), 0, "what is for others is not fetched");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_by_digest_has_no_tag() {
    let Some(bed) = Bed::new() else { return };
    let pushed = bed.double.push("a", Some("1"), &image(&["x"]));
    let name = format!("a:1@{}", pushed.manifest.digest);
    let (config, _) = bed.pull(&name).await.expect("pulled");
    let repo_digest = format!("{}@{}", bed.name("a"), pushed.manifest.digest);
    assert_eq!(config.repo_digest.as_ref(), Some(&repo_digest));
    let names: Vec<_> = bed.store().list(&[]).expect("a list").into_iter().map(|image| image.name).collect();
    assert_eq!(names, [repo_digest]);
    assert_eq!(bed.double.requests("/manifests/1"), 0);
    assert!(bed.pull(&name).await.expect("present").1.is_none());
    // By a tag, too, it is the same image.
    bed.pull("a:1").await.expect("pulled");
    let on_node = bed.images.list().await.expect("a list");
    let repo_digest = format!("{}@{}", bed.name("a"), pushed.manifest.digest);
    assert_eq!(on_node.len(), 1);
    assert_eq!(on_node[0].names, [repo_digest, bed.name("a:1")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn always_asks_and_fetches_only_what_is_new() {
    let Some(bed) = Bed::new() else { return };
    bed.double.push("a", Some("1"), &image(&["x", "y"]));
    let name = bed.name("a:1");
    let (first, _) = ensure(&bed.images, &name, PullPolicy::Always).await.expect("pulled");
    let (blobs, manifests) = (bed.double.requests("/blobs/"), bed.double.requests("/manifests/"));
    let (again, pulled) = ensure(&bed.images, &name, PullPolicy::Always).await.expect("the same");
    assert_eq!((&again, pulled.is_some()), (&first, true), "the registry was asked");
    assert_eq!((bed.double.requests("/blobs/"), bed.double.requests("/manifests/")), (blobs, manifests + 1));
    // The tag moves, to an image that shares a layer.
    bed.double.push("a", Some("1"), &image(&["x", "z"]));
    let (moved, _) = ensure(&bed.images, &name, PullPolicy::Always).await.expect("pulled");
    assert_ne!(moved.id, first.id);
    assert_eq!(bed.double.requests("/blobs/"), blobs + 2, "the configuration and a layer");
    assert!(bed.images.inspect(&first.id).await.is_err(), "nothing needs the old one");
    assert_eq!(bed.layers(), 2);
    // What is called otherwise and is the same costs its manifest.
    bed.double.push("a", Some("2"), &image(&["x", "z"]));
    let blobs = bed.double.requests("/blobs/");
    let (other, _) = bed.pull("a:2").await.expect("pulled");
    assert_eq!((other.id.as_str(), bed.double.requests("/blobs/")), (moved.id.as_str(), blobs));
    let manifests = bed.double.requests("/manifests/");
    assert!(ensure(&bed.images, &name, PullPolicy::Never).await.is_ok());
    assert!(ensure(&bed.images, &name, PullPolicy::IfNotPresent).await.is_ok());
    assert_eq!(bed.double.requests("/manifests/"), manifests);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_of_an_artifact_are_an_image_of_files() {
    let Some(bed) = Bed::new() else { return };
    let files: [(&str, &str, &[u8]); 2] = [
        ("model.bin", "application/octet-stream", &noise(1, 70_000)),
        ("docs/README.md", "text/markdown", b"read me"),
    ];
    let manifest = bed.double.push_artifact("a", Some("1"), "application/x-model", &files);
    let (config, _) = bed.pull("a:1").await.expect("pulled");
    for (name, _, content) in files {
        assert!(file(&config, name).as_deref() == Some(content), "{name}");
    }
    assert_eq!(config.repo_digest, Some(format!("{}@{}", bed.name("a"), manifest.digest)));
    assert!(config.entrypoint.is_empty() && config.cmd.is_empty());
    let other = bed.engine();
    let (again, _) = ensure(&other, &bed.name("a:1"), PullPolicy::IfNotPresent).await.expect("present");
    assert_eq!(again.id, config.id);
    // Into a store of its own it is the same image.
    let elsewhere = Bed::new().expect("another");
    elsewhere.double.push_artifact("a", Some("1"), "application/x-model", &files);
    assert_eq!(elsewhere.pull("a:1").await.expect("pulled").0.id, config.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_is_there_twice_is_fetched_once() {
    let Some(bed) = Bed::new() else { return };
    let (base, other) = (layer("dir/a", &noise(2, 300_000)), layer("b", b"b"));
    let image = Image::new(vec![base.clone(), other.clone(), base.clone(), other, base]);
    let pushed = bed.double.push("a", Some("1"), &image);
    let (config, _) = bed.pull("a:1").await.expect("pulled");
    assert_eq!(config.layers[0].lower.len(), 5);
    for fs in config.layers[0].lower.iter().step_by(2) {
        assert!(std::fs::read(fs.join("dir/a")).expect("a file") == noise(2, 300_000));
    }
    assert_eq!(bed.double.requests(&pushed.layers[0].digest), 1);
    let mut saved = Vec::new();
    bed.store()
        .save(std::slice::from_ref(&config.id), crate::SaveFormat::Docker, &mut saved)
        .expect("every layer is what it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_observer_hears_of_every_byte() {
    let Some(bed) = Bed::new() else { return };
    let layers = vec![layer("a", &noise(3, 3_000_000)), layer("b", &noise(4, 10))];
    let pushed = bed.double.push("a", Some("1"), &Image::new(layers));
    let told = Arc::new(Told::default());
    let name = bed.name("a:1");
    let request = ImageRequest { image: &name, policy: PullPolicy::IfNotPresent, secrets: &[] };
    tokio::time::timeout(SOON, bed.images.ensure(&request, told.clone()))
        .await
        .expect("in time")
        .expect("pulled");
    assert_eq!(*told.pulling.lock().expect("told"), 1);
    let progress = told.progress.lock().expect("told").clone();
    let last = progress.last().expect("some progress");
    assert_eq!((last.image.as_str(), last.layers.len(), last.layers_done()), (name.as_str(), 2, 2));
    assert_eq!(last.bytes_done(), pushed.layers.iter().map(|layer| layer.bytes).sum::<u64>());
    assert!(progress.is_sorted_by_key(ports::PullProgress::bytes_done));
    bed.images.ensure(&request, Arc::new(NoObserver)).await.expect("present");
}
