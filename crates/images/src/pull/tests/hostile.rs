//! Registries that do what they should not: each ends in the right reason, and leaves the store as it was.

use std::time::Duration;

use registry_double::{
    Compression, DOCKER_MANIFEST, Descriptor, Fault, Image, Layer, OCI_INDEX, OCI_MANIFEST, Platform,
};
use serde_json::{Value, json};

use super::{Bed, SOON, image, layer, noise};
use crate::manifest::INDEX_DEPTH_MAX;
use crate::store::LAYERS_MAX;

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// Pulls `a:1`, sees why it is refused, and that nothing is left of it but layers that were whole.
async fn refused(bed: &Bed, reason: &str, parts: &[&str]) {
    let before = bed.tree().await;
    let refusal = tokio::time::timeout(SOON, bed.refusal("a:1")).await.expect("it ends");
    assert!(
        refusal.starts_with(&format!("{reason}: failed to pull image \"{}\": ", bed.name("a:1"))),
        "{refusal}"
    );
    for part in parts {
        assert!(refusal.contains(part), "{part}: {refusal}");
    }
    let (mut before, mut after) = (before, bed.tree().await);
    before.remove("layers");
    after.remove("layers");
    assert_eq!(after, before, "{refusal}");
}

/// A manifest of `a:1` with these blobs.
fn push(bed: &Bed, config: &Value, layers: &[Value]) -> Descriptor {
    let manifest = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers});
    bed.double.push_manifest("a", Some("1"), OCI_MANIFEST, manifest.to_string())
}

fn push_config(bed: &Bed, diff_ids: &[&str]) -> Value {
    let Platform { os, architecture, .. } = Platform::default();
    let rootfs = json!({"type": "layers", "diff_ids": diff_ids});
    let config = json!({"os": os, "architecture": architecture, "rootfs": rootfs});
    bed.double.push_blob("a", CONFIG, config.to_string()).json()
}

/// An image of one layer that is this blob, whatever it holds.
fn push_blob(bed: &Bed, blob: Vec<u8>, diff_id: &str) -> Descriptor {
    let config = push_config(bed, &[diff_id]);
    let blob = bed.double.push_blob("a", LAYER, blob);
    push(bed, &config, &[blob.json()]);
    blob
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_that_are_not_what_was_promised() {
    let Some(bed) = Bed::new() else { return };
    let layers = vec![layer("a", &noise(1, 300_000)).compressed(Compression::None)];
    let pushed = bed.double.push("a", Some("1"), &Image::new(layers));
    let blob = &pushed.layers[0];
    let longer = [noise(1, 300_000), noise(2, 300_000)].concat();
    for fault in [
        Fault::Body(noise(3, usize::try_from(blob.bytes).expect("it is small")).into()),
        Fault::Body(longer.into()),
        Fault::Truncate(blob.bytes / 2),
        Fault::Truncate(0),
        Fault::Endless,
        Fault::Status(404),
        Fault::Status(403),
        Fault::Redirect(format!("{}/v2/a/blobs/{}", bed.double.url(), blob.digest)),
    ] {
        bed.double.misbehave(&blob.digest, fault);
        refused(&bed, "ErrImagePull", &[&blob.digest]).await;
        assert_eq!(bed.layers(), 0);
        bed.double.behave();
    }
    bed.pull("a:1").await.expect("pulled");
}

#[tokio::test(flavor = "multi_thread")]
async fn configurations_that_are_not_what_was_promised() {
    let Some(bed) = Bed::new() else { return };
    let pushed = bed.double.push("a", Some("1"), &image(&["x"]));
    for fault in [Fault::Body(b"{}".to_vec().into()), Fault::Truncate(3), Fault::Endless, Fault::Status(404)]
    {
        bed.double.misbehave(&pushed.config.digest, fault);
        refused(&bed, "ErrImagePull", &[&pushed.config.digest]).await;
        bed.double.behave();
    }
    assert_eq!(bed.double.requests(&pushed.layers[0].digest), 0, "nothing is fetched before it");
}

#[tokio::test(flavor = "multi_thread")]
async fn registries_that_are_not_there_or_not_able() {
    let Some(bed) = Bed::new() else { return };
    bed.double.push("a", Some("1"), &image(&["x"]));
    for fault in [Fault::Status(503), Fault::Status(429), Fault::Close, Fault::Hang] {
        bed.double.misbehave("/manifests/", fault);
        refused(&bed, "ErrImagePull", &[]).await;
        bed.double.behave();
    }
    for (fault, part) in [(Fault::Status(404), "404"), (Fault::Status(403), "403")] {
        bed.double.misbehave("/manifests/", fault);
        refused(&bed, "ErrImagePull", &[part]).await;
        bed.double.behave();
    }
    bed.pull("a:1").await.expect("pulled");
    // What is there is not used when the registry has to be asked, and is otherwise.
    bed.double.misbehave("/manifests/", Fault::Status(503));
    let name = bed.name("a:1");
    let always = super::ensure(&bed.images, &name, podspec::PullPolicy::Always).await;
    assert_eq!(always.expect_err("it has to be asked").reason, "ErrImagePull");
    bed.pull("a:1").await.expect("present");
    // Nobody is there any more.
    let Bed { double, images, directory: _directory } = bed;
    drop(double);
    let always = super::ensure(&images, &name, podspec::PullPolicy::Always).await;
    assert_eq!(always.expect_err("it has to be asked").reason, "RegistryUnavailable");
    super::ensure(&images, &name, podspec::PullPolicy::IfNotPresent).await.expect("present");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_bodies_come_and_silent_ones_do_not() {
    let Some(bed) = Bed::new() else { return };
    let pushed = bed.double.push("a", Some("1"), &image(&["x"]));
    let blob = &pushed.layers[0].digest;
    bed.double.misbehave(blob, Fault::HangAfter(10));
    let refusal = tokio::time::timeout(SOON, bed.refusal("a:1")).await.expect("it ends");
    assert!(refusal.contains(blob), "{refusal}");
    bed.double.behave();
    bed.double.misbehave(blob, Fault::Drip { bytes: 5, pause: Duration::from_millis(5) });
    bed.pull("a:1").await.expect("pulled");
}

#[tokio::test(flavor = "multi_thread")]
async fn contents_that_are_not_what_the_configuration_promises() {
    let Some(bed) = Bed::new() else { return };
    let tar = layer("a", b"a").tar;
    let other = registry_double::digest(b"other");
    push_blob(&bed, tar.clone(), &other);
    refused(&bed, "ErrImagePull", &["not what the image's configuration promises", &other]).await;
    push_blob(&bed, noise(1, 10_000), &registry_double::digest(&noise(1, 10_000)));
    refused(&bed, "ErrImagePull", &["no tar header"]).await;
    for (at, byte) in [(0, b'.'), (257, 0)] {
        let mut wrong = tar.clone();
        wrong[at] = byte;
        push_blob(&bed, wrong.clone(), &registry_double::digest(&wrong));
        refused(&bed, "ErrImagePull", &["layer sha256:"]).await;
    }
    let outside = upwards();
    push_blob(&bed, outside.clone(), &registry_double::digest(&outside));
    refused(&bed, "ErrImagePull", &["leads up with `..`"]).await;
    push_blob(&bed, b"\xfd7zXZ\0".to_vec(), &other);
    refused(&bed, "ErrImagePull", &["xz, which is not supported"]).await;
    // Below what is refused there was something good.
    let good = bed.double.push("a", None, &image(&["x"]));
    let config = push_config(&bed, &[&good.diff_ids[0], &other]);
    let bad = bed.double.push_blob("a", LAYER, tar);
    push(&bed, &config, &[good.layers[0].json(), bad.json()]);
    refused(&bed, "ErrImagePull", &["promises"]).await;
    assert!(bed.layers() <= 1);
}

/// A tar with an entry that leads out of it.
fn upwards() -> Vec<u8> {
    let mut tar = layer("x/x/x/escape", b"").tar;
    tar[..12].copy_from_slice(b"../../escape");
    let mut header = tar::Header::from_byte_slice(&tar[..512]).clone();
    header.set_cksum();
    tar[..512].copy_from_slice(header.as_bytes());
    tar
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_behind_a_compressed_stream_is_part_of_the_blob() {
    let Some(bed) = Bed::new() else { return };
    let layer = layer("a", b"a").compressed(Compression::None);
    let mut blob = layer.tar.clone();
    blob.extend(noise(1, 100_000));
    // Padding of an archive is part of its diff ID.
    push_blob(&bed, blob, &registry_double::digest(&layer.tar));
    refused(&bed, "ErrImagePull", &["promises"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_are_bounded() {
    use std::io::Write as _;

    let Some(bed) = Bed::new() else { return };
    // A gibibyte and more of zeroes in one file, out of a megabyte.
    let bytes: u64 = (1 << 30) + (64 << 20);
    let mut header = tar::Header::new_gnu();
    header.set_path("zeroes").expect("it fits");
    header.set_size(bytes);
    header.set_mode(0o644);
    header.set_cksum();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(header.as_bytes()).expect("a Vec takes any bytes");
    let zeroes = vec![0; 1 << 20];
    for _ in 0..bytes >> 20 {
        gzip.write_all(&zeroes).expect("a Vec takes any bytes");
    }
    let blob = gzip.finish().expect("a Vec takes any bytes");
    assert!(blob.len() < 8 << 20);
    push_blob(&bed, blob, &registry_double::digest(b"whatever"));
    refused(&bed, "ErrImagePull", &["which is the limit"]).await;
    assert_eq!(bed.layers(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_that_are_refused() {
    let Some(bed) = Bed::new() else { return };
    let good = bed.double.push("a", None, &image(&["x"]));
    let (config, blob) = (good.config.json(), good.layers[0].json());
    let with = |blob: &Value, key: &str, value: Value| {
        let mut blob = blob.clone();
        blob[key] = value;
        blob
    };
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    for (config, layers, part) in [
        (&config, vec![], "it has no layers"),
        (&config, vec![blob.clone(), blob.clone()], "the manifest has 2 layers, and the configuration 1"),
        (&config, vec![blob.clone(); LAYERS_MAX + 1], "the limit is 127"),
        (&config, vec![with(&blob, "mediaType", json!(foreign))], "nondistributable"),
        (&config, vec![with(&blob, "mediaType", json!("text/x"))], "is of type \"text/x\""),
        (&config, vec![with(&blob, "digest", json!("sha256:../../x"))], "not a sha256 digest"),
        (&config, vec![with(&blob, "digest", json!("sha512:00"))], "not a sha256 digest"),
        (&config, vec![with(&blob, "size", json!(1))], good.layers[0].digest.as_str()),
        (&config, vec![with(&blob, "size", json!(1_u64 << 60))], "has room for"),
        (&config, vec![with(&blob, "size", json!(u64::MAX)), blob.clone()], "the configuration 1"),
        (&with(&config, "size", json!(5 << 20)), vec![blob.clone()], "the limit is 4194304"),
        (&with(&config, "size", json!(-1)), vec![blob.clone()], ""),
    ] {
        push(&bed, config, &layers);
        refused(&bed, "ErrImagePull", &[part]).await;
    }
    let both =
        json!({"schemaVersion": 2, "config": config, "layers": [blob], "manifests": [good.manifest.json()]});
    for (media_type, text, part) in [
        (OCI_MANIFEST, both.to_string(), "depends on who reads it"),
        (OCI_MANIFEST, "{\"schemaVersion\":2}".into(), "neither a manifest"),
        (OCI_MANIFEST, "[".repeat(100_000), "manifest"),
        (DOCKER_MANIFEST, "not json".into(), "manifest"),
        ("application/vnd.docker.distribution.manifest.v1+json", "{\"schemaVersion\":1}".into(), "schema"),
    ] {
        bed.double.push_manifest("a", Some("1"), media_type, text);
        refused(&bed, "ErrImagePull", &[part]).await;
    }
    bed.double.push("a", Some("1"), &image(&["x"]));
    for fault in [Fault::Endless, Fault::Body(vec![b' '; 5 << 20].into())] {
        bed.double.misbehave("/manifests/", fault);
        refused(&bed, "ErrImagePull", &[]).await;
        bed.double.behave();
    }
    bed.pull("a:1").await.expect("pulled");
}

#[tokio::test(flavor = "multi_thread")]
async fn indexes_that_are_refused() {
    let Some(bed) = Bed::new() else { return };
    let good = bed.double.push("a", None, &image(&["x"]));
    let index = |manifests: &[Value]| {
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests});
        bed.double.push_manifest("a", Some("1"), OCI_INDEX, index.to_string())
    };
    let mut size = good.manifest.json();
    size["size"] = json!(7);
    index(&[size]);
    refused(&bed, "ErrImagePull", &["is to have 7"]).await;
    index(&[]);
    refused(&bed, "ErrImagePull", &["it is for nothing"]).await;
    let mut missing = good.manifest.json();
    missing["digest"] = json!(registry_double::digest(b"missing"));
    index(&[missing]);
    refused(&bed, "ErrImagePull", &["404"]).await;
    let mut below = good.manifest.clone();
    for depth in 0..=INDEX_DEPTH_MAX {
        below = index(&[below.json()]);
        if depth < INDEX_DEPTH_MAX {
            let name = format!("a@{}", below.digest);
            bed.pull(&name).await.expect("not too deep");
            bed.store().remove(&bed.name(&name), false, &|| Ok(Vec::new())).expect("removed");
        }
    }
    refused(&bed, "ErrImagePull", &["more than 4 deep"]).await;
    // What is wrong about a manifest that was said to be for this machine is not made up for by others.
    let others: Vec<Value> = (0..40)
        .map(|n: u32| {
            let other = Platform { architecture: format!("cpu{n}"), ..Platform::default() };
            bed.double.push("a", None, &image(&["x"]).platform(other)).manifest.json()
        })
        .collect();
    index(&others);
    refused(&bed, "ErrImagePull", &["more than 32 manifests"]).await;
    // One that is there among those that say nothing.
    index(&[&others[..5], &[good.manifest.json()]].concat());
    bed.pull("a:1").await.expect("pulled");
}

#[tokio::test(flavor = "multi_thread")]
async fn artifacts_that_are_refused() {
    let Some(bed) = Bed::new() else { return };
    for title in ["../escape", "/etc/passwd", "a/../b", "", "a//b", ".wh.x", "a\nb", &"x".repeat(101)] {
        bed.double.push_artifact("a", Some("1"), "application/x", &[(title, "text/plain", b"x")]);
        refused(&bed, "ErrImagePull", &["which is no file name"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_none() {
    let Some(bed) = Bed::new() else { return };
    for (name, reason) in
        [("upper/Case", "InvalidImageName"), ("a b", "InvalidImageName"), ("localhost/own:1", "ErrImagePull")]
    {
        let error = super::ensure(&bed.images, name, podspec::PullPolicy::Always).await;
        assert_eq!(error.expect_err("no such image").reason, reason, "{name}");
    }
    let long = Layer::of_files(&[]);
    bed.double.push("a", Some("1"), &Image::new(vec![long]));
    bed.pull("a:1").await.expect("an image of nothing is an image");
}
