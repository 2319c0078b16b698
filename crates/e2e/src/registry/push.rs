//! What is put into a registry: by skopeo, or, what skopeo does not know, by hand.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::tools::call;
use super::{HOST, PASSWORD, Tool, USERNAME};
use crate::archive::{Layer, docker};
use crate::bed::Bed;

const EMPTY_CONFIG: &str = "application/vnd.oci.empty.v1+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// What stands in manifests of a blob.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Pushed {
    pub(crate) digest: String,
    pub(crate) bytes: usize,
}

/// Puts an image of these layers at [`HOST`]`/NAME`; its digest. `how` is for `skopeo copy`.
pub(crate) fn image(
    bed: &Bed,
    name: &str,
    process: &Value,
    layers: Vec<Layer>,
    how: &[&str],
) -> Result<String> {
    let archive = bed.dir().join("pushed.tar");
    fs::write(&archive, docker("localhost/pushed:1", process, layers)?)?;
    copy(bed, &format!("docker-archive:{}", archive.display()), name, how)
}

/// `skopeo copy` to [`HOST`]`/NAME`; the digest of what is there then.
pub(crate) fn copy(bed: &Bed, from: &str, name: &str, how: &[&str]) -> Result<String> {
    let digest = bed.dir().join("digest");
    let digest_file = digest.display().to_string();
    let to = format!("docker://{HOST}/{name}");
    let credentials = format!("{USERNAME}:{PASSWORD}");
    let common = ["--dest-tls-verify=false", "--dest-creds", &credentials, "--digestfile", &digest_file];
    call(bed, Tool::Skopeo, &[&["copy"], how, &common, &[from, &to]].concat())?;
    Ok(fs::read_to_string(digest)?.trim().to_owned())
}

/// An artifact of files, each with its title; its digest.
pub(crate) fn artifact(name: &str, tag: &str, files: &[(&str, &[u8])]) -> Result<String> {
    let config = blob(name, b"{}")?;
    let mut layers = Vec::new();
    for (title, content) in files {
        let Pushed { digest, bytes } = blob(name, content)?;
        layers.push(json!({
            "mediaType": "text/plain", "digest": digest, "size": bytes,
            "annotations": {"org.opencontainers.image.title": title},
        }));
    }
    let text = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": "application/vnd.example.files",
        "config": {"mediaType": EMPTY_CONFIG, "digest": config.digest, "size": config.bytes}, "layers": layers,
    });
    manifest(name, tag, &text)
}

pub(crate) fn blob(name: &str, content: &[u8]) -> Result<Pushed> {
    let digest = digest(content);
    let begun = ask("POST", &format!("/v2/{name}/blobs/uploads/"), "application/octet-stream", b"")?;
    let location = begun.lines().find_map(|line| line.strip_prefix("Location: ")).context("no upload")?;
    let (_, path) = location.trim().split_once(HOST).context("an upload elsewhere")?;
    let answer = ask("PUT", &format!("{path}&digest={digest}"), "application/octet-stream", content)?;
    ensure!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    Ok(Pushed { digest, bytes: content.len() })
}

pub(crate) fn manifest(name: &str, tag: &str, manifest: &Value) -> Result<String> {
    let text = manifest.to_string();
    let kind = manifest["mediaType"].as_str().unwrap_or(OCI_MANIFEST);
    let answer = ask("PUT", &format!("/v2/{name}/manifests/{tag}"), kind, text.as_bytes())?;
    ensure!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    Ok(digest(text.as_bytes()))
}

/// Of a registry without TLS and passwords.
fn ask(method: &str, path: &str, kind: &str, body: &[u8]) -> Result<String> {
    let mut stream = TcpStream::connect(HOST)?;
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn digest(content: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(content))
}

/// A file's path as the programs take it.
pub(crate) fn text(path: &Path) -> String {
    path.display().to_string()
}
