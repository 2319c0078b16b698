//! A policy that demands signatures: what is signed by its key is pulled, and what is not waits with the reason.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use registry_double::{Double, Image, Layer, OCI_MANIFEST};
use serde_json::{Value, json};

use crate::bed::Bed;
use crate::lasting::container;
use crate::outcome::skip;
use crate::pods::Pods;
use crate::runner::{Test, tests};
use crate::suites::images::{expect_stored, pod_from, run};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] = tests![what_is_signed_is_pulled, a_policy_that_is_not_understood];

/// Makes keys and signs, as somebody else than the one who verifies.
const OPENSSL: &str = "/usr/bin/openssl";

fn openssl(args: &[&str]) -> Result<Vec<u8>> {
    let mut command = Command::new(OPENSSL);
    let output = command.args(args).stdin(Stdio::null()).output().context("cannot run openssl")?;
    ensure!(output.status.success(), "openssl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

/// A private key and its public one.
fn key(bed: &Bed, name: &str, algorithm: &[&str]) -> Result<(PathBuf, PathBuf)> {
    let (key, public) = (bed.dir().join(format!("{name}.pem")), bed.dir().join(format!("{name}.pub")));
    openssl(&[&["genpkey", "-out", text(&key), "-algorithm"], algorithm].concat())?;
    openssl(&["pkey", "-in", text(&key), "-pubout", "-out", text(&public)])?;
    Ok((key, public))
}

/// Puts a signature beside the image, as cosign does.
fn sign(bed: &Bed, double: &Double, repository: &str, digest: &str, key: &Path, raw: bool) -> Result<()> {
    let payload = json!({"critical": {
        "identity": {"docker-reference": format!("{}/{repository}", double.host())},
        "image": {"docker-manifest-digest": digest},
        "type": "cosign container image signature",
    }, "optional": null});
    let payload = payload.to_string();
    let (file, signature) = (bed.dir().join("payload"), bed.dir().join("signature"));
    fs::write(&file, &payload)?;
    let (file, signature_file) = (text(&file), text(&signature));
    if raw {
        let args = ["pkeyutl", "-sign", "-inkey", text(key), "-rawin", "-in", file, "-out", signature_file];
        openssl(&args)?;
    } else {
        openssl(&["dgst", "-sha256", "-sign", text(key), "-out", signature_file, file])?;
    }
    let base64 = openssl(&["base64", "-A", "-in", signature_file])?;
    let mut layer = double
        .push_blob(repository, "application/vnd.dev.cosign.simplesigning.v1+json", payload.into_bytes())
        .json();
    layer["annotations"] = json!({"dev.cosignproject.cosign/signature": String::from_utf8(base64)?.trim()});
    let config = double.push_blob(repository, "application/vnd.oci.image.config.v1+json", "{}").json();
    let manifest =
        json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [layer]});
    let tag = format!("{}.sig", digest.replace(':', "-"));
    double.push_manifest(repository, Some(&tag), OCI_MANIFEST, manifest.to_string());
    Ok(())
}

fn push(double: &Double, repository: &str) -> String {
    let layer = Layer::of_files(&[("name", repository.as_bytes())]);
    double.push(repository, Some("1"), &Image::new(vec![layer])).manifest.digest
}

fn what_is_signed_is_pulled(bed: &Bed) -> Result<()> {
    require_root()?;
    if !Path::new(OPENSSL).is_file() {
        return skip("openssl is not installed: it signs what is pulled");
    }
    let (p256, p256_public) = key(bed, "p256", &["EC", "-pkeyopt", "ec_paramgen_curve:P-256"])?;
    let (ed25519, ed25519_public) = key(bed, "ed25519", &["ED25519"])?;
    let (foreign, _) = key(bed, "foreign", &["ED25519"])?;
    let double = Double::start();
    for (repository, key, raw) in [
        ("team/p256", Some(&p256), false),
        ("team/ed25519", Some(&ed25519), true),
        ("team/foreign", Some(&foreign), true),
        ("team/unsigned", None, false),
        ("elsewhere/p256", Some(&p256), false),
    ] {
        let digest = push(&double, repository);
        key.map_or(Ok(()), |key| sign(bed, &double, repository, &digest, key, raw))?;
    }
    let scope = format!("{}/team", double.host());
    let policy = json!({"default": [{"type": "reject"}], "transports": {"docker": {scope: [{
        "type": "sigstoreSigned",
        "keyPaths": [p256_public, ed25519_public],
        "signedIdentity": {"type": "matchRepository"},
    }]}}});
    let file = bed.dir().join("policy.json");
    fs::write(&file, policy.to_string())?;
    let pods = Pods::start_with(bed, &["--dev", "--signature-policy", text(&file)])?;
    let image = |repository: &str| format!("{}/{repository}:1", double.host());
    for (name, repository) in [("p256", "team/p256"), ("ed25519", "team/ed25519")] {
        pods.create(&pod_from(&image(repository), name, "serve", &json!({})))?;
        pods.wait_event(name, "Pulled Successfully pulled image")?;
    }
    for (name, repository, part) in [
        ("foreign", "team/foreign", "one is not by a key of the policy"),
        ("unsigned", "team/unsigned", "and there is none"),
        ("elsewhere", "elsewhere/p256", "the policy of this machine rejects it: default"),
    ] {
        pods.create(&pod_from(&image(repository), name, "serve", &json!({})))?;
        let waiting = |status: &Value| container(status, "main")["state"]["waiting"].clone();
        let is_refused = |status: &Value| waiting(status)["reason"] == "SignatureValidationFailed";
        let waiting = waiting(&pods.wait(name, "SignatureValidationFailed", is_refused)?);
        ensure!(waiting["message"].as_str().is_some_and(|message| message.contains(part)), "{waiting}");
    }
    // No layer of those was asked for.
    expect_stored(bed, 2, 2)?;
    pods.finish()
}

/// A policy is understood or nothing runs by it.
fn a_policy_that_is_not_understood(bed: &Bed) -> Result<()> {
    require_root()?;
    let file = bed.dir().join("policy.json");
    fs::write(&file, json!({"default": [{"type": "reject"}, {"type": "signedBy"}]}).to_string())?;
    let pull = run(bed, &["pull", "--signature-policy", text(&file), "127.0.0.1:1/a:1"])?;
    ensure!(pull.expect_code(0).is_err(), "an image was pulled");
    let said = format!("{}: default[1].type: \"signedBy\" is not known", file.display());
    ensure!(pull.stderr.contains(&said), "{}", pull.stderr);
    Ok(())
}
