//! What a registry holds, and images to put there.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;

use bytes::Bytes;
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// What a manifest says of something: `digest` is `sha256:HEX`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Descriptor {
    pub media_type: String,
    pub digest: String,
    pub bytes: u64,
}

impl Descriptor {
    #[must_use]
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self { media_type: media_type.to_owned(), digest: digest(bytes), bytes: bytes.len() as u64 }
    }

    #[must_use]
    pub fn json(&self) -> Value {
        json!({ "mediaType": self.media_type, "digest": self.digest, "size": self.bytes })
    }
}

/// `sha256:HEX` of some bytes.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |mut text, byte| {
        // A String takes any text.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

/// A layer to be pushed.
#[derive(Clone, Debug)]
pub struct Layer {
    pub tar: Vec<u8>,
    pub compression: Compression,
}

impl Layer {
    /// Compressed by gzip.
    #[must_use]
    pub fn new(tar: Vec<u8>) -> Self {
        Self { tar, compression: Compression::Gzip }
    }

    /// Files of root's, which anybody may run.
    ///
    /// # Panics
    /// When a path does not fit a tar header.
    #[must_use]
    pub fn of_files(files: &[(&str, &[u8])]) -> Self {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, content) in files {
            let mut header = tar::Header::new_ustar();
            header.set_mode(0o755);
            header.set_size(content.len() as u64);
            header.set_entry_type(tar::EntryType::Regular);
            tar.append_data(&mut header, path, *content).expect("the path fits a header");
        }
        Self::new(tar.into_inner().expect("a Vec takes any bytes"))
    }

    #[must_use]
    pub fn compressed(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    fn blob(&self) -> Vec<u8> {
        match self.compression {
            Compression::None => self.tar.clone(),
            Compression::Gzip => {
                let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
                gzip.write_all(&self.tar).expect("a Vec takes any bytes");
                gzip.finish().expect("a Vec takes any bytes")
            }
            Compression::Zstd => compress_to_vec(self.tar.as_slice(), CompressionLevel::Fastest),
        }
    }

    fn media_type(&self, docker: bool) -> &'static str {
        match (docker, self.compression) {
            (true, Compression::None) => "application/vnd.docker.image.rootfs.diff.tar",
            (true, Compression::Gzip) => "application/vnd.docker.image.rootfs.diff.tar.gzip",
            (true, Compression::Zstd) => "application/vnd.docker.image.rootfs.diff.tar.zstd",
            (false, Compression::None) => "application/vnd.oci.image.layer.v1.tar",
            (false, Compression::Gzip) => "application/vnd.oci.image.layer.v1.tar+gzip",
            (false, Compression::Zstd) => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }
}

/// An image to be pushed.
#[derive(Clone, Debug)]
pub struct Image {
    pub layers: Vec<Layer>,
    /// `config` of the image's configuration: `Entrypoint`, `Env`, ...
    pub config: Value,
    pub platform: Platform,
    /// Docker's schema 2 rather than OCI.
    pub docker: bool,
}

impl Image {
    /// For this machine's platform, without a configuration.
    #[must_use]
    pub fn new(layers: Vec<Layer>) -> Self {
        Self { layers, config: json!({}), platform: Platform::default(), docker: false }
    }

    #[must_use]
    pub fn config(mut self, config: Value) -> Self {
        self.config = config;
        self
    }

    #[must_use]
    pub fn docker(mut self) -> Self {
        self.docker = true;
        self
    }

    #[must_use]
    pub fn platform(mut self, platform: Platform) -> Self {
        self.platform = platform;
        self
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Platform {
    pub os: String,
    pub architecture: String,
    pub variant: Option<String>,
}

impl Default for Platform {
    fn default() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self { os: "linux".to_owned(), architecture: architecture.to_owned(), variant: None }
    }
}

/// What was pushed.
#[derive(Clone, Debug)]
pub struct Pushed {
    pub manifest: Descriptor,
    pub config: Descriptor,
    pub layers: Vec<Descriptor>,
    pub diff_ids: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    pub(crate) media_type: String,
    pub(crate) bytes: Bytes,
}

#[derive(Debug, Default)]
pub(crate) struct Content {
    /// By repository and digest.
    pub(crate) blobs: BTreeMap<(String, String), Bytes>,
    /// By repository and tag or digest.
    pub(crate) manifests: BTreeMap<(String, String), Manifest>,
    /// By path.
    pub(crate) files: BTreeMap<String, Bytes>,
}

impl Content {
    pub(crate) fn blob(&mut self, repository: &str, media_type: &str, bytes: Bytes) -> Descriptor {
        let descriptor = Descriptor::of(media_type, &bytes);
        self.blobs.insert((repository.to_owned(), descriptor.digest.clone()), bytes);
        descriptor
    }

    pub(crate) fn manifest(
        &mut self,
        repository: &str,
        tag: Option<&str>,
        media_type: &str,
        bytes: Bytes,
    ) -> Descriptor {
        let descriptor = Descriptor::of(media_type, &bytes);
        let manifest = Manifest { media_type: media_type.to_owned(), bytes };
        for name in tag.into_iter().chain([descriptor.digest.as_str()]) {
            self.manifests.insert((repository.to_owned(), name.to_owned()), manifest.clone());
        }
        descriptor
    }

    pub(crate) fn image(&mut self, repository: &str, tag: Option<&str>, image: &Image) -> Pushed {
        let diff_ids: Vec<String> = image.layers.iter().map(|layer| digest(&layer.tar)).collect();
        let layers: Vec<Descriptor> = image
            .layers
            .iter()
            .map(|layer| self.blob(repository, layer.media_type(image.docker), layer.blob().into()))
            .collect();
        let mut config = json!({
            "os": image.platform.os,
            "architecture": image.platform.architecture,
            "config": image.config,
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        if let Some(variant) = &image.platform.variant {
            config["variant"] = json!(variant);
        }
        let (config_type, manifest_type) = if image.docker {
            ("application/vnd.docker.container.image.v1+json", DOCKER_MANIFEST)
        } else {
            ("application/vnd.oci.image.config.v1+json", OCI_MANIFEST)
        };
        let config = self.blob(repository, config_type, config.to_string().into());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": manifest_type,
            "config": config.json(),
            "layers": layers.iter().map(Descriptor::json).collect::<Vec<_>>(),
        });
        let manifest = self.manifest(repository, tag, manifest_type, manifest.to_string().into());
        Pushed { manifest, config, layers, diff_ids }
    }

    pub(crate) fn index(
        &mut self,
        repository: &str,
        tag: Option<&str>,
        manifests: &[(Descriptor, Platform)],
        docker: bool,
    ) -> Descriptor {
        let entries: Vec<Value> = manifests
            .iter()
            .map(|(manifest, platform)| {
                let mut entry = manifest.json();
                entry["platform"] = json!({ "os": platform.os, "architecture": platform.architecture });
                if let Some(variant) = &platform.variant {
                    entry["platform"]["variant"] = json!(variant);
                }
                entry
            })
            .collect();
        let media_type = if docker { DOCKER_LIST } else { OCI_INDEX };
        let index = json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": entries });
        self.manifest(repository, tag, media_type, index.to_string().into())
    }

    /// `files` are titles, media types and contents.
    pub(crate) fn artifact(
        &mut self,
        repository: &str,
        tag: Option<&str>,
        artifact_type: &str,
        files: &[(&str, &str, &[u8])],
    ) -> Descriptor {
        let layers: Vec<Value> = files
            .iter()
            .map(|(title, media_type, bytes)| {
                let mut layer = self.blob(repository, media_type, Bytes::copy_from_slice(bytes)).json();
                layer["annotations"] = json!({ "org.opencontainers.image.title": title });
                layer
            })
            .collect();
        let empty = self.blob(repository, "application/vnd.oci.empty.v1+json", Bytes::from_static(b"{}"));
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": artifact_type,
            "config": empty.json(),
            "layers": layers,
        });
        self.manifest(repository, tag, OCI_MANIFEST, manifest.to_string().into())
    }
}
