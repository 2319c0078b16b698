//! Indexes and manifests, as archives and registries have them
//! (<https://github.com/opencontainers/image-spec/blob/main/manifest.md>, image-index.md); those of Docker's
//! second schema have the same form.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::config::Platform;

/// The media types of indexes and of manifests.
pub(crate) const INDEXES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];
pub(crate) const MANIFESTS: [&str; 2] =
    ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];
const OLD_MANIFESTS: &str = "application/vnd.docker.distribution.manifest.v1+";
/// The media types of configurations of images.
pub(crate) const CONFIGS: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];
/// What BuildKit says about an image, beside it.
const ATTESTATION: &str = "vnd.docker.reference.type";
/// How a layer is marked that only its maker's servers may hand out.
const FOREIGN: [&str; 2] = ["nondistributable", "foreign"];

/// How many indexes may be above a manifest.
pub(crate) const INDEX_DEPTH_MAX: usize = 4;
/// In all indexes of an archive or above an image.
pub(crate) const DESCRIPTORS_MAX: usize = 10_000;

#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: Option<String>,
    pub(crate) digest: String,
    pub(crate) size: u64,
    pub(crate) platform: Option<Platform>,
    pub(crate) annotations: Option<BTreeMap<String, String>>,
}

/// An index or a manifest: some indexes have no media type.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Document {
    pub(crate) media_type: Option<String>,
    pub(crate) manifests: Option<Vec<Descriptor>>,
    pub(crate) config: Option<Descriptor>,
    pub(crate) layers: Option<Vec<Descriptor>>,
}

/// What a descriptor in an index leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    Index,
    Manifest,
    /// Of Docker's first schema.
    OldManifest,
    /// An attestation, or what this monopod does not know.
    Other,
}

/// What a layer of a manifest is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LayerRole {
    /// Compressed or not: that is told from its bytes.
    Tar,
    Foreign,
    Other,
}

impl Descriptor {
    pub(crate) fn role(&self) -> Role {
        let media_type = self.media_type.as_deref().unwrap_or_default();
        if is_old(media_type) {
            return Role::OldManifest;
        }
        match media_type {
            _ if self.annotation(ATTESTATION).is_some() => Role::Other,
            index if INDEXES.contains(&index) => Role::Index,
            "" => Role::Manifest,
            manifest if MANIFESTS.contains(&manifest) => Role::Manifest,
            _ => Role::Other,
        }
    }

    pub(crate) fn layer_role(&self) -> LayerRole {
        let media_type = self.media_type.as_deref().unwrap_or_default();
        if FOREIGN.iter().any(|mark| media_type.contains(mark)) {
            return LayerRole::Foreign;
        }
        let is_tar = media_type.contains(".tar") && !media_type.ends_with("+encrypted");
        if is_tar || media_type.is_empty() { LayerRole::Tar } else { LayerRole::Other }
    }

    /// The platform, when there is one that names an operating system.
    pub(crate) fn declared_platform(&self) -> Option<&Platform> {
        self.platform.as_ref().filter(|platform| !platform.os.is_empty())
    }

    /// Of several that fit, the first in order asks the least of the machine.
    pub(crate) fn variant(&self) -> &str {
        self.platform.as_ref().map_or("", |platform| &platform.variant)
    }

    pub(crate) fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref().and_then(|annotations| annotations.get(key)).map(String::as_str)
    }
}

/// Whether it is the media type of a manifest of Docker's first schema.
pub(crate) fn is_old(media_type: &str) -> bool {
    media_type.starts_with(OLD_MANIFESTS)
}

#[cfg(test)]
mod tests {
    use super::{Descriptor, LayerRole, Role};

    fn descriptor(media_type: &str, more: &str) -> Descriptor {
        serde_json::from_str(&format!("{{\"mediaType\":\"{media_type}\",\"digest\":\"\",\"size\":0{more}}}"))
            .expect("a descriptor")
    }

    #[test]
    fn descriptors_lead_to_what_their_media_types_say() {
        let attestation = ",\"annotations\":{\"vnd.docker.reference.type\":\"attestation-manifest\"}";
        for (media_type, more, role) in [
            ("application/vnd.oci.image.index.v1+json", "", Role::Index),
            ("application/vnd.docker.distribution.manifest.list.v2+json", "", Role::Index),
            ("application/vnd.oci.image.manifest.v1+json", "", Role::Manifest),
            ("", "", Role::Manifest),
            ("application/vnd.docker.distribution.manifest.v1+prettyjws", "", Role::OldManifest),
            ("application/vnd.oci.image.manifest.v1+json", attestation, Role::Other),
            ("text/plain", "", Role::Other),
        ] {
            assert_eq!(descriptor(media_type, more).role(), role, "{media_type}");
        }
    }

    #[test]
    fn layers_are_what_their_media_types_say() {
        for (media_type, role) in [
            ("", LayerRole::Tar),
            ("application/vnd.oci.image.layer.v1.tar", LayerRole::Tar),
            ("application/vnd.oci.image.layer.v1.tar+zstd", LayerRole::Tar),
            ("application/vnd.docker.image.rootfs.diff.tar.gzip", LayerRole::Tar),
            ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", LayerRole::Foreign),
            ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", LayerRole::Foreign),
            ("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", LayerRole::Other),
            ("application/wasm", LayerRole::Other),
        ] {
            assert_eq!(descriptor(media_type, "").layer_role(), role, "{media_type}");
        }
    }
}
