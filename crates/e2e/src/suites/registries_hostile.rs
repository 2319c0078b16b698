//! Registries that lie, break off, go on for ever or turn clients away: each ends in a reason that says so, and nothing of it stays.

use std::fs;
use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use registry_double::{
    Auth, Bearer, Double, Fault, Image, Layer, OCI_INDEX, OCI_MANIFEST, Platform, Pushed, Seen,
};
use serde_json::{Value, json};

use crate::bed::{Bed, SOON};
use crate::lasting::container;
use crate::pod::Pod;
use crate::pods::Pods;
use crate::runner::{Test, tests};
use crate::suites::images::{expect_stored, ls, pod_from, run, stored};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] = tests![
    lies_and_ends,
    manifests_of_no_image,
    bombs,
    turned_away_for_a_while,
    tokens_that_expire_midway,
    a_pull_that_hangs_holds_up_no_end,
];

const MIB: usize = 1 << 20;

/// Bytes that no compression makes fewer.
pub(crate) fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15 ^ (seed + 1);
    let mut noise = Vec::with_capacity(bytes + 8);
    while noise.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.extend(state.to_le_bytes());
    }
    noise.truncate(bytes);
    noise
}

/// Of two layers, the second of which is the larger one.
fn push(double: &Double, repository: &str) -> Pushed {
    let layers = vec![Layer::of_files(&[("first", b"1")]), Layer::of_files(&[("second", &noise(7, MIB))])];
    double.push(repository, Some("1"), &Image::new(layers))
}

/// The larger layer with another date in the head of its gzip: the same files, by another digest.
fn dated(pushed: &Pushed) -> Result<Vec<u8>> {
    const DATE_AT: usize = 4;
    let layer = Layer::of_files(&[("second", &noise(7, MIB))]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&layer.tar)?;
    let mut gzip = gzip.finish()?;
    ensure!(registry_double::digest(&gzip) == pushed.layers[1].digest, "that is not how it was pushed");
    gzip[DATE_AT] ^= 1;
    Ok(gzip)
}

fn image(double: &Double, repository: &str) -> String {
    format!("{}/{repository}:1", double.host())
}

fn pod(double: &Double, repository: &str) -> Pod {
    pod_from(&image(double, repository), repository, "serve", &json!({}))
}

/// Waits until the pod has been told so often why there is no image; what it was told first.
fn refused(pods: &Pods<'_>, repository: &str) -> Result<String> {
    pods.wait(repository, "waiting for another try", |status| {
        container(status, "main")["state"]["waiting"]["reason"] == "ImagePullBackOff"
    })?;
    pods.wait_event(repository, "Failed Failed to pull image")
}

/// After the end of everything: no configuration, nothing half made, no name and no record of whose it is. Layers that were
/// whole and right may wait for another pull, and go when they are not wanted.
fn expect_untouched(bed: &Bed) -> Result<()> {
    let left = (stored(bed, "configs"), stored(bed, "staging"));
    ensure!(left == (0, 0), "configurations, staging: {left:?}");
    run(bed, &["prune"])?.expect_code(0)?;
    expect_stored(bed, 0, 0)?;
    let dir = bed.root().join("var/lib/monopod/images");
    let access = fs::read_dir(dir.join("access")).map_or(0, Iterator::count);
    ensure!(access == 0, "{access} records of access");
    let listed: Vec<Value> = ls(bed)?.into_iter().filter(|image| image["name"] != "localhost/host").collect();
    ensure!(listed.is_empty(), "{listed:?}");
    Ok(())
}

fn expect_each_refused(bed: &Bed, double: &Double, cases: &[(&str, &str)]) -> Result<()> {
    let pods = Pods::start(bed)?;
    for (repository, _) in cases {
        pods.create(&pod(double, repository))?;
    }
    let mut wrong = Vec::new();
    for (repository, expected) in cases {
        let told = refused(&pods, repository).with_context(|| (*repository).to_owned())?;
        if !told.contains(expected) || !told.contains(&image(double, repository)) {
            wrong.push(format!("{repository}: expected {expected:?} in {told}"));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    pods.finish()?;
    expect_untouched(bed)
}

fn lies_and_ends(bed: &Bed) -> Result<()> {
    require_root()?;
    let double = Double::start();
    let host = double.url();
    let cases: [(&str, &str, Fault, &str); 14] = [
        ("other-bytes", "layer", Fault::Body(Vec::new().into()), "digest"),
        ("other-length", "layer", Fault::Body(noise(9, MIB).into()), "where"),
        ("cut-short", "layer", Fault::Truncate(1_000), "where"),
        ("breaks-off", "layer", Fault::CutAfter(1_000), "the connection was cut"),
        ("closes", "layer", Fault::Close, ""),
        ("endless", "layer", Fault::Endless, ""),
        ("longer", "layer", Fault::ContentLength(5 << 20), ""),
        ("gone", "layer", Fault::Status(404), ""),
        ("circle", "layer", Fault::Redirect(format!("{host}/v2/circle/blobs/again")), "redirect"),
        ("elsewhere", "layer", Fault::Redirect("http://192.0.2.1:1/".to_owned()), ""),
        ("other-config", "config", Fault::Body(b"{}".to_vec().into()), ""),
        ("broken", "manifest", Fault::Status(500), ""),
        ("refuses", "manifest", Fault::Status(403), ""),
        ("absent", "manifest", Fault::Status(404), ""),
    ];
    for (repository, which, fault, _) in &cases {
        let pushed = push(&double, repository);
        let fault = match (*repository, fault) {
            ("other-bytes", _) => Fault::Body(dated(&pushed)?.into()),
            (_, fault) => fault.clone(),
        };
        let path = match *which {
            "layer" => format!("{repository}/blobs/{}", pushed.layers[1].digest),
            "config" => format!("{repository}/blobs/{}", pushed.config.digest),
            _ => format!("{repository}/manifests/"),
        };
        double.misbehave(&path, fault);
    }
    double.misbehave("circle/blobs/again", Fault::Redirect(format!("{host}/v2/circle/blobs/again")));
    let expected: Vec<(&str, &str)> =
        cases.iter().map(|(repository, _, _, expected)| (*repository, *expected)).collect();
    expect_each_refused(bed, &double, &expected)
}

fn manifests_of_no_image(bed: &Bed) -> Result<()> {
    require_root()?;
    let double = Double::start();
    let put = |repository: &str, kind: &str, text: String| {
        double.push_manifest(repository, Some("1"), kind, text.into_bytes());
    };
    put("no-json", OCI_MANIFEST, "<html>".to_owned());
    put("empty", OCI_MANIFEST, "{}".to_owned());
    put("large", OCI_MANIFEST, format!("{{\"x\": \"{}\"}}", "x".repeat(5 * MIB)));
    put(
        "itself",
        OCI_INDEX,
        json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}).to_string(),
    );
    let other = Platform { architecture: "mips64le".to_owned(), ..Platform::default() };
    let of_other = push(&double, "for-others");
    double.push_index("for-others", Some("1"), &[(of_other.manifest, other)], false);
    // A configuration that promises other layers than there are.
    let pushed = push(&double, "promises");
    let lies = json!({"os": "linux", "architecture": Platform::default().architecture, "config": {},
        "rootfs": {"type": "layers", "diff_ids": [pushed.diff_ids[1], pushed.diff_ids[0]]}});
    let config = double.push_blob("promises", "application/vnd.oci.image.config.v1+json", lies.to_string());
    let manifest = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config.json(),
        "layers": pushed.layers.iter().map(registry_double::Descriptor::json).collect::<Vec<_>>()});
    put("promises", OCI_MANIFEST, manifest.to_string());
    expect_each_refused(
        bed,
        &double,
        &[
            ("no-json", ""),
            ("empty", ""),
            ("large", ""),
            ("itself", ""),
            ("for-others", "linux/mips64le"),
            ("promises", "diff"),
        ],
    )
}

/// A layer that says it is small, and would fill the disk.
fn bombs(bed: &Bed) -> Result<()> {
    /// More than a layer of a few MB may become.
    const UNPACKED: u64 = (1 << 30) + (64 << 20);
    require_root()?;
    let double = Double::start();
    let (tar, gzip) = zeros(UNPACKED)?;
    let layer = double.push_blob("bomb", "application/vnd.oci.image.layer.v1.tar+gzip", gzip);
    let config = json!({"os": "linux", "architecture": Platform::default().architecture, "config": {},
        "rootfs": {"type": "layers", "diff_ids": [tar]}});
    let config = double.push_blob("bomb", "application/vnd.oci.image.config.v1+json", config.to_string());
    let manifest = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config.json(),
        "layers": [layer.json()]});
    double.push_manifest("bomb", Some("1"), OCI_MANIFEST, manifest.to_string().into_bytes());
    expect_each_refused(bed, &double, &[("bomb", "which is the limit")])
}

/// A layer of one file of zeros: its diff ID, and what it is by gzip.
fn zeros(bytes: u64) -> Result<(String, Vec<u8>)> {
    use sha2::{Digest as _, Sha256};
    let mut header = tar::Header::new_gnu();
    header.set_path("zeros")?;
    header.set_mode(0o644);
    header.set_size(bytes);
    header.set_cksum();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let mut hash = Sha256::new();
    let block = vec![0; MIB];
    let blocks = usize::try_from(bytes)? / MIB;
    for part in [&header.as_bytes()[..]]
        .into_iter()
        .chain(std::iter::repeat_n(&block[..], blocks))
        .chain([&block[..1024]])
    {
        gzip.write_all(part)?;
        hash.update(part);
    }
    Ok((format!("sha256:{:x}", hash.finalize()), gzip.finish()?))
}

/// Those that are turned away now may be let in a moment later.
fn turned_away_for_a_while(bed: &Bed) -> Result<()> {
    require_root()?;
    let double = Double::start();
    let after = |status: u16, seconds: &str| Fault::Answer {
        status,
        headers: vec![("retry-after".to_owned(), seconds.to_owned())],
        body: Vec::new().into(),
    };
    for (repository, path, fault) in [
        ("too-many", "manifests/", after(429, "1")),
        ("too-many-blobs", "blobs/", after(429, "1")),
        ("busy", "manifests/", Fault::Status(503)),
        ("broken-off", "blobs/", Fault::CutAfter(10)),
        ("closed", "blobs/", Fault::Close),
    ] {
        double.push(repository, Some("1"), &base()?);
        double.misbehave_times(&format!("{repository}/{path}"), 2, fault);
    }
    let pods = Pods::start(bed)?;
    let began = Instant::now();
    let all = ["too-many", "too-many-blobs", "busy", "broken-off", "closed"];
    for repository in all {
        pods.create(&pod(&double, repository))?;
    }
    for repository in all {
        pods.wait_ready(repository)?;
        let failed: Vec<String> =
            pods.events(repository)?.into_iter().filter(|event| event.starts_with("Failed")).collect();
        ensure!(failed.is_empty(), "{failed:?}");
    }
    ensure!(began.elapsed() > Duration::from_secs(1), "nobody waited as it was told to");
    pods.finish()
}

/// That the host's shell runs in.
fn base() -> Result<Image> {
    let base = crate::archive::Layer::base()?.file("etc/more", &"more ".repeat(100))?;
    Ok(Image::new(vec![Layer::new(base.into_tar()?)]))
}

fn tokens_that_expire_midway(bed: &Bed) -> Result<()> {
    require_root()?;
    let double = Double::start();
    let base = crate::archive::Layer::base()?;
    let layers = vec![Layer::new(base.into_tar()?), Layer::of_files(&[("noise", &noise(3, 4 * MIB))])];
    let pushed = double.push("app", Some("1"), &Image::new(layers));
    double.require(Auth::Bearer(Bearer::of("user", "secret")));
    let path = format!("app/blobs/{}", pushed.layers[1].digest);
    double.misbehave_times(&path, 1, Fault::CutAfter(2 * MIB as u64));
    let gate = double.hold_after(&path, MIB as u64);
    let pods = Pods::start(bed)?;
    let config = json!({"auths": {double.host(): {"username": "user", "password": "secret"}}});
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "right"},
        "type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": config.to_string()},
    });
    pods.api().post("/api/v1/namespaces/default/secrets", &secret)?.expect(201)?;
    pods.create(&pod(&double, "app").spec(&json!({"imagePullSecrets": [{"name": "right"}]})))?;
    // A part of the layer is there when the token is good for nothing any more, and then the connection ends. The other
    // layer is whole by then: nobody else asks for the next token.
    let other = &pushed.layers[0];
    let has = |seen: &[Seen], digest: &str, bytes: u64| {
        seen.iter().any(|seen| seen.path.ends_with(digest) && seen.bytes_sent >= bytes)
    };
    let is_part = |seen: &[Seen]| {
        has(seen, &pushed.layers[1].digest, MIB as u64) && has(seen, &other.digest, other.bytes)
    };
    ensure!(double.wait_blocking(SOON, is_part), "the layers are not fetched");
    let tokens = double.requests("/token");
    double.expire_tokens();
    gate.open();
    pods.wait_ready("app")?;
    ensure!(double.requests("/token") > tokens, "there is no new token: {:?}", double.seen());
    let statuses: Vec<u16> =
        double.seen().iter().filter(|seen| seen.path.contains(&path)).map(|seen| seen.status).collect();
    ensure!(statuses == [200, 401, 206], "{statuses:?}");
    pods.finish()
}

fn a_pull_that_hangs_holds_up_no_end(bed: &Bed) -> Result<()> {
    require_root()?;
    let double = Double::start();
    for (repository, path, fault) in
        [("silent", "manifests/", Fault::Hang), ("stops", "blobs/", Fault::HangAfter(10))]
    {
        push(&double, repository);
        double.misbehave(&format!("{repository}/{path}"), fault);
        let engine = bed.start_pod(&pod(&double, repository))?;
        let is_asked =
            |seen: &[Seen]| seen.iter().any(|seen| seen.path.contains(&format!("{repository}/{path}")));
        ensure!(double.wait_blocking(SOON, is_asked), "the registry was not asked");
        let began = Instant::now();
        bed.interrupt(engine)?;
        // A byte may take longer than that to be missed.
        ensure!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        expect_untouched(bed)?;
    }
    Ok(())
}
