//! What a manifest asks to be fetched, and which manifest of an index is the one. Pure.

use std::collections::BTreeSet;

use registry::Digest;

use crate::config::Platform;
use crate::manifest::{CONFIGS, Descriptor, Document, LayerRole, Role, is_old};
use crate::store::{CONFIG_BYTES_MAX, LAYERS_MAX};

/// Which file a blob of an artifact becomes
/// (<https://github.com/opencontainers/image-spec/blob/main/annotations.md>).
const TITLE: &str = "org.opencontainers.image.title";
/// As long as a name in a tar header may be.
const TITLE_BYTES_MAX: usize = 100;

/// A document of a registry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Read {
    Index(Vec<Descriptor>),
    Manifest(Plan),
}

/// What is to be fetched for an image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Plan {
    /// Digest and size; none of an artifact.
    pub(super) config: Option<(Digest, u64)>,
    /// From the bottom.
    pub(super) layers: Vec<PlannedLayer>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct PlannedLayer {
    /// Of the blob.
    pub(super) digest: Digest,
    pub(super) bytes: u64,
    pub(super) form: Form,
}

/// What a blob is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// A tar archive, maybe compressed.
    Archive,
    /// Of an artifact: one file, of this name in the image.
    File { name: String },
}

/// Why a manifest or an index is refused. Texts from it are quoted: they may hold anything.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("it cannot be read")]
    Json { source: serde_json::Error },
    #[error(
        "it is of Docker's first format, which is not supported: push the image again with a tool that writes schema 2"
    )]
    Old,
    #[error("it is neither a manifest of an image nor an index of such: it is of type {media_type:?}")]
    Neither { media_type: String },
    #[error("it has both layers and manifests, so that what it is depends on who reads it")]
    Both,
    #[error("it names {text:?}, which is not a sha256 digest")]
    Digest { text: String },
    #[error(
        "layer {digest} is one that only its maker's own servers may hand out (nondistributable), which is not \
         supported: use an image without such layers"
    )]
    Foreign { digest: Digest },
    #[error("layer {digest} is of type {media_type:?}, which is not supported")]
    LayerType { digest: Digest, media_type: String },
    #[error("it has no layers, so that there is nothing in the image")]
    NoLayers,
    #[error("it has {found} layers, the limit is {LAYERS_MAX}")]
    TooManyLayers { found: usize },
    #[error("the configuration is to have {bytes} bytes, the limit is {CONFIG_BYTES_MAX}")]
    ConfigTooLong { bytes: u64 },
    #[error("blob {digest} is to become a file {title:?}, which is no file name")]
    Title { digest: Digest, title: String },
}

/// What a document is. `media_type` is what the registry says of it; what it says itself goes before.
pub(super) fn read(media_type: &str, bytes: &[u8]) -> Result<Read, ManifestError> {
    let document: Document =
        serde_json::from_slice(bytes).map_err(|source| ManifestError::Json { source })?;
    let media_type = document.media_type.as_deref().unwrap_or(media_type).to_owned();
    if is_old(&media_type) {
        return Err(ManifestError::Old);
    }
    match (document.manifests, document.config, document.layers) {
        (Some(_), _, Some(_)) | (Some(_), Some(_), None) => Err(ManifestError::Both),
        (Some(manifests), None, None) => Ok(Read::Index(manifests)),
        (None, Some(config), layers) => plan(&config, layers.unwrap_or_default()).map(Read::Manifest),
        (None, None, _) => Err(ManifestError::Neither { media_type }),
    }
}

fn plan(config: &Descriptor, layers: Vec<Descriptor>) -> Result<Plan, ManifestError> {
    match layers.len() {
        0 => return Err(ManifestError::NoLayers),
        found if found > LAYERS_MAX => return Err(ManifestError::TooManyLayers { found }),
        _ => {}
    }
    let config_type = config.media_type.as_deref().unwrap_or_default();
    let is_artifact = !(config_type.is_empty() || CONFIGS.contains(&config_type));
    let layers = layers.into_iter().map(|layer| planned(layer, is_artifact)).collect::<Result<_, _>>()?;
    if is_artifact {
        return Ok(Plan { config: None, layers });
    }
    if config.size > CONFIG_BYTES_MAX {
        return Err(ManifestError::ConfigTooLong { bytes: config.size });
    }
    Ok(Plan { config: Some((digest(&config.digest)?, config.size)), layers })
}

fn planned(layer: Descriptor, is_artifact: bool) -> Result<PlannedLayer, ManifestError> {
    let digest = digest(&layer.digest)?;
    let form = match layer.layer_role() {
        LayerRole::Tar => Form::Archive,
        LayerRole::Foreign => return Err(ManifestError::Foreign { digest }),
        LayerRole::Other if is_artifact => Form::File { name: file_name(digest, layer.annotation(TITLE))? },
        LayerRole::Other => {
            let media_type = layer.media_type.unwrap_or_default();
            return Err(ManifestError::LayerType { digest, media_type });
        }
    };
    Ok(PlannedLayer { digest, bytes: layer.size, form })
}

/// The title, which may lead into directories; without one the digits of the digest.
fn file_name(digest: Digest, title: Option<&str>) -> Result<String, ManifestError> {
    let Some(title) = title else { return Ok(digest.hex()) };
    let is_name = |part: &str| !matches!(part, "" | "." | "..") && !part.starts_with(".wh.");
    let is_path = title.len() <= TITLE_BYTES_MAX && title.split('/').all(is_name);
    if !is_path || title.chars().any(char::is_control) {
        return Err(ManifestError::Title { digest, title: title.to_owned() });
    }
    Ok(title.to_owned())
}

pub(super) fn digest(text: &str) -> Result<Digest, ManifestError> {
    Digest::parse(text).ok_or_else(|| ManifestError::Digest { text: text.to_owned() })
}

/// Those of an index that may lead to an image for `wanted`, the best first: what is declared for it, and of these
/// the least variant; then what declares nothing. Of the others, notes the platforms.
pub(super) fn candidates(
    manifests: Vec<Descriptor>,
    wanted: &Platform,
    others: &mut BTreeSet<String>,
) -> Result<Vec<Descriptor>, ManifestError> {
    let (mut fitting, mut undeclared, mut old) = (vec![], vec![], false);
    for manifest in manifests {
        match (manifest.role(), manifest.declared_platform()) {
            (Role::Other, _) => {}
            (Role::OldManifest, _) => old = true,
            (_, Some(platform)) if !platform.fits(wanted) => {
                others.insert(platform.to_string());
            }
            (Role::Manifest, Some(_)) => fitting.push(manifest),
            (Role::Manifest | Role::Index, _) => undeclared.push(manifest),
        }
    }
    // Of one that is wanted the very variant, if it is there.
    fitting.sort_by_key(|manifest| {
        (!wanted.variant.is_empty() && manifest.variant() != wanted.variant, manifest.variant().to_owned())
    });
    fitting.append(&mut undeclared);
    if fitting.is_empty() && old { Err(ManifestError::Old) } else { Ok(fitting) }
}
